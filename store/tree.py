"""Trees: a folder as a value, its canonical listing and its Merkle digest.

A listing names each entry of one folder in bytewise order of the names' UTF-8 form
(bytes that are not UTF-8 stand as lone surrogates, PEP 383), with its kind and the
digest or link target. It is JSON without blanks, all outside ASCII escaped:

    [["bin","d","<hex>"],["a.txt","f","<hex>"],["run","x","<hex>"],["l","l","a.txt"]]

Kinds: `f` file, `x` executable file, `l` symbolic link, `d` folder. Times, owners
and every mode bit but the executable one are no part of a tree.

Nothing here recurses: folders may nest deeper than Python's stack.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

from fromager.store.digest import TREE_CONTEXT, Digest, derived_digest
from fromager.store.errors import InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_DEPTH: Final = 512
"""Folders may nest so deep; deeper ones are refused, not followed."""

NAME_BYTES: Final = 255
"""The longest name of an entry that file systems can hold, in bytes."""

LINK_BYTES: Final = 4095
"""The longest target of a symbolic link, in bytes."""


@dataclass(frozen=True, slots=True)
class File:
    """A regular file by content; two files with equal content are equal."""

    digest: Digest
    executable: bool = False
    size: int = field(default=0, compare=False)
    """Bytes; known where the file was read, and no part of any digest."""

    def __hash__(self) -> int:
        return hash(self.digest.raw)


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, never followed."""

    target: str


@dataclass(frozen=True, eq=False)
class Directory:
    """A folder: names and what they stand for, in canonical order.

    Two are equal if their digests are.
    """

    entries: tuple[tuple[str, Node], ...]

    @classmethod
    def of(cls, entries: Mapping[str, Node]) -> Directory:
        """The folder with these entries.

        Raises:
            InvalidRecord: a name or link target that no folder can hold.
        """
        for name, node in entries.items():
            _check_entry(name, node)
        return cls(tuple(sorted(entries.items(), key=lambda item: encode(item[0]))))

    @cached_property
    def digest(self) -> Digest:
        """The Merkle digest: of this listing, which holds those of the folders below."""
        for _, directory in reversed(tuple(self.directories())):
            if "digest" not in directory.__dict__:
                digest = derived_digest(TREE_CONTEXT, listing(directory))
                directory.__dict__["digest"] = digest
        found: Digest = self.__dict__["digest"]
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Directory) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

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

    def nodes(self) -> Iterator[tuple[str, Node]]:
        """All that lies below, as (relative path, node), in canonical order.

        A folder comes before what is in it.
        """
        stack = [("", iter(self.entries))]
        while stack:
            prefix, entries = stack[-1]
            for name, node in entries:
                yield f"{prefix}{name}", node
                if isinstance(node, Directory):
                    stack.append((f"{prefix}{name}/", iter(node.entries)))
                    break
            else:
                stack.pop()

    def directories(self) -> Iterator[tuple[str, Directory]]:
        """This folder, as path "", and all folders below; parents first."""
        pending = [("", self)]
        while pending:
            path, directory = pending.pop()
            yield path, directory
            prefix = f"{path}/" if path else ""
            # Most entries are files: they are passed over quickly.
            pending += [
                (prefix + name, node)
                for name, node in reversed(directory.entries)
                if isinstance(node, Directory)
            ]

    def walk(self, prefix: str = "") -> Iterator[tuple[str, File | Link]]:
        """All files and links below, as (relative path, node), in canonical order."""
        for path, node in self.nodes():
            if not isinstance(node, Directory):
                yield f"{prefix}{path}", node

    @cached_property
    def size(self) -> int:
        """The sum of the sizes of all files below, in bytes."""
        return sum(
            node.size
            for _, directory in self.directories()
            for _, node in directory.entries
            if isinstance(node, File)
        )


Node: TypeAlias = File | Link | Directory


def node_digest(node: File | Directory) -> Digest:
    """The digest of what a store object holds."""
    return node.digest


def members_by_file(content: File | Directory) -> dict[File, list[str]]:
    """The files of an object, and where each of them is: relative paths, "" for a blob."""
    if isinstance(content, File):
        return {content: [""]}
    found: dict[File, list[str]] = {}
    for path, node in content.walk():
        if isinstance(node, File):
            found.setdefault(node, []).append(path)
    return found


def listing(directory: Directory) -> bytes:
    """The canonical listing of one folder; its digest is the folder's."""
    return json.dumps(
        [_row(name, node) for name, node in directory.entries],
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode("ascii")


def from_paths(nodes: Iterable[tuple[str, Node]]) -> Directory:
    """The tree in which each node lies at its relative path.

    Folders on the way need not be given.

    Raises:
        InvalidRecord: two nodes at one path, or a path below something that is no
            folder.
    """
    below: dict[str, dict[str, Node]] = {"": {}}
    for path, node in nodes:
        parent, name = _split(path)
        _make_parents(below, parent)
        if name in below[parent] or path in below:
            raise InvalidRecord("tree", f"{path} is there twice")
        below[parent][name] = node
    return assemble(below)


def _split(path: str) -> tuple[str, str]:
    """The path of the folder in which something lies, and its name there."""
    parent, slash, name = path.rpartition("/")
    if slash and not parent:
        raise InvalidRecord("tree", f"{path[:60]!r} is no relative path")
    return parent, name


def _make_parents(below: dict[str, dict[str, Node]], path: str) -> None:
    missing = []
    while path not in below:
        missing.append(path)
        path = path.rpartition("/")[0]
    for new in reversed(missing):
        parent, _, name = new.rpartition("/")
        if name in below[parent]:
            raise InvalidRecord("tree", f"{new} is no folder, or is there twice")
        below[new] = {}


def assemble(below: dict[str, dict[str, Node]]) -> Directory:
    """The tree of these folders' entries, by path; each folder comes after its parent.

    They are used up.
    """
    for path in reversed([path for path in below if path]):
        parent, _, name = path.rpartition("/")
        below[parent][name] = Directory.of(below.pop(path))
    return Directory.of(below[""])


def dump_node(node: Node) -> list[list[str | int]]:
    """A node with all below it, as rows of JSON values; `load_node` reads it back.

    The first row is the node itself, at path "". A folder comes before what is in it.
    """
    rows = [_dump_row("", node)]
    if isinstance(node, Directory):
        rows += [_dump_row(path, child) for path, child in node.nodes()]
    return rows


def load_node(rows: object) -> Node:
    """The node that `dump_node` wrote.

    Raises:
        InvalidRecord: anything that `dump_node` cannot have written.
    """
    if not isinstance(rows, list) or not rows:
        raise InvalidRecord("tree", "it is no list of rows")
    try:
        path, kind, *values = rows[0]
        others = rows[1:]
        if path != "" or (kind == "d" and values) or (kind != "d" and others):
            raise InvalidRecord("tree", "the first row is not its root")
        if kind != "d":
            return _load_leaf(kind, values)
        return assemble(_load_folders(others))
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidRecord("tree", f"not rows of nodes: {error}") from error


def _load_folders(rows: Iterable[Sequence[object]]) -> dict[str, dict[str, Node]]:
    below: dict[str, dict[str, Node]] = {"": {}}
    for path, kind, *values in rows:
        if not isinstance(path, str):
            raise InvalidRecord("tree", f"{path!r:.60} is no path")
        parent, name = _split(path)
        if parent not in below or name in below[parent] or path in below:
            raise InvalidRecord("tree", f"{path[:60]!r} is misplaced")
        if kind != "d":
            below[parent][name] = _load_leaf(kind, values)
        elif values or not name or path.count("/") >= MAX_DEPTH:
            raise InvalidRecord("tree", f"{path[:60]!r} is no proper folder")
        else:
            below[path] = {}
    return below


def _load_leaf(kind: object, values: Sequence[object]) -> File | Link:
    if kind in ("f", "x"):
        digest, size = values
        if type(digest) is str and type(size) is int and size >= 0:
            return File(_parse_hex(digest), kind == "x", size)
    elif kind == "l":
        (target,) = values
        if type(target) is str:
            return Link(target)
    raise InvalidRecord("tree", f"{[kind, *values]!r:.60} is no node")


def _parse_hex(text: str) -> Digest:
    raw = bytes.fromhex(text)
    if raw.hex() != text:
        raise InvalidRecord("tree", f"{text!r:.80} is no digest")
    return Digest(raw)


def _dump_row(path: str, node: Node) -> list[str | int]:
    # Nearly all are files, and there are many: a match takes twice as long.
    if isinstance(node, File):
        return [path, "x" if node.executable else "f", node.digest.raw.hex(), node.size]
    return [path, "l", node.target] if isinstance(node, Link) else [path, "d"]


def _row(name: str, node: Node) -> list[str]:
    if isinstance(node, File):
        return [name, "x" if node.executable else "f", node.digest.raw.hex()]
    if isinstance(node, Link):
        return [name, "l", node.target]
    return [name, "d", node.digest.hex]


def _check_entry(name: str, node: Node) -> None:
    if name in ("", ".", "..") or "/" in name:
        raise InvalidRecord("tree", f"{name!r} cannot be an entry's name")
    _check_bytes(name, NAME_BYTES, "an entry's name")
    if isinstance(node, Link):
        _check_bytes(node.target, LINK_BYTES, "a link's target")


def _check_bytes(text: str, limit: int, what: str) -> None:
    """Refuse what no file system holds, or what would be the same bytes as other text."""
    if not text or "\0" in text:
        raise InvalidRecord("tree", f"{text!r} cannot be {what}")
    if text.isascii():
        length = len(text)
    else:
        try:
            content = encode(text)
        except UnicodeEncodeError as error:
            raise InvalidRecord("tree", f"{text!r} cannot be {what}") from error
        if decode(content) != text:
            raise InvalidRecord("tree", f"{text!r} is not the canonical form of {what}")
        length = len(content)
    if length > limit:
        raise InvalidRecord("tree", f"{text[:60]!r}… is too long for {what}")


def encode(name: str) -> bytes:
    """The bytes of a name or link target, the same in every locale."""
    return name.encode("utf-8", "surrogateescape")


def decode(name: bytes) -> str:
    """The name or link target with these bytes; inverse of `encode`."""
    return name.decode("utf-8", "surrogateescape")
