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

MEMO_VERSION: Final = 5
"""Raise it whenever resolution or planning may give other answers than before."""
NAMESPACE: Final = "plan"


@dataclass(frozen=True, slots=True)
class Grounds:
    """What an answer rests on, beside the words that it answers."""

    pages: Mapping[str, str]
    """By project, the digest of what the indexes said of it; `exact`, the stamp."""
    watched: Iterable[str] = ()
    """Paths of the machine, also of what is not there: it holds while they are the
    same."""
    day: str = ""
    """The day on which it holds; empty: on every day."""
    exact: bool = False
    """Whether the addresses of files are part of the answer."""


@dataclass(frozen=True)
class Memo:
    """Remembers what requests came to."""

    store: LocalStore
    client: IndexClient

    def recall(self, plan: str, day: str = "") -> Realised | None:
        """What a plan came to, if nothing that it rests on has changed, and all of it
        is in the store.

        `day` is today, for answers that hold on one day only.
        """
        value = self.recall_value(plan, day)
        try:
            match value:
                case {"wheels": list(rows), "collection": str() | None as key}:
                    wheels = tuple(self._wheel(row) for row in rows)
                    collection = None if key is None else self._realisation(key)
                case _:
                    return None
        except (ValueError, InvalidRecord):
            return None
        found = tuple(wheel for wheel in wheels if wheel is not None)
        if len(found) < len(wheels) or (collection is None) != (key is None):
            return None
        return Realised(found, collection=collection)

    def remember(self, plan: str, realised: Realised, grounds: Grounds) -> None:
        """Keep what a plan came to."""
        collection = realised.collection
        value = {
            "collection": None if collection is None else str(collection.key),
            "wheels": [
                [
                    wheel.name,
                    str(wheel.version),
                    wheel.filename,
                    wheel.requested,
                    list(wheel.dependencies),
                    str(wheel.realisation.key),
                    None if wheel.sdist is None else str(wheel.sdist.key),
                ]
                for wheel in realised.wheels
            ],
        }
        self.remember_value(plan, value, grounds)

    def recall_value(self, plan: str, day: str = "") -> object:
        """What was remembered for a plan, if nothing that it rests on has changed.

        None if nothing was, or if what is there cannot be understood.
        """
        content = self.store.recall(NAMESPACE, plan)
        if content is None:
            return None
        try:
            value = json.loads(content)
            if value["version"] != MEMO_VERSION or value["day"] not in ("", day):
                return None
            if not self._holds(value["pages"], exact=value["exact"]):
                return None
            if any(state != _state(path) for path, state in value["watched"].items()):
                return None
            found: object = value["answer"]
            return found
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def grounds(self, plan: str) -> Grounds | None:
        """What the answer to a plan rests on; None if none is remembered."""
        content = self.store.recall(NAMESPACE, plan)
        try:
            value = json.loads(content or b"null")
            pages, watched = dict(value["pages"]), tuple(value["watched"])
            return Grounds(pages, watched, str(value["day"]), bool(value["exact"]))
        except (KeyError, TypeError, ValueError):
            return None

    def remember_value(self, plan: str, answer: object, grounds: Grounds) -> None:
        """Keep a JSON value as the answer to a plan, for as long as its grounds hold."""
        value = {
            "version": MEMO_VERSION,
            "day": grounds.day,
            "exact": grounds.exact,
            "pages": dict(sorted(grounds.pages.items())),
            "watched": {path: _state(path) for path in sorted(grounds.watched)},
            "answer": answer,
        }
        self.store.remember(NAMESPACE, plan, json.dumps(value).encode())

    def _holds(self, pages: Mapping[str, str], *, exact: bool) -> bool:
        """Whether the cache would answer with the same pages, and ask nobody."""
        for project, said in pages.items():
            seen = self.client.peek(project)
            if seen is None or not seen.fresh:
                return False
            if said != seen.said(exact):
                return False
        return True

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
                str() | None as beside,
            ]:
                found = self._realisation(key)
                sdist = None if beside is None else self._realisation(beside)
                if found is None or (sdist is None) != (beside is None):
                    return None
                return RealisedWheel(
                    name,
                    Version(version),
                    filename,
                    requested,
                    tuple(str(each) for each in dependencies),
                    found,
                    sdist,
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


def plan_key(
    request: RealiseRequest, basis: Sequence[str], more: Sequence[str] = ()
) -> str:
    """Names a request on a basis: index names, platform, patches, recipes, policy.

    `more` is what else the answer depends on, and which kind of answer it is.
    """
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
        list(more),
    ]
    return blob_digest(json.dumps(value).encode()).hex


def _texts(given: Sequence[GivenRequirement]) -> list[str]:
    return sorted(str(each.requirement) for each in given)
