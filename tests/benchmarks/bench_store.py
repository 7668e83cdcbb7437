"""Measures the store beside Nix's, in one interleaved run.

    PYTHONPATH=tests python -m benchmarks.bench_store [ROW ...]

The rows, all of them if none is named:

    tree       add 20,000 small files, 401 MB, to an empty store
    again      add them again, unchanged
    large      add one file of 1 GB to an empty store
    verify     read everything again, 2 GB in 50,000 files
    gc         remove 2,000 of 12,000 objects
    closure    of 200 and of 100,000 objects, made up, without Nix

Fromager is installed from this checkout as a user would have it; Nix is Debian's, and
installed where it is missing. Every round has stores of its own, in new folders, and
nothing is deleted before the end: where much was just deleted, ext4 takes many times
longer to make files.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.bench_realise import remove
from benchmarks.installation import install
from benchmarks.measuring import adopt_orphans
from benchmarks.nix_store import nix_store
from benchmarks.samples import Sample, cores, summary
from benchmarks.store_rows import ROWS, StoreSetting


@dataclass(frozen=True)
class Target:
    """What a row has to be; seconds for `closure`, else parts of Nix's wall time."""

    must: float
    aim: float | None = None


TARGETS: Final[Mapping[str, Target]] = {
    "tree": Target(1.0, 0.7),
    "again": Target(0.12),
    "large": Target(0.9, 0.7),
    "verify": Target(0.7, 0.5),
    "gc": Target(0.7, 0.4),
    "closure of 200": Target(0.02),
    "closure of 100000": Target(1.0),
}


def main() -> None:
    arguments = parse_arguments()
    adopt_orphans()
    nix = nix_store()
    state = Path(tempfile.mkdtemp(prefix="bench-", dir=arguments.state))
    samples: list[Sample] = []
    try:
        commands = install(state / "installed", arguments.python)
        setting = StoreSetting(state, commands, arguments.rounds, nix)
        for row in arguments.rows or ROWS:
            for sample in ROWS[row](setting):
                text = (
                    f"{sample.name:30} cpu {sample.cpu:.3f} s  wall {sample.wall:.3f} s"
                )
                print(text, file=sys.stderr, flush=True)
                samples.append(sample)
    finally:
        remove(state)
    print(summary(samples))
    print(ratios(samples))
    if arguments.json:
        result = {
            "python": arguments.python,
            "cores": cores(),
            "samples": [asdict(sample) for sample in samples],
        }
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--python", default=os.path.realpath(sys.executable), help="to measure with"
    )
    parser.add_argument("--state", type=Path, help="where stores are put")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(ROWS)
    if unknown:
        parser.error(f"there is no row {min(unknown)}; there are {', '.join(ROWS)}")
    return arguments


def ratios(samples: Sequence[Sample]) -> str:
    """A line for each row: the median over all rounds, beside what it has to be."""
    lines = [f"{'':20} {'wall':>8} {'cpu':>8}   must    aim"]
    for row, target in TARGETS.items():
        ours = [sample for sample in samples if sample.name == f"{row}: fromager"]
        theirs = [sample for sample in samples if sample.name == f"{row}: nix"]
        if not ours:
            continue
        walls, cpus = [each.wall or 0 for each in ours], [each.cpu for each in ours]
        unit = " s"
        if theirs:
            pairs = list(zip(ours, theirs, strict=True))
            walls = [(mine.wall or 0) / (nix.wall or 1) for mine, nix in pairs]
            cpus, unit = [mine.cpu / nix.cpu for mine, nix in pairs], " x"
        figures = statistics.median(walls), statistics.median(cpus), target.must
        text = "".join(f"{figure:7.3f}{unit}" for figure in figures)
        lines.append(f"{row:20} {text} {target.aim or '':>6}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    main()
