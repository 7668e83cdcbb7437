"""What a store can do, as roles; `LocalStore` plays all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from fromager.store.digest import Digest
    from fromager.store.path import StorePath
    from fromager.store.realisation import Realisation
    from fromager.store.tree import Directory, File


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is true of an object in every store, and when this one got it."""

    path: StorePath
    digest: Digest
    kind: str
    """`blob` or `tree`."""
    size: int
    """Bytes of all files in it, whether shared with other objects or not."""
    references: tuple[StorePath, ...]
    """Objects that must be there for this one to be of use, sorted."""
    registered: int
    """Seconds since the epoch, UTC."""


class TreeBuilder(Protocol):
    """A tree that is made file by file, by who has their content at hand.

    Paths are relative, with `/` between names; folders that are implied are made.
    """

    def file(self, path: str, content: IO[bytes], *, executable: bool = False) -> File:
        """Put a file there; the content is read to its end.

        Raises:
            UnsupportedFile: no file can have this name.
            StoreFull, StoreUnavailable: it cannot be written.
        """
        ...

    def same(self, path: str, other: str) -> None:
        """Put the file that is at another path there, too."""
        ...

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link there."""
        ...

    def folder(self, path: str) -> None:
        """Put an empty folder there, for the case that nothing comes into it."""
        ...

    def add(self) -> ObjectInfo:
        """Add the tree to the transaction, when all is there.

        Raises:
            UnsupportedFile: two things at one place, or a name that no tree can hold.
        """
        ...


class Transaction(Protocol):
    """Objects and realisations that become valid together, or not at all.

    Used as a context manager. Leaving it without an error commits: durable and
    atomic, as one sync. Objects added may be used as soon as it was left.
    """

    def add_directory(
        self,
        source: Path,
        name: str,
        *,
        consume: bool = False,
        remember: bool = False,
        references: Iterable[StorePath] = (),
    ) -> ObjectInfo:
        """Add a folder. `consume` moves its files instead of copying them.

        With `remember`, files that are as they were when they were added so are not
        read again: their status tells, their change time above all.

        Raises:
            UnsupportedFile: devices, sockets, pipes, setuid files, too deep nesting.
        """
        ...

    def add_file(
        self,
        source: Path,
        name: str,
        *,
        consume: bool = False,
        remember: bool = False,
        references: Iterable[StorePath] = (),
    ) -> ObjectInfo:
        """Add one file as a blob (its executable bit is dropped)."""
        ...

    def add_bytes(
        self, content: bytes, name: str, *, references: Iterable[StorePath] = ()
    ) -> ObjectInfo:
        """Add a blob with this content."""
        ...

    def add_tree(
        self, tree: Directory, name: str, *, references: Iterable[StorePath] = ()
    ) -> ObjectInfo:
        """Add a tree all of whose files the store holds already (or this transaction).

        Raises:
            ObjectMissing: a file that is not held.
        """
        ...

    def add_held(
        self, file: File, name: str, *, references: Iterable[StorePath] = ()
    ) -> ObjectInfo:
        """Add a blob whose bytes the store holds already (or this transaction).

        Raises:
            ObjectMissing: it is not held.
        """
        ...

    def build_tree(
        self, name: str, *, references: Iterable[StorePath] = ()
    ) -> TreeBuilder:
        """Begin a tree whose files come one by one; it is added by its own `add`."""
        ...

    def put_blob(self, content: bytes, *, executable: bool = False) -> File:
        """Hold a file's bytes, to be used in `add_tree` of this transaction."""
        ...

    def put_stream(self, content: IO[bytes], *, executable: bool = False) -> File:
        """As `put_blob`, for content that is read to its end; hashed as it comes."""
        ...

    def holds(self, file: File) -> bool:
        """Whether a file's bytes need not be put: the store has them, or this."""
        ...

    def register(self, realisation: Realisation) -> None:
        """Claim that a key gave an output; its objects are valid or added here."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Store(Protocol):
    """A content-addressed store on this machine."""

    @property
    def root(self) -> Path:
        """The folder in which the objects lie."""
        ...

    def place(self, path: StorePath) -> Path:
        """Where a valid object lies, which need not be below `root`.

        Raises:
            ObjectMissing: not a valid object.
        """
        ...

    def transaction(self) -> Transaction:
        """Begin to add objects."""
        ...

    def info(self, path: StorePath) -> ObjectInfo | None:
        """What is known of a valid object; None if it is not valid here."""
        ...

    def tree(self, path: StorePath) -> File | Directory:
        """What a valid object holds, from its record, without reading its files.

        Raises:
            ObjectMissing: not a valid object.
        """
        ...

    def find(self, prefix: str) -> tuple[ObjectInfo, ...]:
        """Objects whose path, name or digest (`blake3:…` or hex) begins with this."""
        ...

    def objects(self) -> Iterable[ObjectInfo]:
        """All valid objects, sorted by path."""
        ...

    def closure(self, paths: Iterable[StorePath]) -> tuple[StorePath, ...]:
        """These objects and all that they reference, transitively, sorted."""
        ...

    def realisations(self, key: Digest) -> tuple[Realisation, ...]:
        """All claims for a key, newest first, whose outputs are valid here.

        What checks found comes after what builds gave.
        """
        ...

    def history(self, kind: str, subject: str) -> tuple[Realisation, ...]:
        """All claims of a kind for a subject, newest first, valid or not."""
        ...

    def producers(self, output: StorePath) -> tuple[Realisation, ...]:
        """All claims that gave this object, newest first."""
        ...

    def realised(self, derivation: StorePath) -> tuple[Realisation, ...]:
        """All claims of the derivation that this object holds, newest first."""
        ...

    def subjects(self, kind: str) -> tuple[str, ...]:
        """What claims of a kind are for, the newest first."""
        ...

    def build_lock(
        self, key: Digest, waiting: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Hold the right to build a key; `waiting(holder)` is called if it must wait."""
        ...

    def recall(self, namespace: str, key: str) -> bytes | None:
        """What was remembered. An index only: it can always be computed anew."""
        ...

    def rely_on(self, paths: Iterable[StorePath]) -> frozenset[StorePath]:
        """Those of these objects that are valid: they stay until the store is closed.

        What is looked up only may be collected as garbage at any time.
        """
        ...

    def remember(self, namespace: str, key: str, value: bytes) -> None:
        """Keep a value, replacing the one before. Failure to write is not an error."""
        ...
