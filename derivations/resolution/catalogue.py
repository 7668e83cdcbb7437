"""A project's versions under the policies of a request: usable, or refused and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from fromager.derivations.resolution.refusal import Refusal, RefusalKind
from fromager.derivations.resolution.request import Prereleases

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.version import Version

    from fromager.derivations.resolution.candidate import ProjectReleases, Release
    from fromager.derivations.resolution.cutoff import Cutoff
    from fromager.derivations.resolution.demand import Demand

_GRAVITY: Final = {kind: rank for rank, kind in enumerate(RefusalKind)}
_ARCHIVES: Final = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides on a file alone, apart from any requirement."""

    python: str
    """The target's version: `3.12.1`."""
    cutoffs: tuple[Cutoff, ...]
    hashes: frozenset[str] | None


class Catalogue:
    """A project's versions, newest first; a set of them is the bits of an integer."""

    def __init__(self, project: ProjectReleases, policy: Policy) -> None:
        files: dict[Version, list[Release]] = {}
        for release in project.releases:
            files.setdefault(release.version, []).append(release)
        usable: list[Release] = []
        refusals: list[Refusal] = []
        judge = _Judge(policy, project)
        for version in sorted(files, reverse=True):
            verdict = judge.best(files[version])
            if isinstance(verdict, Refusal):
                refusals.append(verdict)
            else:
                usable.append(verdict)
        self.project = project
        self.releases: Sequence[Release] = usable
        """The file to use of each usable version; yanked ones are among them."""
        self.refusals: Sequence[Refusal] = refusals
        self._versions = [release.version for release in usable]
        self._index = {version: i for i, version in enumerate(self._versions)}
        self._fitting: dict[str, int] = {}
        self.finals = self._bits(v for v in self._versions if not v.is_prerelease)
        self.yanked = self._bits(r.version for r in usable if r.yanked is not None)
        self.everything = (1 << len(usable)) - 1

    def bit(self, version: Version) -> int:
        """The set of that version alone; empty if it is not usable."""
        index = self._index.get(version)
        return 0 if index is None else 1 << index

    def fitting(self, demand: Demand) -> int:
        """The versions within a specifier, whether it may choose them or not."""
        found = self._fitting.get(demand.text)
        if found is None:
            found = self._bits(
                demand.specifier.filter(self._versions, prereleases=True)
            )
            self._fitting[demand.text] = found
        return found

    def withheld(self, demands: Iterable[Demand], *, prereleases: Prereleases) -> int:
        """The versions that requirements, taken together, may not choose.

        A pre-release needs a specifier that names one, or that no final release fits
        (PEP 440); a yanked release needs a specifier that names it (PEP 592).
        """
        fitting = self.everything
        exact = False
        allowed = prereleases is Prereleases.ALLOW
        for demand in demands:
            fitting &= self.fitting(demand)
            exact = exact or demand.exact
            allowed = allowed or demand.prereleases
        withheld = 0 if exact else self.yanked
        if not allowed and fitting & self.finals:
            withheld |= self.everything & ~self.finals
        return withheld

    def versions(self, chosen: int) -> list[Version]:
        """A set of versions as a list, newest first."""
        return [v for i, v in enumerate(self._versions) if chosen >> i & 1]

    def _bits(self, versions: Iterable[Version]) -> int:
        bits = 0
        for version in versions:
            bits |= 1 << self._index[version]
        return bits


class _Judge:
    """Applies a policy to files; each Requires-Python is parsed once."""

    def __init__(self, policy: Policy, project: ProjectReleases) -> None:
        self._policy, self._project = policy, project
        self._pythons: dict[str, bool | None] = {}

    def best(self, files: Sequence[Release]) -> Release | Refusal:
        """The file to use of one version, or the reason against its best file."""
        usable = []
        refusals = []
        for release in files:
            refusal = self._refusal(release)
            if refusal is None:
                usable.append(release)
            else:
                refusals.append(refusal)
        if usable:
            return min(usable, key=_file_order)
        return min(refusals, key=lambda r: (_GRAVITY[r.kind], r.detail))

    def _refusal(self, release: Release) -> Refusal | None:
        version, policy = release.version, self._policy
        if (reason := self._project.quarantined) is not None:
            return Refusal(version, RefusalKind.QUARANTINED, reason)
        if release.no_wheel:
            return Refusal(version, RefusalKind.NO_WHEEL, release.no_wheel)
        if release.wheel_only:
            return Refusal(version, RefusalKind.WHEEL_ONLY, "")
        if release.requires_python:
            fits = self._fits_python(release.requires_python)
            if fits is None:
                detail = f"has an invalid Requires-Python {release.requires_python!r}"
                return Refusal(version, RefusalKind.INVALID, detail)
            if not fits:
                return Refusal(version, RefusalKind.PYTHON, release.requires_python)
        for cutoff in policy.cutoffs:
            if version in cutoff.exempt or release.source is not None:
                continue
            if release.upload_time is None:
                if not self._project.undated:
                    return Refusal(version, RefusalKind.UPLOAD_TIME_UNKNOWN, "")
            elif release.upload_time > cutoff.moment:
                is_age = cutoff.days is not None
                kind = RefusalKind.TOO_YOUNG if is_age else RefusalKind.TOO_NEW
                return Refusal(version, kind, cutoff.detail)
        if policy.hashes is not None and release.sha256 not in policy.hashes:
            return Refusal(version, RefusalKind.HASH, release.filename)
        return None

    def _fits_python(self, text: str) -> bool | None:
        """Whether the target is within a Requires-Python; None if it is invalid."""
        if text not in self._pythons:
            try:
                specifier = SpecifierSet(text)
            except InvalidSpecifier:
                self._pythons[text] = None
            else:
                python = self._policy.python
                self._pythons[text] = specifier.contains(python, prereleases=True)
        return self._pythons[text]


def _file_order(release: Release) -> tuple[bool, int, str, str]:
    suffixes = (i for i, s in enumerate(_ARCHIVES) if release.filename.endswith(s))
    rank = next(suffixes, len(_ARCHIVES))
    return release.yanked is not None, rank, release.filename, release.url
