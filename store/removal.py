"""Removing folders that were made to resist it: read-only, mode 0, or very deep."""

from __future__ import annotations

import os
from contextlib import suppress
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final

from fromager.store.effects import no_effect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LONG: Final = 3000
"""From here on a path is too long to be given to the system with more names."""


def remove_tree(path: Path | bytes, effect: Callable[[str], None] = no_effect) -> None:
    """Remove a file, or a folder with all below it; what is not there is fine.

    Links are removed, never followed.
    """
    top = os.fsencode(path)
    try:
        status = os.lstat(top)
    except FileNotFoundError:
        return
    if not S_ISDIR(status.st_mode):
        effect("remove file")
        os.unlink(top)
        return
    for folder in reversed(_emptied(top, effect)):
        effect("remove folder")
        os.rmdir(folder)


def _emptied(top: bytes, effect: Callable[[str], None]) -> list[bytes]:
    """The folders below, parents first, after all else in them was removed."""
    found: list[bytes] = []
    pending = [top]
    while pending:
        folder = pending.pop()
        found.append(folder)
        with suppress(PermissionError):
            os.chmod(folder, 0o700)
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    effect("remove file")
                    os.unlink(entry.path)
                elif len(entry.path) < _LONG:
                    pending.append(entry.path)
                else:
                    effect("lift folder")
                    pending.append(_lifted(top, entry.path, len(found)))
    return found


def _lifted(top: bytes, folder: bytes, number: int) -> bytes:
    """The folder, moved to where its path is short."""
    with suppress(PermissionError):
        os.chmod(folder, 0o700)
    while True:
        target = b"%b/.deep-%d" % (top, number)
        if not os.path.lexists(target):
            os.rename(folder, target)
            return target
        number += 1
