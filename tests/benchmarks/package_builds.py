"""What a build costs beside its two hooks, package by package.

    PYTHONPATH=tests python -m benchmarks.package_builds STORE ROUNDS

The store holds projects that `bench_overhead` had built. Each is built again from the
source and the environment that are there, under a key of its own, and then its two
hooks are called once more in a bare process of the same interpreter. Prints one JSON
object for each pair, with CPU seconds.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.version import Version

from fromager.derivations import (
    BuildPolicy,
    Derivation,
    Steps,
    Target,
    decode,
    find_bubblewrap,
    host_platform,
    probe,
)
from fromager.derivations.building.sandbox import keyed_environment
from fromager.derivations.customisation.effects import NO_EFFECTS
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.arrangement import arrange
from fromager.derivations.realising.build import BuildPlace, WheelBuild
from fromager.derivations.realising.steps import Step
from fromager.derivations.realising.wheel_file import wheel_file, wheel_metadata
from fromager.derivations.resolution.candidate import Metadata
from fromager.derivations.versions import NORMALISATION_VERSION
from fromager.store import Digest, Directory, LocalStore, open_store

PREFIX: Final = "measured-"
BACKEND: Final = "setuptools.build_meta"
HOOKS: Final = f"""\
import sys
import {BACKEND} as backend
backend.get_requires_for_build_wheel()
backend.build_wheel(sys.argv[1])
"""


@dataclass(frozen=True)
class Prepared:
    """A package whose source and environment are in the store."""

    name: str
    version: Version
    source: Step
    environment: Step

    @property
    def epoch(self) -> int:
        return int(self.source.realisation.fact("epoch") or 0)


def main() -> None:
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    with open_store(folder) as store:
        interpreter = probe(sys.executable, store)
        base = host_platform(interpreter, store.cache("base"), store, thorough=False)
        target = Target(interpreter, base, find_bubblewrap(os.environ["PATH"]))
        asyncio.run(play(store, target, rounds))


async def play(store: LocalStore, target: Target, rounds: int) -> None:
    """All rounds; the first is not told, since it fills caches."""
    steps = Steps(store, lambda event: None, 1, target.sandbox.level)
    steps.begin()
    packages = [
        prepared(store, subject)
        for subject in sorted(store.subjects("wheel"))
        if subject.startswith(PREFIX)
    ]
    salt = time.time_ns()
    for number in range(rounds + 1):
        policy = BuildPolicy(variables={"ROUND": f"{salt} {number}"})
        place = BuildPlace(store, target, policy, steps.report, steps.stop)
        for package in packages:
            # Which of the two comes first alternates.
            if number % 2:
                hooks = call_hooks(store, package)
                own, sandbox = await build(steps, place, package)
            else:
                own, sandbox = await build(steps, place, package)
                hooks = call_hooks(store, package)
            if number:
                row = {"own": own, "sandbox": sandbox, "hooks": hooks}
                print(json.dumps(row), flush=True)
    await steps.end()


def prepared(store: LocalStore, subject: str) -> Prepared:
    """What the newest build of a subject was made from."""
    claim = store.history("wheel", subject)[0]
    inputs = dict(claim.inputs)
    name, _, version = subject.partition("==")
    return Prepared(
        name,
        Version(version),
        known(store, inputs["source"]),
        known(store, inputs["environment"]),
    )


def known(store: LocalStore, key: Digest) -> Step:
    """A step that was done before."""
    realisation = store.realisations(key)[0]
    resolved = decode(store.read_file(realisation.derivation))
    derivation = Derivation(
        resolved.kind,
        resolved.subject,
        resolved.builder,
        resolved.inputs,
        resolved.options,
    )
    return Step(derivation, realisation, reused=True)


async def build(
    steps: Steps, place: BuildPlace, package: Prepared
) -> tuple[float, float]:
    """CPU seconds from a key to what is known of the wheel that was registered.

    Those of this process, and those of the sandbox with all that ran in it.
    """
    own, waited = time.process_time(), children()
    subject = f"{package.name}=={package.version}"
    source, environment = package.source.derivation, package.environment.derivation
    inputs = package.source, package.environment
    arrangement = arrange(
        package.name,
        package.version,
        package.epoch,
        NO_EFFECTS,
        place.target,
        place.policy,
        steps.store,
    )
    options = arrangement.options(place.target, place.runner)
    question = instantiate.requires(subject, source, environment, options)
    wheel = instantiate.wheel(
        subject, source, environment, options, NORMALISATION_VERSION
    )
    work = WheelBuild(
        subject,
        package.source,
        package.environment,
        ("setuptools", "wheel"),
        steps.resolve(question, inputs),
        arrangement,
        (),
        package.name,
        package.version,
    )
    step = await steps.step(
        wheel, inputs, lambda t, r: place.make(work, steps, t, r), urgency=int
    )
    path, _ = wheel_file(steps.store, step.output)
    Metadata.parse(wheel_metadata(path))
    assert not step.reused
    return time.process_time() - own, children() - waited


def call_hooks(store: LocalStore, package: Prepared) -> float:
    """CPU seconds of a process that calls the two hooks, and does nothing else."""
    tree = store.tree(package.source.output)
    assert isinstance(tree, Directory)
    with store.scratch(package.name) as scratch:
        source, out = scratch.path / "src", scratch.path / "out"
        source.mkdir()
        out.mkdir()
        store.materialise(tree, source, mtime=package.epoch)
        environment = package.environment.output.below(store.root)
        variables = keyed_environment(
            package.epoch, {name: str(scratch.path) for name in ("TMPDIR", "TMP")}
        )
        before = children()
        subprocess.run(
            [str(environment / "bin/python"), "-c", HOOKS, str(out)],
            cwd=source,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return children() - before


def children() -> float:
    """CPU seconds of all processes that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
