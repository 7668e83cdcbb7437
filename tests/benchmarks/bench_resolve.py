"""Measures resolution alone, beside `uv pip compile`.

    PYTHONPATH=tests python -m benchmarks.collect_sdists FOLDER
    PYTHONPATH=tests python -m benchmarks.bench_resolve --sdists FOLDER [PART ...]

The parts, all of them if none is named:

    w3     the workload, everything from source: with nothing there, once more, and
           as a lock that was made before
    deep   a made-up index where 50 versions are tried before one fits, likewise
    many   a made-up index of 1,000 packages, all of which are needed: memory, and
           requests that are made twice
    page   reading a project's page with 5,000 files

Fromager is installed from this checkout as a user would have it. Rounds are
interleaved, and the order changes from round to round.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from benchmarks.bench_realise import SERVER, remove
from benchmarks.contenders import WORKLOADS
from benchmarks.installation import install
from benchmarks.many_packages import (
    findings,
    requests_since,
    served_from,
    write_many,
)
from benchmarks.measuring import adopt_orphans, served
from benchmarks.samples import Sample, Setting, summary
from fromager.derivations.index.simple import parse_page
from support.projects import sdist

PARTS: Final = ("w3", "deep", "many", "page")
TARGETS: Final = {
    "w3 cold": "1.5 x",
    "w3 warm": "",
    "w3 lock again": "3 x",
    "deep cold": "",
    "deep warm": "",
    "deep lock again": "",
    "many cold": "",
    "many warm": "",
}
DEPTH: Final = 50
FILES: Final = 5_000


def main() -> None:
    arguments = parse_arguments()
    adopt_orphans()
    samples: list[Sample] = []
    state = Path(tempfile.mkdtemp(prefix="bench-", dir=arguments.state))
    try:
        commands = install(state / "installed", arguments.python)
        for part in arguments.parts or PARTS:
            for sample in play(part, arguments, commands, state / part):
                text = f"{sample.name:20} cpu {sample.cpu:.4f} s  wall {sample.wall}"
                print(text, file=sys.stderr, flush=True)
                samples.append(sample)
    finally:
        remove(state)
    print(summary(samples))
    print(ratios(samples))
    print(findings(samples))
    if arguments.json:
        rows = [asdict(sample) for sample in samples]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--sdists", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable, help="to build for")
    parser.add_argument("--uv", default=str(Path(sys.executable).parent / "uv"))
    parser.add_argument("--state", type=Path, help="where stores and caches are put")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no part is called {min(unknown)!r}")
    return arguments


def play(
    part: str, arguments: argparse.Namespace, commands: Path, folder: Path
) -> Iterator[Sample]:
    """All rounds of a part."""
    folder.mkdir()
    if part == "page":
        page = page_of(FILES)
        for _ in range(max(arguments.rounds, 5)):
            yield Sample(f"page of {FILES} files", read(page))
        return
    if part == "many":
        yield from play_many(arguments, commands, folder)
        return
    sdists, requirements = arguments.sdists.absolute(), WORKLOADS / "w3.txt"
    if part == "deep":
        sdists, requirements = folder / "sdists", folder / "deep.txt"
        sdists.mkdir()
        write_deep(sdists, requirements)
    with served([sys.executable, str(SERVER), str(sdists)]) as index:
        for number in range(arguments.rounds):
            state = folder / str(number)
            tools = ("fromager", "uv") if number % 2 else ("uv", "fromager")
            places = {tool: state / tool for tool in tools}
            for step in ("cold", "warm", "lock", "lock again"):
                for tool, place in places.items():
                    place.mkdir(parents=True, exist_ok=True)
                    setting = Setting(place, sdists, commands, arguments.uv, 1)
                    command = _command(tool, setting, index, arguments, requirements)
                    if tool == "fromager" and step.startswith("lock"):
                        command = _lock(setting, index, arguments, requirements)
                    # What a benchmark needs of itself is on no user's path.
                    path = {"PYTHONPATH": str(SERVER.parents[1])}
                    cost = setting.cost(command, setting.variables(**path))
                    if step != "lock":
                        yield Sample.of(f"{part} {step}: {tool}", cost)
            remove(state)


def play_many(
    arguments: argparse.Namespace, commands: Path, folder: Path
) -> Iterator[Sample]:
    """All rounds of the part with a thousand packages."""
    sdists, requirements = folder / "sdists", folder / "many.txt"
    sdists.mkdir()
    write_many(sdists, requirements)
    path = {"PYTHONPATH": str(SERVER.parents[1])}
    with served_from(sdists) as index:
        for number in range(arguments.rounds):
            state = folder / str(number)
            for step in ("cold", "warm"):
                for tool in ("fromager", "uv") if number % 2 else ("uv", "fromager"):
                    place = state / tool
                    place.mkdir(parents=True, exist_ok=True)
                    setting = Setting(place, sdists, commands, arguments.uv, 1)
                    command = _command(
                        tool, setting, index.url, arguments, requirements
                    )
                    requests_since(index)
                    cost = setting.cost(command, setting.variables(**path))
                    sample = Sample.of(f"many {step}: {tool}", cost)
                    if tool == "fromager":
                        asked, repeated = requests_since(index)
                        sample = replace(sample, requests=asked, repeated=repeated)
                    yield sample
            remove(state)


def _command(
    tool: str,
    setting: Setting,
    index: str,
    arguments: argparse.Namespace,
    requirements: Path,
) -> list[str]:
    if tool == "uv":
        return [
            *(setting.uv, "pip", "compile", "--quiet", "--no-binary", ":all:"),
            *("--index-url", index, "--python", arguments.python),
            *("--output-file", str(setting.state / "out.txt"), str(requirements)),
        ]
    return [
        *(str(setting.commands / "python"), "-m", "benchmarks.resolve_once"),
        *(str(setting.state / "store"), index, arguments.python, str(requirements)),
    ]


def _lock(
    setting: Setting,
    index: str,
    arguments: argparse.Namespace,
    requirements: Path,
) -> list[str]:
    return [
        *(str(setting.commands / "fromager"), "--store", str(setting.state / "store")),
        *("--index", index, "lock", "--python", arguments.python),
        *("-o", "-", "-r", str(requirements)),
    ]


def write_deep(folder: Path, requirements: Path) -> None:
    """An index where only the oldest of many versions fits, which the metadata of
    what it needs tells, one version at a time."""
    for number in range(1, DEPTH + 1):
        version = f"{number}.0"
        offers = (
            sdist("deep", version, dependencies=[f"middle=={version}"]),
            sdist("middle", version, dependencies=[f"base=={version}"]),
            sdist("base", version),
        )
        for name, content in offers:
            (folder / name).write_bytes(content)
    requirements.write_text("deep\nbase<2\n")


def page_of(files: int) -> bytes:
    """A page as the public index has it, half of its files wheels."""
    rows = [
        {
            "filename": f"demo-1.{number}.0" + (".tar.gz", "-py3-none-any.whl")[i],
            "url": f"https://files.example/packages/ab/cd/{number:060x}/demo-{number}",
            "hashes": {"sha256": f"{number:064x}"},
            "requires-python": ">=3.9",
            "size": 123456,
            "upload-time": "2026-01-02T03:04:05.678901Z",
            "yanked": False,
            "core-metadata": {"sha256": f"{number:064x}"} if i else False,
        }
        for number in range(files // 2)
        for i in (0, 1)
    ]
    meta = {"api-version": "1.1"}
    return json.dumps({"meta": meta, "name": "demo", "files": rows}).encode()


def read(page: bytes) -> float:
    """Seconds of processor time to read a page."""
    kind = "application/vnd.pypi.simple.v1+json"
    started = time.process_time()
    found = parse_page(page, kind, "https://index.example/simple/demo/", "demo")
    seconds = time.process_time() - started
    assert len(found.files) == FILES
    return seconds


def ratios(samples: Sequence[Sample]) -> str:
    """The median of each round's ratio to uv, beside the target."""
    lines = ["                cpu      wall    at most"]
    for name, target in TARGETS.items():
        pairs = [
            [s for s in samples if s.name == f"{name}: {tool}"]
            for tool in ("fromager", "uv")
        ]
        if not pairs[0]:
            continue
        both = list(zip(*pairs, strict=True))
        cpu = statistics.median(a.cpu / b.cpu for a, b in both)
        wall = statistics.median((a.wall or 0) / (b.wall or 1) for a, b in both)
        lines.append(f"{name:12} {cpu:6.2f} x {wall:6.2f} x  {target:>6}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    main()
