"""Crates as cargo finds them without a network: one folder for each source.

    0/libc-0.2.177/...    the crates of the first source, unpacked
    config.toml           replaces each source by its folder

Each crate has a `.cargo-checksum.json`, by which cargo compares it with the lock. It
lists no files: that they are unchanged is what the store is for.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from fromager.derivations.errors import UnsafeArchive
from fromager.derivations.rust.lock import (
    RegistrySource,
    RepositorySource,
    crate_of,
)
from fromager.derivations.rust.registries import DEFAULT, default_host
from fromager.derivations.rust.workspace import find_crate, put_folder
from fromager.derivations.sources.archive import unpack_into

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from fromager.derivations.derivation import Value
    from fromager.derivations.rust.lock import Crate, CrateSource
    from fromager.derivations.sources.members import Limits
    from fromager.derivations.sources.sink import Sink

FOLDER: Final = "/fromager/crates"
"""Where the crates are seen by a build."""
TOP: Final = "crates"
"""The folder that everything is put below, as archives have one."""
CONFIGURATION: Final = "config.toml"
CHECKSUM: Final = ".cargo-checksum.json"


def numbered(crates: Iterable[Crate]) -> tuple[CrateSource, ...]:
    """The sources of crates, in the order of their folders."""
    return tuple(sorted({crate.source for crate in crates}, key=str))


def place_of(crate: Crate, sources: Sequence[CrateSource]) -> str:
    """The folder of a crate: `0/libc-0.2.177`."""
    return f"{sources.index(crate.source)}/{crate.subject}"


def configuration(sources: Sequence[CrateSource]) -> str:
    """What tells cargo to take each source from its folder."""
    tables = []
    for number, source in enumerate(sources):
        name, lines = _named(source, number)
        vendored = f"vendored-{number}"
        tables.append(
            f"[source.{name}]\n{lines}replace-with = {_quoted(vendored)}\n\n"
            f"[source.{vendored}]\ndirectory = {_quoted(f'{FOLDER}/{number}')}\n"
        )
    return "\n".join(tables)


def crate_value(crate: Crate) -> Mapping[str, Value]:
    """A crate as it stands in a derivation; `recorded_crates` reads it."""
    named = {"name": crate.name, "version": crate.version, "source": str(crate.source)}
    return named if crate.sha256 is None else {**named, "checksum": crate.sha256}


def recorded_crates(value: Value) -> tuple[Crate, ...]:
    """The crates that a derivation lists.

    Raises:
        InvalidCargoLock: it lists something else.
    """
    rows = value if isinstance(value, tuple) else (value,)
    return tuple(crate_of(row, "derivation") for row in rows)


def role_of(crate: Crate, sources: Sequence[CrateSource]) -> str:
    """The role of the input that holds a crate."""
    return f"crate:{place_of(crate, sources)}"


def vendor(crates: Sequence[tuple[Crate, Path]], sink: Sink, limits: Limits) -> None:
    """Put crates below `TOP`, each with the folder that holds its file, or that is the
    repository which it is in.

    Raises:
        UnsafeArchive: a file is broken, or is not the crate that its name says.
        SourceError: a repository does not have a crate.
    """
    sources = numbered(crate for crate, _ in crates)
    sink.folder(TOP)
    content = io.BytesIO(configuration(sources).encode())
    sink.file(f"{TOP}/{CONFIGURATION}", content, executable=False)
    for number in range(len(sources)):
        sink.folder(f"{TOP}/{number}")
    for crate, folder in crates:
        place = f"{TOP}/{place_of(crate, sources)}"
        if isinstance(crate.source, RepositorySource):
            put_folder(find_crate(folder, crate), folder, place, sink)
        else:
            _unpack(crate, folder / crate.filename, place, sink, limits)
        content = io.BytesIO(checksum_file(crate.sha256))
        sink.file(f"{place}/{CHECKSUM}", content, executable=False)


def checksum_file(sha256: str | None) -> bytes:
    """The `.cargo-checksum.json` of a crate; None for one of a repository."""
    return json.dumps({"files": {}, "package": sha256}, sort_keys=True).encode()


def _unpack(crate: Crate, packed: Path, place: str, sink: Sink, limits: Limits) -> None:
    top, _ = unpack_into(_Below(sink, place), packed, crate.filename, limits)
    if top != crate.subject:
        reason = f"its folder is called {top!r}, not {crate.subject!r}"
        raise UnsafeArchive(crate.filename, reason)


@dataclass(frozen=True)
class _Below:
    """Puts what lies in the top-level folder of an archive at another place."""

    sink: Sink
    place: str

    def folder(self, path: str) -> None:
        self.sink.folder(self._moved(path))

    def file(self, path: str, content: IO[bytes], *, executable: bool) -> int:
        if path.partition("/")[2] == CHECKSUM:
            # Made anew, as the lock has it; what a crate brings would be another.
            return len(content.read())
        return self.sink.file(self._moved(path), content, executable=executable)

    def same(self, path: str, other: str) -> None:
        self.sink.same(self._moved(path), self._moved(other))

    def link(self, path: str, target: str) -> None:
        self.sink.link(self._moved(path), target)

    def _moved(self, path: str) -> str:
        return "/".join((self.place, *path.split("/")[1:]))


def _named(source: CrateSource, number: int) -> tuple[str, str]:
    """The name of a source's table, and the lines that say which source it is."""
    match source:
        case RegistrySource() if default_host(source) is not None:
            return DEFAULT, ""
        case RegistrySource(url):
            return f"registry-{number}", f"registry = {_quoted(url)}\n"
        case RepositorySource(url, _, reference):
            lines = f"git = {_quoted(url)}\n"
            if reference is not None:
                lines += f"{reference[0]} = {_quoted(reference[1])}\n"
            return f"repository-{number}", lines


def _quoted(text: str) -> str:
    # A basic string of TOML; JSON escapes what must be escaped in the same way.
    return json.dumps(text)
