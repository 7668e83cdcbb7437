"""What people call things: paths, requirements, derivations, digest prefixes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fromager.derivations import InputError
from fromager.store import InvalidName, ObjectMissing, StorePath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.store import LocalStore, ObjectInfo, Realisation


def find_object(store: LocalStore, text: str) -> ObjectInfo:
    """The object that is meant: by path, requirement, or unique prefix.

    Raises:
        ObjectMissing: there is none.
        InputError: there are several.
    """
    path = _store_path(store, text)
    if path is not None:
        return store.require(path)
    realisation = _by_requirement(store, text)
    if realisation is not None:
        info = store.info(realisation.output)
        if info is not None:
            return info
    found = store.find(text)
    if not found and realisation is not None:
        return store.require(realisation.output)
    paths = [info.path for info in found]
    return store.require(_only(paths or _withheld(store, text), text))


def find_path(store: LocalStore, text: str) -> StorePath:
    """The object that is meant, also if it was found damaged and is not served.

    Raises:
        ObjectMissing: there is none.
        InputError: there are several.
    """
    path = _store_path(store, text)
    if path is not None:
        return path
    realisation = _by_requirement(store, text)
    if realisation is not None:
        return realisation.output
    found = [info.path for info in store.find(text)]
    return _only(found + _withheld(store, text), text)


def find_realisation(store: LocalStore, text: str) -> Realisation:
    """The newest realisation that is meant: of a requirement, output or derivation.

    Raises:
        ObjectMissing: there is none.
        InputError: several things may be meant.
    """
    realisation = _by_requirement(store, text)
    if realisation is not None:
        return realisation
    info = find_object(store, text)
    found = store.producers(info.path) or store.realised(info.path)
    if not found:
        raise ObjectMissing(f"a build that gave {info.path}")
    return found[0]


def place_of(store: LocalStore, path: StorePath) -> Path:
    """Where an object lies, or lay in the store on top if it is not valid any more."""
    return path.below(store.root) if store.info(path) is None else store.place(path)


def member_of(store: LocalStore, text: str) -> tuple[str, str | None]:
    """A path split into the object and the file in it, if it names one."""
    rest = _below(Path(text).absolute(), store.roots) or Path(text)
    head, *tail = rest.parts or (text,)
    try:
        StorePath.parse(head)
    except InvalidName:
        return text, None
    return head, "/".join(tail) or None


def _withheld(store: LocalStore, prefix: str) -> list[StorePath]:
    """Damaged objects whose path or name begins with this."""
    return [
        path
        for path in store.care().withheld()
        if str(path).startswith(prefix) or path.name.startswith(prefix)
    ]


def _only(found: list[StorePath], text: str) -> StorePath:
    if not found:
        raise ObjectMissing(repr(text))
    if len(found) > 1:
        several = ", ".join(str(path) for path in found[:5])
        raise InputError(
            f"{text!r} may be any of {several}{' …' if len(found) > 5 else ''}",
            hint="Write more of it",
        )
    return found[0]


def _store_path(store: LocalStore, text: str) -> StorePath | None:
    """The store path in a path, absolute or not, to an object or into it."""
    place = Path(text)
    if place.is_symlink() or place.is_absolute():
        inside = _below(place.resolve(), [root.resolve() for root in store.roots])
        if inside is None:
            roots = " or ".join(str(root) for root in store.roots)
            raise InputError(f"{text} does not lie in the store {roots}")
        place = inside
    try:
        return StorePath.parse(place.parts[0]) if place.parts else None
    except InvalidName:
        return None


def _below(place: Path, roots: Iterable[Path]) -> Path | None:
    """The rest of a path that lies in one of these folders."""
    found = (place.relative_to(root) for root in roots if place.is_relative_to(root))
    return next(found, None)


def _by_requirement(store: LocalStore, text: str) -> Realisation | None:
    """The newest wheel that fits a requirement, in the order of their making."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    wanted = canonicalize_name(requirement.name)
    for subject in store.subjects("wheel"):
        name, _, version = subject.partition("==")
        if name == wanted and requirement.specifier.contains(version, prereleases=True):
            history = store.history("wheel", subject)
            if history:
                return history[0]
    return None
