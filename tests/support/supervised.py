"""Runs a command that is killed at one of its system calls; run by tests, as a program.

python supervised.py FOLDER NUMBER COMMAND...

The calls that change or sync something in the folder are counted from 1, over all
processes of the command; it is killed before the one with that number. The exit code
is the command's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from support.syscalls import Call, Judgement, Kill, concerns, supervise


def main() -> int:
    folder, number, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    count = 0

    def judge(call: Call) -> Judgement:
        nonlocal count
        if not concerns(call, folder):
            return None
        count += 1
        return Kill() if count == number else None

    code = supervise(lambda: os.execvp(command[0], command), judge)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
