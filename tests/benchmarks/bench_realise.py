"""Compares fromager, uv and pip: the same requirements, all from source.

    PYTHONPATH=tests python -m benchmarks.collect_sdists FOLDER
    PYTHONPATH=tests python -m benchmarks.bench_realise --sdists FOLDER w2

The sdists are served by an index on loopback. Rounds are interleaved: in each, every
program first builds with an empty cache or store (cold), then does the same again
(warm). The order changes from round to round. The first figure of a program in a
round is compared with the others' of the same round, so that a busy machine slows
down both sides; what is printed is the median over all rounds.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.collect_sdists import LOCK, read_lock
from benchmarks.contenders import WORKLOADS, Contender, Task, contenders, environment
from benchmarks.measuring import Cost, adopt_orphans, calibration, measure, served

STEPS: Final = ("cold", "warm")
MEGABYTE: Final = 1_000_000
SERVER: Final = Path(__file__).parents[1] / "support" / "serve_index.py"


@dataclass(frozen=True)
class Row:
    """One step of one program in one round."""

    round: int
    tool: str
    step: str
    cost: Cost
    wheels: int
    """Wheels that were built in this step."""
    calibration: float
    """CPU seconds of a fixed piece of work, just before."""
    load: float
    """Load average of the machine, just before."""


def main() -> None:
    arguments = parse_arguments()
    missing = [n for n in read_lock(LOCK) if not (arguments.sdists / n).is_file()]
    if missing:
        sys.exit(f"{arguments.sdists} lacks {len(missing)} sdists: {missing[0]}, …")
    programs = {"fromager": arguments.fromager, "uv": arguments.uv}
    chosen = [contenders(programs)[name] for name in arguments.tools.split(",")]
    adopt_orphans()
    rows: list[Row] = []
    state = Path(tempfile.mkdtemp(prefix="bench-", dir=arguments.state))
    try:
        with served([sys.executable, str(SERVER), str(arguments.sdists)]) as index:
            for row in play(arguments, chosen, index, state):
                print(describe(row), file=sys.stderr, flush=True)
                rows.append(row)
    finally:
        remove(state)
    print(summary(rows, [c.name for c in chosen]))
    if arguments.json:
        result = {
            "workload": arguments.workload,
            "python": arguments.python,
            "cores": len(os.sched_getaffinity(0)),
            "rows": [asdict(row) for row in rows],
        }
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = sorted(path.stem for path in WORKLOADS.glob("w*.txt"))
    beside = Path(sys.executable).parent
    parser.add_argument("workload", choices=names)
    parser.add_argument("--sdists", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", default="fromager,uv,pip")
    parser.add_argument(
        "--python", default=os.path.realpath(sys.executable), help="to build for"
    )
    parser.add_argument("--fromager", default=str(beside / "fromager"))
    parser.add_argument("--uv", default=str(beside / "uv"))
    parser.add_argument("--state", type=Path, help="where stores and caches are put")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    return parser.parse_args()


def play(
    arguments: argparse.Namespace,
    chosen: Sequence[Contender],
    index: str,
    state: Path,
) -> Iterator[Row]:
    """All rounds; the state of each program is removed after its round."""
    for number in range(arguments.rounds):
        first = number % len(chosen)
        order = [*chosen[first:], *chosen[:first]]
        for step in STEPS:
            for contender in order:
                task = Task(
                    WORKLOADS / f"{arguments.workload}.txt",
                    index,
                    arguments.python,
                    state / contender.name,
                    step,
                )
                yield run(number, contender, task)
        for contender in order:
            remove(state / contender.name)


def run(number: int, contender: Contender, task: Task) -> Row:
    """One step; ends the benchmark if it fails."""
    variables = environment(task.state)
    before = contender.count_wheels(task.state)
    speed, load = calibration(), os.getloadavg()[0]
    log = task.state / f"{task.step}.log"
    cost = measure(contender.command(task), variables, task.state, log)
    if cost.status:
        text = log.read_text(errors="replace")
        sys.exit(f"{contender.name}, {task.step}: status {cost.status}\n{text[-4000:]}")
    built = contender.count_wheels(task.state) - before
    return Row(number, contender.name, task.step, cost, built, speed, load)


def describe(row: Row) -> str:
    """A line about one step, as it is done."""
    cost = row.cost
    return (
        f"round {row.round + 1}  {row.step:4}  {row.tool:8}  "
        f"cpu {cost.cpu:7.2f} s  wall {cost.wall:7.2f} s  {row.wheels:3} wheels  "
        f"rss {cost.main_rss / MEGABYTE:4.0f}, {cost.largest_rss / MEGABYTE:4.0f} MB  "
        f"calibration {row.calibration:.3f}  load {row.load:.1f}"
        + (f"  {cost.left_over} processes left" if cost.left_over else "")
    )


def summary(rows: Sequence[Row], tools: Sequence[str]) -> str:
    """Medians of each program and step, and its ratios to the others'."""
    head = "step  tool       cpu s  wall s  wheels  main MB  largest MB"
    lines = [f"{head}   cpu, wall of the first as a ratio to it (median of rounds)"]
    for step in STEPS:
        for tool in tools:
            mine = [row for row in rows if (row.step, row.tool) == (step, tool)]
            first = [row for row in rows if (row.step, row.tool) == (step, tools[0])]
            cost = {
                name: statistics.median(getattr(row.cost, name) for row in mine)
                for name in ("cpu", "wall", "main_rss", "largest_rss")
            }
            ratios = "  ".join(
                f"{statistics.median(each):.2f} [{min(each):.2f}..{max(each):.2f}]"
                for each in (
                    [a.cost.cpu / b.cost.cpu for a, b in zip(first, mine, strict=True)],
                    [
                        a.cost.wall / b.cost.wall
                        for a, b in zip(first, mine, strict=True)
                    ],
                )
            )
            lines.append(
                f"{step:4}  {tool:8} {cost['cpu']:7.2f} {cost['wall']:7.2f}"
                f"  {mine[0].wheels:6}  {cost['main_rss'] / MEGABYTE:7.0f}"
                f"  {cost['largest_rss'] / MEGABYTE:10.0f}   {ratios}"
            )
    return "\n".join(lines)


def remove(folder: Path) -> None:
    """Removes a folder in which there may be read-only folders."""
    for path, _, _ in os.walk(folder):
        Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
