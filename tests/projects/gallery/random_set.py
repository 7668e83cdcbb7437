"""Writes a set in a process with a seed of its own."""

import os
import subprocess
import sys

SCRIPT = "print(*{f'word{number}' for number in range(20)}, sep='\\n')"


def files(name):
    environment = {**os.environ, "PYTHONHASHSEED": "random"}
    words = subprocess.check_output([sys.executable, "-c", SCRIPT], env=environment)
    return {f"{name}/words.txt": words}
