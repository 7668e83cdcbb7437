"""The wheels of a store as an index offers them, as the store is now."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from zipfile import BadZipFile

from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)

from fromager.derivations.errors import SourceError
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.wheel_file import metadata_file, wheel_file
from fromager.derivations.serving.offered import OfferedProject, OfferedWheel
from fromager.derivations.serving.provenance import Provenances
from fromager.derivations.sharing.envelope import load_envelope
from fromager.store import InvalidRecord, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.serving.attesting import Attestor
    from fromager.store import Digest, LocalStore, Realisation, StorePath

_UNREADABLE: Final = (StoreError, SourceError, OSError, BadZipFile, StopIteration)


@dataclass(frozen=True, slots=True)
class Found:
    """A wheel, and where it lies."""

    place: Path
    wheel: OfferedWheel
    claim: Realisation
    """The build that it is from."""


@dataclass
class Catalogue:
    """Tells what is offered; used by many threads.

    Nothing is kept for it in the store: what is collected as garbage is offered no
    more. Answers are kept for as long as the store does not change.
    """

    store: LocalStore
    attestor: Attestor
    report: Reporter
    chosen: Sequence[Realisation] | None = None
    """The wheels that are offered; None for all, also those that come later."""
    provenances: Provenances = field(default_factory=Provenances)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _state: tuple[int, ...] = ()
    _subjects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _projects: dict[str, OfferedProject | None] = field(default_factory=dict)
    _wheels: dict[str, dict[Digest, Found]] = field(default_factory=dict)
    """What was read, by project and the digest of the record."""
    _unreadable: set[StorePath] = field(default_factory=set)

    def projects(self) -> tuple[str, ...]:
        """The names of all projects with a wheel, sorted."""
        with self._lock:
            return tuple(
                name
                for name, subjects in sorted(self._now().items())
                if any(True for subject in subjects for _ in self._claims(subject))
            )

    def project(self, name: str) -> OfferedProject | None:
        """A project by its normalised name; None if there is no wheel of it."""
        with self._lock:
            subjects = self._now().get(name)
            if subjects is None:
                return None
            if name not in self._projects:
                self._projects[name] = self._project(name, subjects)
            return self._projects[name]

    def find(self, sha256: str, filename: str) -> Found | None:
        """A wheel that is offered: listed, or superseded by a newer build."""
        try:
            name = str(parse_wheel_filename(filename)[0])
        except InvalidWheelFilename:
            return None
        with self._lock:
            if self.project(name) is None:
                return None
            for found in self._wheels[name].values():
                if (found.wheel.sha256, found.wheel.filename) == (sha256, filename):
                    return found
            return None

    def _now(self) -> Mapping[str, tuple[str, ...]]:
        """The subjects of each project; what was answered before is forgotten if the
        store has changed."""
        state = self.store.state
        if state != self._state:
            self._projects.clear()
            self._subjects = _by_project(self._all_subjects())
            self._state = state
        return self._subjects

    def _all_subjects(self) -> Iterable[str]:
        if self.chosen is None:
            return self.store.subjects("wheel")
        return [claim.subject for claim in self.chosen]

    def _claims(self, subject: str) -> Iterator[Realisation]:
        """The builds of a subject whose outputs are there."""
        if self.chosen is None:
            claims: Iterable[Realisation] = self.store.history("wheel", subject)
        else:
            claims = [claim for claim in self.chosen if claim.subject == subject]
        for claim in claims:
            if not claim.is_evidence and self.store.info(claim.output) is not None:
                yield claim

    def _project(self, name: str, subjects: Iterable[str]) -> OfferedProject | None:
        known = self._wheels.get(name, {})
        found: dict[Digest, Found] = {}
        for claim in (each for subject in subjects for each in self._claims(subject)):
            record = claim.record_digest
            read = known.get(record) or self._tried(name, claim)
            if read is not None:
                found[record] = read
        self._wheels[name] = found
        wheels = tuple(each.wheel for each in found.values())
        return OfferedProject(name, wheels) if wheels else None

    def _tried(self, name: str, claim: Realisation) -> Found | None:
        if claim.output in self._unreadable:
            return None
        try:
            return self._read(name, claim)
        except (*_UNREADABLE, InvalidRecord) as error:
            self._unreadable.add(claim.output)
            self.report(Noted(claim.subject, f"not offered: {error}"))
            return None

    def _read(self, name: str, claim: Realisation) -> Found:
        place, filename = wheel_file(self.store, claim.output)
        sha256 = claim.fact("sha256")
        if sha256 is None:
            with place.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        same = [
            each
            for each in self.store.realisations(claim.key)
            if each.output == claim.output and not each.is_evidence
        ]
        wheel = OfferedWheel(
            filename,
            name,
            claim.subject.partition("==")[2],
            sha256,
            place.stat().st_size,
            claim.started,
            claim.record_digest.hex,
            metadata_file(place),
            tuple(map(load_envelope, self.attestor.envelopes(same))),
            self.provenances.of(sha256, filename),
        )
        return Found(place, wheel, claim)


def _by_project(subjects: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for subject in subjects:
        name = canonicalize_name(subject.partition("==")[0])
        found.setdefault(name, {})[subject] = None
    return {name: tuple(several) for name, several in found.items()}
