"""Versions of what things are built with: those that match what is installed, and as
few of each tool as possible.

Each build environment is a request of its own, with an answer of its own. Where the
answers differ, those that can are brought to the same versions:

- If one version of each tool fits all environments, all of them have it.
- Where environments differ over one tool alone, each with a range of versions of it,
  it has as few versions as possible.
- There are never more versions than if each environment had the newest.

Which of several answers it is depends on the requests alone, and on no order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from fromager.derivations.resolution.outcome import Missing, Resolved
from fromager.derivations.resolution.request import GivenRequirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.version import Version

    from fromager.derivations.resolution.outcome import Outcome
    from fromager.derivations.resolution.request import Request

    Versions = Mapping[str, Version]


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """What one build environment must hold."""

    request: Request
    matching: Mapping[str, Version] = field(default_factory=dict)
    """Versions to use wherever the request allows them: those that are installed."""
    before: Mapping[str, Version] = field(default_factory=dict)
    """What it held before; as long as that is its own answer, it stays."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What build environments are to hold."""

    versions: Mapping[str, Mapping[str, Version]]
    """By subject, without those that have no answer."""

    @property
    def ranked(self) -> dict[str, tuple[Version, ...]]:
        """By project, its versions, those of most environments first; then the newest."""
        counts: dict[str, Counter[Version]] = {}
        for versions in self.versions.values():
            for name, version in versions.items():
                counts.setdefault(name, Counter())[version] += 1
        return {
            name: tuple(sorted(found, key=lambda v: (found[v], v), reverse=True))
            for name, found in sorted(counts.items())
        }


@dataclass
class _Group:
    """Environments that have one answer together."""

    request: Request
    subjects: list[str]


class ToolChooser:
    """Chooses; asks again as long as something is missing."""

    def __init__(self, resolve: Callable[[Request], Outcome]) -> None:
        """`resolve` gives for equal requests the same answer, unless it misses something."""
        self._resolve = resolve
        self._known: dict[object, Outcome] = {}

    def choose(
        self, wanted: Mapping[str, ToolRequest], apart: frozenset[str] = frozenset()
    ) -> ToolChoice | Missing:
        """What the environments of some subjects hold, as far as is known.

        Those `apart` have the newest versions, whatever is installed or others have.
        """
        self._missing: list[Missing] = []
        alone: dict[str, Versions] = {}
        requests: dict[str, Request] = {}
        for subject in sorted(wanted):
            matched = self._matched(wanted[subject], match=subject not in apart)
            if matched is not None:
                requests[subject], alone[subject] = matched
        settled = {
            subject: versions
            for subject, versions in alone.items()
            if subject in apart or versions == wanted[subject].before
        }
        open_ = {s: requests[s] for s in alone if s not in settled}
        together = settled | self._together(open_, alone, settled)
        if self._missing:
            return Missing(
                frozenset().union(*(each.projects for each in self._missing)),
                frozenset().union(*(each.metadata for each in self._missing)),
            )
        fewer = _count(together) <= _count(alone)
        return ToolChoice(together if fewer else alone)

    def _matched(
        self, wanted: ToolRequest, *, match: bool
    ) -> tuple[Request, Versions] | None:
        """The request with what it can match, and its answer; None if it has none."""
        request = wanted.request
        matching = wanted.matching if match else {}
        preferring = request.preferring(matching)
        versions = self._versions(preferring)
        refused: set[str] = set()
        fixed: set[str] = set()
        while versions is not None:
            left = sorted(versions.keys() & matching.keys() - fixed - refused)
            if not left:
                break
            name, version = left[0], matching[left[0]]
            narrowed = _narrowed(preferring, name, version)
            found = versions
            if versions[name] != version:
                trial = self._versions(narrowed)
                if trial is None:
                    refused.add(name)
                    continue
                found = trial
            fixed.add(name)
            preferring, versions = narrowed, found
        return None if versions is None else (preferring, versions)

    def _together(
        self,
        requests: Mapping[str, Request],
        alone: Mapping[str, Versions],
        settled: Mapping[str, Versions],
    ) -> dict[str, Versions]:
        ranked = ToolChoice(alone).ranked
        contested = sorted(name for name, found in ranked.items() if len(found) > 1)
        if not contested:
            return {subject: alone[subject] for subject in requests}

        def order(subject: str) -> tuple[list[int], str]:
            # Who can only have old versions comes first. The newest that it allows
            # is then the newest that may serve others too.
            places = []
            for name in contested:
                versions = sorted(ranked[name])
                version = alone[subject].get(name)
                places.append(
                    len(versions) if version is None else versions.index(version)
                )
            return places, subject

        groups: list[_Group] = []
        for subject in sorted(requests, key=order):
            self._join(groups, subject, requests[subject])
        earlier: list[Mapping[str, tuple[Version, ...]]] = [ToolChoice(settled).ranked]
        found: dict[str, Versions] = {}
        for group in groups:
            shared = self._versions(group.request.preferring(*earlier)) or {}
            own = {name: (version,) for name, version in shared.items()}
            for subject in group.subjects:
                preferring = requests[subject].preferring(own, *earlier)
                found[subject] = self._versions(preferring) or alone[subject]
            earlier.append(own)
        return self._newest(requests, found, settled)

    def _newest(
        self,
        requests: Mapping[str, Request],
        found: dict[str, Versions],
        settled: Mapping[str, Versions],
    ) -> dict[str, Versions]:
        """The same with the newest of all these versions wherever that adds none."""
        in_use = {
            name: tuple(sorted(versions, reverse=True))
            for name, versions in ToolChoice(found | dict(settled)).ranked.items()
        }
        newest = {
            subject: self._versions(requests[subject].preferring(in_use)) or versions
            for subject, versions in found.items()
        }
        is_fewer = _count(newest | dict(settled)) <= _count(found | dict(settled))
        return newest if is_fewer else found

    def _join(self, groups: list[_Group], subject: str, request: Request) -> None:
        """Puts an environment into the first group that it goes with."""
        for group in groups:
            union = _union(group.request, request)
            if union is group.request or self._versions(union) is not None:
                group.request = union
                group.subjects.append(subject)
                return
        groups.append(_Group(request, [subject]))

    def _versions(self, request: Request) -> Versions | None:
        """The versions of its answer; None if it has none, or none that is known."""
        key = _key(request)
        outcome = self._known.get(key) or self._resolve(request)
        match outcome:
            case Missing():
                self._missing.append(outcome)
                return None
            case Resolved(pins):
                self._known[key] = outcome
                return {pin.name: pin.version for pin in pins}
        self._known[key] = outcome
        return None


def _count(found: Mapping[str, Versions]) -> int:
    """How many versions of all tools there are."""
    return len({item for versions in found.values() for item in versions.items()})


def _narrowed(request: Request, name: str, version: Version) -> Request:
    limit = GivenRequirement(Requirement(f"{name}=={version}"), "what is installed")
    return replace(request, constraints=(*request.constraints, limit))


def _union(one: Request, other: Request) -> Request:
    """What satisfies both; the first itself if it says all that the other does."""
    requirements = _more(one.requirements, other.requirements)
    constraints = _more(one.constraints, other.constraints)
    if not requirements and not constraints:
        return one
    return replace(
        one,
        requirements=(*one.requirements, *requirements),
        constraints=(*one.constraints, *constraints),
    ).preferring(one.preferences, other.preferences)


def _more(
    given: Iterable[GivenRequirement], new: Iterable[GivenRequirement]
) -> tuple[GivenRequirement, ...]:
    known = {each.text for each in given}
    return tuple(each for each in new if each.text not in known)


def _key(request: Request) -> object:
    return (
        frozenset(given.text for given in request.requirements),
        frozenset(given.text for given in request.constraints),
        tuple(sorted((n, v) for n, v in request.preferences.items() if v)),
    )
