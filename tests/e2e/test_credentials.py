"""A password given in any of the ways is used, and is nowhere to be found afterwards."""

from __future__ import annotations

import base64
import gzip
import json
import os
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from support.index import LocalIndex, local_index
from support.projects import sdist
from support.repositories import Repository, git_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.command_line import Outcome, Place

CANARY = "c4n4ry-p@ss/word"
USER = "canaryuser"
FORMS = tuple(
    form.encode()
    for form in (
        CANARY,
        quote(CANARY, safe=""),
        quote(CANARY),
        base64.b64encode(f"{USER}:{CANARY}".encode()).decode(),
        json.dumps(CANARY),
    )
)


@pytest.fixture
def private() -> Iterator[LocalIndex]:
    """An index that wants a password."""
    with local_index(credentials=(USER, CANARY), cache_control="max-age=0") as index:
        yield index


def assert_hidden(place: Place, *outcomes: Outcome) -> None:
    """The password is in no output, and in no file below the store."""
    for outcome in outcomes:
        for form in FORMS:
            assert form.decode() not in outcome.out + outcome.err
    looked = 0
    for folder, _, names in os.walk(place.store):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                continue
            content = path.read_bytes()
            looked += 1
            if content[:2] == b"\x1f\x8b":
                # Other tests keep archives here that are cut short.
                with suppress(EOFError, OSError, zlib.error):
                    content += gzip.decompress(content)
            for form in FORMS:
                assert form not in content, path
    assert looked > 20
    with sqlite3.connect(place.store / ".fromager" / "db.sqlite") as database:
        for (table,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
            assert all(form.decode() not in str(rows) for form in FORMS)


def failing(name: str) -> tuple[str, bytes]:
    """A project whose build prints its environment and all that it can read, and fails."""
    script = (
        "import os, pathlib\n"
        "def build_wheel(*a, **k):\n"
        "    print(dict(os.environ))\n"
        "    places = [*pathlib.Path('/build').rglob('*'), *pathlib.Path('/tmp').rglob('*')]\n"
        "    for path in [*places, *pathlib.Path('/proc').glob('*/[ce]*')]:\n"
        "        try: print(path, path.read_bytes())\n"
        "        except OSError: pass\n"
        "    raise SystemExit('on purpose')\n"
    )
    pyproject = (
        '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
    )
    more = {"b.py": script, "pyproject.toml": pyproject}
    return sdist(name, "1.0", more=more)


def test_the_search_finds_what_is_not_hidden(fresh: Place, private: LocalIndex) -> None:
    fresh.index = private.url_with_credentials
    private.add(*sdist("plain", "1.0", more={"leak.txt": CANARY}))
    outcome = fresh.realise("plain")

    with pytest.raises(AssertionError, match="leak"):
        assert_hidden(fresh, outcome)


@pytest.mark.parametrize("way", ["address", "netrc", "file", "index-for", "uv"])
def test_a_password_for_an_index_is_nowhere(
    place: Place, private: LocalIndex, way: str
) -> None:
    needed, wanted, broken = (f"{kind}-{way}" for kind in ("need", "want", "fail"))
    private.add(*sdist(needed, "1.0"))
    private.add(*sdist(wanted, "1.0", dependencies=[needed]))
    private.add(*failing(broken))
    url = private.url_with_credentials
    words: tuple[str, ...] = (wanted, broken)
    place.index = ""
    if way == "address":
        words = ("--index", url, *words)
    elif way == "netrc":
        netrc = place.folder / ".netrc"
        netrc.write_text(f"machine 127.0.0.1 login {USER} password {CANARY}\n")
        place.index = private.url
    elif way == "uv":
        place.variables["UV_DEFAULT_INDEX"] = url
    elif way == "index-for":
        place.index = "http://127.0.0.1:1/"
        every = (wanted, needed, broken)
        words = (*(f"--index-for={name}={url}" for name in every), *words)
    else:
        (place.folder / "r.txt").write_text(f"-i ${{INDEX}}\n{wanted}\n{broken}\n")
        place.variables["INDEX"] = url
        words = ("-r", "r.txt")

    outcome = place.run("realise", "--json", "--keep-going", "-v", *words)
    shown = place.run("config", "show", *(words if way == "address" else ())[:2])
    log = place.run("log", broken)

    assert outcome.code == 5, outcome.err
    assert "on purpose" in log.out
    assert [row["name"] for row in outcome.json["wheels"]] == [needed, wanted]
    assert_hidden(place, outcome, shown, log)


def test_a_password_that_is_refused_is_not_shown(
    place: Place, private: LocalIndex
) -> None:
    url = private.url.replace("://", f"://{USER}:{quote(CANARY + 'x', safe='')}@")

    for words in (
        ("wanted",),
        (private.file_url("x-1.tar.gz").replace("://", "://u:p@"),),
    ):
        outcome = place.run("--index", url, "realise", *words)

        assert outcome.code == 1
        assert "401" in outcome.err
        assert_hidden(place, outcome)


def test_a_settings_file_that_is_wrong_does_not_show_a_password(place: Place) -> None:
    url = f"https://{USER}:{quote(CANARY, safe='')}@host.test/simple/"
    (place.folder / "fromager.toml").write_text(f'index = "{url}"\n')

    outcome = place.run("config", "show")

    assert outcome.code == 2 and "***@host.test" in outcome.err
    assert_hidden(place, outcome)


def test_a_password_for_an_archive_is_nowhere(
    place: Place, private: LocalIndex
) -> None:
    private.add(*sdist("archived", "1.0"))
    url = private.file_url("archived-1.0.tar.gz")
    secret = url.replace("://", f"://{USER}:{quote(CANARY, safe='')}@")

    plain = place.realise(secret)
    fixed = place.realise(f"{secret}#sha256={private.sha256('archived-1.0.tar.gz')}")
    (place.folder / "r.txt").write_text(f"archived @ {secret}\n")
    named = place.run("realise", "-v", "-r", "r.txt")
    wrong = place.run("realise", f"other @ {secret}")

    assert named.code == 0 and wrong.code == 1
    assert_hidden(place, plain, fixed, named, wrong)


def test_a_password_for_a_repository_is_nowhere(place: Place) -> None:
    repository = Repository.make(place.folder / "served" / "hidden")
    repository.commit({"pyproject.toml": "[project]\nname = 'hidden'\n"})
    with git_server(place.folder / "served", (USER, CANARY)) as server:
        url = server.url("hidden/.git")
        secret = url.replace("://", f"://{USER}:{quote(CANARY, safe='')}@")
        refused = place.run("realise", f"git+{url}")
        outcome = place.run("realise", "-v", f"git+{secret}")
        wrong = place.run("realise", f"git+{secret}@nothing")

    assert refused.code == 1 and "netrc" in refused.err
    # It has no backend that could be had; what matters is how far it came.
    assert "hidden" in outcome.err and wrong.code == 1
    assert any("authorization" in headers for _, headers in server.requests)
    assert_hidden(place, refused, outcome, wrong)
