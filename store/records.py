"""Records: what is known of an object, on disk beside it.

Canonical JSON: keys sorted, no blanks, all outside ASCII escaped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.store.errors import InvalidRecord
from fromager.store.path import StorePath
from fromager.store.realisation import NOT_A_RECORD
from fromager.store.tree import Directory, File, dump_node, load_node

if TYPE_CHECKING:
    from fromager.store.digest import Digest

RECORD_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """An object's path, what it refers to and all that it holds."""

    path: StorePath
    references: tuple[StorePath, ...]
    content: File | Directory

    def __post_init__(self) -> None:
        if self.path != StorePath.of(self.content.digest, self.path.name):
            raise InvalidRecord(
                f"record of {self.path}", "the content listed is not that object's"
            )
        if len(set(self.references)) < len(self.references):
            raise InvalidRecord(f"record of {self.path}", "a reference is there twice")

    @property
    def digest(self) -> Digest:
        """The digest of the content."""
        return self.content.digest

    @property
    def kind(self) -> str:
        """`blob` or `tree`."""
        return "tree" if isinstance(self.content, Directory) else "blob"


def dump_record(record: ObjectRecord) -> bytes:
    """The canonical JSON of a record."""
    return json.dumps(
        {
            "version": RECORD_VERSION,
            "path": str(record.path),
            "digest": str(record.digest),
            "kind": record.kind,
            "size": record.content.size,
            "references": [str(path) for path in record.references],
            "content": dump_node(record.content),
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode("ascii")


def load_record(content: bytes) -> ObjectRecord:
    """The record that `dump_record` wrote; its digest is checked against its content.

    Raises:
        InvalidRecord: any other bytes, a newer version included.
    """
    try:
        value = json.loads(content)
        if value["version"] != RECORD_VERSION:
            raise InvalidRecord("record", f"version {value['version']} is unknown")
        node = load_node(value["content"])
        path = StorePath.parse(value["path"])
        references = tuple(
            sorted(StorePath.parse(text) for text in value["references"])
        )
        digest, kind = value["digest"], value["kind"]
    except NOT_A_RECORD as error:
        raise InvalidRecord("record", f"not a record: {error}") from error
    if not isinstance(node, File | Directory):
        raise InvalidRecord(f"record of {path}", "a link is no object")
    record = ObjectRecord(path, references, node)
    if (digest, kind) != (str(record.digest), record.kind):
        raise InvalidRecord(f"record of {path}", "its digest or kind is wrong")
    if dump_record(record) != content:
        raise InvalidRecord(f"record of {path}", "it is not in canonical form")
    return record
