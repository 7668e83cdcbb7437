"""A cache: what it says that it has, and its parts, each checked as it comes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import CacheRefused
from fromager.derivations.sharing import layout
from fromager.derivations.sharing.claims import load_said
from fromager.derivations.sharing.envelope import load_envelope
from fromager.derivations.sharing.place import read
from fromager.derivations.sharing.statement import Statement
from fromager.store import Digest, InvalidRecord, blob_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from fromager.derivations.sharing.layout import Manifest, Part, Push, Records
    from fromager.derivations.sharing.place import CachePlace, Version

ATTEMPTS: Final = 50
"""How often the index is tried to be changed, while others change it, too."""
SEGMENTS_MERGED_UP_TO: Final = 2000
"""Pushes beyond which a segment is left as it is."""


@dataclass
class Cache:
    """A cache that is asked during one run; used by many threads."""

    place: CachePlace
    kept: Path | None = None
    """Where parts that never change are kept on this machine."""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _pushes: tuple[Push, ...] | None = None
    _claims: dict[Digest, Mapping[Digest, tuple[bytes, ...]]] = field(
        default_factory=dict
    )
    _manifests: dict[Digest, Manifest] = field(default_factory=dict)
    _records: dict[Digest, Records] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return self.place.url

    def pushes(self) -> tuple[Push, ...]:
        """What was brought to it, the newest first.

        Raises:
            NetworkError: it cannot be reached.
            CacheRefused: it is none, or what it says cannot be.
        """
        with self._lock:
            if self._pushes is None:
                seen = self.place.version(layout.INDEX, layout.LARGEST_INDEX)
                if seen is None:
                    self._check_marker(must=True)
                segments = self._index(seen)
                found = [p for digest, _ in segments for p in self._segment(digest)]
                self._pushes = tuple(reversed(found))
            return self._pushes

    def covering(self, keys: Iterable[Digest]) -> tuple[Push, ...]:
        """Pushes that tell, for each of these keys, what each who pushed said last."""
        wanted, chosen = set(keys), []
        covered: dict[str, set[Digest]] = {}
        for push in self.pushes():
            told = covered.setdefault(push.by, set())
            if new := (push.keys & wanted) - told:
                told |= new
                chosen.append(push)
        return tuple(chosen)

    def envelopes(self, keys: Iterable[Digest]) -> tuple[bytes, ...]:
        """What is said of these keys, by whomever; nothing of it is verified."""
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, None] = {}
        for push in self.covering(wanted):
            by_key = self._claims_of(push)
            for key in wanted:
                found.update(dict.fromkeys(by_key.get(key, ())))
        return tuple(found)

    def manifest(self, push: Push) -> Manifest:
        """The objects of a push."""
        with self._lock:
            if push.manifest not in self._manifests:
                content = self._part("manifests", push.manifest)
                with _refusing(self.url):
                    self._manifests[push.manifest] = layout.load_manifest(content)
            return self._manifests[push.manifest]

    def records(self, digest: Digest) -> Records:
        """Records, by the digest that a manifest tells."""
        with self._lock:
            if digest not in self._records:
                content = self._part("records", digest)
                with _refusing(self.url):
                    self._records[digest] = layout.load_records(content)
            return self._records[digest]

    def claims_file(self, push: Push) -> frozenset[bytes]:
        """All that a push claims."""
        with _refusing(self.url):
            return frozenset(layout.load_claims(self._part("claims", push.claims)))

    def begin(self) -> None:
        """Make a cache of a place that is none yet."""
        if not self._check_marker(must=False):
            self.place.write(layout.MARKER, layout.dump_marker())

    def put(self, part: Part) -> int:
        """Write a part, unless it is there; the bytes that were written."""
        if self.place.size(part.name) is None:
            self.place.write(part.name, part.content)
            return len(part.content)
        return 0

    def add(self, push: Push, superseded: Iterable[Push] = ()) -> None:
        """List a push, the last thing to be done for it; many may do so at once.

        What is `superseded` says nothing that it does not say.

        Raises:
            CacheRefused: others change the index again and again.
        """
        gone = set(superseded)
        for _ in range(ATTEMPTS):
            seen = self.place.version(layout.INDEX, layout.LARGEST_INDEX)
            segments = list(self._index(seen))
            if push in [p for digest, _ in segments for p in self._segment(digest)]:
                self._pushes = None
                return
            pushes = [push]
            while segments and self._is_merged(segments[-1][1], len(pushes)):
                older = self._segment(segments.pop()[0])
                pushes = [p for p in older if p not in gone] + pushes
            part = layout.dump_segment(pushes)
            self.put(part)
            index = layout.dump_index([*segments, (part.digest, len(pushes))])
            # Where a place cannot tell that somebody else was quicker, the next
            # round finds the push missing, and lists it again.
            self.place.swap(layout.INDEX, index, seen)
        raise CacheRefused(self.url, "its index is changed by others again and again")

    def close(self) -> None:
        """Give connections up."""
        self.place.close()

    def _is_merged(self, older: int, newer: int) -> bool:
        """Segments grow in steps, so that there are few, and each is written seldom."""
        return older <= 2 * newer and older + newer <= SEGMENTS_MERGED_UP_TO

    def _check_marker(self, *, must: bool) -> bool:
        """Whether a cache is there whose format is known."""
        content = read(self.place, layout.MARKER, 1 << 16)
        if content is None and must:
            hint = "Check the address; a cache is made when something is pushed to it"
            raise CacheRefused(self.url, "there is no cache at this place", hint=hint)
        if content is None:
            return False
        if content != layout.dump_marker():
            hint = "Use the version of fromager that made it"
            raise CacheRefused(self.url, "its format is unknown", hint=hint)
        return True

    def _index(self, seen: Version | None) -> tuple[tuple[Digest, int], ...]:
        if seen is None:
            return ()
        with _refusing(self.url):
            return layout.load_index(seen.content)

    def _segment(self, digest: Digest) -> tuple[Push, ...]:
        with _refusing(self.url):
            return layout.load_segment(self._part("segments", digest))

    def _claims_of(self, push: Push) -> Mapping[Digest, tuple[bytes, ...]]:
        """The claims of a push, by the key that they say they are about."""
        with self._lock:
            if push.claims not in self._claims:
                by_key: dict[Digest, list[bytes]] = {}
                for content in self.claims_file(push):
                    key = _claimed_key(content)
                    if key is not None:
                        by_key.setdefault(key, []).append(content)
                self._claims[push.claims] = {k: tuple(v) for k, v in by_key.items()}
            return self._claims[push.claims]

    def _part(self, folder: str, digest: Digest) -> bytes:
        """The bytes of a part, kept here from then on."""
        kept = self.kept / folder / digest.hex if self.kept is not None else None
        if kept is not None and kept.is_file():
            content = kept.read_bytes()
            if blob_digest(content) == digest:
                return content
        name = layout.part_name(folder, digest)
        found = read(self.place, name, layout.LARGEST_PART)
        if found is None:
            raise CacheRefused(self.url, f"{name} is listed, and not there")
        if blob_digest(found) != digest:
            raise CacheRefused(self.url, f"{name} is damaged, or was tampered with")
        if kept is not None:
            _keep(kept, found)
        return found


def _keep(place: Path, content: bytes) -> None:
    import os
    import threading

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f"{place.name}.{os.getpid()}.{threading.get_ident()}")
        new.write_bytes(content)
        new.replace(place)
    except OSError:
        # It can be fetched again.
        return


def _claimed_key(content: bytes) -> Digest | None:
    """The key that an envelope says it is about; None if it is unreadable."""
    try:
        said = load_said(load_envelope(content).payload)
        return said.realisation.key if isinstance(said, Statement) else said.key
    except InvalidRecord:
        return None


class _refusing:
    """What cannot be read is the fault of the cache that serves it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, InvalidRecord):
            raise CacheRefused(self._url, str(error)) from error
