"""What is recorded of this machine beside what is built on it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations import HostFacts


def host_facts(cores: int, environ: Mapping[str, str]) -> HostFacts:
    """The facts of builds in this run, each of which may use so many processors."""
    from fromager.derivations import facts_of_host, find_bubblewrap

    @cache
    def at(level: str) -> tuple[tuple[str, str], ...]:
        programs = {"fromager": version("fromager")}
        if level == "full":
            found = find_bubblewrap(environ.get("PATH", ""))
            programs["bubblewrap"] = ".".join(map(str, found.version))
        return facts_of_host(cores, programs)

    return at
