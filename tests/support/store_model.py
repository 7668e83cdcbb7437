"""What a store is, without a disk: a value that every history of a store must agree with.

It knows objects, references, claims, facts, and what was damaged behind the store's
back. It is written from what `Store` and `Transaction` promise, with none of their code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from fromager.store import Directory, File, ObjectInfo, Realisation, StorePath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fromager.store import Digest


@dataclass(frozen=True)
class AddBlob:
    """A blob is added."""

    content: bytes
    file: File
    name: str
    references: frozenset[StorePath]


@dataclass(frozen=True)
class AddTree:
    """A tree is added, from a folder with that content."""

    tree: Directory
    contents: tuple[tuple[File, bytes], ...]
    """The bytes of its files."""
    name: str
    references: frozenset[StorePath]


@dataclass(frozen=True)
class Claim:
    """A realisation is registered."""

    realisation: Realisation


Step: TypeAlias = AddBlob | AddTree | Claim


@dataclass(frozen=True)
class Known:
    """An object of the model."""

    node: File | Directory
    references: frozenset[StorePath]
    registered: int


@dataclass(frozen=True)
class StoreModel:
    """The whole of a store at one moment."""

    known: dict[StorePath, Known] = field(default_factory=dict)
    claims: tuple[Realisation, ...] = ()
    """In the order in which they came; none twice."""
    lost: frozenset[StorePath] = frozenset()
    """Objects whose files were deleted behind the store's back."""
    corrupt: frozenset[File] = frozenset()
    """Files whose bytes were changed there, in all objects that hold them."""
    contents: dict[File, bytes] = field(default_factory=dict)
    roots: frozenset[tuple[str, StorePath]] = frozenset()
    """Named roots, each with what it holds."""

    def after(self, steps: Iterable[Step], now: int) -> StoreModel:
        """What a transaction of these steps makes of it."""
        known, claims = dict(self.known), list(self.claims)
        lost, contents = set(self.lost), dict(self.contents)
        for step in steps:
            match step:
                case AddBlob(content, file, name, references):
                    contents[file] = content
                    added = _add(known, file, name, references, now)
                    lost.discard(added)
                case AddTree(tree, files, name, references):
                    contents.update(files)
                    added = _add(known, tree, name, references, now)
                    lost.discard(added)
                case Claim(realisation):
                    if realisation not in claims:
                        claims.append(realisation)
        return replace(
            self,
            known=known,
            claims=tuple(claims),
            lost=frozenset(lost),
            contents=contents,
        )

    def without(self, path: StorePath) -> StoreModel:
        """It with the files of an object deleted."""
        return replace(self, lost=self.lost | {path})

    def with_damage(self, file: File) -> StoreModel:
        """It with the bytes of a file changed."""
        return replace(self, corrupt=self.corrupt | {file})

    def healed(self, file: File) -> StoreModel:
        """It with the bytes of a file as they were."""
        return replace(self, corrupt=self.corrupt - {file})

    def rooted(self, name: str, path: StorePath) -> StoreModel:
        """It with one more root."""
        return replace(self, roots=self.roots | {(name, path)})

    def unrooted(self, name: str) -> StoreModel:
        """It without a root."""
        left = (row for row in self.roots if row[0] != name)
        return replace(self, roots=frozenset(left))

    def collected(self) -> StoreModel:
        """What is left if all goes that no root reaches; claims stay, as evidence."""
        alive = self.closure(path for _, path in self.roots)
        left = replace(
            self,
            known={path: self.known[path] for path in alive},
            lost=self.lost.intersection(alive),
        )
        # Bytes that nothing holds any more are gone, and so is what was wrong with them.
        held = {
            file
            for path in left.known
            if path not in left.lost
            for _, file in left.files(path)
        }
        return replace(left, corrupt=self.corrupt & held)

    def objects(self) -> tuple[ObjectInfo, ...]:
        """All valid objects, sorted by path."""
        return tuple(self._info(path) for path in sorted(self.known, key=str))

    def info(self, path: StorePath) -> ObjectInfo | None:
        """What is known of an object; None if it is not valid."""
        return None if path not in self.known or path in self.lost else self._info(path)

    def closure(self, paths: Iterable[StorePath]) -> tuple[StorePath, ...]:
        """All that is reached from these, themselves included."""
        reached: set[StorePath] = set()
        pending = list(paths)
        while pending:
            path = pending.pop()
            if path not in reached:
                reached.add(path)
                pending += self.known[path].references
        return tuple(sorted(reached, key=str))

    def find(self, prefix: str) -> tuple[ObjectInfo, ...]:
        """Objects whose path, name or digest begins with this."""
        return tuple(
            info
            for info in self.objects()
            if str(info.path).startswith(prefix)
            or info.path.name.startswith(prefix)
            or info.digest.hex.startswith(prefix.removeprefix("blake3:"))
        )

    def realisations(self, key: Digest) -> tuple[Realisation, ...]:
        """Claims for a key whose outputs are there, newest first."""
        return self._newest(
            claim
            for claim in self.claims
            if claim.key == key and self.info(claim.output) is not None
        )

    def producers(self, output: StorePath) -> tuple[Realisation, ...]:
        """Claims that gave an object, newest first."""
        return self._newest(claim for claim in self.claims if claim.output == output)

    def files(self, path: StorePath) -> tuple[tuple[str | None, File], ...]:
        """Where the files of an object lie in it; None for a blob itself."""
        node = self.known[path].node
        if isinstance(node, File):
            return ((None, node),)
        return tuple((at, each) for at, each in node.walk() if isinstance(each, File))

    def _info(self, path: StorePath) -> ObjectInfo:
        known = self.known[path]
        return ObjectInfo(
            path=path,
            digest=known.node.digest,
            kind="blob" if isinstance(known.node, File) else "tree",
            size=sum(len(self.contents[file]) for _, file in self.files(path)),
            references=tuple(sorted(known.references, key=str)),
            registered=known.registered,
        )

    def _newest(self, claims: Iterable[Realisation]) -> tuple[Realisation, ...]:
        latest_first = reversed(list(claims))
        return tuple(sorted(latest_first, key=lambda claim: -claim.started))


def _add(
    known: dict[StorePath, Known],
    node: File | Directory,
    name: str,
    references: frozenset[StorePath],
    now: int,
) -> StorePath:
    path = StorePath.of(node.digest, name)
    before = known.get(path, Known(node, frozenset(), now))
    known[path] = replace(before, references=before.references | references)
    return path
