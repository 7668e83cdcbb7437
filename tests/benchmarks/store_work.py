"""What the benchmark of the store works on: files to add, and graphs of objects."""

import itertools
import os
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fromager.store import StorePath, blob_digest, open_store

TREE_FILES: Final = 20_000
TREE_BYTES: Final = 401_000_000
TREE_FOLDERS: Final = 200
LARGE_BYTES: Final = 1_000_000_000
OBJECTS: Final = 200
OBJECT_FILES: Final = 250
OBJECT_BYTES: Final = 10_200_000

_POOL: Final = 1 << 22


def make_tree(top: Path, files: int, size: int, folders: int, seed: int = 7) -> None:
    """Files of log-normal sizes, seven of ten like text, none equal to another."""
    rng = random.Random(seed)
    weights = [rng.lognormvariate(0, 1.5) for _ in range(files)]
    scale = size / sum(weights)
    words = " ".join(f"{rng.getrandbits(20):x}" for _ in range(_POOL // 5)).encode()
    noise = rng.randbytes(_POOL)
    for folder in range(folders):
        (top / f"folder{folder:03}").mkdir(parents=True)
    for number, weight in enumerate(weights):
        source = words if rng.random() < 0.7 else noise
        wanted, start = max(16, int(weight * scale)), rng.randrange(_POOL // 2)
        content = bytearray(b"%d %d " % (seed, number))
        while len(content) < wanted:
            content += source[start : start + wanted - len(content)]
        place = top / f"folder{number % folders:03}" / f"file{number}"
        place.write_bytes(content)


def make_large(place: Path, size: int = LARGE_BYTES) -> None:
    """One file that does not compress."""
    rng = random.Random(7)
    with place.open("wb") as stream:
        while size:
            size -= stream.write(rng.randbytes(min(size, 1 << 24)))


def make_objects(top: Path) -> list[Path]:
    """50,000 files, 2 GB, in 200 folders that become objects."""
    found = []
    for number in range(OBJECTS):
        folder = top / f"object{number:03}"
        make_tree(folder, OBJECT_FILES, OBJECT_BYTES, 5, seed=number)
        found.append(folder)
    return found


def closure_seconds(folder: Path, objects: int) -> float:
    """How long the closure of so many made-up objects takes: a tree and random edges."""
    rng = random.Random(objects)
    paths = [StorePath.of(blob_digest(b"%d" % n), f"o{n}") for n in range(objects)]
    with open_store(folder):
        pass
    database = folder / ".fromager" / "db.sqlite"
    with sqlite3.connect(database) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(objects)")]
        known = (
            "id",
            "path",
            "name",
            "digest",
            "kind",
            "size",
            "registered",
            "last_used",
        )
        assert set(known) <= set(columns)
        connection.executemany(
            f"INSERT INTO objects ({', '.join(known)}) VALUES (?,?,?,?,'blob',1,1,1)",
            (
                (number + 1, str(path), path.name, f"{number:064x}")
                for number, path in enumerate(paths)
            ),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO refs (referrer, reference) VALUES (?, ?)",
            _edges(rng, objects),
        )
    connection.close()
    with open_store(folder, create=False) as store:
        started = time.perf_counter()
        reached = store.closure([paths[0]])
        seconds = time.perf_counter() - started
    assert len(reached) == objects
    return seconds


def _edges(rng: random.Random, objects: int) -> Iterator[tuple[int, int]]:
    """Pairs of numbers from one on: the first reaches all of them in a few steps."""
    for number in range(2, objects + 1):
        yield (number + 2) // 4, number
        yield rng.randrange(1, number), number


def main() -> None:
    """`python -m benchmarks.store_work FOLDER OBJECTS…` prints seconds, line by line."""
    folder, *sizes = sys.argv[1:]
    for number, size in zip(itertools.count(), sizes, strict=False):
        print(closure_seconds(Path(folder) / f"{number}-{os.getpid()}", int(size)))


if __name__ == "__main__":
    main()
