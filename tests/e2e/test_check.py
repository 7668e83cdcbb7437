"""`fromager check`: what is not reproducible is found, and the right cause is named.

The projects are in `tests/projects/gallery`: one module per cause.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fromager.store import open_store
from support.projects import archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place
    from support.index import LocalIndex

GALLERY = Path(__file__).parents[1] / "projects" / "gallery"
PROJECTS = sorted(path.stem for path in GALLERY.glob("*.py") if path.stem != "backend")

STABLE = ("stable", "seeded_set", "host", "permissions", "temporary", "path")
"""The sandbox, and what it sets, make these the same every time."""

CAUSES = {
    "clock": {"timestamp"},
    "date": {"timestamp"},
    "random_set": {"set-order"},
    "identity": {"random"},
    "stamped_bytecode": {"bytecode"},
    "shim": {"temporary-name"},
    "bill": {"timestamp", "random"},
}
"""These differ whenever they are built again."""

GUILTY = {
    "listing": ("readdir", "file-order"),
    "processors": ("cores", "cores"),
    "kernel": ("kernel", "kernel"),
    "address": ("aslr", "address"),
}
"""These differ under one variation: which, and the cause that is named."""

COMPILED = ("source_file", "compile_date", "compile_clock")
"""These are compiled, with the compiler of the machine."""

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="needs a C compiler"
)
needs_memory = pytest.mark.skipif(
    not os.access("/dev/shm", os.W_OK) or len(os.sched_getaffinity(0)) < 2,
    reason="needs a file system in memory and two processors",
)


def project(module: str) -> tuple[str, bytes]:
    """A project of the gallery as an sdist."""
    name = module.replace("_", "")
    made = (GALLERY / f"{module}.py").read_text()
    return f"gallery{name}-1.0.tar.gz", archive(
        f"gallery{name}-1.0",
        {
            "PKG-INFO": f"Metadata-Version: 2.2\nName: gallery{name}\nVersion: 1.0\n",
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
            'backend-path = ["."]\n',
            "about.json": json.dumps({"name": f"gallery{name}"}),
            "backend.py": (GALLERY / "backend.py").read_text(),
            "made.py": made,
            **{f"parts/{letter}.py": "\n" for letter in "qwertyuiop"},
        },
    )


def requirement(module: str) -> str:
    return f"gallery{module.replace('_', '')}==1.0"


@pytest.fixture
def gallery(index: LocalIndex) -> None:
    for module in PROJECTS:
        index.add(*project(module))


def verdict(outcome: Outcome, module: str) -> Any:
    (found,) = (
        row
        for row in outcome.json["verdicts"]
        if row["subject"] == requirement(module) and row["kind"] == "wheel"
    )
    return found


def outcomes(row: Any, reach: str) -> set[str]:
    return {each["name"] for each in row["variations"] if each["outcome"] == reach}


def test_the_gallery_has_an_expectation_for_every_project() -> None:
    assert sorted((*STABLE, *CAUSES, *GUILTY, *COMPILED)) == PROJECTS


@pytest.mark.usefixtures("gallery")
def test_what_differs_every_time_is_found_and_explained(place: Place) -> None:
    names = [requirement(module) for module in CAUSES]
    place.realise(*names)

    outcome = place.run("check", "--json", *names)

    assert outcome.code == 2, outcome.err
    found = {module: verdict(outcome, module) for module in CAUSES}
    assert {row["state"] for row in found.values()} == {"differs"}
    assert {m: set(row["report"]["causes"]) for m, row in found.items()} == CAUSES
    assert outcome.json["state"] == "differs"


@pytest.mark.usefixtures("gallery")
def test_what_the_sandbox_fixes_is_reproduced_whatever_is_varied(place: Place) -> None:
    names = [requirement(module) for module in STABLE]
    place.realise(*names)

    outcome = place.run("check", "--json", "--vary", "all", *names)

    assert outcome.code == 0, outcome.err
    for module in STABLE:
        row = verdict(outcome, module)
        assert row["state"] == "reproduced"
        assert row["reproduced_by"] == 2
        assert outcomes(row, "guilty") == set()
        hidden = {"umask", "tz", "locale", "home", "hostname", "build-path"}
        assert hidden <= outcomes(row, "hidden") | outcomes(row, "unavailable")


@needs_compiler
@pytest.mark.usefixtures("gallery")
def test_what_compilers_write_down_is_hidden_or_explained(place: Place) -> None:
    names = [requirement(module) for module in COMPILED]
    place.realise(*names)

    outcome = place.run("check", "--json", *names)

    assert outcome.code == 2, outcome.err
    path, date, clock = (verdict(outcome, module) for module in COMPILED)
    assert (path["state"], date["state"]) == ("reproduced", "reproduced")
    assert clock["state"] == "differs"
    assert clock["report"]["causes"] == ["timestamp"]


@needs_compiler
@pytest.mark.usefixtures("gallery")
def test_without_a_sandbox_the_path_is_in_what_was_compiled(place: Place) -> None:
    place.realise("--sandbox", "none", requirement("source_file"))

    outcome = place.run("check", "--json", requirement("source_file"))

    assert outcome.code == 2, outcome.err
    causes = verdict(outcome, "source_file")["report"]["causes"]
    assert causes == ["build-path"]


@needs_memory
@pytest.mark.usefixtures("gallery")
def test_the_variation_that_matters_is_found(place: Place) -> None:
    names = [requirement(module) for module in GUILTY]
    place.realise(*names)

    outcome = place.run("check", "--json", "--vary", "all", *names)

    assert outcome.code == 2, outcome.err
    for module, (variation, cause) in GUILTY.items():
        row = verdict(outcome, module)
        assert outcomes(row, "guilty") == {variation}, module
        assert row["report"]["causes"] == [cause]
        assert [each["same"] for each in row["rounds"][:2]] == [True, False]


@pytest.mark.usefixtures("gallery")
def test_without_a_sandbox_the_host_and_the_path_are_seen(place: Place) -> None:
    names = [requirement("host"), requirement("path")]
    place.realise("--sandbox", "none", *names)

    outcome = place.run("check", "--json", "--vary", "hostname", *names)

    assert outcome.code == 2, outcome.err
    path, host = verdict(outcome, "path"), verdict(outcome, "host")
    assert path["report"]["causes"] == ["build-path"]
    if not outcomes(host, "unavailable"):
        assert outcomes(host, "guilty") == {"hostname"}
        assert host["report"]["causes"] == ["host"]


@pytest.mark.usefixtures("gallery")
def test_rounds_are_kept_as_evidence_and_never_used(place: Place) -> None:
    name = requirement("clock")
    before = place.realise(name, "--no-deps").wheel("galleryclock")

    told = place.run("check", name, "--rounds", "2")
    assert told.code == 2
    assert f"{name} (wheel): differs, with nothing varied\n" in told.out

    place.realise(name, "--no-deps", "--refresh")
    after = place.realise(name, "--no-deps").wheel("galleryclock")
    assert after["digest"] == before["digest"]
    with open_store(place.store, create=False) as store:
        claims = store.history("wheel", name)
    assert str(claims[0].output_digest) == before["digest"]
    assert [claim.fact("purpose") for claim in claims[1:]] == ["check"] * (
        len(claims) - 1
    )
    assert len({claim.output_digest for claim in claims}) >= 2
    kinds = {claim.fact("host.filesystem") for claim in claims}
    assert len(kinds) == 1, "rounds are built where the first build was"
    assert None not in kinds
    # What was seen once stays known, whatever later rounds give.
    assert place.run("check", requirement("clock")).code == 2


def test_a_closure_is_checked_step_by_step(
    place: Place, offer: Callable[..., None]
) -> None:
    offer("closure-tool", offers="build_meta")
    offer("closure-need")
    offer(
        "closure-top",
        requires=["closure-tool"],
        backend="closure_tool.build_meta",
        dependencies=["closure-need"],
    )
    place.realise("closure-top")

    outcome = place.run("check", "--closure", "--json", "closure-top")

    assert outcome.code == 0, outcome.err
    checked = {(row["kind"], row["subject"]) for row in outcome.json["verdicts"]}
    for subject in ("closure-top==1.0", "closure-need==1.0", "closure-tool==1.0"):
        assert ("wheel", subject) in checked
        assert ("source", subject) in checked
    assert ("layout", "closure-tool==1.0") in checked
    assert ("environment", "closure-tool==1.0") in checked
    assert "fetch" not in {kind for kind, _ in checked}


def test_what_cannot_be_built_again_is_inconclusive(
    place: Place, offer: Callable[..., None]
) -> None:
    offer("check-gone")
    place.realise("check-gone")
    with open_store(place.store, create=False) as store:
        source = store.history("source", "check-gone==1.0")[0].output
    lying = source.below(place.store)
    lying.rename(f"{lying}.away")

    outcome = place.run("check", "check-gone")

    Path(f"{lying}.away").rename(lying)
    assert outcome.code == 1
    assert "check-gone==1.0 (wheel): unknown" in outcome.out
    assert "its source blake3:" in outcome.error
    assert "Realise it first" in outcome.error


@pytest.mark.usefixtures("gallery")
def test_what_differs_is_put_where_it_was_asked_for(place: Place) -> None:
    place.realise(requirement("identity"))

    outcome = place.run("check", requirement("identity"), "--out", "differs")

    assert outcome.code == 2
    folder = place.folder / "differs" / "galleryidentity-1.0-wheel"
    name = "galleryidentity-1.0-py3-none-any.whl"
    first, second = ((folder / s / name).read_bytes() for s in ("first", "second"))
    assert first != second
    report = json.loads((folder / "report.json").read_text())
    assert report["report"]["causes"] == ["random"]
    assert "a random value" in (folder / "report.html").read_text()
    # Again: what was there is replaced.
    assert place.run("check", requirement("identity"), "--out", "differs").code == 2


def test_a_failed_round_can_be_looked_at(
    place: Place, offer: Callable[..., None]
) -> None:
    fickle = (
        "import os\nif os.environ['FROMAGER_BUILD_CORES'] == '2':\n"
        "    raise RuntimeError('two are too many')\nVALUE = 'built'\n"
    )
    offer("check-fails", imports=["fickle"], more={"fickle.py": fickle})
    place.realise("check-fails", "--cores", "1")

    outcome = place.run("check", "check-fails", "--cores", "2", "--keep-failed")

    assert outcome.code == 1
    assert "two are too many" in outcome.err
    kept = next(line for line in outcome.err.splitlines() if "was kept" in line)
    assert Path(kept.partition(": ")[2], "build", "src").is_dir()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nothing-like-it",), "is not in the store"),
        (("trial", "--vary", "moon"), "'moon' cannot be varied"),
        (("trial", "--rounds", "0"), "nothing to do"),
    ],
)
def test_bad_input_is_one_clear_error(
    place: Place, words: tuple[str, ...], says: str
) -> None:
    outcome = place.run("check", *words)

    assert outcome.code in (1, 2)
    assert says in outcome.error


def test_a_store_that_is_not_there_is_not_made(fresh: Place) -> None:
    outcome = fresh.run("check", "trial")

    assert outcome.code == 1
    assert not fresh.store.exists()
