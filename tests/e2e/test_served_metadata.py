"""Metadata that an index serves beside sdists (PEP 658, 714)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.index import Hosted, local_index
from support.projects import sdist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.command_line import Place
    from support.hosting import Form
    from support.index import LocalIndex

    Offer = Callable[..., None]


def metadata(name: str, version: str, *needs: str, more: str = "") -> bytes:
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in needs]
    return "\n".join([*lines, more, ""]).encode()


def serve(
    index: LocalIndex, name: str, version: str, beside: bytes, **options: object
) -> None:
    filename, content = sdist(name, version, **options)  # type: ignore[arg-type]
    index.add(filename, Hosted(content, metadata=beside))


def names(place: Place, *words: str) -> list[str]:
    rows = place.realise(*words).json["wheels"]
    return [f"{row['name']}=={row['version']}" for row in rows]


@pytest.fixture(params=["json", "html"])
def either(request: pytest.FixtureRequest) -> Iterator[LocalIndex]:
    form: Form = request.param
    with local_index(form=form, cache_control="max-age=600") as index:
        yield index


def test_versions_that_are_passed_over_are_not_fetched(
    place: Place, either: LocalIndex
) -> None:
    place.index, kind = either.url, either.form
    name = f"sm-{kind}"
    for version in ("1.0", "2.0", "3.0"):
        told = metadata(name, version, f"sm-base=={version}")
        needs = [f"sm-base=={version}"]
        serve(either, name, version, told, dependencies=needs, value=kind)
    either.add(*sdist("sm-base", "1.0"))

    assert names(place, name) == ["sm-base==1.0", f"{name}==1.0"]
    module, asked = name.replace("-", "_"), [each.path for each in either.requests]
    assert asked.count(f"/files/{module}-2.0.tar.gz.metadata") == 1
    assert f"/files/{module}-2.0.tar.gz" not in asked


def test_what_was_served_is_not_asked_for_again(
    place: Place, index: LocalIndex
) -> None:
    told = metadata("sm-once", "1.0")
    serve(index, "sm-once", "1.0", told)
    serve(index, "sm-once", "2.0", metadata("sm-once", "2.0", "sm-absent"))
    assert names(place, "sm-once") == ["sm-once==1.0"]
    index.requests.clear()

    place.run("lock", "-v", "-o", "-", "sm-once")

    assert index.count(".metadata") == 0


@pytest.mark.parametrize(
    ("beside", "remark"),
    [
        (b"", ""),
        (b"no metadata at all", ""),
        (metadata("sm-odd", "1.0", more="Dynamic: Requires-Dist"), ""),
        (metadata("sm-odd", "1.0").replace(b"2.2", b"2.1"), ""),
        (metadata("sm-odd", "9.0"), "is that of sm-odd 9.0"),
        (metadata("sm-other", "1.0"), "is that of sm-other 1.0"),
    ],
)
def test_what_commits_to_nothing_is_passed_over(
    place: Place, index: LocalIndex, beside: bytes, remark: str
) -> None:
    needs, other = ["sm-need"], beside.hex()
    serve(index, "sm-odd", "1.0", beside, dependencies=needs, value=other)
    index.add(*sdist("sm-need", "1.0"))

    outcome = place.run("lock", "-o", "-", "sm-odd")

    assert 'name = "sm-need"' in outcome.out
    assert remark in outcome.err
    assert index.count(".metadata") == 1


@pytest.mark.parametrize("what", ["status", "body"])
def test_metadata_that_is_not_there_or_another_one_is_passed_over(
    place: Place, index: LocalIndex, what: str
) -> None:
    name = f"sm-{what}"
    serve(index, name, "1.0", metadata(name, "1.0"), dependencies=["sm-need"])
    index.add(*sdist("sm-need", "1.0"))
    fault = {"status": 404} if what == "status" else {"body": metadata(name, "2.0")}
    index.fail(".metadata", **fault)

    outcome = place.run("lock", "-o", "-", name)

    assert 'name = "sm-need"' in outcome.out
    assert ("is not what the index promises" in outcome.err) == (what == "body")


def test_metadata_beside_wheels_says_nothing_of_sdists(
    place: Place, index: LocalIndex
) -> None:
    index.add(*sdist("sm-two", "1.0", dependencies=["sm-need"]))
    wheel = Hosted(b"a wheel", metadata=metadata("sm-two", "1.0", "sm-absent"))
    index.add("sm_two-1.0-py3-none-any.whl", wheel)
    index.add(*sdist("sm-need", "1.0"))

    assert names(place, "sm-two") == ["sm-need==1.0", "sm-two==1.0"]
    assert index.count(".metadata") == 0


@pytest.mark.parametrize("command", ["realise", "lock"])
def test_an_index_that_tells_something_else_than_the_source_is_found_out(
    place: Place, index: LocalIndex, command: str
) -> None:
    name = f"sm-lies-{command}"
    told = metadata(name, "1.0", "sm-told")
    serve(index, name, "1.0", told, dependencies=["sm-true"])
    for need in ("sm-told", "sm-true"):
        index.add(*sdist(need, "1.0"))

    words = ("realise", "--json") if command == "realise" else ("lock", "-o", "-")
    outcome = place.run(*words, name)

    assert outcome.code == 0, outcome.err
    assert "sm-true" in outcome.out
    assert "sm-told" not in outcome.out
    source = "its wheel" if command == "realise" else "its source"
    told_by = "its source promised" if command == "realise" else "the index told"
    text = f"{source} needs sm-true, where {told_by} sm-told: versions are chosen anew"
    assert text in outcome.err
