"""Real packages, from source: what is built installs, imports, and is the same everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from support.command_line import Outcome, Place
from support.store_check import check_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = pytest.mark.network

TIMEOUT: Final = 1800.0
REACH: Final = (
    *("http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "FROMAGER_INDEX_URL"),
)
"""Variables that say how the network is reached."""
SMALL: Final = {
    "stevedore==5.10.0": "stevedore",
    "click==8.5.1": "click",
    "jinja2==3.1.6": "jinja2",
}
LARGE: Final = {
    "flask==3.1.3": "flask",
    "httpx==0.28.1": "httpx",
    "rich==15.0.0": "rich.console",
    "pytest==9.2.0": "pytest",
    "tornado==6.6.1": "tornado.speedups",
    "psutil==7.2.2": "psutil",
    "wrapt==2.5.2": "wrapt",
    "coverage==7.17.3": "coverage",
    "simplejson==4.3.0": "simplejson",
    "zope-interface==8.7": "zope.interface",
    "cffi==2.1.1": "_cffi_backend",
    "websockets==17.4": "websockets",
    "attrs==26.1.0": "attrs",
    "python-dateutil==4.0.0": "dateutil",
}
ELSEWHERE: Final = {
    "TZ": "Pacific/Chatham",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "POSIX",
    "PYTHONHASHSEED": "99",
    "CFLAGS": "-O0 -g3",
    "SOURCE_DATE_EPOCH": "1",
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is removed at once: what these tests build is large."""
    with tempfile.TemporaryDirectory(prefix="fromager-") as name:
        yield Path(name)


def settle(folder: Path, store: str, home: str) -> Place:
    """A place whose commands use the indexes that this machine is set up for."""
    place = Place(folder / home, folder / store, "")
    place.folder.mkdir()
    place.variables = {name: os.environ[name] for name in REACH if name in os.environ}
    return place


def built(place: Place, *words: str, wrapper: tuple[str, ...] = ()) -> Outcome:
    process = place.start("realise", "--json", *words, wrapper=wrapper)
    outcome = place.finish(process, TIMEOUT)
    assert outcome.code == 0, outcome.err
    return outcome


def check(outcome: Outcome, python: str, modules: Sequence[str], folder: Path) -> None:
    """The wheels install into clean environments with pip and with uv, and work."""
    wheels = [row["path"] for row in outcome.json["wheels"]]
    by_pip, by_uv = folder / "by-pip", folder / "by-uv"
    uv = shutil.which("uv") or str(Path(sys.prefix) / "bin" / "uv")
    run(python, "-m", "venv", str(by_pip))
    run(f"{by_pip}/bin/python", "-m", "pip", "install", "--no-index", *wheels)
    run(f"{by_pip}/bin/python", "-m", "pip", "check")
    run(uv, "venv", "--offline", "--python", python, str(by_uv))
    target = ("--python", f"{by_uv}/bin/python")
    run(uv, "pip", "install", "--offline", "--no-index", *target, *wheels)
    run(uv, "pip", "check", *target)
    for environment in (by_pip, by_uv):
        program = "".join(f"import {module}\n" for module in modules)
        run(f"{environment}/bin/python", "-I", "-W", "ignore", "-c", program)


def run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def interpreters() -> list[str]:
    """The default interpreter, and Python 3.12 if that is another one."""
    own = sys.executable
    if sys.version_info[:2] == (3, 12):
        return [own]
    try:
        # What is on PATH may be a script that chooses an interpreter, or none.
        program = "import os, sys; print(os.path.realpath(sys.executable))"
        command = ("python3.12", "-I", "-c", program)
        other = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return [own]
    return [own, other.stdout.strip()]


@pytest.mark.parametrize("python", interpreters())
def test_a_small_closure_is_built_and_works(folder: Path, python: str) -> None:
    place = settle(folder, "store", "home")

    outcome = built(place, "--python", python, *SMALL)

    check(outcome, python, list(SMALL.values()), folder)
    again = place.run("realise", "--json", "--python", python, *SMALL)
    assert again.out == outcome.out
    assert again.processes == ()
    check_store(place)


def test_a_large_closure_is_built_works_and_is_the_same_for_everybody(
    folder: Path,
) -> None:
    mine = settle(folder, "store", "home")
    theirs = settle(folder, "quite/another/store", "their-home")
    theirs.variables |= ELSEWHERE
    user = ("unshare", "--user", "--map-user=4242", "--map-group=4242")
    wrapper = (*user, "sh", "-c", 'umask 077; exec "$@"', "sh")

    first = built(mine, *LARGE)
    check(first, sys.executable, list(LARGE.values()), folder)
    second = built(theirs, "--jobs", "3", *LARGE, wrapper=wrapper)

    assert identities(second) == identities(first)
    for one, other in zip(first.json["wheels"], second.json["wheels"], strict=True):
        assert Path(one["path"]).read_bytes() == Path(other["path"]).read_bytes()
    assert objects(theirs) == objects(mine)


def identities(outcome: Outcome) -> list[tuple[str, str, str, str]]:
    return [
        (row["name"], row["key"], row["digest"], row["sha256"])
        for row in outcome.json["wheels"]
    ]


def objects(place: Place) -> list[str]:
    """All objects of a store: the tools and their environments as well."""
    return place.run("store", "ls").out.splitlines()
