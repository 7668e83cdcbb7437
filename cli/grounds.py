"""What an answer of `realise` or `lock` rests on, for who keeps it; see `recording`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fromager.cli.settings import places_of_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fromager.cli.realiser import Means
    from fromager.cli.recording import Recording
    from fromager.cli.wiring import Wiring
    from fromager.derivations import Grounds


def rest_on(recording: Recording, means: Means, grounds: Grounds | None) -> None:
    """Let what is recorded rest on the grounds of an answer, and on what was looked at
    before it was looked for; None: nothing is known of them."""
    request = means.request
    is_plain = not (request.direct or request.direct_constraints or means.refresh)
    if grounds is None or not is_plain or means.wiring.console.verbose:
        recording.spoil()
        return
    # Pages may have come meanwhile: that these are those that were read is seen below.
    recording.rests_on(_pages(means), changing=True)
    for project, said in grounds.pages.items():
        peek = means.client.peek(project)
        if peek is None or not peek.fresh_until or peek.said(grounds.exact) != said:
            # Not those; or what a folder says, which may change at any time.
            recording.spoil()
            return
        recording.holds_until(peek.fresh_until)
    recording.rests_on([str(means.store.root / ".fromager" / "version")])
    recording.rests_on(_looked_at(means.wiring))
    recording.rests_on(_machine(means))
    recording.rests_on(_below(grounds.watched))


def databases(wiring: Wiring) -> list[str]:
    """The files in which stores say what is valid; any change of them shows."""
    places = wiring.stores.places
    roots = [root for root in (places.top, *places.lower) if root is not None]
    names = ("version", "db.sqlite", "db.sqlite-wal")
    return [str(root / ".fromager" / name) for root in roots for name in names]


def _pages(means: Means) -> Iterator[str]:
    folder = means.store.cache("index")
    yield str(folder)
    with os.scandir(folder) as entries:
        # A page that is written makes its folder another one.
        yield from (entry.path for entry in entries if entry.is_dir())


def _looked_at(wiring: Wiring) -> Iterator[str]:
    from platformdirs import user_config_path

    user, settings = user_config_path("fromager"), wiring.settings
    yield from map(str, places_of_settings(wiring.folder, user))
    beside = (settings.folder or wiring.folder) / "overrides"
    given = [settings.text("overrides"), settings.text("patches")]
    folders = [wiring.folder / Path(text).expanduser() for text in given if text]
    yield from _below(map(str, (beside, *folders)))
    for name in ("rustc", "cargo"):
        for folder in wiring.environ.get("PATH", "").split(os.pathsep):
            yield f"{folder}/{name}"


def _machine(means: Means) -> Iterator[str]:
    from fromager.derivations import places_of_platform

    wiring, store = means.wiring, means.store
    yield from (wiring.python, os.path.realpath(wiring.python))
    yield from places_of_platform(means.interpreter, store.cache("base"), store)


def _below(paths: Iterable[str]) -> Iterator[str]:
    from fromager.derivations import scan

    places = [str(Path(path).absolute()) for path in paths]
    found = scan(places, ())
    yield from places
    yield from found.folders
    yield from (item.path for item in found.items)
