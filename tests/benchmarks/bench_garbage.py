"""Measures how planning a collection of garbage grows with the store.

    PYTHONPATH=tests python -m benchmarks.bench_garbage [--objects N] [--blobs M]

The store is simulated: its database is real, the records and the pool are made up, so
that ten million blobs need no disk. A tenth of the objects is alive. What one look at
a real file of a pool costs is measured apart, and added.
"""

import argparse
import base64
import hashlib
import json
import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fromager.store import Policy, StorePath, blob_digest, open_store
from fromager.store.database import Database
from fromager.store.garbage import order
from fromager.store.layout import StoreLayout
from fromager.store.liveness import reach
from fromager.store.pool import Ledger, Pool, blob_names
from fromager.store.survey import take_census

SAMPLE: Final = 20_000
"""Files of a real pool that are looked at."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--blobs", type=int, default=10_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder) / "store"
        open_store(root).close()
        layout = StoreLayout(root)
        fill(layout.database, arguments.objects)
        each = arguments.blobs // arguments.objects
        seconds = measure(layout, arguments.objects, each)
        seconds["look at files"] = look(layout) * arguments.blobs * 9 // 10
    for name, value in seconds.items():
        print(f"{name:16} {value:6.1f} s")
    print(f"{'all':16} {sum(seconds.values()):6.1f} s")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{'memory':16} {memory / 1024:6.0f} MiB")


def measure(layout: StoreLayout, objects: int, each: int) -> dict[str, float]:
    """CPU seconds of each part of a plan."""
    clock = time.process_time
    database = Database(layout, writable=True)
    began = clock()
    census = take_census(database, Policy())
    loaded = clock()
    graph = census.graph
    alive = reach(graph, range(objects // 10))
    planned = order(graph, alive)
    ordered = clock()
    ledger = Ledger(links)
    making = 0.0
    for node in planned.nodes:
        start = clock()
        content = record(node, each)
        making += clock() - start
        ledger.remove(blob_names(content))
    counted = clock()
    return {
        "load the graph": loaded - began,
        "mark and order": ordered - loaded,
        "count blobs": counted - ordered - making,
    }


def links(name: bytes) -> tuple[int, int]:
    """Of every eight blobs, one is in three objects."""
    return (3 if name[0] < ord("2") else 1), 4096


def record(node: int, each: int) -> bytes:
    """What the record of a tree with so many files holds that matters."""
    seed = hashlib.sha256(str(node).encode())
    rows = []
    for number in range(each):
        seed.update(b"%d" % number)
        rows.append(f'["package/module{number}.py","f","{seed.hexdigest()}",4096]')
    return ",".join(rows).encode()


def fill(database: Path, objects: int) -> None:
    """Rows of objects, of three references each, and of a build for every second."""
    connection = sqlite3.connect(database)
    paths = [str(path) for path in store_paths(objects)]
    connection.executemany(
        "INSERT INTO objects VALUES (?, ?, ?, ?, 'tree', 1, 1, ?)",
        (
            (number, path, path[33:], hashlib.sha256(path.encode()).hexdigest(), number)
            for number, path in enumerate(paths)
        ),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO refs VALUES (?, ?)",
        (
            (number, number * each // 7)
            for number in range(1, objects)
            for each in (1, 3, 5)
        ),
    )
    connection.executemany(
        "INSERT INTO realisations (record, key, kind, subject, derivation, output,"
        " output_digest, level, started, registered, content)"
        " VALUES (?, ?, 'wheel', 'demo==1', ?, ?, '', 'full', 1, 1, ?)",
        (
            (
                *(str(number), key(number), paths[number - 1], paths[number]),
                record_of_build(number),
            )
            for number in range(1, objects, 2)
        ),
    )
    connection.commit()
    connection.close()


def record_of_build(number: int) -> bytes:
    inputs = {"a": key(number // 2), "b": key(number // 3)}
    return json.dumps({"inputs": inputs}).encode()


def store_paths(objects: int) -> Iterator[StorePath]:
    for number in range(objects):
        raw = hashlib.sha256(b"%d" % number).digest()[:20]
        yield StorePath(base64.b32encode(raw).decode().lower(), f"object-{number}")


def key(number: int) -> str:
    return str(blob_digest(b"%d" % number))


def look(layout: StoreLayout) -> float:
    """CPU seconds for one file of the pool."""
    pool = Pool(layout, lambda name: None)
    names = [hashlib.sha256(b"%d" % n).hexdigest().encode() for n in range(SAMPLE)]
    for name in names:
        place = Path(os.fsdecode(layout.pooled(name)))
        place.parent.mkdir(exist_ok=True)
        place.touch()
    began = time.process_time()
    for name in names:
        pool.links(name)
    return (time.process_time() - began) / SAMPLE


if __name__ == "__main__":
    main()
