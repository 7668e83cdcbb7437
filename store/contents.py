"""What objects hold, read from their records and places, and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.store.digest import blob_digest
from fromager.store.durability import storage_error
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


def read_content(layout: StoreLayout, path: StorePath) -> File | Directory:
    """What a valid object holds, from its record.

    Raises:
        ObjectDamaged: its record is not the one that was written.
        StoreUnavailable: it may not be read.
    """
    place = layout.record(path)
    try:
        record = load_record(place.read_bytes())
    except PermissionError as error:
        raise storage_error(layout.root, error) from error
    except (OSError, InvalidRecord) as error:
        raise ObjectDamaged(place, "the object's record", str(error)) from error
    if record.path != path:
        raise ObjectDamaged(place, str(path), str(record.path))
    return record.content


def read_member(
    layout: StoreLayout, path: StorePath, content: File | Directory, member: str | None
) -> bytes:
    """The bytes of an object that holds this, or of a file in it.

    Raises:
        ObjectMissing: no such file in it.
        ObjectDamaged: the bytes on disk are not those of the record.
        StoreUnavailable: they may not be read.
        UnsupportedFile: it is a folder or a link.
    """
    node: Node | None = content
    if member is not None:
        node = content.get(member) if isinstance(content, Directory) else None
    named = str(path) if member is None else f"{path}/{member}"
    if node is None:
        raise ObjectMissing(named)
    if not isinstance(node, File):
        remedy = "Name a file in it" if isinstance(node, Directory) else None
        raise UnsupportedFile(Path(named), "it is no file", remedy)
    place = layout.object(path)
    if member is not None:
        place += b"/" + encode(member)
    return _checked(layout, Path(os.fsdecode(place)), node)


def _checked(layout: StoreLayout, place: Path, file: File) -> bytes:
    try:
        content = place.read_bytes()
    except PermissionError as error:
        raise storage_error(layout.root, error) from error
    except OSError as error:
        raise ObjectDamaged(place, str(file.digest), str(error)) from error
    if (actual := blob_digest(content)) != file.digest:
        raise ObjectDamaged(place, str(file.digest), str(actual))
    return content
