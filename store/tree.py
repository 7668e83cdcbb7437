"""Trees: a folder as a value, its canonical listing and its Merkle digest.

A listing names each entry of one folder in bytewise order of the names' UTF-8 form
(bytes that are not UTF-8 stand as lone surrogates, PEP 383), with its kind and the
digest or link target. It is JSON without blanks, all outside ASCII escaped:

    [["bin","d","<hex>"],["a.txt","f","<hex>"],["run","x","<hex>"],["l","l","a.txt"]]

Kinds: `f` file, `x` executable file, `l` symbolic link, `d` folder. Times, owners
and every mode bit but the executable one are no part of a tree.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.store.digest import TREE_CONTEXT, Digest, derived_digest
from fromager.store.errors import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_DEPTH: Final = 512
"""Folders may nest so deep; deeper ones are refused, not followed."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file by content; two files with equal content are equal."""

    digest: Digest
    executable: bool = False
    size: int = field(default=0, compare=False)
    """Bytes; known where the file was read, and no part of any digest."""


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, never followed."""

    target: str


@dataclass(frozen=True)
class Directory:
    """A folder: names and what they stand for, in canonical order."""

    entries: tuple[tuple[str, Node], ...]

    @classmethod
    def of(cls, entries: Mapping[str, Node]) -> Directory:
        """The folder with these entries.

        Raises:
            InvalidRecord: a name that cannot stand in a folder.
        """
        for name in entries:
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise InvalidRecord("tree", f"{name!r} cannot be an entry's name")
        return cls(tuple(sorted(entries.items(), key=lambda item: _bytes(item[0]))))

    @cached_property
    def digest(self) -> Digest:
        """The Merkle digest: of this listing, which holds those of the folders below."""
        return derived_digest(TREE_CONTEXT, listing(self))

    def get(self, path: str) -> Node | None:
        """What lies at a relative path with `/` between names, or None."""
        node: Node = self
        for part in path.split("/"):
            if not isinstance(node, Directory):
                return None
            found = dict(node.entries).get(part)
            if found is None:
                return None
            node = found
        return node

    def walk(self, prefix: str = "") -> Iterator[tuple[str, File | Link]]:
        """All files and links below, as (relative path, node), in canonical order."""
        for name, node in self.entries:
            if isinstance(node, Directory):
                yield from node.walk(f"{prefix}{name}/")
            else:
                yield f"{prefix}{name}", node

    @property
    def size(self) -> int:
        """The sum of the sizes of all files below, in bytes."""
        return sum(node.size for _, node in self.walk() if isinstance(node, File))


Node: TypeAlias = File | Link | Directory


def node_digest(node: File | Directory) -> Digest:
    """The digest of what a store object holds."""
    return node.digest


def listing(directory: Directory) -> bytes:
    """The canonical listing of one folder; its digest is the folder's."""
    return json.dumps(
        [_row(name, node) for name, node in directory.entries],
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode("ascii")


def from_paths(nodes: Iterable[tuple[str, Node]]) -> Directory:
    """The tree in which each node lies at its relative path.

    Raises:
        InvalidRecord: two nodes at one path, or a path below something that is no
            folder.
    """
    root: dict[str, Node | dict[str, object]] = {}
    for path, node in nodes:
        *parents, name = path.split("/")
        here: dict[str, object] = root  # type: ignore[assignment]
        for parent in parents:
            below = here.setdefault(parent, {})
            if not isinstance(below, dict):
                raise InvalidRecord("tree", f"{path}: {parent} is no folder")
            here = below
        if name in here:
            raise InvalidRecord("tree", f"{path} is there twice")
        here[name] = node
    return _freeze(root)


def _freeze(entries: Mapping[str, object]) -> Directory:
    return Directory.of(
        {
            name: _freeze(node) if isinstance(node, dict) else node  # type: ignore[misc]
            for name, node in entries.items()
        }
    )


def dump_node(node: Node) -> object:
    """A node with all below it, as JSON values; `load_node` reads it back."""
    match node:
        case File(digest, executable, size):
            return ["x" if executable else "f", digest.hex, size]
        case Link(target):
            return ["l", target]
        case Directory(entries):
            return ["d", {name: dump_node(child) for name, child in entries}]


def load_node(value: object, depth: int = 0) -> Node:
    """The node that `dump_node` wrote.

    Raises:
        InvalidRecord: anything that `dump_node` cannot have written.
    """
    if depth > MAX_DEPTH:
        raise InvalidRecord("tree", f"folders nest deeper than {MAX_DEPTH}")
    match value:
        case ["f" | "x" as kind, str(digest), int(size)] if size >= 0:
            return File(Digest.parse(f"blake3:{digest}"), kind == "x", size)
        case ["l", str(target)]:
            return Link(target)
        case ["d", dict(entries)]:
            return Directory.of(
                {
                    str(name): load_node(child, depth + 1)
                    for name, child in entries.items()
                }
            )
    raise InvalidRecord("tree", f"{str(value)[:60]!r} is no node")


def _row(name: str, node: Node) -> list[str]:
    match node:
        case File(digest, executable):
            return [name, "x" if executable else "f", digest.hex]
        case Link(target):
            return [name, "l", target]
        case Directory():
            return [name, "d", node.digest.hex]


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
