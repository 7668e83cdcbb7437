"""What publishers attested of sdists (PEP 740): kept beside them, and never needed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from support.hosting import Hosted
from support.projects import sdist
from support.provenance import provenance_of

if TYPE_CHECKING:
    from support.command_line import Outcome, Place
    from support.index import LocalIndex


def attested(name: str, of: str | None = None) -> tuple[str, Hosted, bytes]:
    """A project with provenance, which is about another file if `of` is its hash."""
    filename, content = sdist(name, "1.0")
    sha256 = of or hashlib.sha256(content).hexdigest()
    provenance = json.dumps(provenance_of(filename, sha256)).encode()
    return filename, Hosted(content, provenance=provenance), provenance


def asked(index: LocalIndex, filename: str) -> int:
    path = f"/files/{filename}.provenance"
    return sum(each.path == path for each in index.requests)


def fetched(place: Place, filename: str) -> Any:
    """What is known of the object of an sdist."""
    rows = place.run("store", "ls", "--json").json["objects"]
    (found,) = (r for r in rows if r["path"].endswith(f"-{filename}"))
    return place.run("store", "info", found["path"], "--json").json["object"]


@pytest.mark.parametrize("form", ["json", "html"])
def test_provenance_is_kept_beside_the_sdist_and_told(
    fresh: Place, index: LocalIndex, form: Any
) -> None:
    index.form = form
    filename, hosted, provenance = attested("attested")
    index.add(filename, hosted)

    fresh.realise("attested")

    row = fetched(fresh, filename)
    (beside,) = row["references"]
    (built,) = row["built"]
    assert beside.endswith(f"-{filename}.provenance")
    assert built["provenance"] == beside
    told = fresh.run("store", "info", row["path"]).out
    assert f"references: {beside}" in told
    assert fresh.run("store", "cat", beside).out.encode() == provenance
    assert asked(index, filename) == 1
    assert fresh.realise("attested", "--refresh").code == 0
    assert asked(index, filename) == 1


def test_provenance_lives_as_long_as_the_sdist_and_goes_along(
    fresh: Place, index: LocalIndex
) -> None:
    filename, hosted, provenance = attested("goes-along")
    index.add(filename, hosted)
    fresh.realise("goes-along", "--root", "kept")
    assert fresh.run("key", "generate", "farm").code == 0
    fresh.run("key", "trust", fresh.run("key", "list").out.split()[1])

    assert fresh.run("gc").code == 0
    pushed = fresh.run("push", "goes-along", "--to", "cache")
    assert pushed.code == 0, pushed.err
    pulled = fresh.run("--store", "other", "pull", "goes-along", "--from", "cache")

    assert pulled.code == 0, pulled.err
    (beside,) = fetched(fresh, filename)["references"]
    taken = fresh.run("--store", "other", "store", "cat", beside.rpartition("/")[2])
    assert taken.out.encode() == provenance


def _without(index: LocalIndex, filename: str) -> None:
    index.add(filename, Hosted(_sdist_of(index, filename)))


def _sdist_of(index: LocalIndex, filename: str) -> bytes:
    hosted = index.hosted(filename)
    assert hosted is not None
    assert isinstance(hosted.content, bytes)
    return hosted.content


def _missing(index: LocalIndex, filename: str) -> None:
    index.fail(".provenance", status=404)


def _failing(index: LocalIndex, filename: str) -> None:
    index.fail(".provenance", status=503)


def _hanging_up(index: LocalIndex, filename: str) -> None:
    index.fail(".provenance", hang_up=True)


def _nonsense(index: LocalIndex, filename: str) -> None:
    index.fail(".provenance", body=b"[" * 100_000)


def _endless(index: LocalIndex, filename: str) -> None:
    index.fail(".provenance", body=b" " * (3 << 20))


def _about_another_file(index: LocalIndex, filename: str) -> None:
    provenance = json.dumps(provenance_of(filename, "ab" * 32)).encode()
    index.add(filename, Hosted(_sdist_of(index, filename), provenance=provenance))


@pytest.mark.parametrize(
    "misbehave",
    [
        _without,
        _missing,
        _failing,
        _hanging_up,
        _nonsense,
        _endless,
        _about_another_file,
    ],
    ids=lambda function: function.__name__.strip("_"),
)
def test_what_is_not_to_be_had_is_no_error(
    place: Place, index: LocalIndex, misbehave: Any
) -> None:
    name = f"lacks{misbehave.__name__.replace('_', '')}"
    filename, hosted, _ = attested(name)
    index.add(filename, hosted)
    misbehave(index, filename)

    outcome: Outcome = place.realise(name)

    assert outcome.errors == []
    assert ".provenance" not in outcome.err
    row = fetched(place, filename)
    assert row["references"] == []
    assert "provenance" not in row["built"][0]
    assert asked(index, filename) == (0 if misbehave is _without else 1)


def test_a_server_that_does_not_answer_is_left_alone(
    place: Place, index: LocalIndex
) -> None:
    for name in ("silent-one", "silent-two"):
        filename, hosted, _ = attested(name)
        index.add(filename, hosted)
    index.fail(".provenance", hang_up=True)

    place.realise("silent-one", "silent-two", "--jobs", "1")

    assert sum(".provenance" in each.path for each in index.requests) in (1, 2)


def test_keys_do_not_depend_on_it(place: Place, index: LocalIndex) -> None:
    filename, hosted, _ = attested("keyed")
    index.add(filename, hosted)
    before = place.realise("keyed").wheel("keyed")
    index.add(filename, Hosted(_sdist_of(index, filename)))

    after = place.realise("keyed", "--refresh")

    assert after.wheel("keyed")["key"] == before["key"]
    assert after.builds == 0
