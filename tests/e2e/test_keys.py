"""What a key covers, and what it does not: the same and different results, compared."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.index import local_index

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Outcome, Place
    from support.index import LocalIndex

    Offer = Callable[..., None]


def keys(outcome: Outcome) -> dict[str, tuple[str, str, str]]:
    """By name: the key, the digest of the output, the digest of the wheel."""
    return {
        row["name"]: (row["key"], row["digest"], row["sha256"])
        for row in outcome.json["wheels"]
    }


def offer_chain(offer: Offer, name: str, **tool: Any) -> None:
    """`name_top`, built with `name_mid`, which is built with `name_tool`."""
    offer(f"{name}_top", requires=[f"{name}-mid"], imports=[f"{name}_mid"])
    offer(f"{name}_mid", requires=[f"{name}-tool"], imports=[f"{name}_tool"])
    offer(f"{name}_tool", **tool)


def test_the_second_time_nothing_is_started_and_nobody_is_asked(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer_chain(offer, "again")
    first = place.realise("again-top")
    index.requests.clear()

    second = place.realise("again-top")

    assert first.builds == 3
    assert second.processes == ()
    assert second.connections == 0
    assert index.requests == []
    assert second.out == first.out


def test_another_request_for_what_was_built_starts_nothing(
    place: Place, offer: Offer
) -> None:
    offer_chain(offer, "other")
    place.realise("other-top")

    outcome = place.realise("other-mid", "other-top")

    assert outcome.builds == 0
    assert outcome.built == []


def test_another_mirror_rebuilds_nothing(place: Place, offer: Offer) -> None:
    offer_chain(offer, "mirrored")
    first = place.realise("mirrored-top")

    with local_index(place_files(place, "mirrored")) as mirror:
        place.index = mirror.url
        second = place.realise("mirrored-top")

    assert second.built == []
    assert keys(second) == keys(first)


def place_files(place: Place, name: str) -> dict[str, bytes]:
    """The same files as on the first index."""
    from support.projects import sdist

    found: dict[str, bytes] = {}
    offer_chain(
        lambda *a, **o: found.update([sdist(*a, **{"version": "1.0", **o})]), name
    )
    return found


def test_a_patch_without_effect_on_a_tool_rebuilds_the_tool_alone(
    place: Place, offer: Offer
) -> None:
    offer_chain(offer, "still", more={"tests/test_it.py": "old = 1\n"})
    first = place.realise("still-top")
    write_patch(place, "still-tool", "tests/test_it.py", "old = 1", "new = 2")

    second = place.realise("still-top", "--patches", "patches")

    assert second.built == ["still-tool==1.0"]
    assert keys(second) == keys(first)


def test_a_patch_with_effect_on_a_tool_rebuilds_what_it_builds(
    place: Place, offer: Offer
) -> None:
    offer_chain(offer, "moved", value="old")
    first = place.realise("moved-top")
    write_patch(
        place, "moved-tool", "moved_tool/__init__.py", "VALUE = 'old'", "VALUE = 'new'"
    )

    second = place.realise("moved-top", "--patches", "patches")
    why = place.run("why-rebuilt", "moved-mid")

    assert "moved-tool==1.0" in second.built
    assert "moved-mid==1.0" in second.built
    assert keys(second) != keys(first)
    assert why.code == 0, why.err
    assert "moved-tool==1.0" in why.out
    assert "patches" in why.out


def write_patch(place: Place, project: str, path: str, old: str, new: str) -> None:
    folder = place.folder / "patches" / f"{project}-1.0"
    folder.mkdir(parents=True)
    (folder / "001-change.patch").write_text(
        f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{new}\n"
    )


def test_a_weaker_sandbox_is_another_key(place: Place, offer: Offer) -> None:
    offer_chain(offer, "weak")
    full = place.realise("weak-top")

    none = place.realise("weak-top", "--sandbox", "none")
    again = place.realise("weak-top")

    assert none.wheel("weak-top")["key"] != full.wheel("weak-top")["key"]
    assert none.wheel("weak-top")["level"] == "none"
    assert len(none.built) == 3
    assert again.out == full.out


def test_what_a_weaker_sandbox_made_is_not_used_by_a_stronger_one(
    place: Place, offer: Offer
) -> None:
    offer_chain(offer, "weaker")

    place.realise("weaker-top", "--sandbox", "none")
    full = place.realise("weaker-top")

    assert len(full.built) == 3
    # Two layouts as well: bytecode is made by the interpreter, in the sandbox.
    assert len(full.processes) >= 5


def test_jobs_and_cores_are_no_part_of_a_key(place: Place, offer: Offer) -> None:
    offer_chain(offer, "counted")
    first = place.realise("counted-top", "--jobs", "1", "--cores", "1")

    second = place.realise("counted-top", "--jobs", "2", "--cores", "2")

    assert second.built == []
    assert second.out == first.out


def test_builds_are_told_their_share_of_cores(place: Place, offer: Offer) -> None:
    offer("sharing", quirk="cores")

    place.realise("sharing", "--cores", "3")

    assert place.run("log", "sharing").out.strip() == "cores 3"


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_another_interpreter_gives_other_tags_and_keys(
    place: Place, offer: Offer, version: str
) -> None:
    python = other_python(version)
    name = f"tagged{version.replace('.', '')}"
    offer(name, quirk="tags")

    own = place.realise(name)
    other = place.realise(name, "--python", python)

    assert own.wheel(name)["key"] != other.wheel(name)["key"]
    tag = f"cp{version.replace('.', '')}"
    assert f"-{tag}-{tag}-any.whl" in other.wheel(name)["path"]


def other_python(version: str) -> str:
    """An interpreter of that version on this machine, other than this one."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
        pytest.skip("the tests run on it")
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += [each / "bin" for each in pyenv.glob(f"versions/{version}.*")]
    for folder in folders:
        if (
            os.access(folder / f"python{version}", os.X_OK)
            and "shims" not in folder.parts
        ):
            return str(folder / f"python{version}")
    pytest.skip(f"there is no Python {version}")


def test_another_user_elsewhere_gets_the_same_keys_and_bytes(
    fresh: Place, offer: Offer, quick_folder: Path
) -> None:
    offer_chain(offer, "portable", quirk="")
    offer("portable_c", dependencies=["portable-top"], quirk="tags")
    mine = fresh.realise("portable-c")
    theirs = type(fresh)(
        fresh.folder / "elsewhere", quick_folder / "another" / "place", fresh.index
    )
    theirs.folder.mkdir()
    theirs.variables = {"TZ": "Asia/Tokyo", "LANG": "C", "LC_ALL": "POSIX"}
    theirs.variables |= {"CFLAGS": "-O0", "PYTHONHASHSEED": "7", "MAKEFLAGS": "-j9"}
    user = ("unshare", "--user", "--map-user=4242", "--map-group=4242")
    wrapper = (*user, "sh", "-c", 'umask 077; exec "$@"', "sh")

    other = theirs.call("realise", "--json", "portable-c", wrapper=wrapper)

    if "unshare" in other.err:
        pytest.skip(other.err)
    assert other.code == 0, other.err
    assert keys(other) == keys(mine)
    assert len(other.built) == len(mine.built) == 4
    assert objects(theirs) == objects(fresh)


def objects(place: Place) -> list[str]:
    """The paths of all objects of a store, below it."""
    rows = place.run("store", "ls").out.splitlines()
    assert rows
    # Pages are no objects; everything else must be the same.
    return sorted(row for row in rows if not row.endswith(".tmp"))
