"""What a build costs beside its hooks, and one that does nothing."""

import json
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.bench_realise import SERVER
from benchmarks.collect_sdists import LOCK, read_lock
from benchmarks.measuring import served
from benchmarks.package_builds import BACKEND, PREFIX
from benchmarks.samples import Sample, Setting, cores
from benchmarks.trivial_builds import nix_command, nix_settings
from support.projects import sdist

TESTS: Final = Path(__file__).parents[1]
PACKAGES: Final = 20
DERIVATIONS: Final = 200


def package_costs(setting: Setting) -> Iterator[Sample]:
    """Small projects of one shape, built by setuptools."""
    projects = make_projects(setting)
    variables = setting.variables()
    fromager = str(setting.commands / "fromager")
    with served([sys.executable, str(SERVER), str(projects)]) as index:
        names = [f"{PREFIX}{number}==1.0" for number in range(PACKAGES)]
        setting.cost([fromager, "--index", index, "realise", *names], variables)
    script = [
        *(str(setting.commands / "python"), "-m", "benchmarks.package_builds"),
        *(str(setting.state / "store"), str(setting.rounds)),
    ]
    setting.cost(script, {**variables, "PYTHONPATH": str(TESTS)})
    for line in setting.log.read_text().splitlines():
        row = json.loads(line)
        build = row["own"] + row["sandbox"]
        yield Sample("package: build", build)
        yield Sample("package: of it in our own process", row["own"])
        yield Sample("package: hooks in a bare process", row["hooks"])
        yield Sample("package: the difference", build - row["hooks"])


def make_projects(setting: Setting) -> Path:
    """A folder with the sdists of all projects, and of setuptools."""
    folder = setting.state / "projects"
    folder.mkdir()
    for name in read_lock(LOCK):
        if name.startswith("setuptools-"):
            (folder / name).symlink_to((setting.sdists / name).resolve())
    for number in range(PACKAGES):
        name = f"{PREFIX}{number}"
        module = name.replace("-", "_")
        filename, content = sdist(
            name,
            "1.0",
            more={
                "pyproject.toml": "[build-system]\nrequires = ['setuptools']\n"
                f"build-backend = '{BACKEND}'\n"
                f"[project]\nname = '{name}'\nversion = '1.0'\n"
                f"[tool.setuptools]\npackages = ['{module}']\n",
                **{f"{module}/part_{n}.py": f"NUMBER = {n}\n" for n in range(20)},
            },
        )
        (folder / filename).write_bytes(content)
    return folder


def trivial_costs(setting: Setting) -> Iterator[Sample]:
    """Ours and Nix's by turns; the seconds are those of one derivation."""
    nix = shutil.which("nix-build")
    if nix is None:
        print("nix-build is not on PATH: only fromager is measured", file=sys.stderr)
    variables = setting.variables(NIX_CONFIG=nix_settings(), PYTHONPATH=str(TESTS))
    ratios = []
    # The first round fills caches, and is not told.
    for number in range(setting.rounds + 1):
        salt, jobs = f"round{number}", cores()
        script = [
            *(str(setting.commands / "python"), "-m", "benchmarks.trivial_builds"),
            *(str(setting.state / "store"), salt, str(DERIVATIONS), str(jobs)),
        ]
        commands = {"trivial: fromager": script}
        if nix is not None:
            commands["trivial: nix"] = [
                *nix_command(setting.state, salt, DERIVATIONS, jobs)
            ]
        cpu = {}
        for name in sorted(commands, reverse=bool(number % 2)):
            cost = setting.cost(commands[name], variables)
            cpu[name] = cost.cpu
            if number:
                each = cost.cpu / DERIVATIONS, cost.wall / DERIVATIONS
                yield Sample(name, *each, cost.main_rss)
        if number and nix is not None:
            ratios.append(cpu["trivial: fromager"] / cpu["trivial: nix"])
    if ratios:
        print(
            f"trivial: fromager needs {statistics.median(ratios):.2f} of Nix's CPU "
            f"[{min(ratios):.2f}..{max(ratios):.2f}]",
            file=sys.stderr,
        )
