"""Errors of the store: each keeps its evidence in fields and may carry a remedy.

The message states the fact; `hint`, where there is one, states the remedy.
They are rendered in one place only, the command line.
"""

from pathlib import Path
from typing import Final

_READABLE: Final = 300
"""Characters of a path that are shown, in its beginning and its end."""


class StoreError(Exception):
    """Something the store was asked for cannot be done; nothing was changed."""

    @property
    def hint(self) -> str | None:
        """What the user can do about it, in one sentence without a full stop."""
        return None


class InvalidName(StoreError):
    """A name that no store object may have."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name!r} cannot name a store object: {reason}")
        self.name, self.reason = name, reason


class InvalidRecord(StoreError):
    """A listing, record or database row that does not say what it must."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}: {reason}")
        self.what, self.reason = what, reason


class UnsupportedFile(StoreError):
    """A file that a store object cannot hold: a device, a socket, a setuid file."""

    def __init__(self, path: Path, reason: str, remedy: str | None = None) -> None:
        super().__init__(f"{_shortened(str(path))}: {reason}")
        self.path, self.reason, self.remedy = path, reason, remedy

    @property
    def hint(self) -> str | None:
        held = "Store objects hold regular files, folders and symbolic links only"
        return self.remedy or held


class LinkRefused(StoreError):
    """A link into the store cannot be made at the place that was asked for."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the link {path} cannot be made: {reason}")
        self.path, self.reason = path, reason

    @property
    def hint(self) -> str | None:
        return "Choose another name for the link, or move away what lies there"


class ObjectMissing(StoreError):
    """No such object is in the store."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"{wanted} is not in the store")
        self.wanted = wanted


class ObjectWithheld(ObjectMissing):
    """An object that was found damaged; it is not served until it is repaired."""

    def __init__(self, wanted: str, reason: str) -> None:
        StoreError.__init__(self, f"{wanted} was found damaged: {reason}")
        self.wanted, self.reason = wanted, reason

    @property
    def hint(self) -> str | None:
        return "Repair it, or build it again"


class NotRestored(StoreError):
    """The content of an object cannot be had from where it was looked for."""


class RootMissing(StoreError):
    """No such named root, or no such generation of it."""

    def __init__(self, name: str, generation: str | None = None) -> None:
        what = f"root {name}"
        if generation is not None:
            what = f"generation {generation} of root {name}"
            if not generation.isdecimal():
                what = f"generation of root {name} {generation}"
        super().__init__(f"there is no {what}")
        self.name, self.generation = name, generation


class ReferenceMissing(ObjectMissing):
    """An object that others here refer to, and that lay in a store beneath this one."""

    @property
    def hint(self) -> str | None:
        return (
            "Objects here refer to it, and it lay in a store beneath this one: use "
            "that store as well, or build it again"
        )


class ObjectDamaged(StoreError):
    """The bytes on disk are not the bytes that the digest names."""

    def __init__(self, path: Path, expected: str, actual: str) -> None:
        super().__init__(f"{path} is damaged: expected {expected}, found {actual}")
        self.path, self.expected, self.actual = path, expected, actual

    @property
    def hint(self) -> str | None:
        return "Verify the store, then repair it"


class StoreUnavailable(StoreError):
    """The store cannot be opened or written: read-only, foreign-owned, too new."""

    def __init__(self, root: Path, reason: str, remedy: str | None = None) -> None:
        super().__init__(f"the store at {root} cannot be used: {reason}")
        self.root, self.reason, self.remedy = root, reason, remedy

    @property
    def hint(self) -> str | None:
        return self.remedy or "Choose another place with --store or FROMAGER_STORE"


class DatabaseUnusable(StoreUnavailable):
    """The database is missing, damaged, or newer; the files may all be sound."""

    @property
    def hint(self) -> str | None:
        return self.remedy or "The database can be made anew from the store's files"


class DatabaseTooNew(DatabaseUnusable):
    """The database was made by a newer fromager, whose schema this one does not know."""

    def __init__(self, root: Path, version: int, known: int) -> None:
        super().__init__(
            root,
            f"its database has version {version}, this fromager knows {known}",
            "Use the fromager that made it, or make the database anew for this one",
        )
        self.version, self.known = version, known


class StoreFull(StoreError):
    """The file system of the store has no space left."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"no space is left for the store at {root}")
        self.root = root

    @property
    def hint(self) -> str | None:
        return (
            "Free some space, by collecting garbage or otherwise, and run the same "
            "command again; nothing was lost"
        )


def _shortened(place: str) -> str:
    """A path as it can be read: folders may nest in thousands."""
    if len(place) <= _READABLE:
        return place
    half = _READABLE // 2
    return f"{place[:half]}[… {len(place) - 2 * half} characters …]{place[-half:]}"
