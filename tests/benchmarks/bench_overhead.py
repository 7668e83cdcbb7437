"""Measures what fromager costs beside the builds themselves.

    PYTHONPATH=tests python -m benchmarks.collect_sdists FOLDER
    PYTHONPATH=tests python -m benchmarks.bench_overhead --sdists FOLDER [PART ...]

The parts, all of them if none is named:

    commands   `--help`, `--version`, W2 with nothing to do (and uv's), the memory of
               the scheduler in W2, and a patch that has no effect
    package    a build of a small package, less its two hooks in a bare process
    trivial    200 derivations that write a file, and the same for Nix

Fromager is installed from this checkout as a user would have it. Rounds are
interleaved: each measures everything once.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.bench_realise import remove
from benchmarks.collect_sdists import LOCK, read_lock
from benchmarks.command_costs import command_costs
from benchmarks.installation import install
from benchmarks.measuring import adopt_orphans
from benchmarks.samples import Sample, Setting, cores, summary
from benchmarks.sandbox_costs import package_costs, trivial_costs

PARTS: Final = {
    "commands": command_costs,
    "package": package_costs,
    "trivial": trivial_costs,
}


def main() -> None:
    arguments = parse_arguments()
    missing = [n for n in read_lock(LOCK) if not (arguments.sdists / n).is_file()]
    if missing:
        sys.exit(f"{arguments.sdists} lacks {len(missing)} sdists: {missing[0]}, …")
    adopt_orphans()
    samples: list[Sample] = []
    state = Path(tempfile.mkdtemp(prefix="bench-", dir=arguments.state))
    try:
        commands = install(state / "installed", arguments.python)
        for part in arguments.parts or PARTS:
            folder = state / part
            folder.mkdir()
            sdists = arguments.sdists.absolute()
            setting = Setting(folder, sdists, commands, arguments.uv, arguments.rounds)
            for sample in PARTS[part](setting):
                wall = "" if sample.wall is None else f"  wall {sample.wall:.4f} s"
                text = f"{sample.name:34} cpu {sample.cpu:.4f} s{wall}"
                print(text, file=sys.stderr, flush=True)
                samples.append(sample)
    finally:
        remove(state)
    print(summary(samples))
    if arguments.json:
        result = {
            "python": arguments.python,
            "cores": cores(),
            "samples": [asdict(sample) for sample in samples],
        }
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--sdists", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--python", default=os.path.realpath(sys.executable), help="to measure with"
    )
    beside = Path(sys.executable).parent
    parser.add_argument("--uv", default=str(beside / "uv"))
    parser.add_argument("--state", type=Path, help="where stores and caches are put")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {min(unknown)}; there are {', '.join(PARTS)}")
    return arguments


if __name__ == "__main__":
    main()
