"""Putting something in the place of something else, at one instant."""

from __future__ import annotations

import ctypes
import os
from errno import EINVAL, ENOSYS, ENOTSUP
from typing import Final

_EXCHANGE: Final = 2
_HERE: Final = -100
"""`AT_FDCWD`: paths are taken as they are."""


def exchange(one: bytes, other: bytes) -> None:
    """Swap what lies at two paths of one file system: renameat2(2), RENAME_EXCHANGE.

    Where the kernel, the C library or the file system lacks it, three renames do the
    same; nothing lies at `other` for an instant then, and for good if this process
    dies just there.
    """
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is not None:
        if swap(_HERE, one, _HERE, other, _EXCHANGE) == 0:
            return
        error = ctypes.get_errno()
        if error not in (EINVAL, ENOSYS, ENOTSUP):
            raise OSError(error, os.strerror(error), one, None, other)
    aside = one + b".aside"
    os.rename(other, aside)
    os.rename(one, other)
    os.rename(aside, one)
