"""What a build can see of what surrounds it, found out by looking."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.hooks import HookPlace
from fromager.derivations.building.sandbox import (
    BUILD,
    Launched,
    Mount,
    SandboxSpec,
    keyed_environment,
    unkeyed_environment,
)
from fromager.derivations.building.scripts import INSIDE
from fromager.derivations.errors import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.realising.rebuilding import Conditions, RebuildMeans
    from fromager.derivations.realising.target import Target

OBSERVER: Final = Path(__file__).with_name("observer.py")
FILES: Final = 16
_TIMEOUT: Final = 60.0


def observe(
    means: RebuildMeans, target: Target, conditions: Conditions
) -> Mapping[str, str]:
    """What is seen inside of each thing that is varied, by the variation's name.

    Raises:
        SandboxUnavailable: nothing can be started under these conditions.
    """
    parent = conditions.folder
    if parent is None:
        with means.store.scratch("observation") as scratch:
            return _observe(means, target, conditions, scratch.path)
    with TemporaryDirectory(dir=parent, prefix="fromager-") as folder:
        return _observe(means, target, conditions, Path(folder))


def _observe(
    means: RebuildMeans, target: Target, conditions: Conditions, folder: Path
) -> Mapping[str, str]:
    place = HookPlace.make(folder / "build")
    for number in range(FILES):
        (place.source / f"file{number}").touch()
    conditions.prepare(place.source)
    cores = conditions.cores or means.policy.cores
    script = f"{INSIDE}/observer.py"
    spec = SandboxSpec(
        command=(target.interpreter.executable, "-S", "-s", script, f"{BUILD}/src"),
        mounts=(
            *target.base.mounts,
            Mount(str(OBSERVER), script),
            Mount(str(place.folder), BUILD, writable=True),
        ),
        links=target.base.links,
        environment={**unkeyed_environment(cores), **keyed_environment(0, {})},
        cwd=f"{BUILD}/src",
        cores=cores,
        timeout=_TIMEOUT,
    )
    sandbox = target.sandbox
    if conditions.launch is not None:
        sandbox = Launched(sandbox, conditions.launch)
    output = bytearray()
    ending = sandbox.run(spec, output.extend, means.stop)
    try:
        if ending.succeeded:
            found: dict[str, str] = json.loads(output)
            return found
    except ValueError:
        pass
    said = output.decode("utf-8", "replace").strip()
    raise SandboxUnavailable(f"what a build can see cannot be found out: {said}")
