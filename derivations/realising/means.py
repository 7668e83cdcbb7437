"""What requests are realised with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fromager.derivations.rust.registries import CargoConfiguration
from fromager.derivations.rust.toolchain import NoRust

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations.customisation.customisation import Customisation
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.interpreter import Interpreter
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.derivations.rust.toolchain import RustFinder
    from fromager.derivations.sources.members import Limits
    from fromager.derivations.sources.opening import Repositories


@dataclass(frozen=True)
class Means:
    """What requests are realised with."""

    client: IndexClient
    interpreter: Interpreter
    find_target: Callable[[], Target]
    """Gives the target; called once, in a thread, while versions are looked up: to
    look at a whole machine takes a while."""
    policy: BuildPolicy
    customisation: Customisation
    limits: Limits
    keep_going: bool = False
    repositories: Repositories | None = None
    """Fetches repositories, and tells their tags; None where none can be asked."""
    refresh: bool = False
    """Whether files that were trusted at first sight are looked at anew."""
    rust: RustFinder = field(default_factory=NoRust)
    """Finds the toolchain, for packages that compile Rust."""
    find_registries: Callable[[], CargoConfiguration] = CargoConfiguration
    """Gives cargo's own configuration; called when crates are fetched."""
