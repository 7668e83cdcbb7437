"""Every console session of the README and of the docs is run, and prints what it says.

They run against an index on loopback with stand-ins: tiny projects with the names
and the requirements of those that the pages build.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from support import console
from support.index import local_index
from support.projects import sdist
from support.wheels import WheelMaker

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
TIMEOUT: Final = 300.0
NETWORK_TIMEOUT: Final = 1800.0
KEPT: Final = (
    *("CI", "LANG", "http_proxy", "https_proxy", "no_proxy"),
    *("PIP_CERT", "PIP_INDEX_URL", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
    *("FROMAGER_INDEX_URL", "UV_DEFAULT_INDEX"),
)
"""Variables that say how the network is reached."""

BLOCKS: Final = tuple(block for page in PAGES for block in console.blocks(page, ROOT))


def pages_with(name: str) -> list[str]:
    return sorted({block.page for block in BLOCKS if block.name == name})


def session(page: str, name: str) -> list[console.Command]:
    chosen = [b for b in BLOCKS if b.page == page and b.name == name]
    return [command for block in chosen for command in console.commands(block)]


@pytest.fixture(scope="session")
def stand_ins() -> Iterator[str]:
    """The address of the index with the stand-ins."""
    tool = {"requires": ["setuptools"], "backend": "setuptools.build_meta"}
    projects: list[tuple[str, str, dict[str, Any]]] = [
        ("setuptools", "84.2.1", {"offers": "build_meta"}),
        ("pbr", "7.1.3", tool),
        ("setuptools-scm", "10.3.4", {}),
        ("stevedore", "5.10.0", {**tool, "requires": ["setuptools", "pbr"]}),
        ("iniconfig", "2.3.1", {}),
    ]
    files = dict(sdist(name, version, **options) for name, version, options in projects)
    wheel = WheelMaker("nvidia_cublas", "13.1")
    files[wheel.filename] = wheel.build()
    with local_index(files) as index:
        yield index.url


def places(page: str, folder: Path) -> tuple[Path, Path]:
    """The folder that a page's shell starts in, and its home."""
    work, home = folder / "work", folder / "home"
    home.mkdir()
    if page == "README.md":
        # Whoever reads it has a checkout.
        copied = shutil.ignore_patterns(".git", ".*cache", ".venv", "__pycache__")
        shutil.copytree(ROOT, work, symlinks=True, ignore=copied)
    else:
        work.mkdir()
    return work, home


def environment(home: Path) -> dict[str, str]:
    """What a user's shell has; nothing that would change what is printed."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    commands = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    temporary = home / "tmp"
    temporary.mkdir()
    return {
        **kept,
        "HOME": str(home),
        "PATH": commands,
        "TMPDIR": str(temporary),
        "FROMAGER_STORE": str(home / "store"),
        "TERM": "dumb",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.mark.parametrize("page", pages_with(console.OFFLINE))
def test_a_page_prints_what_it_says(page: str, stand_ins: str, tmp_path: Path) -> None:
    commands = session(page, console.OFFLINE)
    work, home = places(page, tmp_path)
    index = dict.fromkeys(
        ("FROMAGER_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"), stand_ins
    )

    outcomes = console.run(commands, work, environment(home) | index, TIMEOUT)

    assert not (found := console.failures(commands, outcomes)), "\n\n".join(found)


@pytest.mark.network
@pytest.mark.parametrize("page", pages_with(console.NETWORK))
def test_a_page_that_needs_the_index_prints_what_it_says(
    page: str, tmp_path: Path
) -> None:
    commands = session(page, console.NETWORK)
    work, home = places(page, tmp_path)

    outcomes = console.run(commands, work, environment(home), NETWORK_TIMEOUT)

    assert not (found := console.failures(commands, outcomes)), "\n\n".join(found)


def test_every_session_is_run() -> None:
    assert console.stray_sessions(BLOCKS) == []
