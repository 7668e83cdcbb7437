"""The command as a user would have it: a wheel in an environment of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def install(folder: Path, python: str, *, extra: str = "") -> Path:
    """Installs this checkout, with bytecode; gives the folder of the commands.

    `extra` is what of its extras is wanted, too.
    Its dependencies come from the index that pip is configured for.
    """
    run(python, "-m", "venv", str(folder))
    commands = folder / "bin"
    pip = (str(commands / "python"), "-m", "pip", "--disable-pip-version-check")
    what = f"{ROOT}[{extra}]" if extra else str(ROOT)
    run(*pip, "install", "--quiet", "--compile", what)
    return commands


def run(*command: str) -> None:
    """Runs a command; the benchmark ends with its output if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
