"""Errors of planning and building: evidence in fields, an optional remedy.

Three families decide the exit code of the command line: `ResolutionError` (no set
of versions fits), `BuildError` (a step ran and failed) and the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class DerivationError(Exception):
    """Something that was asked for cannot be planned or made."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        """The remedy, in one sentence without a full stop; None if none is known."""


class InvalidDerivation(DerivationError):
    """A derivation that does not say what it must."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what, self.reason = what, reason


class InputError(DerivationError):
    """What the user wrote cannot be read: a requirement, a file, an interpreter."""


class ResolutionError(DerivationError):
    """No set of versions fits the request."""


class SourceError(DerivationError):
    """A source cannot be had: not fetched, not whole, or not what was promised."""


class HashMismatch(SourceError):
    """The bytes fetched are not the bytes that were promised."""

    def __init__(self, filename: str, expected: str, actual: str) -> None:
        super().__init__(
            f"{filename}: expected sha256 {expected}, got {actual}",
            hint="The file was replaced or damaged on its way; if the change is meant, "
            "update the hash where it was promised",
        )
        self.filename, self.expected, self.actual = filename, expected, actual


class UnsafeArchive(SourceError):
    """An archive that must not be unpacked: broken, or it would do harm."""

    def __init__(self, filename: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{filename}: {reason}", hint=hint)
        self.filename, self.reason = filename, reason


class NetworkError(DerivationError):
    """A server did not give what was asked for."""

    def __init__(self, url: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{url}: {reason}", hint=hint)
        self.url, self.reason = url, reason


class AccessDenied(NetworkError):
    """A server does not let us in."""


class NotServed(NetworkError):
    """A server does not have what was asked for, or does not tell us."""


class RateLimited(NetworkError):
    """A server asks to wait for longer than is waited."""


class CacheRefused(DerivationError):
    """A cache does not give what it must: it is none, too new, or not to be believed."""

    def __init__(self, url: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{url}: {reason}", hint=hint)
        self.url, self.reason = url, reason


class SigningError(DerivationError):
    """A key cannot be used to sign or to verify with."""

    def __init__(self, name: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{name} cannot be signed or verified: {reason}", hint=hint)
        self.name, self.reason = name, reason


class Untrusted(DerivationError):
    """Nobody who is trusted says what would have to be believed."""


class SandboxUnavailable(DerivationError):
    """The sandbox cannot be set up on this machine."""


class Stopped(DerivationError):
    """A step was stopped before its end, since something else failed or was asked."""


class BuildError(DerivationError):
    """A build step ran, and failed."""

    def __init__(
        self,
        subject: str,
        reason: str,
        *,
        hint: str | None = None,
        log_tail: tuple[str, ...] = (),
        kept: str | None = None,
    ) -> None:
        super().__init__(f"{subject}: {reason}", hint=hint)
        self.subject, self.reason = subject, reason
        self.log_tail = log_tail
        """The last lines of the build's log."""
        self.kept = kept
        """Where the build folder was kept, if it was asked for."""
        self.log_of: str | None = None
        """What to ask for to see the whole log."""


class WheelRefused(BuildError):
    """A backend's wheel that is not what the wheel specification demands."""


class RebuildRefused(DerivationError):
    """A recorded step cannot be done again here: it would not be the same step."""

    def __init__(self, subject: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{subject} cannot be done again: {reason}", hint=hint)
        self.subject, self.reason = subject, reason


class InputGone(RebuildRefused):
    """What a recorded step was done with is not in the store any more."""

    def __init__(self, subject: str, role: str, digest: str) -> None:
        super().__init__(
            subject,
            f"its {role} {digest} is not in the store",
            hint="Realise it first; what is missing is made anew on the way",
        )
        self.role, self.digest = role, digest


class BuildCycle(BuildError):
    """Packages that need each other to be built."""

    def __init__(self, subjects: tuple[str, ...]) -> None:
        names = " needs ".join((*subjects, subjects[0]))
        super().__init__(
            subjects[0],
            f"it takes part in a build cycle: {names}",
            hint="Break the cycle with a build constraint that picks another version "
            "of one of them (--build-constraint), or with a patch that drops the "
            "build requirement",
        )
        self.subjects = subjects


class DependencyFailed(BuildError):
    """Not tried, since something that it needs failed."""

    def __init__(self, subject: str, needed: str) -> None:
        super().__init__(subject, f"not built, since {needed} failed")
        self.needed = needed


class PrebuiltRefused(DerivationError):
    """Wheels would be taken from an index where only sources are allowed."""

    def __init__(self, subjects: Iterable[str]) -> None:
        self.subjects = tuple(sorted(subjects))
        super().__init__(
            "these would not be built from source, since settings ask for prebuilt "
            f"wheels: {', '.join(self.subjects)}",
            hint="Take the setting `prebuilt` away for them, or allow what is prebuilt",
        )
