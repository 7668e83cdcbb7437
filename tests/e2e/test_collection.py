"""Collections: one object of what was built together, to install from anywhere."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tarfile
import threading
import tomllib
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from packaging.pylock import Pylock

from support.store_check import check_error, check_store
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.command_line import Outcome, Place
    from support.index import LocalIndex

    Offer = Callable[..., None]


def only_path(outcome: Outcome) -> Path:
    """The one path that a command printed."""
    assert outcome.code == 0, outcome.err
    [path] = outcome.paths
    return path


def graph(collection: Path) -> Any:
    return json.loads((collection / "graph.json").read_text(encoding="utf-8"))


def files(folder: Path) -> list[str]:
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )


@pytest.fixture
def chain(offer: Offer) -> None:
    offer("cltop", dependencies=["clbase"], requires=["cltool"])
    offer("clbase", asks=["cltool"])
    offer("clside")
    offer("cltool")


@pytest.mark.usefixtures("chain")
def test_several_requirements_become_one_collection(place: Place) -> None:
    outcome = place.run("realise", "cltop", "clside")

    collection = only_path(outcome)
    wheels = ["clbase", "clside", "cltop"]
    assert files(collection) == sorted(
        [
            *("constraints.txt", "graph.json", "pylock.toml"),
            *("simple/index.html", "simple/index.json"),
            *(f"simple/{name}/index.html" for name in wheels),
            *(f"simple/{name}/index.json" for name in wheels),
            *(f"wheels/{name}-1.0-py3-none-any.whl" for name in wheels),
            *(f"wheels/{name}-1.0-py3-none-any.whl.metadata" for name in wheels),
        ]
    )
    assert (collection / "constraints.txt").read_text() == (
        "clbase==1.0\nclside==1.0\ncltop==1.0\n"
    )
    [chosen] = graph(collection)["sets"]
    assert chosen["requested"] == ["clside==1.0", "cltop==1.0"]
    assert chosen["members"]["cltop==1.0"]["dependencies"] == ["clbase==1.0"]
    lock = Pylock.from_dict(tomllib.loads((collection / "pylock.toml").read_text()))
    lock.validate()
    check_store(place)


@pytest.mark.usefixtures("chain")
def test_two_stores_give_the_same_collection(place: Place, fresh: Place) -> None:
    here = place.realise("cltop", "clside").json["collection"]
    there = fresh.realise("clside", "cltop").json["collection"]

    assert here["digest"] == there["digest"]
    assert here["store_path"] == there["store_path"]
    assert here["key"] == there["key"]


@pytest.mark.usefixtures("chain")
def test_a_collection_that_was_made_starts_nothing_and_asks_nobody(
    place: Place,
) -> None:
    first = place.run("realise", "cltop", "clside")

    again = place.run("realise", "cltop", "clside", "--offline")

    assert again.out == first.out
    assert (again.processes, again.connections) == ((), 0)


@pytest.mark.usefixtures("chain")
def test_one_requirement_has_a_collection_on_request(place: Place) -> None:
    (place.folder / "r.txt").write_text("cltop\n")

    alone = only_path(place.run("realise", "cltop"))
    wanted = only_path(place.run("realise", "cltop", "--collection"))
    listed = only_path(place.run("realise", "-r", "r.txt"))
    refused = place.run("realise", "cltop", "clside", "--no-collection")

    assert alone.suffix == ".whl"
    assert wanted == listed
    assert [path.suffix for path in refused.paths] == [".whl", ".whl"]


@pytest.mark.usefixtures("chain")
def test_a_link_and_a_root_keep_a_collection_and_its_wheels(
    fresh: Place,
) -> None:
    collection = only_path(
        fresh.run("realise", "cltop", "clside", "--out-link", "result", "--root", "all")
    )
    rows = fresh.realise("cltop", "clside").json["wheels"]

    closure = fresh.run("store", "closure", collection.name).out
    shown = fresh.run("root", "show", "all", "1").out
    (fresh.folder / "result").unlink()
    fresh.run("gc")
    kept = collection.is_dir()
    fresh.run("root", "delete", "all")
    fresh.run("gc")

    assert all(row["store_path"] in closure for row in rows)
    assert str(collection) in shown and rows[0]["store_path"] in shown
    assert kept and not collection.exists()


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--collection", "--no-deps"), "exclude each other"),
        (("--allow-multiple", "--no-deps"), "exclude each other"),
        (("--allow-multiple", "--no-collection"), "exclude each other"),
        (("--allow-multiple", "--lock", "pylock.toml"), "exclude each other"),
    ],
)
def test_what_cannot_be_had_together_is_refused(
    place: Place, words: tuple[str, ...], message: str
) -> None:
    assert place.run("lock", "cltop").code == 0

    check_error(place.run("realise", "cltop", *words), 2, message)


def test_what_is_built_in_part_is_no_collection(place: Place, offer: Offer) -> None:
    offer("clgood")
    offer("clbad", quirk="crash")

    outcome = place.run("realise", "--keep-going", "clgood", "clbad")

    assert outcome.code == 5
    [path] = outcome.paths
    assert path.name.startswith("clgood-1.0")
    assert "1 built or reused, 1 failed; no collection is made" in outcome.err


@pytest.mark.usefixtures("chain")
def test_a_collection_is_made_again_to_check_and_to_repair_it(fresh: Place) -> None:
    collection = only_path(fresh.run("realise", "cltop", "clside"))

    checked = fresh.run("check", str(collection))
    victim = collection / "constraints.txt"
    victim.parent.chmod(0o755)
    victim.chmod(0o644)
    victim.write_text("cltop==9\n")
    found = fresh.run("store", "verify")
    repaired = fresh.run("store", "repair")

    assert checked.code == 0, checked.err
    assert found.code == 6
    assert repaired.code == 0, repaired.err
    assert "cltop==1.0\n" in victim.read_text()
    check_store(fresh)


def test_several_versions_are_a_collection_of_sets(place: Place, offer: Offer) -> None:
    for version in ("1.0", "2.0"):
        offer("clmany", version, dependencies=[f"cldep=={version}"])
        offer("cldep", version)

    refused = place.run("realise", "clmany==1.0", "clmany==2.0")
    words = ("clmany==1.0", "clmany==2.0", "--allow-multiple")
    collection = only_path(place.run("realise", *words))
    again = place.run("realise", *words, "--offline")

    assert refused.code == 4
    assert only_path(again) == collection
    assert again.processes == ()
    found = graph(collection)
    assert found["kind"] == "several"
    assert [each["name"] for each in found["sets"]] == ["clmany-1.0", "clmany-2.0"]
    assert not (collection / "constraints.txt").exists()
    assert not (collection / "pylock.toml").exists()
    for version in ("1.0", "2.0"):
        below = collection / "sets" / f"clmany-{version}"
        assert (below / "constraints.txt").read_text() == (
            f"cldep=={version}\nclmany=={version}\n"
        )
        text = (below / "pylock.toml").read_text()
        assert f"../../wheels/clmany-{version}-py3-none-any.whl" in text
    assert (collection / "simple/cldep/index.html").read_text().count(
        ".whl#sha256"
    ) == 2


def test_each_requirement_of_several_sets_has_the_newest_that_fits_it(
    place: Place, offer: Offer
) -> None:
    offer("clold", dependencies=["clshared<2"])
    offer("clnew", dependencies=["clshared"])
    offer("clshared", "1.0")
    offer("clshared", "2.0")

    together = place.realise("clold", "clnew").json
    apart = place.realise("clold", "clnew", "--allow-multiple").json

    def shared(value: Any) -> list[str]:
        rows = value["wheels"]
        return [row["version"] for row in rows if row["name"] == "clshared"]

    assert shared(together) == ["1.0"]
    assert shared(apart) == ["1.0", "2.0"]


def test_what_has_no_versions_does_not_keep_others_from_being_built(
    place: Place, offer: Offer
) -> None:
    offer("clfine")
    offer("cltorn", dependencies=["clfine<1"])
    offer("clbroken", quirk="crash")
    words = ("--allow-multiple", "--keep-going", "--json", "clfine", "cltorn")

    outcome = place.run("realise", *words, "clabsent")
    worse = place.run("realise", *words, "clbroken")
    alone = place.run("realise", *words[:3], "clabsent")

    assert outcome.code == 4
    assert [row["name"] for row in outcome.json["wheels"]] == ["clfine"]
    assert outcome.json["collection"] is None
    assert len(outcome.errors) == 2
    assert "cltorn" in outcome.err
    assert "clabsent" in outcome.err
    assert "1 built or reused, 2 failed; no collection is made" in outcome.err
    assert worse.code == 5
    assert [row["name"] for row in worse.json["wheels"]] == ["clfine"]
    assert (alone.code, alone.json["wheels"]) == (4, [])


@pytest.mark.parametrize("several", [("--allow-multiple",), ()])
def test_a_place_that_holds_no_project_is_one_failure_of_the_sum(
    place: Place, offer: Offer, several: tuple[str, ...]
) -> None:
    offer("clkept")
    offer("clnamed", "9.0")
    (place.folder / "empty").mkdir()
    (place.folder / "torn.tar.gz").write_bytes(b"no archive")
    words = (*several, "--keep-going", "--json", "clkept", "./empty")

    outcome = place.run("realise", *words, "clnamed @ ./torn.tar.gz")
    ended = place.run("realise", *several, "clkept", "./empty")

    assert outcome.code == 1, outcome.err
    assert [row["name"] for row in outcome.json["wheels"]] == ["clkept"]
    assert outcome.json["collection"] is None
    assert len(outcome.errors) == 2
    assert "1 built or reused, 2 failed; no collection is made" in outcome.err
    assert (ended.code, ended.built) == (1, [])


def test_what_a_broken_place_was_named_for_comes_from_no_index(
    place: Place, offer: Offer
) -> None:
    offer("clhonest")
    offer("clwants", dependencies=["clmeant"])
    offer("clmeant", "9.0")
    (place.folder / "empty").mkdir()
    words = ("--allow-multiple", "--keep-going", "--json", "clhonest", "clwants")

    outcome = place.run("realise", *words, "clmeant @ ./empty")

    assert outcome.code == 1, outcome.err
    assert [row["name"] for row in outcome.json["wheels"]] == ["clhonest"]
    [error] = outcome.errors
    assert "empty" in error


def test_without_keep_going_what_has_no_versions_ends_it(
    place: Place, offer: Offer
) -> None:
    offer("clother")

    outcome = place.run("realise", "--allow-multiple", "clother", "clabsent")

    assert outcome.code == 4
    assert outcome.built == []


def test_what_is_prebuilt_stands_in_the_graph_and_why(
    place: Place, index: LocalIndex, offer: Offer
) -> None:
    offer("clneeds", dependencies=["clready"])
    wheel = WheelMaker(name="clready", files={"clready/__init__.py": b"x = 1\n"})
    index.add(wheel.filename, wheel.build())
    (place.folder / "fromager.toml").write_text("[package.clready]\nprebuilt = true\n")

    collection = only_path(place.run("realise", "--collection", "clneeds"))
    refused = place.run("realise", "--collection", "clneeds", "--only-from-source")

    found = graph(collection)
    [row] = found["prebuilt"]
    assert row["wheel"] == "clready==1.0"
    assert row["ways"] == [["clneeds==1.0", "clready==1.0"]]
    assert "prebuilt" in row["why"]
    assert found["wheels"]["clneeds==1.0"]["prebuilt"] is False
    assert index.url not in (collection / "graph.json").read_text()
    check_error(refused, 1, "clready==1.0")


def test_what_changed_between_two_collections_is_told(
    place: Place, offer: Offer
) -> None:
    offer("clmoved", "1.0")
    offer("clkept")
    first = only_path(place.run("realise", "clmoved", "clkept"))
    offer("clmoved", "2.0")
    again = ("realise", "clmoved", "clkept", "--refresh")
    (place.folder / "fromager.toml").write_text(
        '[[package.clkept.edits]]\naction = "replace-line"\n'
        'files = ["clkept/__init__.py"]\nsearch = "1.0"\nreplace = "9.9"\n'
    )
    second = only_path(place.run(*again))
    copy = place.folder / "copy"
    assert place.run("export", str(first), "copy").code == 0

    told = place.run("diff", str(first), str(second))
    rows = place.run("diff", str(first), str(second), "--json").json
    same = place.run("diff", str(first), str(copy))
    (copy / "wheels" / "clkept-1.0-py3-none-any.whl").write_bytes(b"other")
    changed = place.run("diff", str(first), str(copy))

    assert told.code == 2
    assert told.out.startswith("clmoved is 2.0, it was 1.0\n")
    assert "the wheel of clkept==1.0 is another one" in told.out
    assert "+ VALUE = '9.9'" in told.out
    assert [row["aspect"] for row in rows["changes"]] == ["version", "wheel"]
    assert [row["field"] for row in rows["inputs"]]
    assert (same.code, changed.code) == (0, 2)


def test_a_collection_is_copied_out_and_installed_from_there(
    fresh: Place, offer: Offer, tmp_path: Path
) -> None:
    offer("cltop", dependencies=["clbase"])
    offer("clbase")
    fresh.run("realise", "cltop", "--collection", "--out-link", "result")

    copied = fresh.run("export", "result", "copied")
    packed = fresh.run("export", "result", "packed.tar.gz", "--json")
    linked = fresh.run("export", "result", "linked", "--link", "--no-sbom")
    bill = fresh.run("sbom", "result").out
    refused = fresh.run("export", "result", "copied")
    both = fresh.run("export", "result", "a.tar", "--link")

    assert copied.paths == [fresh.folder / "copied"]
    assert packed.json["bytes"] > 0
    assert packed.json["sbom"] == str(fresh.folder / "packed.tar.gz.cdx.json")
    assert (fresh.folder / "copied.cdx.json").read_text() == bill
    assert not (fresh.folder / "linked.cdx.json").exists()
    assert linked.code in (0, 1), linked.err
    check_error(refused, 1, "something is there already")
    assert both.code == 2
    with tarfile.open(fresh.folder / "packed.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    shutil.rmtree(fresh.store)
    lock = tmp_path / "collection" / "pylock.toml"
    install(fresh, tmp_path / "there", *PIP, "-r", str(lock))
    index = f"file://{fresh.folder}/copied/simple"
    install(fresh, tmp_path / "too", *PIP, "--index-url", index, "cltop")


@pytest.mark.usefixtures("chain")
def test_a_collection_is_pushed_with_its_wheels_and_pulled_by_its_key(
    place: Place, fresh: Place
) -> None:
    pushed = place.realise("cltop", "clside").json
    here = pushed["collection"]
    key = place.run("key", "generate", "farm").out
    (place.folder / "farm.pub").write_text(key)
    sent = place.run("push", here["path"], "--to", "cache")
    trusted = fresh.run("key", "trust", "farm.pub")

    pulled = fresh.run("pull", here["key"], "--from", "cache")

    assert (sent.code, trusted.code, pulled.code) == (0, 0, 0), pulled.err
    assert only_path(pulled).name == here["store_path"]
    for row in pushed["wheels"]:
        assert (fresh.store / row["store_path"]).is_dir()
    assert fresh.run("check", here["store_path"]).code == 0


def test_files_that_wheels_write_over_each_other_are_told(
    place: Place, offer: Offer
) -> None:
    for name in ("clfirst", "clsecond"):
        offer(name, files={"tests/__init__.py": name, "shared.py": "same"})

    outcome = place.run("realise", "clfirst", "clsecond")

    told = "clfirst==1.0 and clsecond==1.0 both install tests/__init__.py, with other"
    assert told in outcome.err
    [row] = graph(only_path(outcome))["overlaps"]
    assert row == {
        "wheels": ["clfirst==1.0", "clsecond==1.0"],
        "paths": ["tests/__init__.py"],
    }


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder over HTTP, as any server of files gives it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def install(place: Place, folder: Path, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words, "--target", str(folder)],
        cwd=place.folder,
        env={**place.environ, "UV_CACHE_DIR": str(folder.parent / f"{folder.name}.uv")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (folder / "cltop" / "__init__.py").exists()
    assert (folder / "clbase" / "__init__.py").exists()


PIP = ("pip", "install", "--quiet")
UV = ("uv", "pip", "install", "--quiet")


@pytest.mark.usefixtures("chain")
def test_installers_install_from_it(place: Place, tmp_path: Path) -> None:
    collection = only_path(place.run("realise", "cltop", "clside"))
    index = f"file://{collection}/simple"

    install(place, tmp_path / "1", *PIP, "--index-url", index, "cltop")
    install(place, tmp_path / "2", *UV, "--index-url", index, "cltop")
    install(place, tmp_path / "3", *PIP, "-r", str(collection / "pylock.toml"))
    install(place, tmp_path / "4", *UV, "-r", str(collection / "pylock.toml"))
    with served(collection) as url:
        install(place, tmp_path / "5", *PIP, "--index-url", f"{url}/simple/", "cltop")
        install(place, tmp_path / "6", *UV, "--index-url", f"{url}/simple/", "cltop")


@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
def test_installers_install_one_of_several_sets(
    place: Place, offer: Offer, tmp_path: Path, installer: tuple[str, ...]
) -> None:
    offer("clbase", "1.0")
    offer("cltop", "1.0", dependencies=["clbase"])
    offer("cltop", "2.0", dependencies=["clbase"])

    collection = only_path(place.run("realise", "cltop<2", "cltop", "--allow-multiple"))

    lock = str(collection / "sets" / "cltop-1.0" / "pylock.toml")
    install(place, tmp_path / "there", *installer, "-r", lock)
    assert (tmp_path / "there" / "cltop-1.0.dist-info").is_dir()
