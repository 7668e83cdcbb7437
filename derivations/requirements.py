"""Requirement and constraint files, read as pip reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from fromager.derivations.errors import InputError
from fromager.derivations.requirement import parse_given
from fromager.derivations.requirement_lines import (
    Misunderstood,
    read_lines,
    read_options,
    split_options,
)
from fromager.derivations.requirement_places import FetchDocument, FilePlace
from fromager.derivations.sources.direct import ArchiveSource, DirectRequirement

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations.resolution.request import GivenRequirement

_WITHOUT_EFFECT: Final = frozenset({"--no-binary", "--prefer-binary", "--use-feature"})
"""Options that ask for what is done anyway, or that only pip has a use for."""


@dataclass(frozen=True, slots=True)
class RequirementFile:
    """What a requirement file says, and all files that it includes."""

    requirements: tuple[GivenRequirement, ...]
    """In the order of the file; each origin tells file and line."""
    constraints: tuple[GivenRequirement, ...]
    """Those of the constraint files that it includes."""
    hashes: Mapping[str, tuple[str, ...]]
    """By normalised name the sha256 of the only files that may be used, sorted."""
    require_hashes: bool
    """Whether it promises a hash for each requirement."""
    index_urls: tuple[str, ...] = field(repr=False)
    """Addresses of indexes that it names, the main one first; they may hold secrets."""
    prereleases: bool
    """Whether it allows pre-releases of all projects."""
    notes: tuple[str, ...]
    """What it says that is not used, for people."""
    direct: tuple[DirectRequirement, ...] = ()
    """Requirements that say themselves where their source is."""
    direct_constraints: tuple[DirectRequirement, ...] = ()
    """Where a project is to be taken from once something requires it."""
    find_links: tuple[str, ...] = field(default=(), repr=False)
    """Folders (absolute) and pages with links to archives; they may hold secrets."""
    no_index: bool = False
    """Whether no index is to be used."""


def read_requirements(
    place: str | Path,
    environ: Mapping[str, str],
    fetch: FetchDocument | None = None,
) -> RequirementFile:
    """Read a requirement file; `${NAME}` is taken from `environ` where it is there.

    Paths in it are meant from the folder that it lies in. It may be at an address, and
    include others, which `fetch` gives; such files name nothing of this machine.

    Raises:
        InputError: a file that cannot be read, or a line that cannot be understood;
            the message names file and line.
        NetworkError: a server does not give a file.
    """
    reader = _Reader(environ, fetch)
    reader.read(FilePlace.parse(place), constrains=False)
    return reader.result()


def read_constraints(
    place: str | Path,
    environ: Mapping[str, str],
    fetch: FetchDocument | None = None,
) -> RequirementFile:
    """Read a file whose lines are constraints; the rest is as in `read_requirements`.

    Raises:
        InputError, NetworkError: see `read_requirements`; also, a constraint has extras.
    """
    reader = _Reader(environ, fetch)
    reader.read(FilePlace.parse(place), constrains=True)
    return reader.result()


@dataclass
class _Reader:
    environ: Mapping[str, str]
    fetch: FetchDocument | None = None
    requirements: list[GivenRequirement] = field(default_factory=list)
    constraints: list[GivenRequirement] = field(default_factory=list)
    direct: list[DirectRequirement] = field(default_factory=list)
    direct_constraints: list[DirectRequirement] = field(default_factory=list)
    hashes: dict[str, set[str]] = field(default_factory=dict)
    require_hashes: bool = False
    main_index: str | None = None
    extra_indexes: list[str] = field(default_factory=list)
    find_links: list[str] = field(default_factory=list)
    no_index: bool = False
    prereleases: bool = False
    notes: list[str] = field(default_factory=list)

    def result(self) -> RequirementFile:
        """All that was read."""
        main = [] if self.main_index is None else [self.main_index]
        hashes = {name: tuple(sorted(found)) for name, found in self.hashes.items()}
        return RequirementFile(
            tuple(self.requirements),
            tuple(self.constraints),
            hashes,
            self.require_hashes or bool(hashes),
            (*main, *self.extra_indexes),
            self.prereleases,
            tuple(self.notes),
            tuple(self.direct),
            tuple(self.direct_constraints),
            tuple(self.find_links),
            self.no_index,
        )

    def read(
        self, place: FilePlace, *, constrains: bool, stack: tuple[FilePlace, ...] = ()
    ) -> None:
        """Add what a file says; `stack` holds the files that include it."""
        if place.identity in {each.identity for each in stack}:
            chain = " includes ".join(str(each) for each in (*stack, place))
            raise Misunderstood(f"files include each other: {chain}")
        for number, line in read_lines(place.text(self.fetch), self.environ):
            origin = f"{place}:{number}"
            try:
                self._line(line, origin, place, constrains, (*stack, place))
            except Misunderstood as error:
                raise InputError(f"{origin}: {error}", hint=error.hint) from error

    def _line(
        self,
        line: str,
        origin: str,
        place: FilePlace,
        constrains: bool,
        stack: tuple[FilePlace, ...],
    ) -> None:
        if not line.startswith("-"):
            self._requirement(line, origin, place, constrains)
            return
        editable = re.match(r"(-e\s*|--editable[\s=]\s*)(?=\S)", line)
        if editable is not None:
            if constrains:
                raise Misunderstood("a constraint cannot be editable")
            self._requirement(line[editable.end() :], origin, place, constrains)
            text = "--editable: built as a wheel, like everything else"
            self.notes.append(f"{origin}: {text}")
            return
        for option, value in read_options(line):
            if option in {"--requirement", "--constraint"}:
                if value is None:
                    raise Misunderstood(f"{option} needs the name of a file")
                self.read(
                    place.included(value),
                    constrains=constrains or option == "--constraint",
                    stack=stack,
                )
            else:
                self._option(option, value, origin, place)

    def _option(
        self, option: str, value: str | None, origin: str, place: FilePlace
    ) -> None:
        match option, value:
            case "--index-url" | "--pypi-url", str(url):
                self.main_index = place.index(url)
            case "--extra-index-url", str(url):
                self.extra_indexes.append(place.index(url))
            case "--find-links", str(links):
                self.find_links.append(place.links(links))
            case "--no-index", None:
                self.no_index = True
            case "--pre", None:
                self.prereleases = True
            case "--require-hashes", None:
                self.require_hashes = True
            case "--trusted-host", _:
                text = "--trusted-host is not used: certificates are always checked"
                self.notes.append(f"{origin}: {text}")
            case "--only-binary", _:
                reason = f"{option} cannot be: everything is built from source"
                raise Misunderstood(reason, "Remove the line")
            case (
                "--index-url" | "--pypi-url" | "--extra-index-url" | "--find-links",
                None,
            ):
                raise Misunderstood(f"{option} needs an address")
            case "--editable", None:
                raise Misunderstood(f"{option} needs the place of a project")
            case _ if option not in _WITHOUT_EFFECT:
                reason = f"the option {option} is not known here"
                raise Misunderstood(reason, "Remove the line")

    def _requirement(
        self, line: str, origin: str, place: FilePlace, constrains: bool
    ) -> None:
        text, rest = split_options(line)
        try:
            given = parse_given(text, origin, place.path.parent)
            place.check(given)
        except InputError as error:
            raise Misunderstood(str(error), error.hint) from error
        hashes = _hashes(rest)
        if isinstance(given, DirectRequirement):
            self._direct(_with_hashes(given, hashes), constrains)
            return
        if constrains and given.requirement.extras:
            raise Misunderstood("a constraint cannot have extras", "Remove the extras")
        (self.constraints if constrains else self.requirements).append(given)
        if hashes:
            name = canonicalize_name(given.requirement.name)
            self.hashes.setdefault(name, set()).update(hashes)

    def _direct(self, given: DirectRequirement, constrains: bool) -> None:
        if not constrains:
            self.direct.append(given)
            return
        if given.extras:
            raise Misunderstood("a constraint cannot have extras", "Remove the extras")
        if given.name is None:
            raise Misunderstood(
                "a constraint needs a name", f"Write NAME @ {given.source}"
            )
        self.direct_constraints.append(given)


def _hashes(options: str) -> set[str]:
    """The sha256 hashes among the options of one requirement."""
    algorithms: set[str] = set()
    found: set[str] = set()
    for option, value in read_options(options):
        if option != "--hash":
            reason = f"{option} of a single requirement is not known here"
            raise Misunderstood(reason, "Set it in the configuration instead")
        algorithm, _, digest = (value or "").partition(":")
        algorithms.add(algorithm)
        if algorithm == "sha256":
            if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
                raise Misunderstood(f"{value!r} is not a sha256")
            found.add(digest.lower())
    if algorithms and not found:
        raise Misunderstood("no hash of the kind sha256 is given", "Add one")
    return found


def _with_hashes(given: DirectRequirement, hashes: set[str]) -> DirectRequirement:
    source = given.source
    if not hashes:
        return given
    if not isinstance(source, ArchiveSource):
        raise Misunderstood(
            f"{given.source} has no sha256",
            "Only archives have one; name the commit of a repository in full",
        )
    if source.sha256 is not None:
        hashes = hashes | {source.sha256}
    if len(hashes) > 1:
        raise Misunderstood(f"{source.url} cannot have more than one sha256")
    return replace(given, source=replace(source, sha256=next(iter(hashes))))
