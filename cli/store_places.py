"""Which stores a command works with: one that is written to, others that are read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fromager.derivations import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fromager.store import Beneath, Caller, LocalStore

READ_ONLY: Final = "ro:"
"""What a store's path begins with that must not be written to."""


@dataclass(frozen=True, slots=True)
class StorePlaces:
    """The folder of the store on top, if there is one to write to, and of the others."""

    top: Path | None
    lower: tuple[Path, ...] = ()

    @classmethod
    def find(cls, store: str | None, lower: Iterable[str], folder: Path) -> StorePlaces:
        """What the settings `store` and `lower` mean in a folder."""
        if store is None:
            from platformdirs import user_data_path

            store = str(user_data_path("fromager") / "store")
        places = tuple(
            (folder / Path(text.removeprefix(READ_ONLY)).expanduser()).absolute()
            for text in (store, *lower)
        )
        if store.startswith(READ_ONLY):
            return cls(None, places)
        return cls(places[0], places[1:])


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that a command works with, and how they are opened."""

    places: StorePlaces
    waiting: Callable[[str], None]
    """Told whom the command waits for."""

    @property
    def own_root(self) -> Path:
        """The folder of the store that is written to.

        Raises:
            InputError: all that were named are only read.
        """
        if self.places.top is None:
            raise InputError(
                "there is no store to write to",
                hint=f"Name one without {READ_ONLY} before it",
            )
        return self.places.top

    @property
    def caller(self) -> Caller:
        """This command, as others hear of it: `fromager realise`."""
        from fromager.store import Caller

        context = click.get_current_context(silent=True)
        program = "fromager" if context is None else context.command_path
        return Caller(program, self.waiting)

    def open(self, *, create: bool) -> LocalStore:
        """The store on top, with what lies beneath."""
        from fromager.store import open_layers

        return open_layers(
            self.places.top, self.places.lower, create=create, caller=self.caller
        )

    @contextmanager
    def open_beneath(self) -> Iterator[Beneath]:
        """What lies beneath the store that is written to, without that one."""
        from fromager.store import NOTHING, open_layers

        if self.places.top is None or not self.places.lower:
            yield NOTHING
            return
        with open_layers(None, self.places.lower, create=False) as lower:
            yield lower


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
