"""Measures what sharing costs: pushing, pulling, substituting and comparing W2.

    PYTHONPATH=tests python -m benchmarks.collect_sdists FOLDER
    PYTHONPATH=tests python -m benchmarks.bench_share --sdists FOLDER

W2 is built once, in two stores: two builders, each with a key. A cache is a folder, or
is served on loopback. Beside each round stands a copy of the store by `cp -a`, on the
same disk: what pushes and pulls are held against. Rounds are interleaved.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Final

from benchmarks.bench_realise import SERVER, remove
from benchmarks.collect_sdists import LOCK, read_lock
from benchmarks.contenders import WORKLOADS
from benchmarks.installation import install
from benchmarks.measuring import adopt_orphans, served
from benchmarks.samples import Sample, Setting, cores, summary

WORKLOAD: Final = WORKLOADS / "w2.txt"
CACHES: Final = Path(__file__).parents[1] / "support" / "serve_cache.py"
BUILDERS: Final = ("one", "two")
COPY: Final = "cp -a of the store"
BYTES: Final = ("push, folder", "push, server", "pull, folder", "pull, server")
"""What is held against a copy."""


def main() -> None:
    arguments = parse_arguments()
    missing = [n for n in read_lock(LOCK) if not (arguments.sdists / n).is_file()]
    if missing:
        sys.exit(f"{arguments.sdists} lacks {len(missing)} sdists: {missing[0]}, …")
    adopt_orphans()
    samples: list[Sample] = []
    state = Path(tempfile.mkdtemp(prefix="bench-", dir=arguments.state))
    try:
        commands = install(state / "installed", arguments.python, extra="signing")
        sdists = arguments.sdists.absolute()
        setting = Setting(state, sdists, commands, "", arguments.rounds)
        for sample in share(setting):
            text = f"{sample.name:34} cpu {sample.cpu:.4f} s  wall {sample.wall:.4f} s"
            print(text, file=sys.stderr, flush=True)
            samples.append(sample)
    finally:
        remove(state)
    print(summary(samples))
    for line in against_copy(samples):
        print(line)
    if arguments.json:
        rows = [asdict(sample) for sample in samples]
        result = {"python": arguments.python, "cores": cores(), "samples": rows}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def share(setting: Setting) -> Iterator[Sample]:
    """Two builders build W2; then in rounds all that is done with a cache."""
    machines = {name: Machine(setting, name) for name in BUILDERS}
    python = str((setting.commands / "python").resolve())
    with served([sys.executable, str(SERVER), str(setting.sdists)]) as index:
        for machine in machines.values():
            machine.run("key", "generate", machine.name)
            build = ("realise", "-q", "--python", python, "-r", str(WORKLOAD))
            machine.run("--index", index, *build)
        one, two = machines["one"], machines["two"]
        two.run("key", "trust", one.key)
        for _ in range(setting.rounds):
            yield from one_round(one, two, index, python)


def one_round(
    one: "Machine", two: "Machine", index: str, python: str
) -> Iterator[Sample]:
    """All that is measured, once."""
    targets = WORKLOAD.read_text().split()
    state = one.setting.state
    folder, other = state / "cache", state / "copy"
    yield one.measured(COPY, ["cp", "-a", str(one.store), str(other)])
    remove(other)
    one.forget()
    yield one.timed("push, folder", "push", *targets, "--to", str(folder))
    yield one.timed("push again, folder", "push", *targets, "--to", str(folder))
    pull = ("--store", str(other), "pull", *targets, "--from", str(folder))
    yield two.timed("pull, folder", *pull)
    remove(other)
    remove(folder)
    with cache_server(folder) as (url, requests):
        one.forget()
        yield one.timed("push, server", "push", *targets, "--to", url)
        pull = ("--store", str(other), "pull", *targets, "--from", url)
        yield two.timed("pull, server", *pull)
        remove(other)
        before = requests()
        challenge = ("challenge", *targets, "--against", url)
        sample = two.timed("challenge, server", *challenge)
        print(f"challenge: {requests() - before} requests", file=sys.stderr)
        yield sample
        realise = ("realise", "-q", "--python", python, "-r", str(WORKLOAD))
        more = ("--index", index, "--store", str(other))
        yield two.timed(
            "realise, all from server", *more, *realise, "--substituter", url
        )
        remove(other)
    remove(folder)


class Machine:
    """Somebody with a store, a home and a key."""

    def __init__(self, setting: Setting, name: str) -> None:
        self.setting, self.name = setting, name
        self.home = setting.state / name
        self.store = self.home / "store"
        self.home.mkdir()

    @property
    def variables(self) -> dict[str, str]:
        """A user's variables."""
        return self.setting.variables(
            HOME=str(self.home), FROMAGER_STORE=str(self.store)
        )

    @property
    def key(self) -> str:
        """The public key, as it is told to others."""
        self.run("key", "list", "--json")
        own: str = json.loads(self.setting.log.read_text())["own"][0]["public"]
        return own

    def run(self, *words: str) -> None:
        """Run a command that is not measured."""
        self.timed("", *words)

    def timed(self, name: str, *words: str) -> Sample:
        """Run a command; it must succeed."""
        command = [str(self.setting.commands / "fromager"), *words]
        return self.measured(name, command)

    def measured(self, name: str, command: Sequence[str]) -> Sample:
        """Run any command."""
        return Sample.of(name, self.setting.cost(list(command), self.variables))

    def forget(self) -> None:
        """Let the store know of no cache."""
        for folder in (self.store / ".fromager" / "cache").glob("parts"):
            shutil.rmtree(folder)


@contextmanager
def cache_server(folder: Path) -> Iterator[tuple[str, "Requests"]]:
    """Serve a folder; its address, and what counts its requests."""
    command = [sys.executable, str(CACHES), str(folder)]
    with Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip(), Requests(server)
        finally:
            server.terminate()


class Requests:
    """Asks a server how many requests it has answered."""

    def __init__(self, server: "Popen[str]") -> None:
        self._server = server

    def __call__(self) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write("\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())


def against_copy(samples: Sequence[Sample]) -> Iterator[str]:
    """Throughput of pushes and pulls against that of a copy, round by round."""
    copies = [sample.wall for sample in samples if sample.name == COPY]
    for name in BYTES:
        walls = [sample.wall for sample in samples if sample.name == name]
        ratios = [c / w for c, w in zip(copies, walls, strict=True) if c and w]
        if ratios:
            low, high = min(ratios), max(ratios)
            median = statistics.median(ratios)
            yield f"{name:34} {median:.2f} [{low:.2f}..{high:.2f}] x the copy"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sdists", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--python", default=os.path.realpath(sys.executable), help="to measure with"
    )
    parser.add_argument("--state", type=Path, help="where stores and caches are put")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
