"""An index of tiny projects, a store, and the command.

The store is one for the whole session, since what a machine is takes a second to find
out: tests keep apart by the names of their projects. A test that needs a store of its
own asks for `fresh`.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.command_line import Place
from support.index import LocalIndex, local_index
from support.lock_order import WATCH
from support.plugins import install
from support.projects import sdist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is one: much of a build is waiting for the disk."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fromager-", dir=place) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def session_store(quick_folder: Path) -> Path:
    """A store that tests share; the sandbox is known to work here."""
    folder = quick_folder / "session"
    folder.mkdir()
    with local_index(dict([sdist("trial", "1.0")])) as index:
        place = Place(folder, folder / "store", index.url)
        outcome = place.run("realise", "trial")
    if "sandbox" in outcome.err and outcome.code:
        pytest.skip(outcome.err)
    assert outcome.code == 0, outcome.err
    return place.store


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    """An empty index."""
    with local_index(cache_control="max-age=600") as index:
        yield index


@pytest.fixture
def offer(index: LocalIndex) -> Callable[..., None]:
    """Puts a tiny project on the index; see `support.projects.sdist`."""

    def add(name: str, version: str = "1.0", **options: object) -> None:
        filename, content = sdist(name, version, **options)  # type: ignore[arg-type]
        index.add(filename, content)

    return add


@pytest.fixture
def place(session_store: Path, index: LocalIndex, tmp_path: Path) -> Place:
    """Where commands are run, on the store of the session."""
    return Place(tmp_path, session_store, index.url)


@pytest.fixture
def fresh(quick_folder: Path, index: LocalIndex, tmp_path: Path) -> Place:
    """Where commands are run, on a store that is not there yet."""
    return Place(tmp_path, quick_folder / f"store-{next(NUMBERS)}", index.url)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which modules are imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def plug(site: Path) -> Callable[[str, str], Path]:
    """Installs a module as the plugin of a package."""

    def add(package: str, text: str) -> Path:
        points = {"fromager.project_overrides": {package: f"plugin_{package}"}}
        name = f"plugin_{package}.py"
        install(site, f"{package}_plugin", {name: text}, points)
        return site / name

    return add


@pytest.fixture(autouse=True)
def _locks_in_order() -> Iterator[None]:
    WATCH.breaches.clear()
    yield
    assert WATCH.breaches == []
