"""What people call things: paths, requirements, roots, beginnings of digests.

Every command that takes a TARGET understands the same, in this order: a path to or
into the store, links included; the name of an object with its hash; `root:NAME` and
`root:NAME@NUMBER`; a requirement, whose newest wheel is meant; the name of a root; the
beginning of an object's path, name or digest, or of a build's key.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations import InputError
from fromager.store import InvalidName, ObjectMissing, RootMissing, StorePath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.store import LocalStore, Member, ObjectInfo, Realisation

ROOT: Final = "root:"
"""What stands before the name of a root that is called like a project."""
BESIDE: Final = " (sdist)"
"""What stands behind the name of a wheel in a root for what was built beside it."""
_HEAD: Final = re.compile(r"[A-Za-z0-9._-]+")
_KEY: Final = re.compile(r"(blake3:)?[0-9a-f]{6,64}")


def find_object(store: LocalStore, text: str) -> ObjectInfo:
    """The object that is meant.

    Raises:
        ObjectMissing: there is none.
        InputError: there are several.
    """
    return store.require(find_path(store, text))


def find_path(store: LocalStore, text: str) -> StorePath:
    """The object that is meant, also if it was found damaged and is not served.

    Raises:
        ObjectMissing: there is none.
        InputError: there are several.
    """
    return _only(_meant(store, text), text).path


def find_paths(store: LocalStore, texts: Iterable[str]) -> list[StorePath]:
    """All objects that are meant, each once: of a root it may be several.

    Raises:
        ObjectMissing, InputError: as `find_path`.
    """
    found = (each.path for text in texts for each in _meant(store, text))
    return list(dict.fromkeys(found))


def find_realisation(store: LocalStore, text: str) -> Realisation:
    """The newest realisation that is meant: of a requirement, output or derivation.

    Raises:
        ObjectMissing: there is none.
        InputError: several things may be meant.
    """
    return _build(store, _only(_meant(store, text), text))


def find_realisations(store: LocalStore, texts: Iterable[str]) -> list[Realisation]:
    """All realisations that are meant, each once: of a root it may be several.

    Raises:
        ObjectMissing, InputError: as `find_realisation`.
    """
    found = (_build(store, each) for text in texts for each in _meant(store, text))
    return list({(each.key, each.output): each for each in found}.values())


def place_of(store: LocalStore, path: StorePath) -> Path:
    """Where an object lies, or lay in the store on top if it is not valid any more."""
    return path.below(store.root) if store.info(path) is None else store.place(path)


def member_of(store: LocalStore, text: str) -> tuple[str, str | None]:
    """A path split into the object and the file in it, if it names one."""
    place = Path(text)
    for rest in (
        place,
        _below(place.absolute(), store.roots),
        _below(place.resolve(), [root.resolve() for root in store.roots]),
    ):
        if rest is not None and rest.parts and _parsed(rest.parts[0]) is not None:
            head, *tail = rest.parts
            return head, "/".join(tail) or None
    return text, None


def suggestion(text: str, names: Iterable[str]) -> str | None:
    """The names that are most like one that was mistyped, as a question.

    Where the name is right, it is the version that nothing fits.
    """
    from difflib import get_close_matches

    known = {name.lower(): name for name in names}
    head = _HEAD.match(text)
    wanted = (head.group() if head else text).lower()
    if wanted in known and wanted != text.lower():
        return f"Of {known[wanted]} there are other versions"
    close = [known[name] for name in get_close_matches(wanted, known, n=3)]
    return f"Did you mean {' or '.join(close)}?" if close else None


class NothingMeant(ObjectMissing):
    """Something that no object, no build and no root is called."""

    def __init__(self, text: str, close: str | None) -> None:
        super().__init__(repr(text))
        self._close = close

    @property
    def hint(self) -> str | None:
        return self._close


@dataclass(frozen=True, slots=True)
class _Meant:
    """An object that is meant, and the build that it is meant as if one was named."""

    path: StorePath
    build: Realisation | None = None


def _meant(store: LocalStore, text: str) -> tuple[_Meant, ...]:
    """What is meant, by whichever way to name it fits first; several only of a root."""
    path = _store_path(store, text)
    if path is not None:
        return (_Meant(path),)
    newest = None if text.startswith(ROOT) else _by_requirement(store, text)
    if newest is not None:
        return (_Meant(newest.output, newest),)
    members = root_members(store, text)
    if members:
        return tuple(_Meant(each.path, _of_key(store, each)) for each in members)
    found = {path: _Meant(path) for path in _begun(store, text)}
    if _KEY.fullmatch(text):
        for claim in reversed(store.keyed(text)):
            found[claim.output] = _Meant(claim.output, claim)
    if not found:
        raise NothingMeant(text, suggestion(text, _names(store)))
    several = tuple(found.values())
    close = suggestion(text, _names(store)) if several[1:] else None
    return (_only(several, text, close),)


def root_members(store: LocalStore, text: str) -> tuple[Member, ...]:
    """What a root holds, if one is meant: the object that all others belong to, or else
    all of them.

    Raises:
        RootMissing: there is no such generation; no such root, if one was said.
    """
    if text.startswith(ROOT):
        return _held(store, text.removeprefix(ROOT))
    try:
        return _held(store, text)
    except RootMissing as error:
        if error.generation is not None:
            raise
        return ()
    except InvalidName:
        return ()


def _held(store: LocalStore, text: str) -> tuple[Member, ...]:
    """The members of `NAME`'s current generation, or of `NAME@NUMBER`."""
    name, _, number = text.partition("@")
    generations = store.generations().of(name)
    wanted = [
        each
        for each in generations
        if (str(each.number) == number if number else each.current)
    ]
    if not wanted:
        raise RootMissing(name, number)
    labels = {member.label for member in wanted[0].members}
    members = tuple(
        member for member in wanted[0].members if not _is_beside(member.label, labels)
    )
    paths = {member.path for member in members}
    for member in members:
        info = store.info(member.path)
        if info is not None and paths <= {member.path, *info.references}:
            return (member,)
    return members


def _is_beside(label: str, labels: set[str]) -> bool:
    """Whether something is kept along with a wheel, and not meant by itself."""
    wheel = label.removesuffix(BESIDE)
    return wheel != label and wheel in labels


def _of_key(store: LocalStore, member: Member) -> Realisation | None:
    claims = () if member.key is None else store.realisations(member.key)
    return next((each for each in claims if each.output == member.path), None)


def _build(store: LocalStore, meant: _Meant) -> Realisation:
    """The build that is meant, or the newest that gave the object.

    Raises:
        ObjectMissing: none is known.
    """
    if meant.build is not None:
        return meant.build
    info = store.require(meant.path)
    found = store.producers(info.path) or store.realised(info.path)
    if not found:
        raise ObjectMissing(f"a build that gave {info.path}")
    return found[0]


def _names(store: LocalStore) -> list[str]:
    """What might be meant by people who mistyped it."""
    wheels = (subject.partition("==")[0] for subject in store.subjects("wheel"))
    return [*dict.fromkeys(wheels), *store.generations().names()]


def _begun(store: LocalStore, prefix: str) -> list[StorePath]:
    """Objects whose path, name or digest begins with this, damaged ones too."""
    damaged = [
        path
        for path in store.care().withheld()
        if str(path).startswith(prefix) or path.name.startswith(prefix)
    ]
    return [*(info.path for info in store.find(prefix)), *damaged]


def _only(found: tuple[_Meant, ...], text: str, close: str | None = None) -> _Meant:
    if len(found) > 1:
        several = ", ".join(str(each.path) for each in found[:5])
        raise InputError(
            f"{text!r} may be any of {several}{' …' if len(found) > 5 else ''}",
            hint=close or "Write one of these, or more of it",
        )
    return found[0]


def _store_path(store: LocalStore, text: str) -> StorePath | None:
    """The store path in a path to an object or into it, also by way of a link."""
    place = Path(text)
    if place.is_absolute() or os.path.lexists(place):
        inside = _below(place.resolve(), [root.resolve() for root in store.roots])
        if inside is not None:
            place = inside
        elif place.is_symlink() or place.is_absolute():
            roots = " or ".join(str(root) for root in store.roots)
            raise InputError(f"{text} does not lie in the store {roots}")
    return _parsed(place.parts[0]) if place.parts else None


def _parsed(name: str) -> StorePath | None:
    try:
        return StorePath.parse(name)
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
    found = [
        claim
        for subject in store.subjects("wheel")
        for name, _, version in [subject.partition("==")]
        if name == wanted and requirement.specifier.contains(version, prereleases=True)
        for claim in store.history("wheel", subject)[:1]
    ]
    if not found or store.info(found[0].output) is not None:
        return found[0] if found else None
    # The newest may have been deleted since; one that was found damaged is meant still.
    held = {each.output for each in found if store.info(each.output) is not None}
    held.update(store.care().withheld())
    return next((each for each in found if each.output in held), found[0])
