"""What commands cost that have nothing, or next to nothing, to build."""

import difflib
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.bench_realise import SERVER, remove
from benchmarks.collect_sdists import LOCK, read_lock
from benchmarks.contenders import WORKLOADS, Task, contenders
from benchmarks.measuring import served
from benchmarks.samples import Sample, Setting

WORKLOAD: Final = WORKLOADS / "w2.txt"
PATCHED: Final = "setuptools/tests/__init__.py"


def command_costs(setting: Setting) -> Iterator[Sample]:
    """W2 once from nothing, then in rounds all that should be quick."""
    fromager = str(setting.commands / "fromager")
    python = str((setting.commands / "python").resolve())
    tools = contenders({"fromager": fromager, "uv": setting.uv})
    variables = setting.variables()
    with served([sys.executable, str(SERVER), str(setting.sdists)]) as index:

        def run(tool: str, step: str, *more: str) -> Sample:
            task = Task(WORKLOAD, index, python, setting.state, step)
            cost = setting.cost([*tools[tool].command(task), *more], variables)
            lines = setting.log.read_text(errors="replace").splitlines()
            built = sum(line.startswith("built ") for line in lines)
            remove(task.output)
            builds = built if tool == "fromager" else None
            return Sample.of(f"W2 {step}, {tool}", cost, builds=builds)

        yield run("fromager", "from nothing")
        yield run("uv", "from nothing")
        run("fromager", "again")
        for number in range(setting.rounds):
            for option in ("--help", "--version"):
                cost = setting.cost([fromager, option], variables)
                yield Sample.of(f"fromager {option}", cost)
            yield run("fromager", "again")
            yield run("uv", "again")
            patches = patch_folder(setting, number)
            yield run("fromager", "with a patch to tests", "--patches", str(patches))


def patch_folder(setting: Setting, number: int) -> Path:
    """A folder with a patch, another in each round, to a test file of setuptools."""
    (name,) = (file for file in read_lock(LOCK) if file.startswith("setuptools-"))
    release = name.removesuffix(".tar.gz")
    with tarfile.open(setting.sdists / name) as archive:
        member = archive.extractfile(f"{release}/{PATCHED}")
        assert member is not None
        old = member.read().decode().splitlines(keepends=True)
    new = [*old, f"# Round {number}.\n"]
    diff = difflib.unified_diff(old, new, f"a/{PATCHED}", f"b/{PATCHED}")
    folder = setting.state / f"patches-{number}"
    (folder / release).mkdir(parents=True)
    (folder / release / "0001-tests.patch").write_text("".join(diff))
    return folder
