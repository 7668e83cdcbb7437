"""The means to do recorded steps again in a store, as the command has them."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from fromager.derivations import (
    BuildPolicy,
    Limits,
    RebuildMeans,
    StopSignal,
    Target,
    UnsandboxedRunner,
    find_bubblewrap,
    host_platform,
    probe,
)

if TYPE_CHECKING:
    from fromager.derivations import IndexClient
    from fromager.store import LocalStore


def rebuild_means(store: LocalStore, client: IndexClient | None = None) -> RebuildMeans:
    """With this interpreter by default, one processor, and nobody who listens."""

    def find_target(executable: str | None, level: str) -> Target:
        interpreter = probe(executable or sys.executable, store)
        base = host_platform(interpreter, store.cache("base"), store, thorough=False)
        if level == "none":
            return Target(interpreter, base, UnsandboxedRunner())
        return Target(interpreter, base, find_bubblewrap(os.defpath))

    return RebuildMeans(
        store,
        find_target,
        client,
        BuildPolicy(),
        Limits(),
        lambda event: None,
        StopSignal(),
        time.time,
    )
