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
TESTS: Final = ("setuptools", "setuptools/tests/__init__.py")
"""A tool, and a file of its sdist that its wheel does not have."""
LEAF: Final = ("tornado", "tornado/web.py")
"""What nothing else needs, and a file that its wheel has."""


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
            patches = patch_folder(setting, number, *TESTS)
            yield run("fromager", "with a patch to tests", "--patches", str(patches))
            patches = patch_folder(setting, number, *LEAF)
            yield run("fromager", "with a patch to a leaf", "--patches", str(patches))
            # Another patch, so that the same is built again, and nothing but that.
            patches = patch_folder(setting, number + setting.rounds, *LEAF)
            name, version = read_release(LEAF[0]).rsplit("-", 1)
            words = [fromager, "--index", index, "--no-progress", "realise"]
            words += ["--python", python, "--patches", str(patches)]
            words += ["--no-deps", f"{name}=={version}"]
            yield Sample.of("that leaf alone", setting.cost(words, variables))


def read_release(project: str) -> str:
    """`NAME-VERSION` of a project in the lock."""
    (name,) = (file for file in read_lock(LOCK) if file.startswith(f"{project}-"))
    return name.removesuffix(".tar.gz")


def patch_folder(setting: Setting, number: int, project: str, path: str) -> Path:
    """A folder with a patch, another for each number, to a file of a project."""
    release = read_release(project)
    with tarfile.open(setting.sdists / f"{release}.tar.gz") as archive:
        member = archive.extractfile(f"{release}/{path}")
        assert member is not None
        old = member.read().decode().splitlines(keepends=True)
    new = [*old, f"# Round {number}.\n"]
    diff = difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")
    folder = setting.state / f"patches-{project}-{number}"
    (folder / release).mkdir(parents=True)
    (folder / release / "0001.patch").write_text("".join(diff))
    return folder
