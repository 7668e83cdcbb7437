"""Push: a closure brought to a cache, so that whoever finds its end finds all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.derivation import decode
from fromager.derivations.sharing import layout
from fromager.derivations.sharing.closure import objects_in_order
from fromager.derivations.sharing.envelope import dump_envelope
from fromager.derivations.sharing.failing import FailedBuild, dump_failure
from fromager.derivations.sharing.packing import Brought, bring
from fromager.derivations.sharing.statement import PAYLOAD_TYPE, dump_statement, state
from fromager.store import (
    Digest,
    Directory,
    File,
    InvalidRecord,
    ObjectRecord,
    blob_digest,
    derived_digest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fromager.derivations.realising.history import Failure
    from fromager.derivations.sharing.cache import Cache
    from fromager.derivations.sharing.signing import EnvelopeSigner
    from fromager.store import LocalStore, Realisation, StorePath

CONTEXT: Final = "fromager cache 2026-11 push v1"
NAMESPACE: Final = "push"
NEIGHBOURS: Final = 8
"""How many earlier pushes are looked at for what need not be brought again."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push came to."""

    claims: int
    objects: int
    """Objects that the cache did not have."""
    files: int
    """Files that the cache did not have."""
    written: int
    """Bytes that were sent."""
    unchanged: bool
    """True if all of it was there."""


@dataclass(frozen=True)
class Pusher:
    """Brings closures to one cache, in the name of one builder."""

    store: LocalStore
    cache: Cache
    open_signer: Callable[[], EnvelopeSigner]
    """Called where something has to be signed."""
    by: str
    """The identity of the builder that signs."""
    clock: Callable[[], float]

    def push(
        self,
        roots: Sequence[Realisation],
        steps: Sequence[Realisation],
        failures: Sequence[tuple[str, Failure]] = (),
        results: Sequence[bytes] = (),
    ) -> Pushed:
        """Bring steps, which are the closure of the roots, inputs first; by their
        subjects, builds that failed here; and envelopes about what was found of steps.

        Bytes of files come first, then what tells of them, then the claims; the index
        names them last. Cut off anywhere, the same push goes on where it was.

        Raises:
            NetworkError, CacheRefused: the cache cannot be used.
            SigningError: the key cannot be used.
            ObjectDamaged: the store does not hold what it should.
        """
        claims = self._claims(steps)
        name = self._name(roots, claims, failures, results)
        known = self._remembered(name)
        self.cache.begin()
        if known is not None and known in _contents(self.cache.pushes()):
            return Pushed(len(claims), 0, 0, 0, unchanged=True)
        keys = frozenset([step.key for step in steps] + [f.key for _, f in failures])
        neighbours = self._neighbours(keys)
        manifest, brought = self._bring(objects_in_order(self.store, steps), neighbours)
        lines = self._envelopes(claims, failures).union(results)
        said = layout.dump_claims(lines)
        part = layout.dump_manifest(manifest)
        written = brought.written + self.cache.put(part) + self.cache.put(said)
        push = layout.Push(
            said.digest,
            part.digest,
            int(self.clock()),
            self.by,
            _roots(roots, steps),
            keys,
        )
        superseded = [
            each
            for each in neighbours
            if each.by == self.by
            and each.keys <= keys
            and set(each.roots) <= set(push.roots)
            and self.cache.claims_file(each) <= lines
        ]
        if (said.digest, part.digest) not in _contents(neighbours):
            self.cache.add(push, superseded)
        value = said.digest.raw + part.digest.raw
        self.store.remember(NAMESPACE, f"{self.cache.url} {name.hex}", value)
        return Pushed(
            len(claims),
            brought.objects,
            brought.files,
            written,
            unchanged=written == 0,
        )

    def _claims(self, steps: Iterable[Realisation]) -> tuple[Realisation, ...]:
        """All that is known of the steps' keys and can be proved to others."""
        return tuple(
            claim
            for step in steps
            for claim in self.store.realisations(step.key)
            if not claim.is_substituted or claim.fact("envelope")
        )

    def _name(
        self,
        roots: Iterable[Realisation],
        claims: Iterable[Realisation],
        failures: Iterable[tuple[str, Failure]],
        results: Iterable[bytes],
    ) -> Digest:
        """Names all that a push says, so that it is not said twice."""
        rows = [self.by, *sorted(claim.record_digest.hex for claim in claims)]
        rows += ["roots", *sorted(root.key.hex for root in roots)]
        rows += ["failures", *sorted(f"{f.key.hex} {f.time}" for _, f in failures)]
        rows += ["results", *sorted(blob_digest(each).hex for each in results)]
        return derived_digest(CONTEXT, "\n".join(rows).encode())

    def _remembered(self, name: Digest) -> tuple[Digest, Digest] | None:
        value = self.store.recall(NAMESPACE, f"{self.cache.url} {name.hex}")
        if value is None or len(value) != 64:
            return None
        return Digest(value[:32]), Digest(value[32:])

    def _envelopes(
        self, claims: Sequence[Realisation], failures: Sequence[tuple[str, Failure]]
    ) -> frozenset[bytes]:
        """Claims of builds of this machine, signed; those of others as they came."""
        own = [claim for claim in claims if not claim.is_substituted]
        lines = {
            envelope.encode("ascii")
            for claim in claims
            if claim.is_substituted and (envelope := claim.fact("envelope"))
        }
        if own or failures:
            signer = self.open_signer()
            lines |= {sign_claim(self.store, claim, signer) for claim in own}
            lines |= {_sign_failure(subject, f, signer) for subject, f in failures}
        return frozenset(lines)

    def _neighbours(self, keys: frozenset[Digest]) -> tuple[layout.Push, ...]:
        """Earlier pushes with the most in common; of those with nothing, the newest.

        Another version may have most files in common, and no key.
        """
        ranked = sorted(
            self.cache.pushes(), key=lambda push: len(push.keys & keys), reverse=True
        )
        return tuple(ranked[:NEIGHBOURS])

    def _bring(
        self, objects: Sequence[StorePath], neighbours: Iterable[layout.Push]
    ) -> tuple[layout.Manifest, Brought]:
        """Bring what is not there; the manifest of all of it."""
        told: dict[StorePath, Digest] = {}
        for push in neighbours:
            told.update(self.cache.manifest(push).objects)
        new = {
            path: self._record(path)
            for path in objects
            if path not in told or not self._tells(told[path], path)
        }
        held = [self.cache.records(digest) for digest in dict.fromkeys(told.values())]
        files = {
            file.digest: file for r in new.values() for file in files_of(r.content)
        }
        absent = [
            file
            for digest, file in files.items()
            if not any(digest in each.small or digest in each.large for each in held)
        ]
        brought = bring(self.store, self.cache.place, absent)
        if not new:
            return layout.Manifest(tuple((p, told[p]) for p in objects)), brought
        brought.objects = len(new)
        records = _records(new, files, held, brought)
        part = layout.dump_records(records)
        brought.written += self.cache.put(part)
        where = {**told, **dict.fromkeys(new, part.digest)}
        return layout.Manifest(tuple((path, where[path]) for path in objects)), brought

    def _tells(self, records: Digest, path: StorePath) -> bool:
        """Whether the cache's record of an object names all that it refers to here."""
        info, found = self.store.info(path), self.cache.records(records).objects
        known = found.get(path)
        if info is None or known is None:
            return False
        return set(info.references) <= set(known.references)

    def _record(self, path: StorePath) -> ObjectRecord:
        info = self.store.info(path)
        references = info.references if info is not None else ()
        return ObjectRecord(path, references, self.store.tree(path))


def sign_claim(store: LocalStore, claim: Realisation, signer: EnvelopeSigner) -> bytes:
    """A builder's envelope about a build of its own, as JSON.

    Raises:
        InvalidRecord: it was not built here, or the derivation is another one.
    """
    derivation = decode(store.read_file(claim.derivation))
    if derivation.key != claim.key:
        reason = f"{claim.derivation} does not have the recorded key"
        raise InvalidRecord(f"realisation of {claim.subject}", reason)
    statement = state(claim, derivation.inputs, signer.key.builder)
    return dump_envelope(signer.sign(PAYLOAD_TYPE, dump_statement(statement)))


def _sign_failure(subject: str, failure: Failure, signer: EnvelopeSigner) -> bytes:
    said = FailedBuild(signer.key.builder, failure.key, subject, failure.time)
    return dump_envelope(signer.sign(PAYLOAD_TYPE, dump_failure(said)))


def files_of(content: File | Directory) -> Iterator[File]:
    """All files of an object, in the order of its listing."""
    if isinstance(content, File):
        yield content
        return
    for _, node in content.walk():
        if isinstance(node, File):
            yield node


def _records(
    objects: dict[StorePath, ObjectRecord],
    files: Iterable[Digest],
    held: Sequence[layout.Records],
    brought: Brought,
) -> layout.Records:
    """Records of new objects, with the places of all their files, old and new."""
    packs = list(brought.packs)
    numbers = {pack.digest: number for number, pack in enumerate(packs)}
    small, large = dict(brought.small), dict(brought.large)
    for digest in files:
        if digest in small or digest in large:
            continue
        for each in held:
            if digest in each.large:
                large[digest] = each.large[digest]
                break
            if digest in each.small:
                place = each.small[digest]
                pack = each.packs[place.pack]
                if pack.digest not in numbers:
                    numbers[pack.digest] = len(packs)
                    packs.append(pack)
                number = numbers[pack.digest]
                small[digest] = layout.Place(number, place.frame, place.offset)
                break
    return layout.Records(objects, tuple(packs), small, large)


def _roots(
    roots: Iterable[Realisation], steps: Iterable[Realisation]
) -> tuple[tuple[str, str, Digest], ...]:
    wheels = [step for step in steps if step.kind == "wheel"]
    return tuple(sorted({(r.kind, r.subject, r.key) for r in (*roots, *wheels)}))


def _contents(pushes: Iterable[layout.Push]) -> set[tuple[Digest, Digest]]:
    return {(push.claims, push.manifest) for push in pushes}
