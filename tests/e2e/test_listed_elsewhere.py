"""Files of requirements and constraints that are at an address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.canary import CANARY, LOGIN, USER, assert_hidden
from support.store_check import check_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Place
    from support.index import LocalIndex

    Offer = Callable[..., None]


def put(index: LocalIndex, path: str, text: str, **headers: str) -> str:
    """Serve a file, and give its address."""
    index.texts[path] = (text.encode(), headers)
    return f"{index.base}{path}"


def test_what_files_at_addresses_name_is_built(
    place: Place, index: LocalIndex, offer: Offer
) -> None:
    for version in ("1.0", "2.0"):
        offer("far-one", version, dependencies=["far-two"])
        offer("far-two", version)
        offer("far-tool", version)
    offer("far-three", requires=["far-tool"])
    put(index, "/lists/more/s.txt", "far-three\n-c ../c.txt\n")
    put(index, "/lists/c.txt", "far-two<2\n")
    url = put(index, "/lists/r.txt", "far-one\n-r more/s.txt\n")
    narrow = put(index, "/lists/n.txt", "far-one<2\n")
    build = put(index, "/lists/b.txt", "far-tool<2\n")

    outcome = place.realise("-r", url, "-c", narrow, "-b", build)

    wheels = {row["name"]: row["version"] for row in outcome.json["wheels"]}
    assert wheels == {"far-one": "1.0", "far-two": "1.0", "far-three": "1.0"}
    assert "far-tool==1.0" in outcome.built


def test_a_file_that_changes_at_its_address_is_heard_of(
    place: Place, index: LocalIndex, offer: Offer
) -> None:
    for version in ("1.0", "2.0"):
        offer("moving", version)
    words = ("realise", "-r", put(index, "/r.txt", "moving==1.0\n"))

    first = [place.call(*words) for _ in range(3)]
    put(index, "/r.txt", "moving==2.0\n")
    second = place.call(*words)

    assert {each.code for each in first} == {0}
    assert len({each.out for each in first}) == 1
    assert second.code == 0 and second.out != first[0].out
    statuses = [r.status for r in index.requests if r.path == "/r.txt"]
    assert statuses == [200, 304, 304, 200]


def test_offline_the_file_is_what_it_was(
    place: Place, index: LocalIndex, offer: Offer
) -> None:
    offer("kept")
    url = put(index, "/r.txt", "kept\n")
    place.realise("-r", url)
    index.texts.clear()

    again = place.realise("--offline", "-r", url)
    absent = place.run("--offline", "realise", "-r", f"{url}2")
    gone = place.run("realise", "-r", url)

    assert again.connections == 0
    check_error(absent, 1, "r.txt2", "the network is not to be used")
    check_error(gone, 1, "r.txt", "404")


@pytest.mark.parametrize("way", ["address", "netrc", "nested", "variable"])
def test_a_password_for_a_file_is_nowhere(
    place: Place, index: LocalIndex, offer: Offer, way: str
) -> None:
    name = f"listed-{way}"
    offer(name)
    index.credentials = (USER, CANARY)
    url = put(index, "/lists/r.txt", f"{name}\n-r s.txt\n")
    put(index, "/lists/s.txt", f"{name}\n")
    secret, given = url.replace("://", f"://{LOGIN}"), ["here.txt", ".netrc"]
    words = {"address": secret, "netrc": url}.get(way, "here.txt")
    text = secret if way == "nested" else "${LIST}"
    if words == "here.txt":
        (place.folder / words).write_text(f"-r {text}\n")
    place.variables["LIST"] = secret
    login = f"machine 127.0.0.1 login {USER} password {CANARY}\n"
    # The index itself wants the password as well.
    place.index = index.url_with_credentials
    if way == "netrc":
        (place.folder / ".netrc").write_text(login)

    locked = place.call("lock", "-r", words, "-o", "pylock.toml")
    built = place.run("realise", "-vv", "-r", words)
    put(index, "/lists/s.txt", "no requirement!\n")
    broken = place.run("realise", "-vv", "-r", words)

    assert locked.code == 0, locked.err
    assert built.code == 0, built.err
    assert broken.code == 2 and "lists/s.txt:1" in broken.error
    assert_hidden(place, locked, built, broken, given=tuple(given))


def test_a_project_at_an_address_is_refused(place: Place) -> None:
    outcome = place.run("realise", "-r", "https://me:pw@x.test/pyproject.toml")

    check_error(outcome, 2, r"https://\*\*\*@x.test", "this machine only")
    assert outcome.connections == 0
