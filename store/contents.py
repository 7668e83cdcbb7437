"""Reading records and files of objects, checked against what they must be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.store.digest import blob_digest
from fromager.store.errors import (
    InvalidRecord,
    ObjectDamaged,
    ObjectMissing,
    UnsupportedFile,
)
from fromager.store.records import load_record
from fromager.store.tree import Directory, File, encode

if TYPE_CHECKING:
    from fromager.store.layout import StoreLayout
    from fromager.store.path import StorePath
    from fromager.store.tree import Node


def read_tree(layout: StoreLayout, path: StorePath) -> File | Directory:
    """What an object holds, from its record.

    Raises:
        ObjectDamaged: its record is not the one that was written.
    """
    place = layout.record(path)
    try:
        record = load_record(place.read_bytes())
    except (OSError, InvalidRecord) as error:
        raise ObjectDamaged(place, "the object's record", str(error)) from error
    if record.path != path:
        raise ObjectDamaged(place, str(path), str(record.path))
    return record.content


def read_file(
    layout: StoreLayout, path: StorePath, content: File | Directory, member: str | None
) -> bytes:
    """The bytes of a blob, or of a file in a tree.

    Raises:
        ObjectMissing: no such file is in it.
        ObjectDamaged: the bytes on disk are not those of the record.
        UnsupportedFile: it is a folder or a link.
    """
    node: Node | None = content
    if member is not None:
        node = node.get(member) if isinstance(node, Directory) else None
    named = str(path) if member is None else f"{path}/{member}"
    if node is None:
        raise ObjectMissing(named)
    if not isinstance(node, File):
        raise UnsupportedFile(Path(named), "it is no file")
    place = Path(os.fsdecode(layout.object(path)))
    if member is not None:
        place = Path(os.fsdecode(os.fsencode(place) + b"/" + encode(member)))
    try:
        found = place.read_bytes()
    except OSError as error:
        raise ObjectDamaged(place, str(node.digest), str(error)) from error
    if (actual := blob_digest(found)) != node.digest:
        raise ObjectDamaged(place, str(node.digest), str(actual))
    return found
