"""What the parts of `bench_overhead` are given, and what they give."""

import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.contenders import environment
from benchmarks.measuring import Cost, measure

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True)
class Setting:
    """Where and how a part measures."""

    state: Path
    """A folder for it alone."""
    sdists: Path
    commands: Path
    """The folder of the installed `fromager` and of its `python`."""
    uv: str
    rounds: int

    def variables(self, **more: str) -> dict[str, str]:
        """A user's variables, all places below the state."""
        return {**environment(self.state), **more}

    def cost(self, command: Sequence[str], variables: dict[str, str]) -> Cost:
        """What a command costs; it must succeed, or the benchmark ends."""
        log = self.log
        cost = measure(command, variables, self.state, log)
        if cost.status:
            text = log.read_text(errors="replace")[-4000:]
            sys.exit(f"{' '.join(command)}: status {cost.status}\n{text}")
        return cost

    @property
    def log(self) -> Path:
        """What the last command wrote."""
        return self.state / "log"


@dataclass(frozen=True)
class Sample:
    """One thing measured once."""

    name: str
    cpu: float
    """Seconds."""
    wall: float | None = None
    """Seconds."""
    memory: int | None = None
    """Bytes that the main process had at most."""
    builds: int | None = None
    requests: int | None = None
    """Requests that a server got."""
    repeated: int | None = None
    """How many of them it had got before."""

    @classmethod
    def of(cls, name: str, cost: Cost, *, builds: int | None = None) -> "Sample":
        """What a command cost."""
        return cls(name, cost.cpu, cost.wall, cost.main_rss, builds)


def summary(samples: Sequence[Sample]) -> str:
    """A line for each thing: medians and the least of all its samples."""
    head = f"{'':34} {'samples':>7} {'cpu min':>8} {'median':>8} {'wall':>8} {'MB':>5}"
    lines = [f"{head} {'builds':>6}"]
    for name in dict.fromkeys(sample.name for sample in samples):
        mine = [sample for sample in samples if sample.name == name]
        cpu = [sample.cpu for sample in mine]
        walls = [sample.wall for sample in mine if sample.wall is not None]
        memory = [sample.memory for sample in mine if sample.memory is not None]
        builds = sorted({s.builds for s in mine if s.builds is not None})
        lines.append(
            f"{name:34} {len(mine):7} {min(cpu):8.4f} {statistics.median(cpu):8.4f}"
            + (f" {statistics.median(walls):8.3f}" if walls else " " * 9)
            + (f" {max(memory) / MEGABYTE:5.0f}" if memory else " " * 6)
            + f" {','.join(map(str, builds)):>6}"
        )
    return "\n".join(line.rstrip() for line in lines)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))
