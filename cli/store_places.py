"""Which stores a command works with: one that is written to, others that are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

READ_ONLY: Final = "ro:"
"""What a store's path begins with that must not be written to."""


@dataclass(frozen=True, slots=True)
class StorePlaces:
    """The folder of the store on top, if there is one to write to, and of the others."""

    top: Path | None
    lower: tuple[Path, ...] = ()

    @classmethod
    def find(cls, store: str, lower: Iterable[str], folder: Path) -> StorePlaces:
        """What the settings `store` and `lower` mean in a folder."""
        places = tuple(
            (folder / Path(text.removeprefix(READ_ONLY)).expanduser()).absolute()
            for text in (store, *lower)
        )
        if store.startswith(READ_ONLY):
            return cls(None, places)
        return cls(places[0], places[1:])


def settings_of(stores: Sequence[str]) -> dict[str, object]:
    """The settings that stores named on the command line stand for.

    Raises:
        InputError: more than one is to be written to.
    """
    if not stores:
        return {}
    top = [text for text in stores if not text.startswith(READ_ONLY)]
    lower = [text for text in stores if text.startswith(READ_ONLY)]
    if len(top) > 1:
        raise InputError(
            f"{top[0]} and {top[1]} cannot both be written to",
            hint=f"Write {READ_ONLY} before each store that is only read",
        )
    first, *others = [*top, *lower]
    return {"store": first, "lower": tuple(others)}


def relative_to_file(text: str, folder: Path) -> str:
    """A store's path in a settings file, meant from the folder where that lies."""
    mark = READ_ONLY if text.startswith(READ_ONLY) else ""
    return f"{mark}{folder / Path(text.removeprefix(mark)).expanduser()}"
