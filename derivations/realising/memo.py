"""Requests that were realised before, answered from the database alone.

A plan follows from the request, the platform, the patches, the recipes and what the
pages of the indexes said. As long as all of these are the same, so is the answer, and
neither a process nor a request is needed to give it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.realising.request import Realised, RealisedWheel
from fromager.store import Digest, InvalidRecord, blob_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.realising.request import RealiseRequest
    from fromager.derivations.resolution.request import GivenRequirement
    from fromager.store import LocalStore, Realisation

MEMO_VERSION: Final = 3
NAMESPACE: Final = "plan"


@dataclass(frozen=True)
class Memo:
    """Remembers what requests came to."""

    store: LocalStore
    client: IndexClient

    def recall(self, plan: str, day: str = "") -> Realised | None:
        """What a plan came to, if nothing that it rests on has changed.

        `day` is today, for answers that hold on one day only.
        """
        content = self.store.recall(NAMESPACE, plan)
        if content is None:
            return None
        try:
            value = json.loads(content)
            if value["version"] != MEMO_VERSION:
                return None
            if value["day"] not in ("", day):
                return None
            for project, said in value["pages"].items():
                seen = self.client.peek(project)
                if seen is None or not seen.fresh or str(seen.digest) != said:
                    return None
            for path, state in value["watched"].items():
                if state != _state(path):
                    return None
            wheels = tuple(self._wheel(row) for row in value["wheels"])
            key = value["collection"]
            collection = None if key is None else self._realisation(key)
        except (KeyError, TypeError, ValueError, InvalidRecord):
            return None
        found = tuple(wheel for wheel in wheels if wheel is not None)
        if len(found) < len(wheels) or (collection is None) != (key is None):
            return None
        return Realised(found, collection=collection)

    def remember(
        self,
        plan: str,
        realised: Realised,
        pages: Mapping[str, Digest],
        watched: Iterable[str] = (),
        day: str = "",
    ) -> None:
        """Keep what a plan came to; it holds while what is `watched` stays the same:
        paths of the machine, also of what is not there. With a `day`, on that only.
        """
        value = {
            "version": MEMO_VERSION,
            "day": day,
            "pages": {name: str(digest) for name, digest in sorted(pages.items())},
            "watched": {path: _state(path) for path in sorted(watched)},
            "collection": None
            if realised.collection is None
            else str(realised.collection.key),
            "wheels": [
                [
                    wheel.name,
                    str(wheel.version),
                    wheel.filename,
                    wheel.requested,
                    list(wheel.dependencies),
                    str(wheel.realisation.key),
                ]
                for wheel in realised.wheels
            ],
        }
        self.store.remember(NAMESPACE, plan, json.dumps(value).encode())

    def _wheel(self, row: list[object]) -> RealisedWheel | None:
        from packaging.version import Version

        match row:
            case [
                str(name),
                str(version),
                str(filename),
                bool(requested),
                list(dependencies),
                str(key),
            ]:
                found = self._realisation(key)
                if found is None:
                    return None
                return RealisedWheel(
                    name,
                    Version(version),
                    filename,
                    requested,
                    tuple(str(each) for each in dependencies),
                    found,
                )
        return None

    def _realisation(self, key: str) -> Realisation | None:
        """The newest realisation of a key; None if what is there is none of a build."""
        found = self.store.realisations(Digest.parse(key))
        return found[0] if found and not found[0].is_evidence else None


def _state(path: str) -> str:
    """Equal as long as nothing at and below a path is touched."""
    from fromager.derivations.building.scan import scan, states

    return blob_digest(states(scan([path], []).items)).hex


def plan_key(request: RealiseRequest, basis: Sequence[str]) -> str:
    """Names a request on a basis: index names, platform, patches, recipes, policy."""
    lock = None
    if request.lock is not None:
        # Only who has a lock pays for it.
        from fromager.derivations.locking.writing import format_lock

        lock = format_lock(request.lock)
    value = [
        MEMO_VERSION,
        _texts(request.requirements),
        _texts(request.constraints),
        _texts(request.build_constraints),
        sorted(map(str, request.direct)),
        sorted(map(str, request.direct_constraints)),
        [[name, list(digests)] for name, digests in request.hashes],
        request.require_hashes,
        request.dependencies,
        request.prereleases,
        request.cutoffs.signature,
        lock,
        request.collect.value,
        list(basis),
    ]
    return blob_digest(json.dumps(value).encode()).hex


def _texts(given: Sequence[GivenRequirement]) -> list[str]:
    return sorted(str(each.requirement) for each in given)
