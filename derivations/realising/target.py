"""What is built for, and with what: an interpreter on a base, in a sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations.building.platform import HostBase
    from fromager.derivations.building.sandbox import Sandbox
    from fromager.derivations.interpreter import Interpreter
    from fromager.derivations.resolution.request import GivenRequirement


@dataclass(frozen=True)
class Target:
    """The interpreter, what of the machine is let in, and the sandbox around it."""

    interpreter: Interpreter
    base: HostBase
    sandbox: Sandbox


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
