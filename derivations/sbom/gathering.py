"""What a bill of materials tells of a closure, read from a store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from fromager.derivations.derivation import Kind, decode
from fromager.derivations.realising.wheel_file import metadata_file, wheel_file
from fromager.derivations.resolution.candidate import Metadata
from fromager.derivations.rust.lock import RepositorySource
from fromager.derivations.rust.vendoring import recorded_crates
from fromager.derivations.sbom.contents import (
    SbomContents,
    SbomPart,
    SbomPatch,
    SbomSource,
)
from fromager.store import Digest, Directory, File, InvalidRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement

    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.store import LocalStore, Realisation

WHEEL: Final = "wheel"


def sbom_contents(
    store: LocalStore,
    roots: Sequence[Realisation],
    wheels: Sequence[Realisation],
    steps: Sequence[Realisation],
    markers: Mapping[str, str],
) -> SbomContents:
    """What is known of `wheels`: the roots and what they need at run time.

    `steps` are all that these were made from, `markers` the environment (PEP 508) that
    they are for.

    Raises:
        ObjectMissing: the store does not hold a wheel, or a derivation, any more.
        SourceError: an output does not hold one wheel.
    """
    gatherer = _Gatherer(store, {step.key: step for step in steps})
    parts = {each.key: gatherer.part(each) for each in wheels if each.kind == WHEEL}
    needs, missing = _needs(parts.values(), markers)
    parts = {
        key: replace(part, needs=needs[part.reference]) for key, part in parts.items()
    }
    tools = [
        gatherer.part(step)
        for step in steps
        if step.kind == WHEEL and step.key not in parts
    ]
    return SbomContents(
        tuple(sorted(parts[root.key].reference for root in roots if root.key in parts)),
        tuple(sorted(parts.values(), key=lambda part: part.reference)),
        tuple(sorted(tools, key=lambda part: part.reference)),
        missing,
    )


def _needs(
    parts: Collection[SbomPart], markers: Mapping[str, str]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """What each part needs of the others, with all extras that are asked for; and what
    none of them meets."""
    missing: set[str] = set()
    found: dict[str, set[str]] = {part.reference: set() for part in parts}
    queue = [(part, "") for part in parts]
    seen = {(part.reference, extra) for part, extra in queue}
    while queue:
        part, extra = queue.pop()
        metadata = Metadata.parse(part.metadata.decode("utf-8", "replace"))
        for requirement in metadata.requires_dist:
            marker = requirement.marker
            if marker and not marker.evaluate({**markers, "extra": extra}):
                continue
            needed = [part for part in parts if _meets(part, requirement)]
            if not needed:
                missing.add(str(requirement))
            found[part.reference].update(each.reference for each in needed)
            wanted = [(each, e) for each in needed for e in requirement.extras]
            new = [each for each in wanted if (each[0].reference, each[1]) not in seen]
            seen.update((each.reference, e) for each, e in new)
            queue += new
    needs = {
        reference: tuple(sorted(several - {reference}))
        for reference, several in found.items()
    }
    return needs, tuple(sorted(missing))


def _meets(part: SbomPart, requirement: Requirement) -> bool:
    return part.name == canonicalize_name(
        requirement.name
    ) and requirement.specifier.contains(part.version, prereleases=True)


@dataclass
class _Gatherer:
    store: LocalStore
    steps: Mapping[Digest, Realisation]
    _derivations: dict[Digest, ResolvedDerivation] = field(default_factory=dict)

    def part(self, wheel: Realisation) -> SbomPart:
        """What is known of a wheel."""
        path, filename = wheel_file(self.store, wheel.output)
        tree = self.store.tree(wheel.output)
        file = tree.get(filename) if isinstance(tree, Directory) else None
        assert isinstance(file, File), "an output that holds one wheel was looked for"
        sha256 = wheel.fact("sha256")
        if sha256 is None:
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        name, _, version = wheel.subject.partition("==")
        # What was annotated is made of what was built.
        inner = self.steps.get(dict(wheel.inputs).get("wheel", wheel.key))
        built = inner or wheel
        inputs = dict(built.inputs)
        source = self.steps.get(inputs["source"]) if "source" in inputs else None
        fetched = list(self._fetched(source or built))
        extras = [each for main, each in fetched if not main]
        crates = self.steps.get(inputs["crates"]) if "crates" in inputs else None
        return SbomPart(
            canonicalize_name(name),
            version,
            filename,
            sha256,
            file.digest.hex,
            wheel.key.hex,
            metadata_file(path),
            built.level,
            prebuilt=wheel.fact("prebuilt") is not None,
            epoch=_epoch(source),
            tools=self._tools(built),
            source=next((each for main, each in fetched if main), None),
            extras=(*extras, *self._crates(crates)),
            patches=self._patches(source),
            edited=source is not None and self._is_edited(source),
        )

    def _tools(self, wheel: Realisation) -> tuple[str, ...]:
        """The wheels in the environment that a wheel was built in."""
        found: set[str] = set()
        queue = [key for role, key in wheel.inputs if role == "environment"]
        while queue:
            step = self.steps.get(queue.pop())
            if step is None:
                continue
            if step.kind == WHEEL:
                name, _, version = step.subject.partition("==")
                name = canonicalize_name(name)
                found.add(f"{name}=={version}#{step.key.hex[:16]}")
            else:
                queue += [key for _, key in step.inputs]
        return tuple(sorted(found))

    def _fetched(self, step: Realisation) -> Iterator[tuple[bool, SbomSource]]:
        """What went in and was fetched, and whether it is the package's own source."""
        for role, key in step.inputs:
            inner = self.steps.get(key)
            if inner is not None and role == "source":
                # A plugin prepared it further.
                yield from self._fetched(inner)
            if inner is not None and inner.kind == Kind.FETCH.value:
                yield role in ("archive", "tree", "file"), self._file(inner)

    def _file(self, step: Realisation) -> SbomSource:
        derivation = self._derivation(step)
        sha256, commit = derivation.option("sha256"), derivation.option("commit")
        tree = derivation.option("tree")
        return SbomSource(
            step.subject,
            sha256 if isinstance(sha256, str) else None,
            commit if isinstance(commit, str) else None,
            _hex(tree) if isinstance(tree, str) else None,
        )

    def _crates(self, step: Realisation | None) -> Iterator[SbomSource]:
        """The crates of Rust that a wheel was built with, which are in it."""
        if step is None:
            return
        for crate in recorded_crates(self._derivation(step).option("crates")):
            source, package = crate.source, (crate.name, crate.version)
            commit = source.commit if isinstance(source, RepositorySource) else None
            yield SbomSource(crate.filename, crate.sha256, commit, crate=package)

    def _patches(self, source: Realisation | None) -> tuple[SbomPatch, ...]:
        found: list[SbomPatch] = []
        for role, key in source.inputs if source is not None else ():
            step = self.steps.get(key)
            if step is not None and role == "source":
                # A plugin prepared it further.
                found += self._patches(step)
            if step is None or step.kind != Kind.PATCH_SET.value:
                continue
            tree = self.store.tree(step.output)
            names = tree.entries if isinstance(tree, Directory) else ()
            for name, node in names:
                if isinstance(node, File):
                    content = self.store.read_file(step.output, name)
                    # Its number in the set stands before its own name.
                    found.append(SbomPatch(name.partition("-")[2], content))
        return tuple(found)

    def _is_edited(self, source: Realisation) -> bool:
        return bool(self._derivation(source).option("edits"))

    def _derivation(self, step: Realisation) -> ResolvedDerivation:
        if step.key not in self._derivations:
            content = self.store.read_file(step.derivation)
            self._derivations[step.key] = decode(content)
        return self._derivations[step.key]


def _epoch(source: Realisation | None) -> int | None:
    text = source.fact("epoch") if source is not None else None
    return int(text) if text is not None and text.isdigit() else None


def _hex(text: str) -> str | None:
    try:
        return Digest.parse(text).hex
    except InvalidRecord:
        return None
