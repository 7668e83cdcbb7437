"""What is built for, and with what: an interpreter on a base, in a sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.parts import INTERPRETER, STANDARD_LIBRARY
from fromager.derivations.errors import PrebuiltRefused
from fromager.derivations.versions import SANDBOX_VERSION
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.building.platform import HostBase
    from fromager.derivations.building.sandbox import Sandbox
    from fromager.derivations.interpreter import Interpreter
    from fromager.derivations.resolution.candidate import Release
    from fromager.derivations.resolution.request import GivenRequirement
    from fromager.store import Digest


@dataclass(frozen=True)
class Target:
    """The interpreter, what of the machine is let in, and the sandbox around it."""

    interpreter: Interpreter
    base: HostBase
    sandbox: Sandbox

    @cached_property
    def python(self) -> Digest:
        """Names the interpreter and its standard library: what bytecode depends on."""
        wanted = (INTERPRETER, STANDARD_LIBRARY)
        parts = [part for part in self.base.platform.parts if part.name in wanted]
        return blob_digest(
            "\n".join(f"{part.name} {part.digest}" for part in parts).encode()
        )

    @property
    def sandbox_name(self) -> str:
        """The sandbox's version and level: what every key of a build covers."""
        return f"{SANDBOX_VERSION} {self.sandbox.level}"


GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Share:
    """What of the machine one build may use."""

    cores: int
    memory: int | None = None
    """Bytes; None if it is not known."""

    def jobs(self, cores_per_job: int, memory_per_job: float) -> int:
        """How many parallel jobs fit, at least one; memory in GiB, 0 for any."""
        jobs = self.cores // cores_per_job
        if memory_per_job and self.memory is not None:
            jobs = min(jobs, int(self.memory / (memory_per_job * GIB)))
        return max(1, jobs)


@dataclass(frozen=True)
class BuildPolicy:
    """How builds are run; nothing of it is part of a key but the constraints' effect."""

    cores: int = 1
    """Processors for each build."""
    memory: int | None = None
    """Bytes of memory for each build."""
    whole: Share | None = None
    """What a build that runs alone may use; None: no more than any other."""
    timeout: float | None = None
    """Seconds for each build."""
    keep_failed: bool = False
    """Keep the folders of failed builds."""
    build_constraints: tuple[GivenRequirement, ...] = ()
    """They narrow the versions of what builds are done with."""
    only_from_source: bool = False
    """Refuse wheels that settings ask to take from an index."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for every build; part of its key."""

    def share(self, *, exclusive: bool) -> Share:
        """What a build may use, which runs alone or not."""
        own = Share(self.cores, self.memory)
        return self.whole or own if exclusive else own

    def check_prebuilt(self, releases: Mapping[str, Release]) -> None:
        """Refuse what would not be built, if only what is built may be used.

        `releases` are by `name==version`.

        Raises:
            PrebuiltRefused: there are some; all are named.
        """
        found = [subject for subject, each in releases.items() if each.prebuilt]
        if found and self.only_from_source:
            raise PrebuiltRefused(found)
