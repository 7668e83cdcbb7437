"""Compiles a folder of modules to bytecode that never changes.

    python -S -s bytecode.py FOLDER FINAL

A script for the target interpreter, 3.9 or newer: it is not imported by fromager.
Every `.py` file below FOLDER gets an unchecked hash-based pyc (PEP 552) beside it, with
FINAL in place of FOLDER in all that it says about paths. Files that do not compile are
passed over. PYTHONHASHSEED must be set and be heeded (no -I, no -E).

The bytes depend on the source, FINAL and the interpreter alone: not on the order, nor
on what else was compiled before.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
import warnings
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

UNCHECKED_HASH = b"\1\0\0\0"
# Before 3.11 marshal tells shared objects by their count of references, which other
# code in the process has a part in. Format 2 knows no shared objects.
FORMAT = marshal.version if sys.version_info >= (3, 11) else 2
# What one module may do to the compiler.
FAILURES = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)


def modules(folder: str) -> Iterator[tuple[str, str]]:
    """All modules below a folder as (their folder, file name), in a fixed order."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from modules(entry.path)
            elif entry.name.endswith(".py") and entry.is_file(follow_symlinks=False):
                yield folder, entry.name


def pyc(source: bytes, path: str) -> bytes:
    """The bytes of the pyc of a module that will lie at a path."""
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    digest = _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), source)
    return MAGIC_NUMBER + UNCHECKED_HASH + digest + marshal.dumps(code, FORMAT)


def read(path: str) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as file:
        return file.read()


def write(path: str, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
        file.write(content)


def main(folder: str, final: str) -> None:
    if sys.version_info < (3, 11) and sys.flags.hash_randomization:
        sys.exit("bytecode.py: sets have no fixed order; set PYTHONHASHSEED=0")
    warnings.simplefilter("ignore")
    # One-character strings are shared by all code. Whether they are interned, which
    # marshal writes down, must not depend on who used them first.
    interned = [sys.intern(character) for character in ("", *map(chr, range(256)))]
    done = ""
    for parent, name in modules(folder):
        source = read(f"{parent}/{name}")
        try:
            content = pyc(source, f"{final}{parent[len(folder) :]}/{name}")
        except FAILURES:
            continue
        cache = f"{parent}/__pycache__"
        if cache != done and not os.access(cache, os.F_OK):
            os.mkdir(cache)  # noqa: PTH102 (pathlib would take longer than the work)
        done = cache
        write(f"{cache}/{name[:-3]}.{sys.implementation.cache_tag}.pyc", content)
    del interned


if __name__ == "__main__":
    main(*(argument.rstrip("/") for argument in sys.argv[1:]))
