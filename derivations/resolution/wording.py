"""How versions, lists and refusals are put into words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fromager.derivations.resolution.refusal import RefusalKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.version import Version

    from fromager.derivations.resolution.refusal import Refusal

_MOST_LISTED: Final = 4
_PLURALS: Final = {"requires": "require", "has": "have", "is": "are"}


def listed(parts: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last


def versions_text(versions: Sequence[Version]) -> str:
    """Some versions, oldest first; a long list by its ends."""
    ordered = sorted(versions)
    if len(ordered) > _MOST_LISTED:
        return f"{ordered[0]} to {ordered[-1]} ({len(ordered)} versions)"
    return listed(str(version) for version in ordered)


def clause(verb_first: str, count: int) -> str:
    """A clause such as "is yanked", for so many subjects."""
    verb, *rest = verb_first.split(" ")
    return verb_first if count == 1 else " ".join((_PLURALS.get(verb, verb), *rest))


def refusal_sentences(name: str, refusals: Sequence[Refusal]) -> Iterator[str]:
    """One sentence for all versions that are refused for one reason."""
    groups: dict[str, list[Version]] = {}
    for refusal in refusals:
        groups.setdefault(reason_text(refusal.kind, refusal.detail), []).append(
            refusal.version
        )
    for reason, versions in groups.items():
        yield f"{name} {versions_text(versions)} {clause(reason, len(versions))}"


def quarantine_text(reason: str) -> str:
    """`quarantined by its index (malware)`."""
    return f"quarantined by its index{f' ({reason})' if reason else ''}"


def reason_text(kind: RefusalKind, detail: str) -> str:
    """Why a release is not used, as a clause whose subject it is."""
    match kind:
        case RefusalKind.PRERELEASE:
            return "is a pre-release"
        case RefusalKind.YANKED:
            return f"is yanked ({detail})" if detail else "is yanked"
        case RefusalKind.PYTHON:
            return f"requires Python {detail}"
        case RefusalKind.WHEEL_ONLY:
            return "has no source distribution, only wheels"
        case RefusalKind.NO_WHEEL:
            return f"has no wheel that fits, and {detail} asks for one"
        case RefusalKind.TOO_NEW:
            return f"is newer than the cut-off date, {detail}"
        case RefusalKind.TOO_YOUNG:
            return f"is less than {detail} old"
        case RefusalKind.UPLOAD_TIME_UNKNOWN:
            return "has no known upload time to compare with the cut-off date"
        case RefusalKind.QUARANTINED:
            return f"is {quarantine_text(detail)}"
        case RefusalKind.HASH:
            return "has none of the hashes that are required"
        case RefusalKind.INVALID:
            return detail
