"""The composition root: from flags and environment to the objects that do the work.

Only this module and `main` read the process's environment.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fromager.cli.console import Console, standard_console
from fromager.cli.settings import (
    Settings,
    default_jobs,
    load_settings,
    memory_bytes,
    usable_cores,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations import (
        BuildPolicy,
        Clues,
        Facts,
        HostBase,
        HttpIndexClient,
        IndexConfiguration,
        Interpreter,
        Limits,
        PatchFolder,
        Platform,
        RealiseRequest,
        RebuildMeans,
        Reporter,
        Sandbox,
        StopSignal,
        Surroundings,
    )
    from fromager.store import LocalStore


@dataclass(frozen=True)
class Wiring:
    """What one run of the command works with; each part is made when it is needed."""

    flags: Mapping[str, object]
    environ: Mapping[str, str]
    folder: Path

    @cached_property
    def console(self) -> Console:
        """Where to print."""
        verbose = self.flags.get("verbose")
        return standard_console(
            no_colour="NO_COLOR" in self.environ,
            quiet=bool(self.flags.get("quiet")),
            verbose=verbose if isinstance(verbose, int) else 0,
        )

    @cached_property
    def settings(self) -> Settings:
        """The settings in force."""
        from platformdirs import user_config_path

        file = self.flags.get("config")
        return load_settings(
            self.flags,
            self.environ,
            self.folder,
            user_config_path("fromager"),
            Path(str(file)) if file else None,
        )

    @cached_property
    def store_root(self) -> Path:
        """The store's folder."""
        given = self.settings.text("store")
        if given is not None:
            return (self.folder / Path(given).expanduser()).absolute()
        from platformdirs import user_data_path

        return user_data_path("fromager") / "store"

    def open_store(self, *, create: bool) -> LocalStore:
        """The store; only commands that write may create it."""
        from fromager.store import open_store

        return open_store(self.store_root, create=create)

    @cached_property
    def python(self) -> str:
        """The interpreter to build for, as it was named."""
        return self.settings.text("python") or sys.executable

    def interpreter(self, store: LocalStore) -> Interpreter:
        """The interpreter to build for."""
        from fromager.derivations import probe

        return probe(self.python, store)

    def known_base(
        self, store: LocalStore, interpreter: Interpreter
    ) -> HostBase | None:
        """What of this machine is let in, if that was found out before and holds."""
        from fromager.derivations import known_platform

        return known_platform(interpreter, store.cache("base"), store)

    def base(
        self, store: LocalStore, interpreter: Interpreter, *, thorough: bool
    ) -> HostBase:
        """What of this machine is let into the sandbox."""
        from fromager.derivations import host_platform

        return host_platform(interpreter, store.cache("base"), store, thorough=thorough)

    def platform(self) -> Platform:
        """The fingerprint of what is let into the sandbox, every file looked at.

        What is costly is kept in the store; without a usable one, nothing is kept.
        """
        from fromager.derivations import NoFacts, host_platform, probe
        from fromager.store import StoreUnavailable

        with ExitStack() as held:
            facts: Facts
            try:
                store = held.enter_context(self.open_store(create=False))
                facts, folder = store, store.cache("base")
            except StoreUnavailable:
                temporary = TemporaryDirectory(prefix="fromager-")
                facts, folder = NoFacts(), Path(held.enter_context(temporary))
            interpreter = probe(self.python, facts)
            return host_platform(interpreter, folder, facts, thorough=True).platform

    def sandbox(self) -> Sandbox:
        """The sandbox of the level that is set."""
        if self.settings.text("sandbox") == "none":
            from fromager.derivations import UnsandboxedRunner

            return UnsandboxedRunner()
        from fromager.derivations import find_bubblewrap

        return find_bubblewrap(self.environ.get("PATH", ""))

    def sandbox_of(self, level: str) -> Sandbox:
        """The sandbox of a level that was recorded."""
        from fromager.derivations import UnsandboxedRunner, find_bubblewrap

        if level == "none":
            return UnsandboxedRunner()
        return find_bubblewrap(self.environ.get("PATH", ""))

    def rebuild_means(
        self, store: LocalStore, stop: StopSignal, *, keep_failed: bool = False
    ) -> RebuildMeans:
        """What recorded steps are done again with, each on the target of its own."""
        import time

        from fromager.derivations import (
            BuildPolicy,
            Limits,
            RebuildMeans,
            Target,
            probe,
        )

        @cache
        def find_target(executable: str | None, level: str) -> Target:
            interpreter = probe(executable or self.python, store)
            base = self.base(store, interpreter, thorough=True)
            return Target(interpreter, base, self.sandbox_of(level))

        return RebuildMeans(
            store,
            find_target,
            None,
            BuildPolicy(
                cores=self.cores,
                timeout=self.settings.number("timeout"),
                keep_failed=keep_failed,
            ),
            Limits(
                total_bytes=self.settings.number("max-source-bytes") or 0,
                files=self.settings.number("max-source-files") or 0,
            ),
            self.report,
            stop,
            time.time,
        )

    @cached_property
    def clues(self) -> Clues:
        """What in an output can only come from this machine."""
        import socket

        from fromager.derivations import known_words

        return known_words(
            host=socket.gethostname(),
            user=self.environ.get("USER") or self.environ.get("LOGNAME") or "",
            home=str(Path.home()),
            kernel=os.uname().release,
        )

    @cached_property
    def indexes(self) -> IndexConfiguration:
        """The package indexes, and how they are reached."""
        from fromager.derivations import find_indexes

        return find_indexes(self.settings.texts("index"), self.surroundings)

    @cached_property
    def surroundings(self) -> Surroundings:
        """Where the configuration of other tools is looked for."""
        from fromager.derivations import Surroundings

        return Surroundings(self.environ, Path.home(), self.folder)

    @cached_property
    def report(self) -> Reporter:
        """Who hears of what happens."""
        from fromager.cli.progress import reporter

        return reporter(self.console, live=not self.flags.get("no_progress"))

    def client(
        self, store: LocalStore, stop: StopSignal, *, refresh: bool
    ) -> HttpIndexClient:
        """Reads pages of the indexes, and files; `stop` ends its pauses."""
        from fromager.derivations import (
            Freshness,
            Noted,
            Retries,
            Stopped,
            find_http_settings,
            open_client,
        )

        def pause(seconds: float) -> None:
            if stop.wait(seconds):
                raise Stopped("a request was not repeated")

        def tell(url: str, reason: str, seconds: float) -> None:
            self.report(Noted(url, f"{reason}; tried again in {seconds:.1f} s"))

        policy = Freshness.REFRESH if refresh else Freshness.CACHED
        if self.settings.flag("offline"):
            policy = Freshness.OFFLINE
        return open_client(
            self.indexes.indexes,
            lambda: find_http_settings(self.surroundings),
            store.cache("index"),
            policy,
            Retries(sleep=pause, notify=tell),
        )

    @cached_property
    def patches(self) -> PatchFolder:
        """The folder of patches; without one there are none."""
        from fromager.derivations import InputError, PatchFolder

        given = self.settings.text("patches")
        if given is None:
            return PatchFolder()
        folder = self.folder / Path(given).expanduser()
        if not folder.is_dir():
            raise InputError(f"there is no folder of patches {folder}")
        return PatchFolder.scan(folder)

    def basis(self, base: HostBase, patches: PatchFolder) -> tuple[str, ...]:
        """What the answer to a request rests on, beside the request."""
        from fromager.derivations import recipe_versions

        return (
            *(index.name for index in self.indexes.indexes),
            str(base.platform.digest),
            str(self.settings.text("sandbox")),
            *(":".join(map(str, row)) for row in patches.signature()),
            *recipe_versions(),
        )

    def means(
        self, request: RealiseRequest, keep_failed: bool
    ) -> tuple[BuildPolicy, Limits]:
        """How builds are run, and what sources may grow to."""
        from fromager.derivations import BuildPolicy, Limits

        timeout = self.settings.number("timeout")
        return (
            BuildPolicy(
                cores=self.cores,
                timeout=timeout,
                keep_failed=keep_failed,
                build_constraints=request.build_constraints,
            ),
            Limits(
                total_bytes=self.settings.number("max-source-bytes") or 0,
                files=self.settings.number("max-source-files") or 0,
            ),
        )

    @cached_property
    def jobs(self) -> int:
        """Builds that run at once."""
        return self.settings.number("jobs") or default_jobs(
            usable_cores(), memory_bytes()
        )

    @cached_property
    def cores(self) -> int:
        """Cores that each build may use."""
        return self.settings.number("cores") or max(1, usable_cores() // self.jobs)


def wire(flags: Mapping[str, object], **more: object) -> Wiring:
    """The wiring for global flags and those of a command, which win."""
    given = {name: value for name, value in more.items() if value is not None}
    return Wiring({**flags, **given}, os.environ, Path.cwd())
