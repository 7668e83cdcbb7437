"""What is wrong with settings and patches, or can never matter: everything is read."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING

from packaging.version import Version

from fromager.derivations.customisation.document import SettingsError
from fromager.derivations.customisation.upstream import NoEffect, without_effect
from fromager.derivations.sources.unified_diff import InvalidDiff, parse_diff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from fromager.derivations.customisation.customisation import Customisation
    from fromager.derivations.customisation.overrides import Overrides
    from fromager.derivations.customisation.rules import Assignment
    from fromager.derivations.sources.patch_folder import PatchFolder, PatchPlace


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is wrong, or of no use."""

    place: str
    """A file, with a line where there is one."""
    text: str
    is_error: bool
    """Whether builds would fail for it."""


def lint(
    customisation: Customisation, known: Mapping[str, Version | None]
) -> tuple[Remark, ...]:
    """All findings, in the order of their places.

    `known` are the packages that there are, by normalised name, with the version of
    each where it is settled; what is about others is of no use. If it is empty, that
    is not looked at.
    """
    overrides, patches = customisation.overrides, customisation.patches
    found = [*_general(overrides), *_settings(overrides), *_patches(patches)]
    if known:
        found += _unknown_packages(customisation, known)
    return tuple(sorted(set(found), key=lambda f: (f.place, f.text)))


def _general(overrides: Overrides) -> Iterator[Remark]:
    try:
        overrides.general_rules()
        yield from _without_effect(overrides.unused())
    except SettingsError as error:
        yield _finding(error)
    for name in overrides.strays:
        text = "it is not read: settings end in .yaml or .toml"
        yield Remark(f"{overrides.folder}/settings/{name}", text, is_error=False)


def _settings(overrides: Overrides) -> Iterator[Remark]:
    for name in overrides.names():
        files = overrides.files.get(name, ())
        for earlier, later in pairwise(files):
            if earlier.is_upstream == later.is_upstream:
                text = f"{earlier.path.name} is about the same package"
                yield Remark(str(later.path), text, is_error=False)
        try:
            for rule in overrides.rules(name):
                yield from _without_effect(rule.assignments)
        except SettingsError as error:
            yield _finding(error)


def _without_effect(assignments: Iterable[Assignment]) -> Iterator[Remark]:
    for each in assignments:
        if isinstance(each.value, NoEffect):
            yield Remark(str(each.origin), without_effect(each), is_error=False)


def _finding(error: SettingsError) -> Remark:
    hint = f" ({error.hint})" if error.hint else ""
    return Remark(str(error.origin), f"{error.reason}{hint}", is_error=True)


def _patches(patches: PatchFolder) -> Iterator[Remark]:
    for name, path in patches.folders:
        empty = True
        for file in sorted(path.rglob("*")):
            if file.suffix != ".patch" or not file.is_file():
                continue
            empty = False
            if len(file.relative_to(path).parts) > 2:
                yield Remark(str(file), "it lies too deep to be found", is_error=False)
            try:
                parse_diff(file.read_bytes())
            except InvalidDiff as error:
                yield Remark(str(file), f"it is no patch: {error}", is_error=True)
        if empty:
            yield Remark(str(path), f"{name} holds no patch", is_error=False)


def _unknown_packages(
    customisation: Customisation, known: Mapping[str, Version | None]
) -> Iterator[Remark]:
    overrides, patches = customisation.overrides, customisation.patches
    for name in overrides.names():
        if name in known or name == "*":
            continue
        for place in _places_of(overrides, name):
            yield Remark(place, _unknown(name, known), is_error=False)
    meant: dict[str, list[PatchPlace]] = {}
    for name in patches.names():
        for each in patches.places(name):
            meant.setdefault(str(each.path), []).append(each)
    for path, places in meant.items():
        here = [place for place in places if place.name in known]
        if not here:
            text = _unknown(places[-1].name, known)
            yield Remark(path, text, is_error=False)
        elif not any(_may_match(place, known[place.name]) for place in here):
            text = f"it matches nothing: {here[0].name} is {known[here[0].name]}"
            yield Remark(path, text, is_error=False)


def _places_of(overrides: Overrides, name: str) -> tuple[str, ...]:
    files = tuple(str(file.path) for file in overrides.files.get(name, ()))
    try:
        rules = overrides.rules(name)
    except SettingsError:
        return files
    inline = {str(a.origin) for rule in rules for a in rule.assignments[:1]}
    return files or tuple(sorted(inline)[:1])


def _unknown(name: str, known: Mapping[str, Version | None]) -> str:
    close = get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]}?" if close else ""
    return f"there is no package {name}{guess}"


def _may_match(place: PatchPlace, version: Version | None) -> bool:
    if place.version is None or version is None:
        return True
    return place.version == Version(version.public)
