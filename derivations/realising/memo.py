"""Requests that were realised before, answered from the database alone.

A plan follows from the request, the platform, the patches, the recipes and what the
pages of the indexes said. As long as all of these are the same, so is the answer, and
neither a process nor a request is needed to give it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.locking.writing import format_lock
from fromager.derivations.realising.request import Realised, RealisedWheel
from fromager.store import Digest, InvalidRecord, blob_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.realising.request import RealiseRequest
    from fromager.derivations.resolution.request import GivenRequirement
    from fromager.store import LocalStore

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
        except (KeyError, TypeError, ValueError, InvalidRecord):
            return None
        found = tuple(wheel for wheel in wheels if wheel is not None)
        return Realised(found) if len(found) == len(wheels) else None

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
                found = self.store.realisations(Digest.parse(key))
                if not found or found[0].is_evidence:
                    return None
                return RealisedWheel(
                    name,
                    Version(version),
                    filename,
                    requested,
                    tuple(str(each) for each in dependencies),
                    found[0],
                )
        return None


def _state(path: str) -> str:
    """Equal as long as nothing at and below a path is touched."""
    from fromager.derivations.building.scan import scan, states

    return blob_digest(states(scan([path], []).items)).hex


def plan_key(request: RealiseRequest, basis: Sequence[str]) -> str:
    """Names a request on a basis: index names, platform, patches, recipes, policy."""
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
        None if request.lock is None else format_lock(request.lock),
        list(basis),
    ]
    return blob_digest(json.dumps(value).encode()).hex


def _texts(given: Sequence[GivenRequirement]) -> list[str]:
    return sorted(str(each.requirement) for each in given)
