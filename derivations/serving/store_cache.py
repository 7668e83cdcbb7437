"""A store as a cache: what tells is computed, the bytes of files are read where they lie.

Nothing is compressed, nothing is written, and no file is read before it is asked for:
packs are made of frames whose lengths follow from the sizes of the files in them.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.realising.history import build_steps
from fromager.derivations.serving.frames import frame, frame_length
from fromager.derivations.sharing import layout
from fromager.derivations.sharing.closure import objects_in_order
from fromager.derivations.sharing.packing import FRAME, PACK, SMALL, portions
from fromager.derivations.sharing.pushing import files_of
from fromager.store import (
    File,
    ObjectDamaged,
    ObjectMissing,
    ObjectRecord,
    blob_digest,
    derived_digest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from fromager.derivations.serving.attesting import Attestor
    from fromager.store import Digest, LocalStore, Realisation, StorePath

CONTEXT: Final = "fromager cache 2026-11 served pack v1"
NAMED: Final = ("wheel", "sdist", "collection")
"""Kinds of steps that are asked for by name."""
REMEMBERED: Final = 4
"""Earlier states of the store whose parts are still given to who has seen their index."""
GROUPS: Final = 32
"""Records of objects that came one after another, beyond which they are made anew."""
REST: Final = 10
"""A new state is computed when so many times as long has passed as the last one took."""


@dataclass(frozen=True)
class ServedPack:
    """A pack that is made when it is read."""

    frames: tuple[tuple[File, ...], ...]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """The bytes of each frame."""
        return tuple(frame_length(sum(f.size for f in files)) for files in self.frames)

    @cached_property
    def size(self) -> int:
        """The bytes of all frames."""
        return sum(self.lengths)

    @property
    def digest(self) -> Digest:
        """Names it, by what is in it."""
        rows = ["\n".join(f.digest.hex for f in files) for files in self.frames]
        return derived_digest(CONTEXT, "\n\n".join(rows).encode())


@dataclass(frozen=True)
class Told:
    """Records of some objects, and what holds the bytes of their files."""

    part: layout.Part
    packs: Mapping[str, ServedPack]
    large: Mapping[str, File]


@dataclass(frozen=True)
class Snapshot:
    """All that a cache has at one time, but for the bytes of files."""

    state: tuple[int, ...]
    index: bytes
    parts: Mapping[str, bytes]
    told: Mapping[Digest, Told]
    held: Mapping[StorePath, Digest]
    """The records that tell of each object, in the order of the manifest."""

    def find(self, name: str) -> bytes | ServedPack | File | None:
        """What has a name."""
        if name in self.parts:
            return self.parts[name]
        for told in self.told.values():
            found = told.packs.get(name) or told.large.get(name)
            if found is not None:
                return found
        return None


@dataclass
class StoreCache:
    """The files of a cache, by their names; used by many threads."""

    store: LocalStore
    attestor: Attestor
    steps: Callable[[], Sequence[Realisation]]
    """What is shared, inputs first, as the store is now."""
    monotonic: Callable[[], float]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: deque[Snapshot] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _rest_until: float = 0.0

    def find(self, name: str) -> bytes | ServedPack | Path | None:
        """What is there under a name; None if nothing is."""
        if name == layout.MARKER:
            return layout.dump_marker()
        if name == layout.INDEX:
            return self._now().index
        if not self._seen:
            self._now()
        found = (snapshot.find(name) for snapshot in list(self._seen))
        content = next((each for each in found if each is not None), None)
        return (
            self.store.path_of_blob(content) if isinstance(content, File) else content
        )

    def read_frames(self, pack: ServedPack, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a pack from `start` to `end`, a frame at a time.

        Raises:
            ObjectMissing: a file is not in the store any more.
            ObjectDamaged: a file is not what it should be.
        """
        at = 0
        for files, length in zip(pack.frames, pack.lengths, strict=True):
            if at < end and at + length > start:
                content = frame([self._read(file) for file in files])
                yield content[max(0, start - at) : end - at]
            at += length

    def _now(self) -> Snapshot:
        with self._lock:
            state, began = self.store.state, self.monotonic()
            if self._seen:
                newest = self._seen[0]
                if newest.state == state or began < self._rest_until:
                    return newest
            snapshot = self._take(state)
            self._seen.appendleft(snapshot)
            ended = self.monotonic()
            self._rest_until = ended + REST * (ended - began)
            return snapshot

    def _take(self, state: tuple[int, ...]) -> Snapshot:
        steps = self.steps()
        before = self._seen[0] if self._seen else None
        told = dict(before.told) if before and len(before.told) < GROUPS else {}
        known = before.held if before is not None and told else {}
        objects = objects_in_order(self.store, steps)
        new = {path: self._record(path) for path in objects if path not in known}
        group = _tell(new)
        told[group.part.digest] = group
        held = {path: known.get(path, group.part.digest) for path in objects}
        told = {digest: told[digest] for digest in dict.fromkeys(held.values())}
        manifest = layout.dump_manifest(layout.Manifest(tuple(held.items())))
        claims = [c for step in steps for c in self.store.realisations(step.key)]
        said = layout.dump_claims(self.attestor.envelopes(claims))
        pushes = _pushes(steps, said.digest, manifest.digest, self.attestor.builder)
        segment = layout.dump_segment(pushes)
        index = layout.dump_index([(segment.digest, len(pushes))] if pushes else [])
        parts = [manifest, said, segment, *(group.part for group in told.values())]
        by_name = {part.name: part.content for part in parts}
        return Snapshot(state, index, by_name, told, held)

    def _record(self, path: StorePath) -> ObjectRecord:
        info = self.store.info(path)
        references = info.references if info is not None else ()
        return ObjectRecord(path, references, self.store.tree(path))

    def _read(self, file: File) -> bytes:
        found = self.store.open_blob(file)
        if found is None:
            raise ObjectMissing(str(file.digest))
        descriptor, place = found
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read()
        actual = blob_digest(content)
        if actual != file.digest:
            damaged = Path(os.fsdecode(place))
            raise ObjectDamaged(damaged, str(file.digest), str(actual))
        return content


def _tell(objects: Mapping[StorePath, ObjectRecord]) -> Told:
    """What tells of objects: their files lie in packs of their own, or alone."""
    files = {f.digest: f for r in objects.values() for f in files_of(r.content)}
    large = {file.digest: file for file in files.values() if file.size >= SMALL}
    small = [file for file in files.values() if file.digest not in large]
    places: dict[Digest, layout.Place] = {}
    packs = [
        ServedPack(tuple(map(tuple, portions(chosen, FRAME))))
        for chosen in portions(small, PACK)
    ]
    for number, pack in enumerate(packs):
        for frame_number, inside in enumerate(pack.frames):
            offset = 0
            for file in inside:
                places[file.digest] = layout.Place(number, frame_number, offset)
                offset += file.size
    records = layout.Records(
        objects,
        tuple(layout.Pack(pack.digest, pack.lengths) for pack in packs),
        places,
        dict.fromkeys(large, False),
    )
    return Told(
        layout.dump_records(records),
        {layout.part_name("packs", pack.digest): pack for pack in packs},
        {layout.blob_name(d, packed=False): file for d, file in large.items()},
    )


def shared_steps(store: LocalStore) -> tuple[Realisation, ...]:
    """All that was built and can be asked for by name, with all that it was made from,
    inputs first."""
    roots = [
        claim
        for kind in NAMED
        for subject in store.subjects(kind)
        for claim in store.history(kind, subject)
        if not claim.is_evidence and store.info(claim.output) is not None
    ]
    return build_steps(store, roots)


def _pushes(
    steps: Sequence[Realisation], claims: Digest, manifest: Digest, by: str
) -> tuple[layout.Push, ...]:
    """Pushes that name all that can be asked for, the newest last.

    Of what was built several times the last is in the newest push, the one before in
    an earlier one, and so on: a name means what was built last.
    """
    ranked = _ranked(steps)
    keys = frozenset(step.key for step in steps)
    time = max((step.started for step in steps), default=0)
    return tuple(
        layout.Push(claims, manifest, time, by, tuple(sorted(roots)), keys)
        for roots in reversed(ranked)
    )


def _ranked(steps: Iterable[Realisation]) -> list[list[tuple[str, str, Digest]]]:
    """What can be asked for: the newest of each name, the second newest, and so on."""
    by_name: dict[tuple[str, str], list[Realisation]] = {}
    for step in steps:
        if step.kind in NAMED:
            by_name.setdefault((step.kind, step.subject), []).append(step)
    ranked: list[list[tuple[str, str, Digest]]] = []
    for (kind, subject), builds in by_name.items():
        builds.sort(key=lambda step: (-step.started, step.key))
        for rank, step in enumerate(builds):
            if rank == len(ranked):
                ranked.append([])
            ranked[rank].append((kind, subject, step.key))
    return ranked
