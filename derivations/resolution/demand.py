"""Requirements as the search sees them, and which of them hold in an environment.

A project with an extra is an identifier of its own, `name[extra]`, which demands
the same version of `name` itself. So extras need no merging, and backtracking treats
them like any other project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from packaging.markers import UndefinedComparison
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.markers import Marker
    from packaging.requirements import Requirement
    from packaging.version import Version

    from fromager.derivations.resolution.candidate import Metadata, Release


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """That a project, with one extra or none, is in the set within a specifier."""

    identifier: str
    name: str
    extra: str | None
    specifier: SpecifierSet
    text: str
    """The specifier's text; equal texts mean equal specifiers."""
    exact: bool
    """It names one version (`==` or `===`): that may then be yanked (PEP 592)."""
    stated: str
    """The requirement as people read it: `jinja2>=3; extra == "x"`."""
    origin: str | None = None
    """Where a given requirement comes from; None for that of a release."""
    version: Version | None = None
    """Exactly this version, local part and all, whatever the specifier says."""


@dataclass(frozen=True, slots=True, eq=False)
class Objection:
    """What no set can satisfy: a release cannot be used, and why."""

    identifier: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A version of a project, with one extra or none, that can be chosen."""

    identifier: str
    name: str
    extra: str | None
    release: Release
    index: int
    """Its place in the project's catalogue."""

    @property
    def version(self) -> Version:
        return self.release.version


@dataclass(frozen=True, slots=True, eq=False)
class Unlisted:
    """Stands for whatever version of a project whose releases are not known yet."""

    identifier: str
    name: str
    extra: str | None


AnyDemand: TypeAlias = "Demand | Objection"
AnyCandidate: TypeAlias = "Candidate | Unlisted"


class TargetEnvironment:
    """Evaluates markers (PEP 508) for one interpreter; remembers what releases need."""

    def __init__(self, markers: Mapping[str, str]) -> None:
        self._markers = dict(markers)
        self._needed: dict[
            tuple[str, Version, str | None], tuple[Metadata, tuple[AnyDemand, ...]]
        ] = {}

    @property
    def python(self) -> str:
        """The target's version without a pre-release part, as pip compares it."""
        full = self._markers["python_full_version"]
        digits = full.split("+", maxsplit=1)[0].split(".")
        return ".".join("".join(_leading_digits(part)) for part in digits[:3])

    def applies(self, marker: Marker | None, extra: str | None = None) -> bool:
        """Whether a marker holds, with an extra asked for or none."""
        if marker is None:
            return True
        return marker.evaluate({**self._markers, "extra": extra or ""})

    def needs(
        self, name: str, version: Version, metadata: Metadata, extra: str | None
    ) -> tuple[AnyDemand, ...]:
        """What a release needs here; with an extra, only what the extra adds."""
        key = (name, version, extra)
        known = self._needed.get(key)
        if known is None or known[0] is not metadata:
            found = tuple(self._evaluate(name, version, metadata, extra))
            known = self._needed[key] = (metadata, found)
        return known[1]

    def _evaluate(
        self, name: str, version: Version, metadata: Metadata, extra: str | None
    ) -> Iterator[AnyDemand]:
        release = f"{name} {version}"
        if metadata.problem is not None:
            yield Objection(f"?{release}", metadata.problem)
            return
        python = metadata.requires_python
        if python is not None and not python.contains(self.python, prereleases=True):
            yield Objection(f"?{release}", f"it requires Python {python}")
            return
        for requirement in metadata.requires_dist:
            try:
                if not self._concerns(requirement.marker, extra):
                    continue
            except UndefinedComparison as error:
                yield Objection(f"?{release}", f"a marker is invalid: {error}")
                return
            if requirement.url is not None:
                reason = f"it requires {requirement.name} from a URL, not from an index"
                yield Objection(f"?{release}", reason)
                return
            yield from demands(requirement)

    def knows_extra(self, metadata: Metadata, extra: str) -> bool:
        """Whether a release provides an extra, by declaration or by its markers."""
        return extra in metadata.provides_extra or any(
            self._concerns(requirement.marker, extra)
            for requirement in metadata.requires_dist
        )

    def _concerns(self, marker: Marker | None, extra: str | None) -> bool:
        """Whether a requirement belongs to an extra alone, or to no extra."""
        if extra is None:
            return self.applies(marker)
        return self.applies(marker, extra) and not self.applies(marker)


def demands(requirement: Requirement, origin: str | None = None) -> tuple[Demand, ...]:
    """A requirement as demands: one for the project, and one for each extra."""
    name = canonicalize_name(requirement.name)
    specifier = requirement.specifier
    text = str(specifier)
    exact = is_exact(specifier)
    stated = str(requirement)
    extras = sorted({canonicalize_name(extra) for extra in requirement.extras})
    return tuple(
        Demand(
            name if extra is None else f"{name}[{extra}]",
            name,
            extra,
            specifier,
            text,
            exact,
            stated,
            origin,
        )
        for extra in (*cast("list[str | None]", extras), None)
    )


def same_version(candidate: Candidate) -> Demand:
    """That a release with an extra goes with the release itself."""
    return Demand(
        candidate.name,
        candidate.name,
        None,
        SpecifierSet(),
        "",
        False,
        f"{candidate.name}=={candidate.version}",
        version=candidate.version,
    )


def is_exact(specifier: SpecifierSet) -> bool:
    """Whether it names one version, as `==1.2` and `===1.2` do, and `==1.*` does not."""
    return any(
        part.operator in ("==", "===") and not part.version.endswith(".*")
        for part in specifier
    )


def _leading_digits(part: str) -> Iterable[str]:
    for character in part:
        if not character.isdigit():
            return
        yield character
