"""A store above others, which are only read.

What a lower store holds need not be made again: its objects are valid here, its
realisations are found, and its files are read where they lie. What is new goes to the
store on top, and nothing is ever written to the others, nor noted there.

Objects on top may refer to objects below. If a lower store goes, or loses something,
these references lead nowhere: whoever follows one is told so. What was built there is
then not found any more, and so it is built anew.

Whoever owns a lower store is trusted as one trusts oneself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.store.database import newest_first
from fromager.store.errors import ReferenceMissing
from fromager.store.local import LocalStore
from fromager.store.path import StorePath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fromager.store.api import ObjectInfo
    from fromager.store.digest import Digest
    from fromager.store.layout import StoreLayout
    from fromager.store.locks import Caller
    from fromager.store.opening import Access
    from fromager.store.realisation import Realisation
    from fromager.store.tree import Directory, File


class LayeredStore(LocalStore):
    """A `LocalStore` which answers for the stores beneath it, too.

    `objects`, `find` and all that is asked by key or path speak of all of them; what
    is remembered, locked, collected or checked is that of the store on top.
    """

    def __init__(
        self,
        layout: StoreLayout,
        access: Access,
        clock: Callable[[], float],
        effect: Callable[[str], None],
        caller: Caller,
        lower: tuple[LocalStore, ...],
    ) -> None:
        super().__init__(layout, access, clock, effect, caller, _Lower(lower))
        self._lower = lower

    @property
    def lower(self) -> tuple[LocalStore, ...]:
        return self._lower

    @property
    def state(self) -> tuple[int, ...]:
        states = (super().state, *(store.state for store in self._lower))
        return tuple(number for state in states for number in state)

    def place(self, path: StorePath) -> Path:
        store = self._holder(path)
        return super().place(path) if store is None else store.place(path)

    def info(self, path: StorePath) -> ObjectInfo | None:
        return super().info(path) or self._beneath.info(path)

    def tree(self, path: StorePath) -> File | Directory:
        store = self._holder(path)
        return super().tree(path) if store is None else store.tree(path)

    def read_file(self, path: StorePath, member: str | None = None) -> bytes:
        store = self._holder(path)
        if store is None:
            return super().read_file(path, member)
        return store.read_file(path, member)

    def path_of_blob(self, file: File) -> Path:
        places = [store.path_of_blob(file) for store in self._lower]
        own = super().path_of_blob(file)
        return next((place for place in (own, *places) if place.exists()), own)

    def find(self, prefix: str) -> tuple[ObjectInfo, ...]:
        return _merged(
            super().find(prefix), *(store.find(prefix) for store in self._lower)
        )

    def objects(self) -> tuple[ObjectInfo, ...]:
        return _merged(super().objects(), *(store.objects() for store in self._lower))

    def closure(self, paths: Iterable[StorePath]) -> tuple[StorePath, ...]:
        asked = {str(path) for path in paths}
        reached, wanted = set[str](), asked
        while wanted:
            # An object may lie in several stores and have other references in each.
            layers = [
                layer([StorePath.parse(text) for text in wanted])
                for layer in (super().reach, *(store.reach for store in self._lower))
            ]
            lost = set.intersection(*(missing for _, missing, _ in layers))
            if lost & asked:
                self.require(StorePath.parse(min(lost & asked)))
            if lost:
                raise ReferenceMissing(min(lost))
            reached |= wanted
            wanted = set[str]().union(*(found | out for found, _, out in layers))
            wanted -= reached
        return tuple(StorePath.parse(text) for text in sorted(reached))

    def referring(self, paths: Iterable[str]) -> set[str]:
        found = (store.referring(paths) for store in self._lower)
        return super().referring(paths).union(*found)

    def realisations(self, key: Digest) -> tuple[Realisation, ...]:
        # What is claimed on top may lie below, which its own database cannot tell.
        claims = _newest(
            self._claims("key = ?", str(key)),
            *(store.realisations(key) for store in self._lower),
        )
        return tuple(each for each in claims if self.info(each.output) is not None)

    def history(self, kind: str, subject: str) -> tuple[Realisation, ...]:
        return _newest(
            super().history(kind, subject),
            *(store.history(kind, subject) for store in self._lower),
        )

    def producers(self, output: StorePath) -> tuple[Realisation, ...]:
        return _newest(
            super().producers(output),
            *(store.producers(output) for store in self._lower),
        )

    def realised(self, derivation: StorePath) -> tuple[Realisation, ...]:
        return _newest(
            super().realised(derivation),
            *(store.realised(derivation) for store in self._lower),
        )

    def keyed(self, prefix: str) -> tuple[Realisation, ...]:
        return _newest(
            super().keyed(prefix), *(store.keyed(prefix) for store in self._lower)
        )

    def subjects(self, kind: str) -> tuple[str, ...]:
        started = self.newest_by_subject(kind)
        for store in self._lower:
            for subject, when in store.newest_by_subject(kind).items():
                started[subject] = max(when, started.get(subject, when))
        return newest_first(started)

    def read_log(self, key: Digest) -> bytes | None:
        logs = (store.read_log(key) for store in self._lower)
        return super().read_log(key) or next(filter(None, logs), None)

    def link_root(self, link: Path, target: Path) -> None:
        from fromager.store.roots import plain_link

        if any(target.is_relative_to(store.root) for store in self._lower):
            # What lies below is kept by who owns it; nothing here can ask for it.
            plain_link(link, target)
        else:
            super().link_root(link, target)

    def close(self) -> None:
        super().close()
        for store in self._lower:
            store.close()

    @property
    def _layouts(self) -> tuple[StoreLayout, ...]:
        return (self._layout, *(store._layout for store in self._lower))

    def _holder(self, path: StorePath) -> LocalStore | None:
        """The lower store that has an object which the one on top does not have."""
        if super().info(path) is not None:
            return None
        holders = (store for store in self._lower if store.info(path) is not None)
        return next(holders, None)


class _Lower:
    """Several stores, as what lies beneath another one."""

    def __init__(self, stores: tuple[LocalStore, ...]) -> None:
        self._stores = stores

    def info(self, path: StorePath) -> ObjectInfo | None:
        found = (store.info(path) for store in self._stores)
        return next((info for info in found if info is not None), None)

    def open_blob(self, file: File) -> tuple[int, bytes] | None:
        found = (store.open_blob(file) for store in self._stores)
        return next((each for each in found if each is not None), None)


def _merged(*layers: tuple[ObjectInfo, ...]) -> tuple[ObjectInfo, ...]:
    """Each object once, as the topmost store knows it, sorted by path."""
    found: dict[StorePath, ObjectInfo] = {}
    for layer in layers:
        for info in layer:
            found.setdefault(info.path, info)
    return tuple(sorted(found.values(), key=lambda info: str(info.path)))


def _newest(*layers: tuple[Realisation, ...]) -> tuple[Realisation, ...]:
    """Each claim once, newest first, what is mere evidence after the others."""
    found = {claim.record_digest: claim for layer in layers for claim in layer}
    return tuple(
        sorted(found.values(), key=lambda claim: (claim.is_evidence, -claim.started))
    )
