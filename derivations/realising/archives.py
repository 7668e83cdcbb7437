"""Files of an index, taken into the store, with what its publisher attested of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.derivations.realising import instantiate
from fromager.derivations.realising.steps import Made, Step, Steps

if TYPE_CHECKING:
    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.index.client import IndexClient
    from fromager.store import StorePath, Transaction

PROVENANCE: Final = "provenance"
"""The fact that names the object with a file's provenance, as it was published."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file that is to be fetched."""

    filename: str
    sha256: str
    url: str
    size: int | None = None
    """Bytes, where that is known."""
    provenance: str | None = None
    """Where its provenance lies, if an index has some."""


async def take_file(steps: Steps, client: IndexClient, file: IndexFile) -> Step:
    """A file, its sha256 checked.

    Provenance (PEP 740) that the index has of it is kept beside it, as what the file's
    object refers to. It is no part of the file, nor of any key.
    """
    filename, sha256 = file.filename, file.sha256
    derivation = instantiate.fetch(filename, sha256, [file.url])

    def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
        with steps.store.scratch("fetch") as scratch:
            folder = scratch.path / "out"
            folder.mkdir()
            target = folder / filename
            client.download(file.url, target, sha256=sha256, size=file.size)
            beside = _add_provenance(transaction, client, file)
            added = transaction.add_directory(
                folder,
                instantiate.object_name(filename),
                consume=True,
                references=beside,
            )
        return Made(added, tuple((PROVENANCE, str(path)) for path in beside))

    return await steps.step(derivation, (), make)


def _add_provenance(
    transaction: Transaction, client: IndexClient, file: IndexFile
) -> tuple[StorePath, ...]:
    """What the index has of it, if that is about this very file."""
    if file.provenance is None:
        return ()
    from fromager.derivations.sharing.provenance import is_provenance_of

    content = client.glance(file.provenance)
    if content is None or not is_provenance_of(content, file.sha256):
        return ()
    name = instantiate.object_name(f"{file.filename}.provenance")
    return (transaction.add_bytes(content, name).path,)
