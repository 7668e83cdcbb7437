"""Requirements ready for comparison, and which of them hold for an interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison
from packaging.utils import canonicalize_name

from fromager.derivations.resolution.refusal import RefusalKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.markers import Marker
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from fromager.derivations.resolution.candidate import Metadata


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """A requirement for a project, its marker taken as met."""

    name: str
    extras: tuple[str, ...]
    """Normalised and sorted."""
    specifier: SpecifierSet
    text: str
    """The specifier's text; equal texts mean equal specifiers."""
    exact: bool
    """It names one version (`==` or `===`); that may then be yanked (PEP 592)."""
    prereleases: bool
    """It names a pre-release; such may then be chosen (PEP 440)."""
    origin: str | None = None
    """Where a given requirement comes from; None for that of a release."""

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.name}{extras}{self.text}"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a release needs; or why it cannot be used at all."""

    demands: tuple[Demand, ...] = ()
    objection: tuple[RefusalKind, str] | None = None
    """As of a `Refusal`: its kind and detail."""


class TargetEnvironment:
    """Evaluates markers (PEP 508) for one interpreter; remembers what releases need."""

    def __init__(self, markers: Mapping[str, str]) -> None:
        self._markers = dict(markers)
        self._needs: dict[tuple[str, Version, str | None], tuple[Metadata, Needs]] = {}
        full = self._markers["python_full_version"]
        self.python = ".".join(_leading_digits(part) for part in full.split(".")[:3])
        """The target's version without a pre-release part, as pip compares it."""

    def applies(self, marker: Marker | None, extra: str | None = None) -> bool:
        """Whether a marker holds, with an extra asked for or none.

        Raises:
            UndefinedComparison: a marker that compares what has no order.
        """
        if marker is None:
            return True
        return marker.evaluate({**self._markers, "extra": extra or ""})

    def needs(
        self, name: str, version: Version, metadata: Metadata, extra: str | None
    ) -> Needs:
        """What a release needs here; with an extra, only what the extra adds."""
        key = (name, version, extra)
        known = self._needs.get(key)
        if known is None or known[0] is not metadata:
            known = self._needs[key] = (metadata, self._evaluate(metadata, extra))
        return known[1]

    def knows_extra(self, metadata: Metadata, extra: str) -> bool:
        """Whether a release provides an extra, by declaration or by its markers."""
        return extra in metadata.provides_extra or any(
            self._concerns(requirement.marker, extra)
            for requirement in metadata.requires_dist
        )

    def _evaluate(self, metadata: Metadata, extra: str | None) -> Needs:
        if metadata.problem is not None:
            return Needs(objection=(RefusalKind.INVALID, metadata.problem))
        python = metadata.requires_python
        if python is not None and not python.contains(self.python, prereleases=True):
            return Needs(objection=(RefusalKind.PYTHON, str(python)))
        found: list[Demand] = []
        for requirement in metadata.requires_dist:
            try:
                concerns = self._concerns(requirement.marker, extra)
            except UndefinedComparison as error:
                reason = f"has an invalid marker: {error}"
                return Needs(objection=(RefusalKind.INVALID, reason))
            if concerns:
                if requirement.url is not None:
                    reason = f"requires {requirement.name} from a URL, not an index"
                    return Needs(objection=(RefusalKind.INVALID, reason))
                found.append(demand_of(requirement))
        return Needs(tuple(found))

    def _concerns(self, marker: Marker | None, extra: str | None) -> bool:
        """Whether a requirement belongs to an extra alone, or to no extra."""
        if extra is None:
            return self.applies(marker)
        return self.applies(marker, extra) and not self.applies(marker)


def demand_of(requirement: Requirement, origin: str | None = None) -> Demand:
    """A requirement without its marker."""
    specifier = requirement.specifier
    return Demand(
        canonicalize_name(requirement.name),
        tuple(sorted({canonicalize_name(extra) for extra in requirement.extras})),
        specifier,
        str(specifier),
        any(
            part.operator in ("==", "===") and not part.version.endswith(".*")
            for part in specifier
        ),
        bool(specifier.prereleases),
        origin,
    )


def _leading_digits(part: str) -> str:
    return part[: len(part) - len(part.lstrip("0123456789"))]
