"""The work of a recorded step, kind by kind, done once more."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from fromager.derivations.building.environment import base_files, compose
from fromager.derivations.building.hooks import HookStatus
from fromager.derivations.building.sandbox import Launched
from fromager.derivations.collecting.files import WHEELS, collection_files
from fromager.derivations.collecting.plan import read_plan
from fromager.derivations.derivation import Kind
from fromager.derivations.errors import BuildError, InputError, InputGone, SourceError
from fromager.derivations.realising import fetched
from fromager.derivations.realising.backend import (
    BackendCall,
    call_backend,
    take_metadata,
    take_wheel,
)
from fromager.derivations.realising.build_log import BuildLog, last_lines
from fromager.derivations.realising.collecting import collected_facts
from fromager.derivations.realising.environments import base_tree, lay_out, layout_tree
from fromager.derivations.realising.overridden_again import (
    PluginAgain,
    annotated_again,
)
from fromager.derivations.realising.recorded import RecordedStep, parse_digest
from fromager.derivations.realising.recorded_call import (
    build_dir_of,
    recorded_call,
)
from fromager.derivations.realising.source_recipe import (
    DROPPED,
    prepare_source,
    prepare_tree,
    recorded_recipe,
    source_facts,
)
from fromager.derivations.rust.vendoring import (
    TOP,
    numbered,
    recorded_crates,
    role_of,
    vendor,
)
from fromager.derivations.sources.project import build_system
from fromager.derivations.sources.sink import FolderSink
from fromager.derivations.versions import (
    ANNOTATE_RECIPE,
    CRATES_RECIPE,
    NORMALISATION_VERSION,
    PLUGIN_REQUIRES_RECIPE,
    PLUGIN_SOURCE_RECIPE,
)
from fromager.store import Directory, File, ObjectMissing

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.building.hooks import HookAnswer, Operation
    from fromager.derivations.realising.rebuilding import Conditions, RebuildMeans
    from fromager.derivations.realising.target import Target


Facts: TypeAlias = tuple[tuple[str, str], ...]


class Repetition:
    """One recorded step being done again in a private folder."""

    def __init__(
        self,
        means: RebuildMeans,
        step: RecordedStep,
        conditions: Conditions,
        folder: Path,
    ) -> None:
        self._means, self._store, self._step = means, means.store, step
        self._conditions, self._folder = conditions, folder

    def make(self) -> tuple[Path, Facts]:
        """Where the output lies, and what is recorded of it."""
        match self._step.derivation.kind:
            case Kind.FETCH:
                return self._fetch(), ()
            case Kind.PATCH_SET:
                return self._patch_set(), ()
            case Kind.SOURCE if self._step.derivation.builder == PLUGIN_SOURCE_RECIPE:
                return self._by_plugin().source()
            case Kind.SOURCE:
                return self._source()
            case Kind.LAYOUT:
                return self._layout(), ()
            case Kind.ENVIRONMENT:
                return self._environment(), ()
            case Kind.SDIST:
                return self._by_plugin().sdist(), ()
            case Kind.REQUIRES if (
                self._step.derivation.builder == PLUGIN_REQUIRES_RECIPE
            ):
                return self._by_plugin().requires(), ()
            case Kind.REQUIRES:
                return self._requires(), ()
            case Kind.METADATA:
                return self._metadata(), ()
            case _ if self._step.derivation.builder == ANNOTATE_RECIPE:
                return annotated_again(self._store, self._step, self._folder)
            case Kind.COLLECTION:
                return self._collection(), ()
            case _:
                return self._wheel()

    def _fetch(self) -> Path:
        folder = self._folder / "out"
        folder.mkdir()
        filename = self._step.text("filename")
        if self._means.client is None:
            raise self._step.refused("nothing may be fetched")
        found = fetched.fetch(
            self._means.client, filename, self._step.text("sha256"), folder
        )
        if not found:
            raise self._step.refused(
                "no index names a file of that name and hash any more"
            )
        return folder

    def _patch_set(self) -> Path:
        folder = self._folder / "out"
        folder.mkdir()
        patches = self._step.derivation.option("patches")
        for each in patches if isinstance(patches, tuple) else ():
            name, text = each if isinstance(each, tuple) else ("", "")
            digest = parse_digest(str(text))
            if digest is None:
                raise self._step.refused("its derivation does not tell its patches")
            place = self._store.path_of_blob(File(digest))
            if not place.exists():
                raise InputGone(self._step.subject, f"patch {name}", str(digest))
            (folder / str(name)).write_bytes(place.read_bytes())
        self._dropped(folder)
        return folder

    def _dropped(self, folder: Path) -> None:
        files = self._step.derivation.option("files")
        if not isinstance(files, tuple):
            return
        (folder / DROPPED).mkdir()
        for text in files:
            digest = parse_digest(str(text))
            if digest is None:
                raise self._step.refused("its derivation does not tell its files")
            place = self._store.path_of_blob(File(digest))
            if not place.exists():
                raise InputGone(self._step.subject, "a file", str(digest))
            (folder / DROPPED / digest.hex).write_bytes(place.read_bytes())

    def _crates(self) -> Path:
        try:
            crates = recorded_crates(self._step.derivation.option("crates"))
            sources = numbered(crates)
            held = [
                (crate, self._store.place(self._step.input(role_of(crate, sources))))
                for crate in crates
            ]
        except (KeyError, SourceError) as error:
            reason = f"its derivation does not tell its crates: {error}"
            raise self._step.refused(reason) from error
        vendor(held, FolderSink(self._folder), self._means.limits)
        return self._folder / TOP

    def _source(self) -> tuple[Path, Facts]:
        if self._step.derivation.builder == CRATES_RECIPE:
            return self._crates(), ()
        inputs = self._step.inputs()
        folder, limits = self._folder / "out", self._means.limits
        options = dict(self._step.derivation.options)
        try:
            recipe = recorded_recipe(self._store, options, inputs)
        except (ValueError, KeyError) as error:
            reason = f"its derivation does not tell how it is prepared: {error}"
            raise self._step.refused(reason) from error
        if "tree" in inputs:
            epoch = int(str(options["epoch"]))
            prepare_tree(self._store, inputs["tree"], folder, recipe, epoch, limits)
            return folder, source_facts(epoch)
        archive = self._store.place(inputs["archive"])
        prepared = prepare_source(
            archive / self._step.text("filename"), folder, recipe, limits
        )
        return prepared.root, source_facts(prepared.newest)

    def _by_plugin(self) -> PluginAgain:
        target = self._target()
        platform = str(target.base.platform.digest)
        self._compare("platform", self._step.text("platform"), platform)
        return PluginAgain(self._means, self._step, target, self._folder)

    def _layout(self) -> Path:
        target = self._target()
        self._compare("interpreter", self._step.text("python"), str(target.python))
        root = self._folder / "env"
        root.mkdir()
        wheel = self._store.place(self._step.input("wheel"))
        packed = wheel / self._step.text("filename")
        lay_out(target, packed, root, self._means.stop)
        return root

    def _environment(self) -> Path:
        interpreter = self._target().interpreter
        files = base_files(interpreter)
        base = base_tree(files)
        self._compare("interpreter", self._step.text("base"), str(base.digest))
        layouts = [
            (role.removeprefix("layout:"), layout_tree(self._store, path))
            for role, path in self._step.inputs().items()
        ]
        merged = compose(layouts, base)
        folder = self._folder / "out"
        # The base's own files need not be in the pool: they are known.
        self._store.materialise(_without(merged, set(files)), folder, mtime=0)
        for path, content in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                place.write_bytes(content)
            else:
                place.symlink_to(content)
        return folder

    def _collection(self) -> Path:
        plan = read_plan(dict(self._step.derivation.options))
        outputs = {w.subject: self._step.input(plan.role(w)) for w in plan.wheels}
        folder = self._folder / "out"
        facts = collected_facts(self._store, plan, outputs)
        for path, text in collection_files(plan, facts).items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)
        for wheel in plan.wheels:
            packed = self._store.place(outputs[wheel.subject]) / wheel.filename
            shutil.copy(packed, folder / WHEELS / wheel.filename)
        return folder

    def _requires(self) -> Path:
        answer = self._call("ask", ())
        path = self._folder / "answer.json"
        path.write_bytes(json.dumps(sorted(answer.requires)).encode())
        return path

    def _wheel(self) -> tuple[Path, Facts]:
        from packaging.version import Version

        self._compare(
            "normal form of wheels",
            self._step.text("normalisation"),
            NORMALISATION_VERSION,
        )
        self._answered("wheel")
        name, _, version = self._step.subject.partition("==")
        target = self._folder / "wheel"
        out = self._folder / "build" / "out"
        facts = take_wheel(name, Version(version), out, target, epoch=self._epoch)
        return target, facts

    def _metadata(self) -> Path:
        answer = self._answered("metadata")
        written = self._folder / "build" / "out" / answer.result
        path = self._folder / "metadata"
        path.write_bytes(take_metadata(self._step.subject, written))
        return path

    def _answered(self, operation: Operation) -> HookAnswer:
        """What the backend gave, if it asks for nothing but what it did before."""
        known = self._step.answer()
        answer = self._call(operation, (*self._required(), *(known or ())))
        if answer.status is HookStatus.MORE:
            asked = ", ".join(answer.requires)
            raise BuildError(
                self._step.subject,
                f"its backend asks for other requirements than before: {asked}",
            )
        return answer

    def _call(self, operation: Operation, accepted: tuple[str, ...]) -> HookAnswer:
        target = self._target()
        platform = str(target.base.platform.digest)
        self._compare("platform", self._step.text("platform"), platform)
        plain = BackendCall(
            self._step.subject,
            operation,
            self._step.input("source"),
            self._step.input("environment"),
            accepted,
            self._step.texts("variables"),
            self._epoch,
        )
        call = recorded_call(self._step, plain, target)
        policy = self._means.policy
        if self._conditions.cores is not None:
            policy = replace(policy, cores=self._conditions.cores)
        log = BuildLog(self._folder / "log", self._step.subject, self._means.report)
        try:
            return call_backend(
                self._store,
                target,
                policy,
                call,
                self._folder / "build",
                log=log,
                log_tail=lambda: log.tail,
                stop=self._means.stop,
                prepare=self._conditions.prepare,
            )
        except BuildError as error:
            error.log_tail = error.log_tail or last_lines(log.tail)
            raise
        finally:
            log.close()

    @property
    def _epoch(self) -> int:
        """The time of the source's files, as the recorded build saw it."""
        return int(self._step.texts("variables").get("SOURCE_DATE_EPOCH", "0"))

    def _required(self) -> tuple[str, ...]:
        source = self._step.input("source")
        try:
            folder = build_dir_of(self._step)
            name = f"{folder}/pyproject.toml" if folder else "pyproject.toml"
            content = self._store.read_file(source, name)
        except ObjectMissing:
            content = None
        return tuple(build_system(content).requires)

    def _target(self) -> Target:
        """The target of the recorded step, on this machine."""
        executable, level = self._step.interpreter(), self._step.level
        try:
            target = self._means.find_target(executable, level)
        except (InputError, SourceError) as error:
            raise self._step.refused(str(error), hint=error.hint) from error
        if level != "none-needed":
            self._compare("sandbox", self._step.text("sandbox"), target.sandbox_name)
        launch = self._conditions.launch
        if launch is None:
            return target
        return replace(target, sandbox=Launched(target.sandbox, launch))

    def _compare(self, what: str, recorded: str, here: str) -> None:
        if recorded != here:
            raise self._step.refused(
                f"its {what} was {recorded}, here it is {here}",
                hint="Do it on a machine like the one that it was done on, "
                "or realise it here first",
            )


def _without(tree: Directory, paths: set[str], prefix: str = "") -> Directory:
    """A tree without the files and links at these paths."""
    entries = {}
    for name, node in tree.entries:
        if f"{prefix}{name}" in paths:
            continue
        if isinstance(node, Directory):
            node = _without(node, paths, f"{prefix}{name}/")
        entries[name] = node
    return Directory.of(entries)
