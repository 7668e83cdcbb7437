"""What is recorded of this machine beside what is built on it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations import HostFacts, Sandbox


def host_facts(cores: int, sandbox_of: Callable[[str], Sandbox]) -> HostFacts:
    """The facts of builds in this run, each of which may use so many processors.

    `sandbox_of` gives the sandbox of a level that they are done in.
    """
    from fromager.derivations import Bubblewrap, facts_of_host

    @cache
    def at(level: str) -> tuple[tuple[str, str], ...]:
        # Most commands build nothing, and this takes 20 ms.
        from importlib.metadata import version

        programs = {"fromager": version("fromager")}
        if level == "full":
            sandbox = sandbox_of(level)
            if isinstance(sandbox, Bubblewrap):
                programs["bubblewrap"] = ".".join(map(str, sandbox.version))
        return facts_of_host(cores, programs)

    return at
