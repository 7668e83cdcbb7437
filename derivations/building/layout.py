"""Layouts: a wheel unpacked as it would be installed below `/env`.

No installer runs: where things go is fixed by the wheel specification, and every byte
of it follows from the wheel and the interpreter's scheme.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final
from zipfile import BadZipFile, ZipFile, ZipInfo

from fromager.derivations.building.record import (
    InvalidRecordFile,
    Row,
    format_record,
    parse_record,
)
from fromager.derivations.building.wheel import SIGNATURES, name_fault
from fromager.derivations.core_metadata import parse_headers
from fromager.derivations.errors import WheelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.derivations.interpreter import Interpreter

ENVIRONMENT: Final = "/env"
"""Where every build finds its environment."""
INSTALLER: Final = b"fromager\n"

_CHUNK: Final = 1 << 20
_SHEBANG: Final = re.compile(rb"#!pythonw?(?=[ \t\r\n]|\Z)([^\r\n]*)\r?(\n?)")
_ENTRY_POINT: Final = re.compile(
    r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*)\s*:\s*"
    r"(?P<object>[^\W\d]\w*(\.[^\W\d]\w*)*)\s*(\[.*\])?"
)
_SCRIPT: Final = """\
#!{python}
import sys

from {module} import {name}

if __name__ == "__main__":
    sys.exit({object}())
"""


@dataclass(frozen=True, slots=True)
class Scheme:
    """Where the parts of a wheel go, relative to the environment's root."""

    purelib: str
    platlib: str
    headers: str
    """The folder that gets one folder of headers for each distribution."""
    scripts: str = "bin"
    python: str = f"{ENVIRONMENT}/bin/python"
    """What scripts are run by; an absolute path in the final environment."""

    @classmethod
    def of(cls, interpreter: Interpreter) -> Scheme:
        """The scheme of an interpreter's virtual environments."""
        versioned = posixpath.basename(posixpath.dirname(interpreter.purelib_name))
        return cls(
            interpreter.purelib_name,
            interpreter.platlib_name,
            f"include/site/{versioned}",
        )


def install_wheel(wheel: Path, target: Path, scheme: Scheme) -> None:
    """Unpack a wheel below `target`, a folder that nobody else writes to.

    The wheel is one that was checked; its hashes are not verified again. Modes do not
    depend on the umask. Bytecode is not made here.

    Raises:
        WheelRefused: it is no wheel, or has parts that cannot be installed.
    """
    try:
        with ZipFile(wheel) as archive:
            _Installation(archive, wheel.name, target, scheme).install()
    except (BadZipFile, EOFError, NotImplementedError, UnicodeError) as error:
        reason = f"it is no whole zip file: {error}"
        raise WheelRefused(wheel.name, reason) from error


class _Installation:
    def __init__(
        self, archive: ZipFile, filename: str, target: Path, scheme: Scheme
    ) -> None:
        self._archive, self._filename = archive, filename
        self._target, self._scheme = target, scheme
        self._members = [info for info in archive.infolist() if not info.is_dir()]
        self._dist_info = self._find_dist_info()
        self._stem = self._dist_info.removesuffix(".dist-info")
        about = parse_headers(self._read("WHEEL"))
        pure = (about.first("Root-Is-Purelib") or "").lower() == "true"
        self._site = scheme.purelib if pure else scheme.platlib
        self._known = self._read_record()
        self._rows: dict[str, tuple[bytes, int]] = {}

    def install(self) -> None:
        unwanted = {
            f"{self._dist_info}/{name}" for name in ("RECORD", "INSTALLER", *SIGNATURES)
        }
        for member in self._members:
            if member.filename not in unwanted:
                self._place(member)
        for name, module, path in self._entry_points():
            text = _SCRIPT.format(
                python=self._scheme.python,
                module=module,
                name=path.partition(".")[0],
                object=path,
            )
            self._write(f"{self._scheme.scripts}/{name}", text.encode(), 0o755)
        self._write(f"{self._site}/{self._dist_info}/INSTALLER", INSTALLER, 0o644)
        self._write_record()

    def _place(self, member: ZipInfo) -> None:
        if fault := name_fault(member.filename):
            raise self._refusal(f"the member {member.filename!r} {fault}")
        kind, path = self._destination(member.filename)
        if path in self._rows:
            raise self._refusal(f"two of its members would be {path!r}")
        mode = 0o755 if member.external_attr >> 16 & 0o111 else 0o644
        if kind == "scripts":
            with self._archive.open(member) as stream:
                self._write(path, self._with_interpreter(stream.read()), 0o755)
            return
        known = self._known.get(member.filename)
        with self._archive.open(member) as stream, self._create(path, mode) as file:
            if known is not None and known.algorithm == "sha256":
                _copy(stream, file, None)
                self._rows[path] = known.digest, member.file_size
            else:
                hasher = hashlib.sha256()
                _copy(stream, file, hasher)
                self._rows[path] = hasher.digest(), member.file_size

    def _destination(self, name: str) -> tuple[str, str]:
        """Which part of a wheel a member belongs to, and where it goes."""
        data, slash, rest = name.partition("/")
        if data != f"{self._stem}.data" or not slash:
            return "root", f"{self._site}/{name}"
        kind, slash, path = rest.partition("/")
        folders = {
            "purelib": f"{self._scheme.purelib}/",
            "platlib": f"{self._scheme.platlib}/",
            "scripts": f"{self._scheme.scripts}/",
            "headers": f"{self._scheme.headers}/{self._stem.partition('-')[0]}/",
            "data": "",
        }
        if kind not in folders or not slash:
            raise self._refusal(f"the member {name!r} belongs to no known folder")
        return kind, f"{folders[kind]}{path}"

    def _with_interpreter(self, script: bytes) -> bytes:
        match = _SHEBANG.match(script)
        if match is None:
            return script
        # Options after the interpreter are kept.
        line = b"#!" + self._scheme.python.encode() + match[1].rstrip() + match[2]
        return line + script[match.end() :]

    def _entry_points(self) -> Iterator[tuple[str, str, str]]:
        """(script, module, object) of all console and graphical scripts."""
        name = f"{self._dist_info}/entry_points.txt"
        if all(member.filename != name for member in self._members):
            return
        section = ""
        for raw in self._archive.read(name).decode("utf-8").splitlines():
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            if line[0] == "[" and line[-1] == "]":
                section = line[1:-1].strip()
            elif section in ("console_scripts", "gui_scripts"):
                script, _, value = (part.strip() for part in line.partition("="))
                match = _ENTRY_POINT.fullmatch(value)
                if match is None or name_fault(script) or "/" in script:
                    raise self._refusal(f"its entry point {line!r} is none")
                yield script, match["module"], match["object"]

    def _write_record(self) -> None:
        own = f"{self._dist_info}/RECORD"
        rows = sorted(
            (posixpath.relpath(path, self._site), digest, size)
            for path, (digest, size) in self._rows.items()
        )
        self._write(f"{self._site}/{own}", format_record(rows, own), 0o644)

    def _write(self, path: str, content: bytes, mode: int) -> None:
        if path in self._rows:
            # A generated script goes before one of the same name, as with pip.
            (self._target / path).unlink()
        with self._create(path, mode) as file:
            file.write(content)
        self._rows[path] = hashlib.sha256(content).digest(), len(content)

    def _create(self, path: str, mode: int) -> IO[bytes]:
        place = self._target / path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            try:
                descriptor = os.open(place, flags, mode)
            except FileNotFoundError:
                place.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(place, flags, mode)
        except (FileExistsError, NotADirectoryError) as error:
            raise self._refusal(f"{path!r} is a file and a folder at once") from error
        os.fchmod(descriptor, mode)
        return os.fdopen(descriptor, "wb")

    def _find_dist_info(self) -> str:
        found = {
            member.filename.partition("/")[0]
            for member in self._members
            if member.filename.endswith(".dist-info/WHEEL")
            and member.filename.count("/") == 1
        }
        if len(found) != 1:
            reason = f"it has {len(found)} .dist-info folders instead of one"
            raise self._refusal(reason)
        return found.pop()

    def _read(self, name: str) -> bytes:
        try:
            return self._archive.read(f"{self._dist_info}/{name}")
        except KeyError as error:
            raise self._refusal(f"it has no {name}") from error

    def _read_record(self) -> dict[str, Row]:
        try:
            return parse_record(self._read("RECORD"))
        except InvalidRecordFile as error:
            raise self._refusal(f"its RECORD is wrong: {error}") from error

    def _refusal(self, reason: str) -> WheelRefused:
        return WheelRefused(self._filename, reason)


def _copy(source: IO[bytes], file: IO[bytes], hasher: hashlib._Hash | None) -> None:
    while chunk := source.read(_CHUNK):
        file.write(chunk)
        if hasher is not None:
            hasher.update(chunk)
