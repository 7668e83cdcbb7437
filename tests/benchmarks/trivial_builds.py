"""Many builds that do nothing but write a file, each in the full sandbox.

    PYTHONPATH=tests python -m benchmarks.trivial_builds STORE SALT COUNT JOBS

Everything is as in a build of a wheel, but for the interpreter and the backend: key,
lock, private folder, log, sandbox, transaction and realisation. Another salt gives
other derivations. Beside it: the same for Nix.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fromager.derivations import (
    Derivation,
    HostBase,
    Kind,
    ResolvedDerivation,
    Sandbox,
    Steps,
    find_bubblewrap,
    host_platform,
    probe,
)
from fromager.derivations.building.hooks import HookPlace
from fromager.derivations.building.sandbox import (
    BUILD,
    Mount,
    SandboxSpec,
    keyed_environment,
    unkeyed_environment,
)
from fromager.derivations.errors import BuildError
from fromager.derivations.realising.build_log import BuildLog
from fromager.derivations.realising.steps import Made
from fromager.derivations.versions import SANDBOX_VERSION
from fromager.store import Transaction, open_store

EXPRESSION: Final = """\
{ salt, count }:
builtins.genList (number: derivation {
  name = "trivial-${toString number}";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "echo ${salt} ${toString number} > $out" ];
}) count
"""
SEEN_BY_NIX: Final = ("/bin", "/lib", "/lib64", "/usr/bin", "/usr/lib")


def main() -> None:
    folder, salt, count, jobs = sys.argv[1:]
    with open_store(Path(folder)) as store:
        interpreter = probe(sys.executable, store)
        base = host_platform(interpreter, store.cache("base"), store, thorough=False)
        sandbox = find_bubblewrap(os.environ["PATH"])
        steps = Steps(store, lambda event: None, int(jobs), sandbox.level)
        asyncio.run(build_all(steps, base, sandbox, salt, int(count)))
    assert steps.done == int(count), f"{steps.done} were built"


async def build_all(
    steps: Steps, base: HostBase, sandbox: Sandbox, salt: str, count: int
) -> None:
    """All of them, as many at a time as there are job slots."""
    steps.begin()
    try:
        await asyncio.gather(
            *(build(steps, base, sandbox, salt, number) for number in range(count))
        )
    finally:
        await steps.end()


async def build(
    steps: Steps, base: HostBase, sandbox: Sandbox, salt: str, number: int
) -> None:
    """One derivation, realised."""
    subject = f"trivial-{number}"
    variables = keyed_environment(315532800, {})
    command = ("/bin/sh", "-c", f"echo {salt} {number} > {BUILD}/out/x")
    derivation = Derivation(
        Kind.WHEEL,
        subject,
        "trivial/1",
        options=(
            ("command", command),
            ("platform", str(base.platform.digest)),
            ("sandbox", f"{SANDBOX_VERSION} {sandbox.level}"),
            ("variables", variables),
        ),
    )

    def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
        with steps.store.scratch(subject) as scratch:
            log = BuildLog(scratch.path / "log", subject, steps.report)
            try:
                place = HookPlace.make(scratch.path / "build")
                mount = Mount(str(place.folder), BUILD, writable=True)
                spec = SandboxSpec(
                    command=command,
                    mounts=(*base.mounts, mount),
                    links=base.links,
                    environment={**unkeyed_environment(1), **variables},
                    cwd=f"{BUILD}/src",
                )
                if not sandbox.run(spec, log, steps.stop).succeeded:
                    raise BuildError(subject, log.tail)
                return Made(transaction.add_file(place.out / "x", subject))
            finally:
                log.save(steps.store, resolved)

    await steps.step(derivation, (), make, urgency=int)


def nix_command(folder: Path, salt: str, count: int, jobs: int) -> Sequence[str]:
    """The same for Nix, with a store in a folder and no daemon."""
    expression = folder / "trivial.nix"
    expression.write_text(EXPRESSION)
    return (
        *("nix-build", str(expression), "--store", str(folder / "root")),
        *("--no-out-link", "--argstr", "salt", salt, "--arg", "count", str(count)),
        *("--max-jobs", str(jobs), "--cores", "1"),
    )


def nix_settings() -> str:
    """Its sandbox on, with about the folders that ours lets in."""
    seen = " ".join(place for place in SEEN_BY_NIX if Path(place).exists())
    return (
        f"sandbox = true\nsandbox-fallback = false\nsandbox-paths = {seen}\n"
        "build-users-group =\nsubstituters =\n"
    )


if __name__ == "__main__":
    main()
