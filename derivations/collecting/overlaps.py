"""Files that several wheels of a set install at one place: the last one wins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Identity = tuple[int, int]
"""What tells contents apart here: CRC-32 and bytes."""
_DATA: Final = re.compile(r"[^/]+\.data/([^/]+)/(.+)")
_MODULES: Final = ("purelib", "platlib")
SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two wheels that install other contents at the same places."""

    first: str
    second: str
    paths: tuple[str, ...]
    """Sorted; relative to where modules are installed, or `scripts/…`, `data/…`."""

    def __str__(self) -> str:
        shown = ", ".join(self.paths[:SHOWN])
        more = len(self.paths) - SHOWN
        rest = f" and {more} more" if more > 0 else ""
        return (
            f"{self.first} and {self.second} both install {shown}{rest}, with other "
            "contents: what is installed last wins"
        )

    @property
    def row(self) -> dict[str, object]:
        """As JSON values."""
        return {"wheels": [self.first, self.second], "paths": list(self.paths)}


def installed(path: str) -> str:
    """Where a member of a wheel is installed, the same for purelib and platlib."""
    found = _DATA.fullmatch(path)
    if found is None:
        return path
    scheme, rest = found.groups()
    return rest if scheme in _MODULES else f"{scheme}/{rest}"


def overlaps(
    sets: Iterable[Sequence[str]], files: Mapping[str, Mapping[str, Identity]]
) -> tuple[Overlap, ...]:
    """The overlaps within each of some sets, sorted; `files` are those of each wheel,
    by where they are installed.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for subjects in sets:
        owners: dict[str, str] = {}
        for subject in sorted(subjects):
            for path, identity in files[subject].items():
                owner = owners.setdefault(path, subject)
                if owner != subject and files[owner][path] != identity:
                    found.setdefault((owner, subject), set()).add(path)
    return tuple(
        Overlap(first, second, tuple(sorted(paths)))
        for (first, second), paths in sorted(found.items())
    )
