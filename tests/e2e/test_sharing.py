"""Pushing, pulling and substituting with the command line, and caches that misbehave."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fromager.derivations.sharing.envelope import load_envelope
from fromager.derivations.sharing.failing import load_failure
from fromager.derivations.sharing.layout import (
    dump_claims,
    dump_segment,
    load_claims,
    load_segment,
)
from fromager.store import open_store
from support.cache_server import FileServer, file_server
from support.command_line import Place
from support.index import LocalIndex, local_index
from support.projects import sdist
from support.sharing import builder, folder_cache, share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def index() -> Iterator[LocalIndex]:
    """An index with a project, what it needs, and what these are built with."""
    projects = [
        sdist("tool", "1.0", files={"tool/x.txt": "x"}),
        sdist("base", "1.0", requires=["tool"]),
        sdist("demo", "1.0", dependencies=["base"], requires=["tool"], asks=["base"]),
    ]
    with local_index(dict(projects), cache_control="max-age=600") as index:
        yield index


@pytest.fixture(scope="module")
def machines(
    quick_folder: Path, session_store: Path, index: LocalIndex
) -> tuple[Path, Path]:
    """A machine that has built everything, and one that knows itself only.

    What a machine is takes a second to find out: tests get copies of these.
    """
    top = quick_folder / "machines"
    top.mkdir()
    bare = Place(top / "bare", top / "bare" / "store", index.url)
    bare.folder.mkdir()
    with local_index(dict([sdist("trial", "1.0")])) as trial:
        Place(bare.folder, bare.store, trial.url).realise("trial")
    built = Place(top / "built", top / "built" / "store", index.url)
    _copy(bare.folder, built.folder)
    built.realise("demo")
    assert built.run("key", "generate", "farm").code == 0
    return built.folder, bare.folder


def _copy(source: Path, target: Path) -> None:
    """What never changes is linked: a machine's own files are many."""
    subprocess.run(["cp", "-al", source, target], check=True)
    for path in (*target.glob("store/.fromager/db*"), *target.rglob("trust.toml")):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)


@contextlib.contextmanager
def _machine(template: Path, index: LocalIndex) -> Iterator[Place]:
    folder = template.parent / f"{template.name}-{next(NUMBERS)}"
    _copy(template, folder)
    yield Place(folder, folder / "store", index.url)
    subprocess.run(["rm", "-rf", folder], check=True)


@pytest.fixture
def farm(machines: tuple[Path, Path], index: LocalIndex) -> Iterator[Place]:
    """Who builds and signs."""
    with _machine(machines[0], index) as place:
        yield place


@pytest.fixture
def other(
    machines: tuple[Path, Path], index: LocalIndex, farm: Place
) -> Iterator[Place]:
    """Another machine, with a store and a home of its own, that trusts the farm."""
    with _machine(machines[1], index) as place:
        assert place.run("key", "trust", key_of(farm)).code == 0
        yield place


NUMBERS = itertools.count()


def key_of(place: Place) -> str:
    own: str = place.run("key", "list", "--json").json["own"][0]["public"]
    return own


def pushed(farm: Place, cache: Path | str, *targets: str) -> Any:
    farm.realise("demo")
    outcome = farm.run("push", *(targets or ("demo",)), "--to", str(cache), "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json


def test_what_was_pushed_is_used_instead_of_a_build(
    farm: Place, other: Place, cache: Path
) -> None:
    pushed(farm, cache)

    theirs = other.realise("demo", "--substituter", str(cache))

    assert theirs.builds == 0
    assert (
        theirs.wheel("demo")["digest"] == farm.realise("demo").wheel("demo")["digest"]
    )
    assert [line for line in theirs.err.splitlines() if "demo==1.0 (wheel)" in line]


def test_what_was_substituted_is_not_asked_for_again(
    farm: Place, other: Place, cache: Path
) -> None:
    with file_server(cache) as server:
        pushed(farm, server.url)
        other.realise("demo", "--substituter", server.url)
        server.requests.clear()

        again = other.realise("demo", "--substituter", server.url)

        assert (again.builds, server.requests) == (0, [])


def test_what_was_pushed_is_pulled_and_used(
    farm: Place, other: Place, cache: Path, index: LocalIndex
) -> None:
    pushed(farm, cache)

    outcome = other.run("pull", "demo", "--from", str(cache))

    assert outcome.code == 0, outcome.err
    assert outcome.paths[0].name == "demo-1.0-py3-none-any.whl"
    assert outcome.paths[0].is_file()
    assert other.realise("demo").builds == 0
    with open_store(other.store, create=False) as store:
        assert {"demo==1.0", "base==1.0", "tool==1.0"} <= set(store.subjects("wheel"))
        assert all(
            claim.is_substituted for claim in store.history("wheel", "demo==1.0")
        )


def test_what_was_pushed_is_pulled_by_any_of_its_names(
    farm: Place, other: Place, cache: Path
) -> None:
    farm.realise("demo", "tool", "--root", "set")
    pushed(farm, cache, "set")
    (member,) = [
        each
        for each in farm.run("root", "show", "set", "1", "--json").json["generation"][
            "members"
        ]
        if each["path"].endswith("-collection")
    ]
    digest = farm.run("store", "info", "--json", "set").json["object"]["digest"]

    for text in (
        member["path"],
        member["path"].rpartition("/")[2],
        f"{member['path']}/pylock.toml",
        member["key"],
        member["key"][:20],
        digest,
        digest[7:19],
    ):
        outcome = other.run("pull", text, "--from", str(cache), "--json")

        assert outcome.code == 0, outcome.err
        (row,) = outcome.json["pulled"]
        assert row["digest"] == digest
        assert row["key"] == member["key"]

    pull = other.run("pull", "demo", "--root", "mine", "--from", str(cache))
    again = other.run("pull", "root:mine", "--from", str(cache), "--no-deps")
    assert pull.code == again.code == 0, again.err
    assert pull.out.strip() in again.out.split()
    mistyped = other.run("pull", "dmo", "--from", str(cache))
    assert mistyped.code == 2
    assert "Did you mean demo?" in mistyped.error


def test_what_was_pulled_can_be_kept(farm: Place, other: Place, cache: Path) -> None:
    pushed(farm, cache)

    words = ("--from", str(cache), "--root", "set", "--out-link", "link")
    outcome = other.run("pull", "demo", *words)
    freed = other.run("gc")

    assert (outcome.code, freed.code) == (0, 0), outcome.err + freed.err
    assert (other.folder / "link").resolve() == outcome.paths[0].resolve()
    members = other.run("root", "show", "set", "--json").out
    assert "base==1.0" in members
    assert other.realise("demo").builds == 0


def test_a_second_push_sends_nothing(farm: Place, cache: Path) -> None:
    first = pushed(farm, cache)

    assert first["bytes"] > 0
    assert pushed(farm, cache)["unchanged"] is True
    assert farm.run("cache", "missing", "demo", "--from", str(cache)).code == 0


def test_a_cache_says_what_it_has(farm: Place, cache: Path) -> None:
    pushed(farm, cache)

    said = farm.run("cache", "info", str(cache), "--json").json

    assert said["wheels"] == ["base==1.0", "demo==1.0", "tool==1.0"]
    assert said["pushes"][0]["by"] == "urn:fromager:builder:farm"
    assert "3 wheels" in farm.run("cache", "info", str(cache)).out


def test_what_a_cache_misses_is_listed(
    farm: Place, cache: Path, offer: Callable[..., None]
) -> None:
    pushed(farm, cache, "tool")

    outcome = farm.run("cache", "missing", "demo", "--from", str(cache))

    assert outcome.code == 1
    assert "demo==1.0 (wheel)" in outcome.out
    assert "tool==1.0 (wheel)" not in outcome.out


def test_a_build_that_failed_is_told_to_others(
    farm: Place, other: Place, cache: Path, index: LocalIndex
) -> None:
    index.add(*sdist("broken", "1.0", quirk="requires-crash"))
    assert farm.run("realise", "broken").code == 5

    push = farm.run("push", "broken", "--to", str(cache))

    assert push.code == 0, push.err
    (push_row,) = folder_cache(cache).pushes()
    (content,) = folder_cache(cache).envelopes(push_row.keys)
    payload = load_envelope(content).payload
    assert load_failure(payload).subject == "broken"
    assert other.run("pull", "broken", "--from", str(cache)).code == 2
    assert other.run("realise", "broken", "--substituter", str(cache)).code == 5


def test_what_never_was_cannot_be_pushed(farm: Place, cache: Path) -> None:
    outcome = farm.run("push", "unheard-of", "--to", str(cache))

    assert outcome.code == 1
    assert len(outcome.errors) == 1


def test_a_push_needs_a_key(farm: Place, cache: Path) -> None:
    (key,) = farm.folder.rglob("farm.json")
    key.unlink()

    outcome = farm.run("push", "tool", "--to", str(cache))

    assert outcome.code == 2
    assert "no key to sign with" in outcome.error
    assert not (cache / "index.json").exists()


def test_nothing_is_pulled_from_who_is_not_trusted(
    farm: Place, other: Place, cache: Path
) -> None:
    pushed(farm, cache)
    (trusted,) = other.folder.rglob("trust.toml")
    trusted.unlink()

    pull = other.run("pull", "demo", "--from", str(cache))
    build = other.run("realise", "tool", "--substituter", str(cache))

    assert pull.code == 3
    assert "not trusted" in pull.error
    assert build.code == 0
    assert "no builder's key is trusted" in build.err
    assert build.builds == 1


def test_builders_that_disagree_are_told_of_and_nothing_is_taken(
    farm: Place, other: Place, cache: Path
) -> None:
    pushed(farm, cache)
    _push_what_is_not_so(farm, cache, "liar")
    other.run("key", "trust", str(builder("liar").key))

    outcome = other.run("realise", "demo", "--substituter", str(cache))

    assert outcome.code == 0
    assert "do not agree" in outcome.err
    assert outcome.builds == 1


def _push_what_is_not_so(farm: Place, cache: Path, name: str) -> None:
    """Let somebody claim that a key gave something else."""
    with open_store(farm.store) as store:
        (true,) = store.history("wheel", "demo==1.0")
        with store.transaction() as transaction:
            tree = transaction.build_tree("demo-1.0-wheel")
            tree.link("evil", "/etc/passwd")
            evil = tree.add()
            transaction.register(
                replace(
                    true,
                    output=evil.path,
                    output_digest=evil.digest,
                    started=true.started + 1,
                )
            )
        (false, _) = store.history("wheel", "demo==1.0")
        share(store, folder_cache(cache), false, name=name)


def _forget_manifests(server: FileServer) -> None:
    server.fail("manifests/", status=404)


def _fail_in_the_middle(server: FileServer) -> None:
    server.fail("packs/", status=404)


def _poison(server: FileServer) -> None:
    for path in (server.folder / "packs").iterdir():
        path.write_bytes(path.read_bytes()[::-1])


def _cut_off(server: FileServer) -> None:
    server.fail("packs/", truncate=20)


def _lie_in_the_listing(server: FileServer) -> None:
    """List keys that it has nothing of."""
    index = json.loads((server.folder / "index.json").read_text())
    digest = index["segments"][0]["digest"]
    (push,) = load_segment((server.folder / "segments" / digest).read_bytes())
    part = dump_segment([replace(push, claims=push.manifest)])
    (server.folder / part.name).write_bytes(part.content)
    index["segments"][0]["digest"] = part.digest.hex
    (server.folder / "index.json").write_text(json.dumps(index))


def _replay(server: FileServer) -> None:
    """Say of one key what was signed of another."""
    index = json.loads((server.folder / "index.json").read_text())
    name = index["segments"][0]["digest"]
    (push,) = load_segment((server.folder / "segments" / name).read_bytes())
    claims = server.folder / "claims" / push.claims.hex
    lines = load_claims(claims.read_bytes())
    changed = [line.replace(b'"keyid":"', b'"keyid":"0') for line in lines[:2]]
    part = dump_claims([*changed, *lines[2:4]])
    (server.folder / part.name).write_bytes(part.content)
    segment = dump_segment([replace(push, claims=part.digest)])
    (server.folder / segment.name).write_bytes(segment.content)
    index["segments"][0]["digest"] = segment.digest.hex
    (server.folder / "index.json").write_text(json.dumps(index))


def _refuse(server: FileServer) -> None:
    server.fail("", status=403)


def _be_no_cache(server: FileServer) -> None:
    server.fail("", status=404)


@pytest.mark.parametrize(
    "misbehave",
    [
        _forget_manifests,
        _fail_in_the_middle,
        _poison,
        _cut_off,
        _lie_in_the_listing,
        _replay,
        _refuse,
        _be_no_cache,
    ],
    ids=lambda function: function.__name__.strip("_"),
)
def test_caches_that_misbehave_do_no_harm(
    farm: Place,
    other: Place,
    cache: Path,
    misbehave: Callable[[FileServer], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fromager.derivations.index.retries.FIRST_PAUSE", 0.001)
    true = farm.realise("tool").wheel("tool")["digest"]
    with file_server(cache) as server:
        pushed(farm, server.url, "tool")
        misbehave(server)

        outcome = other.realise("tool", "--substituter", server.url)
        pull = other.run("pull", "base", "--from", server.url)

    assert outcome.wheel("tool")["digest"] == true
    assert outcome.builds == 1
    assert pull.code in (1, 2, 3)
    assert len(pull.errors) == 1
    assert pull.err.count(pull.errors[0]) == 1


def test_what_one_cache_lacks_is_pulled_from_another(
    farm: Place, other: Place, cache: Path, tmp_path: Path
) -> None:
    pushed(farm, cache)
    broken = tmp_path / "broken"
    subprocess.run(["cp", "-a", cache, broken], check=True)
    for path in (broken / "packs").iterdir():
        path.unlink()

    outcome = other.run("pull", "demo", "--from", str(broken), "--from", str(cache))

    assert outcome.code == 0, outcome.err
    assert outcome.err.count("is listed, and not there") == 1
    assert other.realise("demo").builds == 0


def test_offline_only_folders_are_asked(farm: Place, other: Place, cache: Path) -> None:
    pushed(farm, cache)
    other.realise("tool")
    with file_server(cache) as server:
        outcome = other.run("--offline", "realise", "tool", "--substituter", server.url)
        pull = other.run("--offline", "pull", "demo", "--from", server.url)
        assert server.requests == []

    assert outcome.code == 0
    assert "offline" in pull.error
    assert other.run("--offline", "pull", "demo", "--from", str(cache)).code == 0


def test_keys_are_listed_and_trusted(farm: Place, other: Place, tmp_path: Path) -> None:
    key = key_of(farm)
    file = tmp_path / "farm.pub"
    file.write_text(key + "\n")

    assert "was trusted already" in other.run("key", "trust", str(file)).err
    listed = other.run("key", "list", "--json").json
    assert [each["public"] for each in listed["trusted"]] == [key]
    assert other.run("key", "list").out == f"trusted  {key}\n"
    assert farm.run("key", "list").out == f"own      {key}\n"


def test_keys_may_expire(farm: Place, other: Place, cache: Path) -> None:
    pushed(farm, cache)
    (trusted,) = other.folder.rglob("trust.toml")
    trusted.unlink()
    other.run("key", "trust", key_of(farm), "--expires", "2020-01-01")

    outcome = other.run("pull", "demo", "--from", str(cache))

    assert outcome.code == 3
    assert "expired" in outcome.error
    assert "expired" in other.run("key", "list").out


def test_a_key_elsewhere_can_sign(
    farm: Place, other: Place, cache: Path, tmp_path: Path
) -> None:
    (secret,) = farm.folder.rglob("farm.pem")
    (description,) = farm.folder.rglob("farm.json")
    value = json.loads(description.read_text())
    value["name"] = "module"
    file = tmp_path / "module.json"
    file.write_text(json.dumps(value))
    words = ("--signer", f"file2:{secret}", "--public-key", str(file))

    made = farm.run("key", "generate", "module", *words)

    assert made.code == 0, made.err
    farm.realise("demo")
    push = farm.run(
        "push", "demo", "--to", str(cache), "--signing-key", "module", "--json"
    )
    assert push.code == 0, push.err
    (trusted,) = other.folder.rglob("trust.toml")
    trusted.unlink()
    other.run("key", "trust", made.out.strip())
    assert other.run("pull", "demo", "--from", str(cache)).code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("key", "trust", "nonsense"),
        ("key", "trust", "a:ed25519:AAAA"),
        ("key", "generate", "no name"),
        ("key", "generate", "x", "--signer", "file2:/x"),
        ("push", "demo", "--to", "ftp://files.test/"),
        ("pull", "demo"),
        ("pull", "demo", "--from", "gs://bucket"),
    ],
)
def test_bad_input_is_told_in_one_error(farm: Place, words: tuple[str, ...]) -> None:
    outcome = farm.run(*words)

    assert outcome.code == 2
    assert len(outcome.errors) == 1


def test_a_list_of_trust_that_is_broken_is_told(
    farm: Place, other: Place, cache: Path
) -> None:
    pushed(farm, cache)
    (trusted,) = other.folder.rglob("trust.toml")
    trusted.write_text("[[key]\n")

    assert "trust.toml" in other.run("pull", "demo", "--from", str(cache)).error


@pytest.fixture
def served(cache: Path) -> Iterator[FileServer]:
    with file_server(cache) as server:
        yield server


def test_a_change_of_a_patch_sends_little(
    farm: Place, served: FileServer, index: LocalIndex
) -> None:
    big = {f"many/file{number}.txt": f"{number}\n" * 50 for number in range(80)}
    index.add(*sdist("big", "1.1", files={"big/data.txt": "x"}, more=big))
    farm.realise("big")
    farm.run("push", "big", "--to", served.url)
    patches = farm.folder / "patches" / "big-1.1"
    patches.mkdir(parents=True)
    (patches / "a.patch").write_text(
        "--- a/big/__init__.py\n+++ b/big/__init__.py\n@@ -1 +1 @@\n"
        "-VALUE = '1.1'\n+VALUE = '1.1 patched'\n"
    )
    patched = farm.realise("big", "--patches", str(patches.parent)).wheel("big")

    outcome = farm.run("push", patched["store_path"], "--to", served.url, "--json")

    assert outcome.code == 0, outcome.err
    # The patch, what it changed, the wheel, the derivations of these, and answers.
    assert 0 < outcome.json["files"] <= 8
