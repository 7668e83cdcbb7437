"""Trees for tests: drawn, written to disk, and read back by other code than ours."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from blake3 import blake3
from hypothesis import strategies as st

from fromager.store import Digest, Directory, File, Link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.store import LocalStore, Node


@dataclass(frozen=True)
class Program:
    """An executable file of a sketch."""

    content: bytes


Sketch: TypeAlias = "bytes | Program | Link | dict[str, Sketch]"
"""A folder in a few words: bytes are a file."""


def names() -> st.SearchStrategy[str]:
    """Names as a file system may hold them, also such that are no UTF-8."""
    return (
        st.binary(min_size=1, max_size=12)
        .filter(lambda raw: raw not in (b".", b"..") and not set(raw) & {0, 47})
        .map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    )


def sketches() -> st.SearchStrategy[dict[str, Sketch]]:
    """Small folders with files, programs, links and folders, also empty ones."""
    contents = st.binary(max_size=20)
    leaves: st.SearchStrategy[Sketch] = st.one_of(
        contents, contents.map(Program), names().map(Link)
    )

    def folders(children: st.SearchStrategy[Sketch]) -> st.SearchStrategy[Sketch]:
        return st.dictionaries(names(), children, max_size=4)

    return st.dictionaries(
        names(), st.recursive(leaves, folders, max_leaves=8), max_size=5
    )


def tree_of(sketch: dict[str, Sketch]) -> Directory:
    """The tree that a sketch stands for."""
    return Directory.of({name: _node(child) for name, child in sketch.items()})


def _node(sketch: Sketch) -> Node:
    match sketch:
        case bytes():
            return File(Digest(blake3(sketch).digest()), False, len(sketch))
        case Program(content):
            return File(Digest(blake3(content).digest()), True, len(content))
        case Link():
            return sketch
        case _:
            return tree_of(sketch)


def write_sketch(folder: Path, sketch: dict[str, Sketch]) -> Path:
    """Make the folder that a sketch stands for."""
    folder.mkdir(parents=True)
    for name, child in sketch.items():
        place = os.path.join(
            os.fsencode(folder), name.encode("utf-8", "surrogateescape")
        )
        match child:
            case bytes():
                _write(place, child, 0o644)
            case Program(content):
                _write(place, content, 0o755)
            case Link(target):
                os.symlink(target.encode("utf-8", "surrogateescape"), place)
            case _:
                write_sketch(folder / os.fsdecode(os.path.basename(place)), child)
    return folder


def _write(place: bytes, content: bytes, mode: int) -> None:
    with open(place, "wb") as stream:
        stream.write(content)
    os.chmod(place, mode)


def on_disk(place: bytes) -> Node:
    """What lies at a place, read in the plainest way."""
    if os.path.islink(place):
        return Link(os.readlink(place).decode("utf-8", "surrogateescape"))
    if os.path.isdir(place):
        return Directory.of(
            {
                name.decode("utf-8", "surrogateescape"): on_disk(place + b"/" + name)
                for name in os.listdir(place)
            }
        )
    with open(place, "rb") as stream:
        content = stream.read()
    executable = bool(os.stat(place).st_mode & 0o100)
    return File(Digest(blake3(content).digest()), executable, len(content))


def damages(store: LocalStore) -> Iterator[str]:
    """What is wrong with a store, found without its own code."""
    for info in store.objects():
        place = os.fsencode(info.path.below(store.root))
        if not os.path.lexists(place):
            yield f"{info.path} is not there"
        elif (node := on_disk(place)) != store.tree(info.path):
            yield f"{info.path} is not what its record says: {node}"
        else:
            yield from _loose_modes(place)
    pool = store.root / ".fromager" / "blobs"
    for path in pool.glob("*/*"):
        digits = f"{path.parent.name}{path.name.removesuffix('.x')}"
        if blake3(path.read_bytes()).hexdigest() != digits:
            yield f"blob {digits} holds other bytes"


def _loose_modes(place: bytes) -> Iterator[str]:
    found = [place]
    for folder, folders, files in os.walk(place):
        found += [folder + b"/" + name for name in (*folders, *files)]
    for path in found:
        status = os.lstat(path)
        mode = status.st_mode & 0o7777
        if not os.path.islink(path) and mode not in (0o444, 0o555):
            yield f"{path!r} has mode {mode:o}"
        if status.st_mtime != 1:
            yield f"{path!r} has time {status.st_mtime}"


def leftovers(store: LocalStore) -> list[str]:
    """What lies in the places where nothing may stay after work is done."""
    private = store.root / ".fromager"
    return [
        str(path.relative_to(private))
        for folder in ("staging", "scratch")
        for path in (private / folder).iterdir()
    ]
