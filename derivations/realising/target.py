"""What is built for, and with what: an interpreter on a base, in a sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fromager.derivations.building.parts import INTERPRETER, STANDARD_LIBRARY
from fromager.derivations.versions import SANDBOX_VERSION
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.building.platform import HostBase
    from fromager.derivations.building.sandbox import Sandbox
    from fromager.derivations.interpreter import Interpreter
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


@dataclass(frozen=True)
class BuildPolicy:
    """How builds are run; nothing of it is part of a key but the constraints' effect."""

    cores: int = 1
    """Processors for each build."""
    timeout: float | None = None
    """Seconds for each build."""
    keep_failed: bool = False
    """Keep the folders of failed builds."""
    build_constraints: tuple[GivenRequirement, ...] = ()
    """They narrow the versions of what builds are done with."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for every build; part of its key."""
