"""Cuts the power of a real ext4 while objects are added; run by tests, as a program.

python ext4_cuts.py FOLDER EVERY

The file system lies in a file. What the kernel has written there is what is left when
the power goes; a copy is taken before every so many-th system call, and mounted later.
Needs a mount namespace of its own. Writes how many states were examined.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.crashes import Attempt, examine
from support.operations import ADD
from support.syscalls import Call, concerns, supervise

NO_LOOP = 77
"""The exit code if there is no loop device, or no ext4."""


def main() -> int:
    base, every = Path(sys.argv[1]), int(sys.argv[2])
    image, place = base / "disk.img", base / "disk"
    place.mkdir()
    with image.open("wb") as stream:
        stream.truncate(16 << 20)
    try:
        run("mkfs.ext4", "-q", "-F", str(image))
        mount(image, place)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        return NO_LOOP
    before = Attempt(place / "work")
    before.folder.mkdir()
    ADD.prepare(before)
    os.sync()
    copies: list[tuple[Path, tuple[str, ...]]] = []
    said: list[str] = []
    reading, writing = os.pipe()
    count = 0

    def judge(call: Call) -> None:
        nonlocal count
        if call.name == "write" and call.descriptor == writing:
            said.append(call.memory(call.arguments[1], call.arguments[2]).decode()[:-1])
        elif concerns(call, place):
            count += 1
            if count % every == 0 or call.name.endswith("sync") or said:
                copy = base / f"{count}.img"
                run("cp", "--sparse=always", str(image), str(copy))
                copies.append((copy, tuple(said)))

    assert supervise(lambda: ADD.act(Attempt(before.folder, None, writing)), judge) == 0
    run("umount", str(place))
    for copy, acknowledged in copies:
        mount(copy, place)
        examine(ADD, before.folder, (*before.said, *acknowledged))
        run("umount", str(place))
    os.close(reading)
    os.close(writing)
    sys.stdout.write(f"{len(copies)}\n")
    return 0


def mount(image: Path, place: Path) -> None:
    # The kernel shall not write by itself while the copies are taken.
    run("mount", "-t", "ext4", "-o", "loop,commit=300", str(image), str(place))


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main())
