"""The composition root: from flags and environment to the objects that do the work.

Only this module and `main` read the process's environment.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.cli.console import Console, standard_console
from fromager.cli.host import host_facts
from fromager.cli.plugins import installed_plugins
from fromager.cli.recording import current_recording
from fromager.cli.settings import (
    Settings,
    default_jobs,
    load_settings,
    memory_bytes,
    usable_cores,
)
from fromager.cli.store_places import StorePlaces, Stores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fromager.cli.network import Network
    from fromager.derivations import (
        BuildPolicy,
        Clues,
        Customisation,
        Facts,
        HostBase,
        HttpIndexClient,
        IndexConfiguration,
        InstalledRust,
        Interpreter,
        Limits,
        Overrides,
        PatchFolder,
        Platform,
        RealiseRequest,
        RebuildMeans,
        Reporter,
        RoutedClient,
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
    def stores(self) -> Stores:
        """The stores that are named."""
        given, lower = self.settings.text("store"), self.settings.texts("lower")
        return Stores(StorePlaces.find(given, lower, self.folder), self._tell_waiting)

    def open_store(self, *, create: bool) -> LocalStore:
        """The store, above those that are only read; who writes may create it."""
        return self.stores.open(create=create)

    def _tell_waiting(self, holder: str) -> None:
        from fromager.derivations import Waiting

        current_recording().spoil()
        self.report(Waiting("store", "the store", holder))

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
        from fromager.derivations import host_platform_apart

        return host_platform_apart(interpreter, store.cache("base"), store, thorough)

    def platform(self) -> Platform:
        """The fingerprint of what is let into the sandbox, every file looked at."""
        from fromager.derivations import host_platform, probe

        with self._facts() as (facts, folder):
            interpreter = probe(self.python, facts)
            return host_platform(interpreter, folder, facts, thorough=True).platform

    def probed(self) -> Interpreter:
        """The interpreter to build for; no store is made for it."""
        from fromager.derivations import probe

        with self._facts() as (facts, _):
            return probe(self.python, facts)

    @contextmanager
    def _facts(self) -> Iterator[tuple[Facts, Path]]:
        """Where what is costly is kept: the store, or without a usable one nowhere."""
        from tempfile import TemporaryDirectory

        from fromager.derivations import NoFacts
        from fromager.store import StoreUnavailable

        with ExitStack() as held:
            try:
                store = held.enter_context(self.open_store(create=False))
                folder = store.cache("base")
            except StoreUnavailable:
                temporary = TemporaryDirectory(prefix="fromager-")
                yield NoFacts(), Path(held.enter_context(temporary))
            else:
                yield store, folder

    def sandbox(self) -> Sandbox:
        """The sandbox of the level that is set."""
        return self.sandbox_of(self.settings.text("sandbox") or "full")

    def sandbox_of(self, level: str) -> Sandbox:
        """The sandbox of a level."""
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
            RebuildMeans,
            Target,
            probe,
        )

        sandbox_of = cache(self.sandbox_of)

        @cache
        def find_target(executable: str | None, level: str) -> Target:
            interpreter = probe(executable or self.python, store)
            base = self.base(store, interpreter, thorough=True)
            return Target(interpreter, base, sandbox_of(level))

        return RebuildMeans(
            store,
            find_target,
            None,
            BuildPolicy(
                cores=self.cores,
                timeout=self.settings.number("timeout"),
                keep_failed=keep_failed,
            ),
            self.limits,
            self.report,
            stop,
            time.time,
            host_facts(self.cores, sandbox_of),
        )

    @cached_property
    def clues(self) -> Clues:
        """What in an output can only come from this machine."""
        from fromager.derivations import known_words

        return known_words(
            host=os.uname().nodename,
            user=self.environ.get("USER") or self.environ.get("LOGNAME") or "",
            home=str(Path.home()),
            kernel=os.uname().release,
        )

    @cached_property
    def indexes(self) -> IndexConfiguration:
        """The package indexes, and how they are reached."""
        from fromager.derivations import find_indexes

        return find_indexes(
            self.settings.texts("index"),
            self.surroundings,
            links=self.settings.texts("find-links"),
            no_index=self.settings.flag("no-index"),
            assigned=self.settings.texts("index-for"),
        )

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

    def network(self, store: LocalStore, stop: StopSignal) -> Network:
        """How the outside is reached."""
        from fromager.cli.network import Network

        offline = self.settings.flag("offline")
        return Network(
            store, self.indexes, self.surroundings, lambda: self.report, stop, offline
        )

    def client(
        self, store: LocalStore, stop: StopSignal, *, refresh: bool
    ) -> HttpIndexClient:
        """Reads pages of the indexes, and files; `stop` ends its pauses."""
        return self.network(store, stop).client(refresh=refresh)

    @cached_property
    def patches(self) -> PatchFolder:
        """The folder of patches; without one there are none."""
        from fromager.derivations import InputError, PatchFolder

        given = self.settings.text("patches")
        if given is not None:
            folder = self.folder / Path(given).expanduser()
            if not folder.is_dir():
                raise InputError(f"there is no folder of patches {folder}")
            return PatchFolder.scan(folder)
        overrides = self.overrides_folder
        if overrides is None or not (overrides / "patches").is_dir():
            return PatchFolder()
        return PatchFolder.scan(overrides / "patches")

    @cached_property
    def overrides_folder(self) -> Path | None:
        """The folder of overrides; without a setting the one beside the project's
        settings file, or in the working folder, if there is one.
        """
        from fromager.derivations import InputError

        given = self.settings.text("overrides")
        if given is not None:
            folder = self.folder / Path(given).expanduser()
            if not folder.is_dir():
                raise InputError(f"there is no folder of overrides {folder}")
            return folder
        folder = (self.settings.folder or self.folder) / "overrides"
        return folder if folder.is_dir() else None

    @cached_property
    def overrides(self) -> Overrides:
        """Settings of packages, read when they are asked for."""
        from fromager.derivations import DEFAULTS, Overrides

        return Overrides(self.settings.packages, self.overrides_folder, DEFAULTS)

    def customisation(self, interpreter: Interpreter | None) -> Customisation:
        """What is done otherwise for packages, for an interpreter or for none."""
        from fromager.derivations import Circumstances, Customisation

        declared = self.settings.texts("host-env")
        around = Circumstances(
            self.settings.text("variant") or "",
            interpreter.platform_tag if interpreter else "",
            interpreter.marker_environment if interpreter else {},
        )
        host = {n: self.environ[n] for n in declared if n in self.environ}
        code = (installed_plugins(), tuple(sys.path), self.environ)
        return Customisation(self.overrides, self.patches, around, host, *code)

    def routed(
        self, client: HttpIndexClient, customisation: Customisation
    ) -> RoutedClient:
        """The client, which asks an index of its own where settings name one."""
        from fromager.derivations import IndexUrl, RoutedClient

        assigned = dict(self.indexes.assigned)

        def route(project: str) -> IndexUrl | None:
            url = customisation.index(project)
            if url is None or project in assigned:
                return None
            return IndexUrl.parse(url, f"settings of {project}", self.folder)

        return RoutedClient(client, route)

    @cached_property
    def rust(self) -> InstalledRust:
        """The Rust toolchain that a shell here would use, looked for when needed."""
        from fromager.derivations import InstalledRust

        return InstalledRust(self.environ)

    def basis(self, base: HostBase, customisation: Customisation) -> tuple[str, ...]:
        """What the answer to a request rests on, beside the request."""
        from fromager.derivations import recipe_versions

        return (
            *(index.name for index in self.indexes.indexes),
            *(f"{name}={index.name}" for name, index in self.indexes.assigned),
            str(base.platform.digest),
            str(self.settings.text("sandbox")),
            f"only from source: {bool(self.flags.get('only_from_source'))}",
            *customisation.signature(),
            *self.rust.signature(),
            *recipe_versions(),
        )

    def policy(self, request: RealiseRequest, keep_failed: bool) -> BuildPolicy:
        """How builds are run."""
        from fromager.derivations import BuildPolicy, Share

        return BuildPolicy(
            cores=self.cores,
            memory=memory_bytes() // self.jobs,
            whole=Share(usable_cores(), memory_bytes()),
            only_from_source=bool(self.flags.get("only_from_source")),
            timeout=self.settings.number("timeout"),
            keep_failed=keep_failed,
            build_constraints=request.build_constraints,
        )

    @property
    def limits(self) -> Limits:
        """What sources may grow to."""
        from fromager.derivations import Limits

        return Limits(
            total_bytes=self.settings.number("max-source-bytes") or 0,
            files=self.settings.number("max-source-files") or 0,
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
