"""A made-up index of a thousand packages, and what resolving all of them asks of it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.samples import MEGABYTE, Sample
from support.index import LocalIndex, local_index
from support.projects import sdist

PACKAGES: Final = 1_000
MEMORY: Final = 300 * MEGABYTE
"""Bytes that a resolution may take."""


def write_many(folder: Path, requirements: Path) -> None:
    """Packages in two versions each, every one of which needs two others."""
    for number in range(PACKAGES):
        below = [2 * number + 1, 2 * number + 2]
        needs = [f"pkg-{each}>=1" for each in below if each < PACKAGES]
        for version in ("1.0", "1.1"):
            name, content = sdist(f"pkg-{number}", version, dependencies=needs)
            (folder / name).write_bytes(content)
    requirements.write_text("pkg-0\n")


@contextmanager
def served_from(folder: Path) -> Iterator[LocalIndex]:
    """An index of the files in a folder, which knows what it was asked."""
    files = {path.name: path for path in sorted(folder.iterdir())}
    with local_index(files, cache_control="max-age=3600") as index:
        for name in files:
            index.sha256(name)
        yield index


def requests_since(index: LocalIndex) -> tuple[int, int]:
    """How many requests there were since it was last asked, and how many of them had
    been made before."""
    paths = Counter((each.method, each.path) for each in index.requests)
    index.requests.clear()
    return paths.total(), paths.total() - len(paths)


def findings(samples: list[Sample]) -> str:
    """Memory and requests of fromager beside what they may be."""
    lines = []
    for sample in samples:
        if sample.requests is None or sample.memory is None:
            continue
        lines.append(
            f"{sample.name}: {sample.memory / MEGABYTE:.0f} MB, at most "
            f"{MEMORY / MEGABYTE:.0f}; {sample.requests} requests, "
            f"{sample.repeated} of them repeated, at most 0"
        )
    return "\n".join(lines)
