"""Annotations of wheels: the build tag, files, Requires-External and the SBOM."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from fromager.derivations import WheelRefused
from fromager.derivations.annotating.annotation import (
    Annotation,
    BuildTag,
    Origin,
    Recorded,
    SbomWish,
)
from fromager.derivations.annotating.sbom import Component, cyclonedx, package_url
from fromager.derivations.annotating.wheel import annotate
from fromager.derivations.building.wheel import check_wheel, normalise
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = 1_700_000_000
ORIGIN = Origin("demo-1.0.tar.gz", "ab" * 32)
ALL = Annotation(
    BuildTag(3, "_el9"),
    ("libffi (>=3)", "openssl"),
    (("notes/why.txt", "because"),),
    SbomWish("ACME", "https://sbom.example/", ("someone",), (("type", "generic"),)),
)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    maker = WheelMaker("demo")
    raw = tmp_path / "raw" / maker.filename
    raw.parent.mkdir()
    raw.write_bytes(maker.build())
    normal = tmp_path / maker.filename
    normalise(raw, normal, epoch=EPOCH)
    return normal


def annotated(wheel: Path, annotation: Annotation, folder: str = "out") -> Path:
    target = wheel.parent / folder
    target.mkdir()
    made = annotate(wheel, target, annotation, ORIGIN)
    (path,) = target.iterdir()
    assert path.name == made.filename
    return path


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_an_annotated_wheel_is_a_wheel_in_normal_form(wheel: Path) -> None:
    path = annotated(wheel, ALL)

    check_wheel(path, name="demo", version=Version("1.0"))
    again = wheel.parent / path.name
    normalise(path, again, epoch=EPOCH)
    assert again.read_bytes() == path.read_bytes()


def test_the_build_tag_is_in_the_name_and_in_the_wheel(wheel: Path) -> None:
    path = annotated(wheel, ALL)

    assert parse_wheel_filename(path.name)[2] == (3, "_el9")
    assert b"\nBuild: 3_el9\n" in read(path)["demo-1.0.dist-info/WHEEL"]


def test_an_earlier_build_tag_is_replaced(wheel: Path) -> None:
    first = annotated(wheel, Annotation(BuildTag(1)))
    second = annotated(first, Annotation(BuildTag(2)))

    assert second.name == "demo-1.0-2-py3-none-any.whl"
    assert read(second)["demo-1.0.dist-info/WHEEL"].count(b"Build:") == 1


def test_nothing_else_is_touched(wheel: Path) -> None:
    before, after = read(wheel), read(annotated(wheel, ALL))

    info = "demo-1.0.dist-info"
    assert after.keys() - before.keys() == {
        f"{info}/notes/why.txt",
        f"{info}/sboms/fromager.cdx.json",
    }
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"}
    assert after[f"{info}/notes/why.txt"] == b"because"
    metadata = after[f"{info}/METADATA"].decode()
    assert "Requires-External: libffi (>=3)\nRequires-External: openssl\n" in metadata


def test_metadata_with_a_description_keeps_it(tmp_path: Path) -> None:
    from fromager.derivations.annotating.wheel import _with_external

    for end in (b"\n\n", b"\r\n\r\n"):
        text = b"Name: demo" + end + b"# Demo\n\nText"
        assert _with_external(text, ("x",)) == (
            b"Name: demo\nRequires-External: x\n\n# Demo\n\nText"
        )
    assert (
        _with_external(b"Name: demo", ("x",)) == b"Name: demo\nRequires-External: x\n"
    )


def test_the_same_annotation_gives_the_same_bytes(wheel: Path) -> None:
    first, second = annotated(wheel, ALL), annotated(wheel, ALL, "again")

    assert first.read_bytes() == second.read_bytes()


def test_a_file_that_is_there_is_not_replaced(wheel: Path) -> None:
    first = annotated(wheel, Annotation(files=(("notes/why.txt", "x"),)))

    with pytest.raises(WheelRefused, match="already has a file"):
        annotated(first, ALL, "again")


def test_the_sbom_tells_of_the_wheel_and_of_what_it_was_made_of(wheel: Path) -> None:
    content = read(annotated(wheel, ALL))["demo-1.0.dist-info/sboms/fromager.cdx.json"]

    document = json.loads(content)
    about = document["metadata"]["component"]
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert about["purl"] == "pkg:generic/demo@1.0"
    assert about["supplier"] == {"name": "ACME"}
    assert document["metadata"]["authors"] == [{"name": "someone"}]
    (ancestor,) = about["pedigree"]["ancestors"]
    assert ancestor["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert "timestamp" not in document["metadata"]


@pytest.mark.parametrize("licence", [None, "MIT OR Apache-2.0"])
def test_the_sbom_fits_the_schema_of_cyclonedx(licence: str | None) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    component = Component("demo", "1!2.0+local", licence, "ab" * 32, ORIGIN)
    assert ALL.sbom is not None
    text = cyclonedx(component, ALL.sbom).decode()

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        ({}, "pkg:pypi/demo@1.0"),
        ({"namespace": "a b/c"}, "pkg:pypi/a%20b/c/demo@1.0"),
        ({"version": "1!2+local.1"}, "pkg:pypi/demo@1%212%2Blocal.1"),
        (
            {"repository_url": "https://index.example/simple"},
            "pkg:pypi/demo@1.0?repository_url=https://index.example/simple",
        ),
    ],
)
def test_package_urls_are_canonical(parts: dict[str, str], url: str) -> None:
    given = {"namespace": "", "repository_url": "", **parts}
    version = given.pop("version", "1.0")

    assert package_url("PyPI", "demo", version, **given) == url


COMPONENTS = st.builds(
    Component,
    st.just("demo"),
    st.sampled_from(["1.0", "2.0"]),
    st.sampled_from([None, "MIT"]),
    st.sampled_from(["aa", "bb"]),
    st.sampled_from([None, ORIGIN]),
)
WISHES = st.builds(
    SbomWish,
    st.sampled_from(["", "ACME"]),
    st.sampled_from(["", "https://sbom.example"]),
    st.sampled_from([(), ("a",)]),
    st.dictionaries(
        st.sampled_from(["name", "version", "upstream"]), st.just("x"), max_size=2
    ).map(lambda parts: tuple(sorted(parts.items()))),
)


@settings(max_examples=100, deadline=None)
@given(COMPONENTS, WISHES, COMPONENTS, WISHES)
def test_sboms_are_equal_only_if_they_say_the_same(
    one: Component, wish: SbomWish, other: Component, second: SbomWish
) -> None:
    same = cyclonedx(one, wish) == cyclonedx(other, second)

    assert same == ((one, wish) == (other, second))


ANNOTATIONS = st.builds(
    Annotation,
    st.none() | st.builds(BuildTag, st.integers(1, 9), st.sampled_from(["", "_a"])),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2).map(
        lambda files: tuple(sorted(files.items()))
    ),
    st.none() | WISHES,
)


@settings(max_examples=100, deadline=None)
@given(ANNOTATIONS, st.none() | st.just(ORIGIN))
def test_what_a_derivation_tells_can_be_read_back(
    annotation: Annotation, origin: Origin | None
) -> None:
    told = None if origin is None else origin.value

    assert Recorded.parse(annotation.value, told) == Recorded(annotation, origin)


@pytest.mark.parametrize("value", [None, {}, {"build_tag": 1}, "x"])
def test_what_is_no_annotation_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="is no annotation"):
        Recorded.parse(value, None)
