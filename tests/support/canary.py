"""A password that is looked for everywhere after it was used.

It holds what addresses must quote, so that it appears in several forms.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import sqlite3
import subprocess
import zlib
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.command_line import Outcome, Place

CANARY: Final = "c4n4ry-p@ss/word"
USER: Final = "canaryuser"
LOGIN: Final = f"{USER}:{quote(CANARY, safe='')}@"
"""What stands before the host of an address."""
FORMS: Final = tuple(
    form.encode()
    for form in (
        CANARY,
        quote(CANARY, safe=""),
        quote(CANARY),
        base64.b64encode(f"{USER}:{CANARY}".encode()).decode(),
        json.dumps(CANARY),
    )
)


def assert_hidden(
    place: Place, *outcomes: Outcome, given: tuple[str, ...] = ()
) -> None:
    """The password is in no output, and in no file below the store, nor below the
    folder of the place, where it was not `given` in a file or folder of that name.
    """
    for outcome in outcomes:
        for form in FORMS:
            assert form.decode() not in outcome.out + outcome.err
    assert _look(place.store, ()) > 20
    with closing(sqlite3.connect(place.store / ".fromager" / "db.sqlite")) as database:
        for (table,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
            assert all(form.decode() not in str(rows) for form in FORMS)
    _look(place.folder, given)


def _look(folder: Path, given: tuple[str, ...]) -> int:
    looked = 0
    for path in _files(folder, given):
        content = _bytes(path)
        looked += 1
        if content[:2] == b"\x1f\x8b":
            # Other tests keep archives here that are cut short.
            with suppress(EOFError, OSError, zlib.error):
                content += gzip.decompress(content)
        for form in FORMS:
            assert form not in content, path
            assert form.decode() not in path.name
    return looked


def _bytes(path: Path) -> bytes:
    """What a file holds; a database is read by another process.

    A process that closes a file loses all locks that it has on it (fcntl_locking(2)),
    and this one may still have that of a command open.
    """
    if not path.name.startswith("db.sqlite"):
        return path.read_bytes()
    done = subprocess.run(["cat", path], capture_output=True, check=False)
    # The log of a database is there only while somebody uses it.
    assert done.returncode == 0 or not path.exists()
    return done.stdout


def _files(folder: Path, given: tuple[str, ...]) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in given]
            names = [name for name in names if name not in given]
        for name in names:
            path = Path(place, name)
            if path.is_file() and not path.is_symlink():
                yield path
