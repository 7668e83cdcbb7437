"""Every field of what settings come to is in what keys cover of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, get_args

import pytest

from fromager.derivations.annotating.annotation import (
    Annotation,
    BuildTag,
    Origin,
    SbomWish,
)
from fromager.derivations.customisation.effects import Effects
from fromager.derivations.customisation.rules import plain_value
from fromager.derivations.customisation.schema import SETTINGS
from fromager.derivations.customisation.values import ExtraSource
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.preparation import extra_file
from fromager.derivations.sources.edits import (
    AddFile,
    Edit,
    EditBuildRequires,
    EditLines,
    RemoveFiles,
    SetPkgInfo,
    SetVersion,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SBOM = SbomWish("ACME", "https://acme.test", ("me",), (("type", "generic"),))


@dataclass(frozen=True)
class Sample:
    """A value, and what a key covers of it."""

    value: Any
    covered: Callable[[Any], object]


def own(value: Any) -> object:
    return value.value


def of_extra_source(source: ExtraSource) -> object:
    fetched = instantiate.fetch(source.filename, source.sha256, [source.url])
    return extra_file(source).value, fetched.options


SAMPLES = (
    Sample(EditLines(("a",), "b", "c"), own),
    Sample(EditBuildRequires(("a",), ("b",)), own),
    Sample(SetVersion("1"), own),
    Sample(SetPkgInfo((("A", "1"),)), own),
    Sample(AddFile("a", b"b"), own),
    Sample(RemoveFiles(("a",)), own),
    Sample(ExtraSource("https://x.test/a", "0" * 64, "p"), of_extra_source),
    Sample(Annotation(BuildTag(1), ("a",), (("b", "c"),), SBOM), own),
    Sample(BuildTag(1, "x"), lambda tag: Annotation(tag).value),
    Sample(SBOM, lambda wish: Annotation(sbom=wish).value),
    Sample(Origin("a", "0"), own),
)


EFFECTS = {
    "patches": (),
    "edits": ("edits", "update-build-requires", "remove-build-requires"),
    "extra_sources": ("extra-sources",),
    "build_dir": ("build-dir",),
    "variables": ("env", "scm-version", "cflags", "cxxflags", "ldflags"),
    "host": (),
    "config_settings": ("config-settings",),
    "build_requires": ("build-requires",),
    "match_runtime": ("match-runtime",),
    "flags": ("append-cflags", "append-cxxflags", "append-ldflags", "remove-flags"),
    "system": ("system-packages",),
    "openings": ("open",),
    "rust": ("rust",),
    "prebuilt": ("prebuilt",),
    "include_sdists": ("include-sdists",),
    "include_wheels": ("include-wheels",),
    "ignore_platform": ("ignore-platform",),
    "download_url": ("download-url",),
    "download_filename": ("download-filename",),
    "cores_per_job": ("cores-per-job",),
    "memory_per_job": ("memory-per-job",),
    "exclusive": ("exclusive",),
    "timeout": ("timeout",),
    "annotation": ("changelog", "requires-external", "wheel-files", "sbom", "purl"),
    "build_tag_hook": ("build-tag-hook",),
    "changes_submodules": ("submodules",),
    "submodules": ("submodules",),
    "override": (),
    "unused": (),
}
"""By field of the effects, the settings that come to it. What each does to keys is
tried with real builds; see `test_settings_in_keys`."""
ASKED_ELSEWHERE = {
    # Which versions there are.
    *("index", "min-age", "tags", "prebuilt-index"),
    # Which rules hold, and remarks.
    *("defaults", "annotations"),
}


def test_every_effect_comes_from_settings_that_are_tried() -> None:
    named = {name for names in EFFECTS.values() for name in names}

    assert set(EFFECTS) == {each.name for each in fields(Effects) if each.compare}
    assert named | ASKED_ELSEWHERE == set(SETTINGS)


def changes() -> Iterator[Any]:
    for sample in SAMPLES:
        kind = type(sample.value).__name__
        for each in fields(sample.value):
            if each.compare:
                yield pytest.param(sample, each.name, id=f"{kind}.{each.name}")


@pytest.mark.parametrize(("sample", "name"), list(changes()))
def test_each_field_is_covered(sample: Sample, name: str) -> None:
    changed = replace(sample.value, **{name: other(getattr(sample.value, name))})

    assert shown(sample.covered(changed)) != shown(sample.covered(sample.value))


def test_every_edit_is_tried() -> None:
    assert {type(sample.value) for sample in SAMPLES} >= set(get_args(Edit))


def other(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{value}x"
        case bytes():
            return value + b"x"
        case tuple():
            return value[:-1]
        case Annotation() | BuildTag() | SbomWish():
            return None
    raise AssertionError(f"{value!r}: say what else it could be")


def shown(value: object) -> str:
    return json.dumps(plain_value(value), sort_keys=True)
