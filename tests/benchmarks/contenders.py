"""The programs that are compared, each with a state of its own.

All are asked for the same: resolve the requirements against the index given, build
everything from source, build tools included, and keep what was built.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WORKLOADS: Final = Path(__file__).parent / "workloads"


@dataclass(frozen=True)
class Task:
    """What a contender is asked for, and where it may work."""

    requirements: Path
    index: str
    python: str
    state: Path
    """Kept between steps: caches and stores lie below it."""
    step: str

    @property
    def output(self) -> Path:
        """A folder for this step's result; it does not exist before."""
        return self.state / f"out-{self.step}"


@dataclass(frozen=True)
class Contender:
    """A program, how it is called, and how many wheels it has built so far."""

    name: str
    command: Callable[[Task], list[str]]
    count_wheels: Callable[[Path], int]


def environment(state: Path) -> dict[str, str]:
    """A user's variables, all places below the state; no settings from outside."""
    for name in ("home", "tmp"):
        (state / name).mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(state / "home"),
        "TMPDIR": str(state / "tmp"),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_CACHE_DIR": str(state / "cache"),
        "UV_CACHE_DIR": str(state / "cache"),
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "FROMAGER_STORE": str(state / "store"),
    }


def contenders(programs: Mapping[str, str]) -> dict[str, Contender]:
    """All contenders; `programs` are the paths of fromager and uv."""

    def fromager(task: Task) -> list[str]:
        return [
            *(programs["fromager"], "--index", task.index, "--no-progress", "realise"),
            *("--python", task.python, "-r", str(task.requirements)),
        ]

    def uv(task: Task) -> list[str]:
        return [
            *(programs["uv"], "pip", "install", "--no-binary", ":all:"),
            *("--index-url", task.index, "--python", task.python),
            *("--target", str(task.output), "-r", str(task.requirements)),
        ]

    def pip(task: Task) -> list[str]:
        return [
            *(sys.executable, "-m", "pip", "--python", task.python, "wheel"),
            *("--no-binary", ":all:", "--index-url", task.index),
            *("--wheel-dir", str(task.output), "-r", str(task.requirements)),
        ]

    known = (
        Contender("fromager", fromager, lambda s: _count(s / "store", "*/*.whl")),
        Contender("uv", uv, _count_uv),
        Contender("pip", pip, lambda s: _count(s / "cache/wheels", "**/*.whl")),
    )
    return {contender.name: contender for contender in known}


def _count(folder: Path, pattern: str) -> int:
    return sum(1 for _ in folder.glob(pattern))


def _count_uv(state: Path) -> int:
    """Wheels in its cache; those within unpacked sources are their test data."""
    cache = state / "cache"
    wheels = cache.glob("sdists-v*/**/*.whl")
    return sum("src" not in wheel.relative_to(cache).parts for wheel in wheels)
