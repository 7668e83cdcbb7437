"""Recorded derivations: read back from the store, with what they were done with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.derivation import Kind, ResolvedDerivation, decode
from fromager.derivations.errors import InputGone, RebuildRefused
from fromager.derivations.realising.instantiate import question_of
from fromager.store import Digest, Directory, InvalidRecord, Link

if TYPE_CHECKING:
    from fromager.store import LocalStore, Realisation, StorePath


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A realisation and the derivation that it is of."""

    store: LocalStore
    realisation: Realisation
    derivation: ResolvedDerivation

    @classmethod
    def of(cls, store: LocalStore, realisation: Realisation) -> RecordedStep:
        """Read from the `.drv` object of a realisation.

        Raises:
            ObjectMissing: the derivation is not in the store.
            RebuildRefused: what it holds does not have the key that was recorded.
        """
        store.rely_on((realisation.derivation, realisation.output))
        derivation = decode(store.read_file(realisation.derivation))
        if derivation.key != realisation.key:
            reason = f"{realisation.derivation} does not have the recorded key"
            raise RebuildRefused(realisation.subject, reason)
        return cls(store, realisation, derivation)

    @property
    def subject(self) -> str:
        """What it is for: `stevedore==5.10.0`."""
        return self.derivation.subject

    def refused(self, reason: str, *, hint: str | None = None) -> RebuildRefused:
        """The error for a step that cannot be repeated."""
        what = f"{self.derivation.kind.value} {self.subject}"
        return RebuildRefused(what, reason, hint=hint)

    def input(self, role: str) -> StorePath:
        """The object that went in under a role, found by its digest.

        Raises:
            InputGone: the store does not hold it any more.
        """
        digest = dict(self.derivation.inputs)[role]
        path = object_with(self.store, digest)
        if path is None:
            raise InputGone(self.subject, role, str(digest))
        return path

    def inputs(self) -> Mapping[str, StorePath]:
        """All objects that went in, by role."""
        return {role: self.input(role) for role, _ in self.derivation.inputs}

    def text(self, name: str) -> str:
        """An option that holds text.

        Raises:
            RebuildRefused: it is not there, or holds something else.
        """
        value = self.derivation.option(name)
        if not isinstance(value, str):
            raise self.refused(f"its derivation does not tell its {name}")
        return value

    def texts(self, name: str) -> dict[str, str]:
        """An option that holds texts by name."""
        value = self.derivation.option(name)
        if not isinstance(value, Mapping):
            raise self.refused(f"its derivation does not tell its {name}")
        return {str(key): str(each) for key, each in value.items()}

    @property
    def level(self) -> str:
        """The level of the sandbox that it was done in: the end of its name."""
        name = self.derivation.option("sandbox")
        return name.rpartition(" ")[2] if isinstance(name, str) else "none-needed"

    def interpreter(self) -> str | None:
        """The interpreter's executable, where the step itself tells it."""
        if self.derivation.kind is Kind.ENVIRONMENT:
            return self.text("executable")
        if "environment" in dict(self.derivation.inputs):
            tree = self.store.tree(self.input("environment"))
            node = tree.get("bin/python") if isinstance(tree, Directory) else None
            return node.target if isinstance(node, Link) else None
        return None

    def answer(self) -> tuple[str, ...] | None:
        """What the backend answered when it was asked for requirements."""
        for found in self.store.realisations(question_of(self.derivation).key):
            return tuple(json.loads(self.store.read_file(found.output)))
        return None


def object_with(store: LocalStore, digest: Digest) -> StorePath | None:
    """A valid object with this digest, whatever it is called; it stays."""
    for info in store.find(str(digest)):
        if info.digest == digest and store.rely_on([info.path]):
            return info.path
    return None


def parse_digest(text: str) -> Digest | None:
    """The digest that is written so, or None."""
    try:
        return Digest.parse(text)
    except InvalidRecord:
        return None
