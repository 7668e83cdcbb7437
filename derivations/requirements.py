"""Requirement and constraint files, read as pip reads them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fromager.derivations.errors import InputError
from fromager.derivations.resolution.request import GivenRequirement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
_NAME: Final = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?(?:\[[^\]]*\])?"
_MISTAKE: Final = re.compile(
    rf"({_NAME})\s*(=|=>|=<|@|\s)\s*([0-9][\w.!+*-]*)\s*(;.*)?"
)
_RIGHT: Final = {"=": "==", "=>": ">=", "=<": "<=", "@": "=="}
_BY_NAME: Final = (
    "Only projects of an index can be built: name it with its version (name==1.0)"
)

_SHORT: Final = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-i": "--index-url",
    "-e": "--editable",
    "-f": "--find-links",
    "-C": "--config-settings",
}
_WITHOUT_EFFECT: Final = frozenset(
    {"--no-binary", "--prefer-binary", "--trusted-host", "--use-feature"}
)
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


def read_requirements(path: Path, environ: Mapping[str, str]) -> RequirementFile:
    """Read a requirement file; `${NAME}` is taken from `environ` where it is there.

    Raises:
        InputError: a file that cannot be read, or a line that cannot be understood;
            the message names file and line.
    """
    reader = _Reader(environ)
    reader.read(path, reader.requirements)
    return reader.result()


def read_constraints(path: Path, environ: Mapping[str, str]) -> RequirementFile:
    """Read a file whose lines are constraints; the rest is as in `read_requirements`.

    Raises:
        InputError: see `read_requirements`; also, a constraint has extras.
    """
    reader = _Reader(environ)
    reader.read(path, reader.constraints)
    return reader.result()


def parse_requirement(text: str) -> Requirement:
    """A requirement on a project of an index (PEP 508).

    Raises:
        InputError: anything else; the hint tells what may have been meant.
    """
    text = text.strip()
    if _is_place(text):
        raise InputError(f"{_shown(text)!r} is a place, no requirement", hint=_BY_NAME)
    mistake = _MISTAKE.fullmatch(text)
    if mistake is not None:
        name, operator, version, marker = mistake.groups()
        meant = f"{name}{_RIGHT.get(operator, '==')}{version}{marker or ''}"
        hint = f"Did you mean {meant}?"
        raise InputError(f"{text!r} is not a valid requirement", hint=hint)
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"{_shown(text)!r} is not a valid requirement: {reason}",
            hint="Write a name, and a version where it matters: name==1.0",
        ) from error
    if requirement.url is not None:
        message = f"{requirement.name} is required from a place of its own"
        raise InputError(message, hint=_BY_NAME)
    return requirement


@dataclass
class _Reader:
    environ: Mapping[str, str]
    requirements: list[GivenRequirement] = field(default_factory=list)
    constraints: list[GivenRequirement] = field(default_factory=list)
    hashes: dict[str, set[str]] = field(default_factory=dict)
    require_hashes: bool = False
    main_index: str | None = None
    extra_indexes: list[str] = field(default_factory=list)
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
        )

    def read(
        self, path: Path, into: list[GivenRequirement], stack: tuple[Path, ...] = ()
    ) -> None:
        """Add what a file says; `stack` holds the files that include it."""
        real = path.resolve()
        if real in stack:
            chain = " includes ".join(str(place) for place in (*stack, real))
            raise _Misunderstood(f"files include each other: {chain}")
        text = _decoded(path)
        for number, line in _lines(text):
            expanded = _VARIABLE.sub(
                lambda found: self.environ.get(found[1], found[0]), line
            )
            origin = f"{path}:{number}"
            try:
                self._line(expanded, origin, path, into, (*stack, real))
            except _Misunderstood as error:
                raise InputError(f"{origin}: {error}", hint=error.hint) from error

    def _line(
        self,
        line: str,
        origin: str,
        path: Path,
        into: list[GivenRequirement],
        stack: tuple[Path, ...],
    ) -> None:
        if not line.startswith("-"):
            self._requirement(line, origin, into)
            return
        for option, value in _options(line):
            if option in {"--requirement", "--constraint"}:
                if value is None or "://" in value:
                    raise _Misunderstood(f"{option} needs the name of a file")
                constrains = option == "--constraint"
                nested = self.constraints if constrains else self.requirements
                self.read(path.parent / value, nested, stack)
            else:
                self._option(option, value, origin)

    def _option(self, option: str, value: str | None, origin: str) -> None:
        match option, value:
            case "--index-url" | "--pypi-url", str(url):
                self.main_index = url
            case "--extra-index-url", str(url):
                self.extra_indexes.append(url)
            case "--pre", None:
                self.prereleases = True
            case "--require-hashes", None:
                self.require_hashes = True
            case "--find-links" | "--no-index", _:
                self.notes.append(f"{origin}: {option} is not used: only indexes are")
            case "--only-binary", _:
                reason = f"{option} cannot be: everything is built from source"
                raise _Misunderstood(reason, "Remove the line")
            case "--editable", _:
                raise _Misunderstood("an editable project is not built", _BY_NAME)
            case "--index-url" | "--pypi-url" | "--extra-index-url", None:
                raise _Misunderstood(f"{option} needs an address")
            case _ if option not in _WITHOUT_EFFECT:
                reason = f"the option {option} is not known here"
                raise _Misunderstood(reason, "Remove the line")

    def _requirement(
        self, line: str, origin: str, into: list[GivenRequirement]
    ) -> None:
        text, *rest = re.split(r"\s+(?=--?[a-zA-Z])", line, maxsplit=1)
        try:
            requirement = parse_requirement(text)
        except InputError as error:
            raise _Misunderstood(str(error), error.hint) from error
        if into is self.constraints and requirement.extras:
            raise _Misunderstood("a constraint cannot have extras", "Remove the extras")
        into.append(GivenRequirement(requirement, origin))
        algorithms: set[str] = set()
        for option, value in _options(rest[0]) if rest else ():
            if option != "--hash":
                reason = f"{option} of a single requirement is not known here"
                raise _Misunderstood(reason, "Set it in the configuration instead")
            algorithm, _, digest = (value or "").partition(":")
            algorithms.add(algorithm)
            if algorithm == "sha256":
                if not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
                    raise _Misunderstood(f"{value!r} is not a sha256")
                name = canonicalize_name(requirement.name)
                self.hashes.setdefault(name, set()).add(digest.lower())
        if algorithms and "sha256" not in algorithms:
            raise _Misunderstood("no hash of the kind sha256 is given", "Add one")


class _Misunderstood(InputError):
    """What is wrong with a line, or a file; the place is added by who knows it."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason, hint=hint)


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _Misunderstood(f"{path} cannot be read: {error.strerror}") from error
    encoding = "utf-8-sig"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise _Misunderstood(f"{path} is not text in UTF-8", "Save it so") from error


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, joined and without comments, with their numbers."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if joined else number
        # A backslash at the end of a comment is a part of the comment.
        if line.endswith("\\") and not _COMMENT.search(line):
            joined += line[:-1]
            continue
        found = _COMMENT.sub("", joined + line).strip()
        joined = ""
        if found:
            yield first, found
    if joined.strip():
        yield first, joined.strip()


def _options(text: str) -> Iterator[tuple[str, str | None]]:
    """Options and their values: `--a=b`, `--a b`, `-a b`, `-ab` and `--a`."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _Misunderstood(f"a quote is not closed: {error}") from error
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            raise _Misunderstood(f"{word!r} was not expected here")
        if not word.startswith("--"):
            name, value = word[:2], word[2:].removeprefix("=")
            name, equals = _SHORT.get(name, name), value
        if not equals and words and not words[0].startswith("-"):
            equals, value = "=", words.pop(0)
        yield name, value if equals else None


def _is_place(text: str) -> bool:
    requirement, _, _ = text.partition(";")
    requirement = requirement.strip()
    return (
        bool(re.match(r"[a-zA-Z][\w+.-]*://", requirement))
        or requirement.startswith((".", "/", "~", "file:"))
        or requirement.endswith((".whl", ".tar.gz", ".zip", ".tar.bz2", "/"))
    ) and "@" not in requirement.split("//")[0]


def _shown(text: str) -> str:
    return re.sub(r"(?<=//)[^/?#\s]*@", "***@", text)
