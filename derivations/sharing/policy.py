"""Policies: who must agree before a closure counts as verified, and what is excepted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from fromager.derivations.errors import InputError
from fromager.derivations.sharing.keyring import (
    check_fields,
    parse_keys,
    read_toml,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations.sharing.keys import Trust
    from fromager.store import Realisation

_FIELDS: Final = {"threshold", "builder", "exemption"}
_EXEMPTION_FIELDS: Final = {"subject", "kinds", "allow", "reason", "expires"}


class Fault(Enum):
    """What keeps a step from being verified."""

    DIFFERS = "differs"
    """A builder says that it gave something else."""
    MISSING = "missing"
    """Fewer builders than are needed say what it gives."""
    UNSANDBOXED = "unsandboxed"
    """It was built without the full sandbox."""
    PREBUILT = "prebuilt"
    """It was not built from source."""
    UNTRACED = "untraced"
    """Something went into it of which nobody knows where it came from."""
    FORGED = "forged"
    """A claim says that it is of a builder who did not sign it."""


@dataclass(frozen=True, slots=True)
class Exemption:
    """A fault that is accepted, for a reason, until a day."""

    subject: str
    """A pattern, as of file names: `demo==*`."""
    kinds: tuple[str, ...]
    """Kinds of steps; all of them if none is named."""
    allow: frozenset[Fault]
    reason: str
    expires: date

    def covers(self, step: Realisation, fault: Fault, today: date) -> bool:
        """Whether a fault of a step is accepted on a day."""
        return self.names(step, fault) and today < self.expires

    def names(self, step: Realisation, fault: Fault) -> bool:
        """Whether it is for this fault of this step, expired or not."""
        kind = not self.kinds or step.kind in self.kinds
        return kind and fault in self.allow and fnmatchcase(step.subject, self.subject)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who must agree, and what is excepted."""

    trust: Trust
    exemptions: tuple[Exemption, ...] = ()


def read_policy(path: Path) -> Policy:
    """The policy in a TOML file.

    Raises:
        InputError: it cannot be read, or has a name or a value that is unknown.
    """
    return parse_policy(read_toml(path), str(path))


def parse_policy(tables: Mapping[str, Any], origin: str) -> Policy:
    """The policy in the tables of a file; see `read_policy`."""
    check_fields(tables, _FIELDS, origin)
    builders, exemptions = tables.get("builder", []), tables.get("exemption", [])
    for name, rows in (("builder", builders), ("exemption", exemptions)):
        if not isinstance(rows, list):
            raise InputError(f"{origin}: {name} must be written [[{name}]]")
    threshold = tables.get("threshold")
    if type(threshold) is not int:
        raise InputError(
            f"{origin}: threshold must say how many builders have to agree"
        )
    if threshold > len(builders):
        raise InputError(
            f"{origin}: {threshold} builders have to agree, {len(builders)} are named"
        )
    return Policy(
        parse_keys(builders, threshold, origin),
        tuple(_parse_exemption(row, origin) for row in exemptions),
    )


def _parse_exemption(row: object, origin: str) -> Exemption:
    if not isinstance(row, dict):
        raise InputError(f"{origin}: an exemption must be a table")
    where = f"{origin}, [[exemption]]"
    check_fields(row, _EXEMPTION_FIELDS, where)
    subject, reason, expires = row.get("subject"), row.get("reason"), row.get("expires")
    if not isinstance(subject, str) or not isinstance(reason, str) or not reason:
        raise InputError(f"{where}: subject and reason must be there, as texts")
    if type(expires) is not date:
        raise InputError(f"{where}: expires must be a date: 2027-01-31")
    allow, kinds = row.get("allow"), row.get("kinds", [])
    names = {fault.value: fault for fault in Fault if fault is not Fault.FORGED}
    if not isinstance(allow, list) or not allow or not set(allow) <= set(names):
        raise InputError(f"{where}: allow must name some of {', '.join(names)}")
    if not isinstance(kinds, list) or not all(isinstance(k, str) for k in kinds):
        raise InputError(f"{where}: kinds must be a list of texts")
    faults = frozenset(names[name] for name in allow)
    return Exemption(subject, tuple(kinds), faults, reason, expires)
