"""The report of a comparison, as values and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fromager.derivations.comparing.causes import EXPLANATIONS, Cause, is_consequence


class Sameness(Enum):
    """How far two outputs are the same, from the strongest to none."""

    IDENTICAL = "identical"
    """Bit for bit."""
    SAME_CONTENT = "same-content"
    """The same members with the same bytes; only the archive around them differs."""
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference and its cause."""

    cause: Cause
    detail: str
    """What it is, in one line."""
    first: str = ""
    """What stands there on the first side, where that can be shown."""
    second: str = ""
    count: int = 1
    """How often it was found."""

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        about = EXPLANATIONS[self.cause]
        return {
            "cause": self.cause.value,
            "detail": self.detail,
            "first": self.first,
            "second": self.second,
            "count": self.count,
            "consequence": about.consequence,
            "remedy": about.remedy,
            "variation": about.variation,
        }


@dataclass(frozen=True, slots=True)
class MemberDifference:
    """A member that is not the same on both sides."""

    path: str
    change: str
    """`changed`, `only in first` or `only in second`."""
    kind: str
    """What it is: `text`, `ELF`, `bytecode`, `zip`, `link`, …"""
    sizes: tuple[int | None, int | None]
    """Bytes; None where it is not there."""
    findings: tuple[Finding, ...]
    excerpt: tuple[str, ...] = ()
    """Lines that differ, `-` on the first side, `+` on the second."""

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "path": self.path,
            "change": self.change,
            "kind": self.kind,
            "sizes": list(self.sizes),
            "findings": [finding.row for finding in self.findings],
            "excerpt": list(self.excerpt),
        }


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    name: str
    format: str
    """`wheel`, `zip`, `tar`, `folder` or `file`."""
    size: int
    """Bytes."""
    sha256: str | None
    """Of the file; None for folders."""

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "name": self.name,
            "format": self.format,
            "size": self.size,
            "sha256": self.sha256,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What differs between two outputs, and why."""

    first: Side
    second: Side
    sameness: Sameness
    container: tuple[Finding, ...] = ()
    """Differences of the archives themselves."""
    members: tuple[MemberDifference, ...] = ()
    """Differences of what is in them, sorted by path."""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes found, most frequent first; consequences only if all are."""
        counts: dict[Cause, int] = {}
        for finding in self.findings:
            counts[finding.cause] = counts.get(finding.cause, 0) + finding.count
        ordered = sorted(counts, key=lambda cause: (-counts[cause], cause.value))
        real = [cause for cause in ordered if not is_consequence(cause)]
        return tuple(real or ordered)

    @property
    def variations(self) -> tuple[str, ...]:
        """The variations of a check that would confirm the causes, each once."""
        found = (EXPLANATIONS[cause].variation for cause in self.causes)
        return tuple(dict.fromkeys(name for name in found if name is not None))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of the container and of all members."""
        inside = [finding for member in self.members for finding in member.findings]
        return (*self.container, *inside)

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "first": self.first.row,
            "second": self.second.row,
            "sameness": self.sameness.value,
            "causes": [cause.value for cause in self.causes],
            "container": [finding.row for finding in self.container],
            "members": [member.row for member in self.members],
        }
