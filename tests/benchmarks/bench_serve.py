"""Measures how many requests a second `fromager serve` answers, beside pypiserver.

    PYTHONPATH=tests python -m benchmarks.bench_serve

Both serve the same 48 wheels, whose sizes are those of a usual closure: many small
ones, a few of some megabytes. `wrk` asks for all pages, for all files, or for both in
turns, over so many connections at once. Rounds are interleaved.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import Final

from fromager.store import open_store
from support.sharing import build
from support.wheels import WheelMaker

WHEELS: Final = 48
LARGEST: Final = 4_000_000
CONNECTIONS: Final = (50, 200)
WORKLOADS: Final = ("pages", "files", "both")
SERVERS: Final = ("fromager", "pypiserver")
SCRIPT: Final = """
local paths = {{{paths}}}
local next = 0
request = function()
  next = next % #paths + 1
  return wrk.format("GET", paths[next])
end
"""


@dataclass(frozen=True)
class Rate:
    """What one server came to in one round."""

    server: str
    workload: str
    connections: int
    requests: float
    """A second."""
    megabytes: float
    """A second."""
    errors: int
    """Answers that are none, and connections that failed."""


def main() -> None:
    arguments = parse_arguments()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed")
    rates: list[Rate] = []
    state = Path(tempfile.mkdtemp(prefix="bench-", dir=arguments.state))
    try:
        wheels = make_wheels(state)
        with fromager(state) as ours, pypiserver(state) as theirs:
            bases = dict(zip(SERVERS, (ours, theirs), strict=True))
            for _ in range(arguments.rounds):
                for rate in one_round(state, bases, wheels, arguments.seconds):
                    print(line(rate), file=sys.stderr, flush=True)
                    rates.append(rate)
    finally:
        subprocess.run(["rm", "-rf", str(state)], check=True)
    for text in summary(rates):
        print(text)
    if arguments.json:
        rows = [asdict(rate) for rate in rates]
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def make_wheels(state: Path) -> dict[str, str]:
    """The same wheels in a store and in a folder; file names by project."""
    random.seed(1)
    folder = state / "wheels"
    folder.mkdir()
    found = {}
    with open_store(state / "store") as store:
        for number in range(WHEELS):
            size = int(5_000 * (LARGEST / 5_000) ** (random.random() ** 2))
            name = f"project{number}"
            maker = WheelMaker(name, files={f"{name}/data": random.randbytes(size)})
            content = maker.build()
            (folder / maker.filename).write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            build(store, f"{name}==1.0", {maker.filename: content}, sha256=sha256)
            found[name] = maker.filename
    return found


def one_round(
    state: Path, bases: dict[str, str], wheels: dict[str, str], seconds: int
) -> Iterator[Rate]:
    """All that is measured, once."""
    for workload in WORKLOADS:
        for connections in CONNECTIONS:
            for server, base in bases.items():
                paths = list(chosen(workload, base, wheels))
                script = state / f"{server}-{workload}.lua"
                listed = ",".join(f'"{path}"' for path in paths)
                script.write_text(SCRIPT.format(paths=listed))
                command = ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s"]
                done = subprocess.run(
                    [*command, "--timeout", "30s", "-s", str(script), base],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                yield parse(done.stdout, server, workload, connections)


def chosen(workload: str, base: str, wheels: dict[str, str]) -> Iterator[str]:
    """The paths that a workload asks for."""
    for project, filename in wheels.items():
        page = f"/simple/{project}/"
        if workload != "files":
            yield page
        if workload != "pages":
            with urllib.request.urlopen(base + page) as answer:
                links = re.findall(r'href="([^"#]*)', answer.read().decode())
            (link,) = [each for each in links if each.endswith(filename)]
            yield link.replace("../..", "")


def parse(text: str, server: str, workload: str, connections: int) -> Rate:
    """What wrk says."""
    (requests,) = re.findall(r"Requests/sec: +([\d.]+)", text)
    ((amount, unit),) = re.findall(r"Transfer/sec: +([\d.]+)([KMG]?)B", text)
    scale = {"": 1e-6, "K": 1024e-6, "M": 1024**2 / 1e6, "G": 1024**3 / 1e6}[unit]
    errors = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    for several in re.findall(r"Socket errors: (.*)", text):
        errors += sum(map(int, re.findall(r"\d+", several)))
    rate = float(requests), float(amount) * scale, errors
    return Rate(server, workload, connections, *rate)


def summary(rates: Sequence[Rate]) -> Iterator[str]:
    """A line for each workload and number of connections."""
    for workload in WORKLOADS:
        for connections in CONNECTIONS:
            mine = [
                [r for r in rates if (r.server, r.workload) == (server, workload)]
                for server in SERVERS
            ]
            ours, theirs = (
                [r for r in each if r.connections == connections] for each in mine
            )
            ratios = [
                a.requests / b.requests for a, b in zip(ours, theirs, strict=True)
            ]
            if ratios:
                yield (
                    f"{workload:6} {connections:4} connections: "
                    f"{statistics.median(r.requests for r in ours):7.0f} against "
                    f"{statistics.median(r.requests for r in theirs):7.0f} requests/s, "
                    f"{statistics.median(ratios):5.1f} "
                    f"[{min(ratios):.1f}..{max(ratios):.1f}] x; "
                    f"errors {sum(r.errors for r in ours)} and "
                    f"{sum(r.errors for r in theirs)}"
                )


def line(rate: Rate) -> str:
    return (
        f"{rate.server:10} {rate.workload:6} {rate.connections:4} "
        f"{rate.requests:8.1f}/s {rate.megabytes:7.1f} MB/s {rate.errors} errors"
    )


@contextmanager
def fromager(state: Path) -> Iterator[str]:
    """Serve the store; its address."""
    command = [sys.executable, "-m", "fromager.cli", "--store", str(state / "store")]
    with running([*command, "serve", "--all", "--port", "0"], state) as first_line:
        yield first_line.removesuffix("/simple/")


@contextmanager
def pypiserver(state: Path) -> Iterator[str]:
    """Serve the folder; its address."""
    port = free_port()
    command = ["run", "--disable-fallback", "-i", "127.0.0.1", "-p", str(port)]
    words = [sys.executable, "-m", "pypiserver", *command, str(state / "wheels")]
    with Popen(words, stdout=DEVNULL, stderr=DEVNULL) as server:
        try:
            base = f"http://127.0.0.1:{port}"
            wait_for(base)
            yield base
        finally:
            server.terminate()


@contextmanager
def running(command: Sequence[str], state: Path) -> Iterator[str]:
    """Run a server; the first line that it prints."""
    environ = {**os.environ, "HOME": str(state)}
    with Popen(command, stdout=PIPE, stderr=DEVNULL, text=True, env=environ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def free_port() -> int:
    """A port that was free just now."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def wait_for(base: str) -> None:
    """Wait until a server answers."""
    import time

    for _ in range(200):
        try:
            with urllib.request.urlopen(base):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{base} does not answer")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--state", type=Path, help="where the files are put")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
