"""The rows of `bench_store`: each measures both stores by turns, round by round."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from benchmarks.contenders import environment
from benchmarks.measuring import measure
from benchmarks.nix_store import nix_variables
from benchmarks.samples import Sample
from benchmarks.store_work import (
    TREE_BYTES,
    TREE_FILES,
    TREE_FOLDERS,
    make_large,
    make_objects,
    make_tree,
)

TESTS: Final = Path(__file__).parents[1]
PATHS: Final = 12_000
DEAD: Final = 2_000
GRAPHS: Final = (200, 100_000)

_ROOT: Final = """\
import sys
from pathlib import Path
from fromager.store import open_store
store, links = map(Path, sys.argv[1:])
links.mkdir()
with open_store(store) as opened:
    for target in sys.stdin.read().split():
        opened.link_root(links / Path(target).name, Path(target))
"""


@dataclass(frozen=True)
class StoreSetting:
    """Where and how a row measures."""

    state: Path
    commands: Path
    """The folder of the installed `fromager` and of its `python`."""
    rounds: int
    nix: str

    @cached_property
    def variables(self) -> Mapping[str, str]:
        """A user's variables, all places below the state."""
        return environment(self.state)

    def run(self, name: str, command: Sequence[str], store: Path) -> tuple[Sample, str]:
        """What a command costs, and what it prints; it must succeed."""
        log = self.state / "log"
        store.mkdir(parents=True, exist_ok=True)
        variables = {**self.variables, **nix_variables(store)}
        os.sync()  # of what was written before, nobody has to wait for
        cost = measure(
            command, {**variables, "FROMAGER_STORE": str(store)}, self.state, log
        )
        text = log.read_text(errors="replace")
        if cost.status:
            sys.exit(f"{' '.join(command)[:300]}: status {cost.status}\n{text[-4000:]}")
        return Sample.of(name, cost), text

    def by_turns(
        self, row: str, ours: Sequence[str], nix: Sequence[str], stores: str
    ) -> Iterator[Sample]:
        """Both commands in every round, each on its store of that round."""
        fromager = str(self.commands / "fromager")
        commands = {"fromager": [fromager, *ours], "nix": [self.nix, *nix]}
        for number in range(self.rounds):
            for tool in sorted(commands, reverse=bool(number % 2)):
                store = self.store(stores, tool, number)
                yield self.run(f"{row}: {tool}", commands[tool], store)[0]

    def store(self, name: str, tool: str, number: int) -> Path:
        """The folder of one round's store."""
        return self.state / f"{name}-{tool}-{number}"

    def has(self, *command: str) -> bool:
        """Whether fromager has this command."""
        words = [str(self.commands / "fromager"), *command, "--help"]
        found = subprocess.run(words, capture_output=True, check=False)
        if found.returncode:
            print(f"there is no {' '.join(command)}: skipped", file=sys.stderr)
        return not found.returncode


def tree(setting: StoreSetting) -> Iterator[Sample]:
    """Adding many files to an empty store."""
    source = tree_of(setting)
    yield from setting.by_turns("tree", add(source), ["--add", str(source)], "tree")


def again(setting: StoreSetting) -> Iterator[Sample]:
    """Adding the same files to the same stores, after all stores have them."""
    source = tree_of(setting)
    if not setting.store("tree", "nix", setting.rounds - 1).exists():
        for _ in tree(setting):
            continue
    yield from setting.by_turns("again", add(source), ["--add", str(source)], "tree")


def large(setting: StoreSetting) -> Iterator[Sample]:
    """Adding one large file to an empty store."""
    source = setting.state / "large"
    make_large(source)
    yield from setting.by_turns("large", add(source), ["--add", str(source)], "large")


def verify(setting: StoreSetting) -> Iterator[Sample]:
    """Reading all again, in one store that has them."""
    if not setting.has("store", "verify"):
        return
    sources = [str(each) for each in make_objects(setting.state / "objects")]
    fill(setting, "verify", sources)
    commands = {
        "fromager": [str(setting.commands / "fromager"), "store", "verify"],
        "nix": [setting.nix, "--verify", "--check-contents"],
    }
    for number in range(setting.rounds):
        for tool in sorted(commands, reverse=bool(number % 2)):
            store = setting.store("verify", tool, 0)
            yield setting.run(f"verify: {tool}", commands[tool], store)[0]


def gc(setting: StoreSetting) -> Iterator[Sample]:
    """Removing what no root reaches; every round has new stores."""
    if not setting.has("gc"):
        return
    folder = setting.state / "paths"
    folder.mkdir()
    for number in range(PATHS):
        (folder / f"path{number}").write_text(f"{number}\n")
    sources = [f"paths/path{number}" for number in range(PATHS)]
    for number in range(setting.rounds):
        printed = fill(setting, "gc", sources, number)
        for tool, lines in printed.items():
            keep(setting, tool, setting.store("gc", tool, number), lines[DEAD:])
        commands = {
            "fromager": [str(setting.commands / "fromager"), "gc"],
            "nix": [setting.nix, "--gc"],
        }
        for tool in sorted(commands, reverse=bool(number % 2)):
            store = setting.store("gc", tool, number)
            yield setting.run(f"gc: {tool}", commands[tool], store)[0]
            left = sum(Path(line).exists() for line in printed[tool])
            assert left == PATHS - DEAD, f"{tool} left {left} paths"


def closure(setting: StoreSetting) -> Iterator[Sample]:
    """What is reached in made-up graphs, within a process that has the store open."""
    python = str(setting.commands / "python")
    work = [python, "-m", "benchmarks.store_work"]
    graphs = setting.state / "graphs"
    command = [*work, str(graphs), *map(str, GRAPHS)]
    variables = {**setting.variables, "PYTHONPATH": str(TESTS)}
    for _ in range(setting.rounds):
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, check=True
        )
        for size, line in zip(GRAPHS, done.stdout.split(), strict=True):
            seconds = float(line)
            yield Sample(f"closure of {size}: fromager", seconds, seconds)


def tree_of(setting: StoreSetting) -> Path:
    """The folder with many files, made once."""
    source = setting.state / "files"
    if not source.exists():
        make_tree(source, TREE_FILES, TREE_BYTES, TREE_FOLDERS)
    return source


def add(source: Path) -> Sequence[str]:
    """What fromager is told."""
    return ["store", "add", str(source)]


def fill(
    setting: StoreSetting, name: str, sources: Sequence[str], number: int = 0
) -> dict[str, list[str]]:
    """Adds these to both stores; gives the store paths."""
    commands = {
        "fromager": [str(setting.commands / "fromager"), "store", "add", *sources],
        "nix": [setting.nix, "--add", *sources],
    }
    printed = {}
    for tool, command in commands.items():
        store = setting.store(name, tool, number)
        printed[tool] = setting.run(f"fill: {tool}", command, store)[1].split()
    return printed


def keep(setting: StoreSetting, tool: str, store: Path, paths: Sequence[str]) -> None:
    """Makes roots of these objects: a link to each."""
    links = setting.state / f"{store.name}-links"
    if tool == "nix":
        links = store / "var" / "gcroots" / "links"
        links.mkdir(parents=True)
        for path in paths:
            (links / Path(path).name).symlink_to(path)
        return
    subprocess.run(
        [str(setting.commands / "python"), "-c", _ROOT, str(store), str(links)],
        input="\n".join(paths),
        text=True,
        check=True,
    )


ROWS: Final[Mapping[str, Callable[[StoreSetting], Iterator[Sample]]]] = {
    "tree": tree,
    "again": again,
    "large": large,
    "verify": verify,
    "gc": gc,
    "closure": closure,
}
