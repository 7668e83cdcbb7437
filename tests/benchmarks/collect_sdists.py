"""Collects the sdists that the benchmarks build, each checked against its hash.

    PYTHONPATH=tests python -m benchmarks.collect_sdists FOLDER
    PYTHONPATH=tests python -m benchmarks.collect_sdists FOLDER --relock

The first form fetches what `workloads/sdists.lock` lists (in the format of
`sha256sum`) and is not yet in the folder. The second resolves the workloads anew:
uv builds them from source, tools included, with an empty cache, and the sdists of
all that it built become the new lock.

Files come through pip, with the index that pip is configured for.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from packaging.utils import parse_sdist_filename, parse_wheel_filename

WORKLOADS: Final = Path(__file__).parent / "workloads"
LOCK: Final = WORKLOADS / "sdists.lock"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Collect the sdists that the benchmarks build."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--relock", action="store_true", help="resolve anew")
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="the interpreter to resolve for; it must have pip (default: this one)",
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.relock:
        pins = sorted(pins_built_by_uv(arguments.python, WORKLOADS.glob("w*.txt")))
        files = list(fetch(arguments.python, arguments.folder, dict.fromkeys(pins)))
        locked = {name: sha256(arguments.folder / name) for name in sorted(files)}
        LOCK.write_text("".join(f"{h}  {name}\n" for name, h in locked.items()))
    locked = read_lock(LOCK)
    wanted = {
        pin_of(name): digest
        for name, digest in locked.items()
        if not (arguments.folder / name).is_file()
    }
    for name in fetch(arguments.python, arguments.folder, wanted):
        print(name, file=sys.stderr)
    sys.exit(report(arguments.folder, locked))


def read_lock(path: Path) -> dict[str, str]:
    """File names and their sha256, in hexadecimal digits."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {name: digest for digest, name in lines}


def pin_of(filename: str) -> str:
    """`name==version` of an sdist."""
    name, version = parse_sdist_filename(filename)
    return f"{name}=={version}"


def pins_built_by_uv(python: str, workloads: Iterable[Path]) -> set[str]:
    """`name==version` of every wheel that the workloads need, with their tools."""
    pins = set()
    for workload in sorted(workloads):
        with tempfile.TemporaryDirectory() as scratch:
            cache = Path(scratch, "cache")
            run(
                *("uv", "pip", "install", "--quiet", "--no-binary", ":all:"),
                *("--python", python, "--target", f"{scratch}/target"),
                *("--cache-dir", str(cache), "--requirements", str(workload)),
            )
            for wheel in cache.glob("sdists-v*/**/*.whl"):
                # Test data of the packages themselves may hold wheels, too.
                if "src" not in wheel.relative_to(cache).parts:
                    name, version, _, _ = parse_wheel_filename(wheel.name)
                    pins.add(f"{name}=={version}")
    return pins


def fetch(python: str, folder: Path, pins: Mapping[str, str | None]) -> Iterator[str]:
    """Fetches the sdists of pins, with a hash to insist on; gives the file names."""

    def one(pin: str) -> str:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            digest = pins[pin]
            line = f"{pin} --hash=sha256:{digest}\n" if digest else f"{pin}\n"
            Path(scratch, "requirements.txt").write_text(line)
            # Only this package from source: pip asks it for its metadata, and
            # wheels of the build tools are all that is needed for an answer.
            name = pin.partition("==")[0]
            run(
                *(python, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--no-binary", name, "--dest", f"{scratch}/files"),
                *("--requirement", f"{scratch}/requirements.txt"),
            )
            (file,) = Path(scratch, "files").iterdir()
            file.rename(folder / file.name)
            return file.name

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(one, pins)


def report(folder: Path, locked: Mapping[str, str]) -> int:
    """Says what is wrong; the exit code is 1 if anything is."""
    wrong = [name for name in locked if sha256(folder / name) != locked[name]]
    for name in wrong:
        print(f"{name}: not the file that is locked", file=sys.stderr)
    print(f"{len(locked) - len(wrong)} of {len(locked)} sdists in {folder}")
    return 1 if wrong else 0


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(*command: str) -> None:
    """Runs a command; the script ends with its output if it fails."""
    # PYTHONPATH found this module; no backend may see it.
    env = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
