"""Small stores with roots and garbage, and looking at what is in them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fromager.store import Directory, File, Member, Realisation, blob_digest
from fromager.store.layout import blob_name
from fromager.store.staging import MTIME

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fromager.store import Digest, LocalStore, ObjectInfo, StorePath


def key(text: str) -> Digest:
    """A key that is named so."""
    return blob_digest(f"key of {text}".encode())


def add(
    store: LocalStore,
    name: str,
    *contents: bytes,
    references: Iterable[StorePath] = (),
) -> ObjectInfo:
    """An object: a tree with so many files, or a blob of its name without any."""
    with store.transaction() as transaction:
        if not contents:
            return transaction.add_bytes(name.encode(), name, references=references)
        files = {
            f"f{number}": transaction.put_blob(content)
            for number, content in enumerate(contents)
        }
        return transaction.add_tree(Directory.of(files), name, references=references)


def claim(
    store: LocalStore,
    name: str,
    output: ObjectInfo,
    *inputs: str,
    started: int = 1,
    purpose: str = "build",
) -> ObjectInfo:
    """The derivation of a build with the key `name`, which gave that output."""
    with store.transaction() as transaction:
        drv = transaction.add_bytes(f"{name} {started}".encode(), f"{name}.drv")
        transaction.register(
            Realisation(
                *(key(name), drv.path, "wheel", name, output.path, output.digest),
                started=started,
                facts=(("purpose", purpose),),
                inputs=tuple((f"input {each}", key(each)) for each in sorted(inputs)),
            )
        )
    return drv


def root(store: LocalStore, name: str, *objects: ObjectInfo) -> None:
    """The next generation of a named root, which holds these."""
    store.add_generation(name, [Member(each.path.name, each.path) for each in objects])


def here(store: LocalStore) -> set[str]:
    """The names of all valid objects."""
    return {info.path.name for info in store.objects()}


def stray(store: LocalStore) -> list[str]:
    """Files of objects, records and blobs that nothing valid accounts for.

    Found without the code that collects garbage.
    """
    valid = store.objects()
    private = store.root / ".fromager"
    expected = {f"records/{info.path}.json" for info in valid}
    for info in valid:
        expected |= {f"blobs/{name[:2]}/{name[2:]}" for name in _blobs(store, info)}
    found = {
        str(path.relative_to(private))
        for folder in ("blobs", "records", "trash", "pins", "staging", "scratch")
        for path in (private / folder).rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    found |= {path.name for path in store.root.iterdir()}
    expected |= {str(info.path) for info in valid} | {".fromager"}
    missing = [f"missing {name}" for name in expected - found]
    return sorted([*(found - expected), *missing])


def _blobs(store: LocalStore, info: ObjectInfo) -> Iterable[str]:
    tree = store.tree(info.path)
    if isinstance(tree, File):
        return [blob_name(tree).decode()]
    return [
        blob_name(node).decode() for _, node in tree.nodes() if isinstance(node, File)
    ]


def on_disk(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all below a store, to tell whether anything was changed.

    But for the log of SQLite: whoever reads makes it, if it is not there.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name == ".fromager" or path.name.startswith("db.sqlite-"):
            continue
        status = os.lstat(path)
        found[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return found


def orphan(root: Path, content: bytes) -> Path:
    """A blob of a store's pool that no object has, as a crash leaves it; its place."""
    digits = blob_digest(content).hex
    place = root / ".fromager" / "blobs" / digits[:2] / digits[2:]
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    place.chmod(0o444)
    os.utime(place, ns=MTIME)
    return place
