"""What realises requests, put together for commands that resolve or build."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.cli.host import host_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fromager.cli.wiring import Wiring
    from fromager.derivations import (
        Customisation,
        Event,
        Interpreter,
        Realiser,
        RealiseRequest,
        Reporter,
        Repositories,
        RoutedClient,
        Steps,
        StopSignal,
        Target,
    )
    from fromager.store import LocalStore


@dataclass(frozen=True)
class Means:
    """What one run of a command resolves and builds with."""

    wiring: Wiring
    store: LocalStore
    stop: StopSignal
    interpreter: Interpreter
    customisation: Customisation
    client: RoutedClient
    request: RealiseRequest
    repositories: Callable[[], Repositories]
    """Asked for only where something is resolved."""
    refresh: bool

    @classmethod
    def of(
        cls,
        wiring: Wiring,
        store: LocalStore,
        request: RealiseRequest,
        *,
        refresh: bool,
    ) -> Means:
        """What the settings in force name; `refresh`: indexes are asked anew."""
        from fromager.derivations import StopSignal

        stop = StopSignal()
        interpreter = wiring.interpreter(store)
        customisation = wiring.customisation(interpreter)
        network = wiring.network(store, stop)
        plain = network.client(refresh=refresh, request=request)
        return cls(
            wiring,
            store,
            stop,
            interpreter,
            customisation,
            wiring.routed(plain, customisation),
            request,
            partial(network.repositories, plain, request),
            refresh,
        )

    def realiser(
        self,
        *,
        keep_going: bool = False,
        keep_failed: bool = False,
        heard: Reporter | None = None,
    ) -> tuple[Realiser, Steps]:
        """What realises the request, and what does the steps of it.

        `heard` is told of what happens, too.
        """
        from fromager.cli.sharing import Sharing
        from fromager.derivations import CargoConfiguration, Realiser, Steps, Target

        _keep_memory_together()
        wiring, store = self.wiring, self.store
        if wiring.console.verbose and self.request.lock is None:
            for note in wiring.indexes.notes:
                wiring.console.say(note)
        sandbox = wiring.sandbox()

        def find_target() -> Target:
            base = wiring.base(store, self.interpreter, thorough=True)
            return Target(self.interpreter, base, sandbox)

        def report(event: Event) -> None:
            wiring.report(event)
            if heard is not None:
                heard(event)

        steps = Steps(
            store,
            report,
            wiring.jobs,
            sandbox.level,
            stop=self.stop,
            substitutes=Sharing(wiring).substituter(store),
            host_facts=host_facts(wiring.cores, lambda _: sandbox),
        )
        realiser = Realiser(
            self.client,
            self.interpreter,
            find_target,
            wiring.policy(self.request, keep_failed),
            self.customisation,
            wiring.limits,
            keep_going,
            self.repositories(),
            self.refresh,
            wiring.rust,
            lambda: CargoConfiguration.load(cargo_home(wiring.environ), wiring.environ),
        )
        return realiser, steps


def cargo_home(environ: Mapping[str, str]) -> Path:
    """Where cargo's own configuration lies."""
    given = environ.get("CARGO_HOME")
    return Path(given) if given else Path.home() / ".cargo"


def _keep_memory_together() -> None:
    """Let threads share two pools of memory.

    glibc gives each thread one of its own, and none of them ever shrinks.
    """
    import ctypes

    arena_max = -8  # M_ARENA_MAX of <malloc.h>
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(arena_max, 2)
