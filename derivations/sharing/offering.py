"""Offers: what caches have, found by the names that people give it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError
from fromager.derivations.sharing.claims import Standing
from fromager.store import InvalidName, StorePath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fromager.derivations.sharing.cache import Cache
    from fromager.derivations.sharing.substituting import Belief
    from fromager.store import Digest, Realisation

LEAST_DIGITS: Final = 8
"""So many hex digits of a key must be written, at least."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that a cache offers by name."""

    kind: str
    subject: str
    key: Digest
    output: StorePath | None = None
    """What it must give, if it was asked for by that."""

    def __str__(self) -> str:
        return f"{self.subject} ({self.kind})"


def find_offer(caches: Iterable[Cache], text: str) -> Offer | None:
    """What is meant by a requirement, or a key that is written out or begun.

    Of several versions the newest is meant, of several builds what was pushed last.

    Raises:
        InputError: several things of one push may be meant.
        NetworkError, CacheRefused: a cache cannot be read.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement: Requirement | None = Requirement(text)
    except InvalidRequirement:
        requirement = None
    digits = text.removeprefix("blake3:")
    for cache in caches:
        for push in cache.pushes():
            offers = [Offer(*root) for root in push.roots]
            found = _newest(offers, requirement) if requirement is not None else []
            if not found and len(digits) >= LEAST_DIGITS:
                found = [each for each in offers if each.key.hex.startswith(digits)]
            if len(found) > 1:
                keys = ", ".join(str(each.key) for each in found)
                raise InputError(f"{text!r} may be any of {keys}", hint="Name a key")
            if found:
                return found[0]
    return None


def find_claimed(caches: Iterable[Cache], text: str, belief: Belief) -> Offer | None:
    """What is meant by a store path, of whichever machine, or the beginning of a digest.

    It is found by what builders claim; those that are trusted are heard first.

    Raises:
        InputError: several things may be meant.
        NetworkError, CacheRefused: a cache cannot be read.
    """
    path, digits = named_path(text), text.removeprefix("blake3:")
    if path is None and len(digits) < LEAST_DIGITS:
        return None
    for cache in caches:
        trusted: dict[StorePath, Offer] = {}
        others: dict[StorePath, Offer] = {}
        for standing, said in _claims(cache, belief):
            if path is not None:
                meant = path in (said.output, said.derivation)
            else:
                digests = (said.key, said.output_digest)
                meant = any(each.hex.startswith(digits) for each in digests)
            if meant:
                found = trusted if standing is Standing.TRUSTED else others
                offer = Offer(said.kind, said.subject, said.key, said.output)
                found.setdefault(said.output, offer)
        several = trusted or others
        if len(several) > 1:
            names = ", ".join(str(output) for output in sorted(several))
            raise InputError(f"{text!r} may be any of {names}", hint="Name one of them")
        if several:
            return next(iter(several.values()))
    return None


def named_path(text: str) -> StorePath | None:
    """The store path in a path to an object, or into it, in any store."""
    for part in PurePosixPath(text).parts:
        try:
            return StorePath.parse(part)
        except InvalidName:
            continue
    return None


def offered_names(caches: Iterable[Cache]) -> list[str]:
    """The projects of which caches have wheels, the last pushed first."""
    subjects = (
        subject.partition("==")[0]
        for cache in caches
        for push in cache.pushes()
        for kind, subject, _ in push.roots
        if kind == "wheel"
    )
    return list(dict.fromkeys(subjects))


def _claims(cache: Cache, belief: Belief) -> Iterator[tuple[Standing, Realisation]]:
    """What is claimed of builds, and what each claim is worth."""
    keys = [key for push in cache.pushes() for key in push.keys]
    for content in cache.envelopes(keys):
        claim = belief.examine(content)
        if claim.statement is not None and not claim.is_evidence:
            yield claim.standing, claim.statement.realisation


def _newest(offers: Sequence[Offer], requirement: object) -> list[Offer]:
    """The wheels of the newest version that fits."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    assert isinstance(requirement, Requirement)
    fitting: dict[Version, list[Offer]] = {}
    for offer in offers:
        name, _, text = offer.subject.partition("==")
        if offer.kind != "wheel" or name != canonicalize_name(requirement.name):
            continue
        try:
            version = Version(text)
        except InvalidVersion:
            continue
        if requirement.specifier.contains(version, prereleases=True):
            fitting.setdefault(version, []).append(offer)
    return fitting[max(fitting)] if fitting else []
