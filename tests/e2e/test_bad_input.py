"""Requests, files, settings and indexes that are wrong: one error, its exit code."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from support.index import Hosted, local_index
from support.projects import sdist
from support.store_check import check_error, check_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Place
    from support.index import LocalIndex

    Offer = Callable[..., None]


def test_a_project_that_is_on_no_index_is_named(place: Place) -> None:
    check_error(place.run("realise", "no-such-thing"), 4, "no-such-thing")


def test_a_version_that_is_not_there_is_answered_by_those_that_are(
    place: Place, offer: Offer
) -> None:
    offer("versioned", "1.0")
    offer("versioned", "1.1")

    outcome = place.run("realise", "versioned==9.9")

    check_error(outcome, 4, "versioned", "9.9", r"1\.1")


def test_a_project_with_wheels_only_is_not_taken_from_them(
    place: Place, index: LocalIndex
) -> None:
    index.add("packed-1.0-py3-none-any.whl", b"")

    check_error(place.run("realise", "packed"), 4, "packed", "wheel|sdist|source")


def test_requirements_that_conflict_are_explained(place: Place, offer: Offer) -> None:
    offer("one_side", dependencies=["contested<2"])
    offer("other_side", dependencies=["contested>=2"])
    offer("contested", "1.0")
    offer("contested", "2.0")

    outcome = place.run("realise", "one-side", "other-side")

    check_error(outcome, 4, "one-side", "other-side", "contested")


BROKEN = {
    "empty": b"",
    "text": b"this is no archive",
    "truncated": sdist("broken_truncated", "1.0")[1][:-200],
    "flipped": gzip.compress(b"\0" * 2000),
}


@pytest.mark.parametrize("kind", sorted(BROKEN))
def test_a_broken_archive_is_refused(
    place: Place, index: LocalIndex, kind: str
) -> None:
    index.add(f"broken_{kind}-1.0.tar.gz", BROKEN[kind])

    outcome = place.run("realise", f"broken-{kind}")

    check_error(outcome, 1, rf"broken_{kind}-1\.0\.tar\.gz")
    index.add(*sdist(f"broken_{kind}", "1.0"))
    assert place.run("realise", "--refresh", f"broken-{kind}").code == 0
    check_store(place)


def test_a_file_that_is_not_what_was_promised_is_refused(
    place: Place, index: LocalIndex
) -> None:
    filename, content = sdist("swapped", "1.0")
    index.add(filename, Hosted(content, sha256="0" * 64))

    outcome = place.run("realise", "swapped")

    check_error(outcome, 1, "swapped-1.0.tar.gz", "0" * 64, index.sha256(filename))
    index.add(filename, content)
    assert place.run("realise", "--refresh", "swapped").code == 0


@pytest.mark.parametrize(
    "text", ["demo=1.0", "demo==", "-", "hg+https://host.example/x", "./folder", "a b"]
)
def test_a_requirement_that_cannot_be_read_is_shown(place: Place, text: str) -> None:
    outcome = place.run("realise", "--", text)

    check_error(outcome, 2)
    assert text in outcome.err


def test_nothing_to_realise_is_an_error(place: Place) -> None:
    check_error(place.run("realise"), 2, "nothing to realise")


@pytest.mark.parametrize("option", ["-r", "-c", "-b"])
def test_a_file_of_requirements_that_is_not_there_is_named(
    place: Place, option: str
) -> None:
    check_error(place.run("realise", "demo", option, "none.txt"), 2, "none.txt")


def test_a_line_that_cannot_be_read_is_named_by_its_number(place: Place) -> None:
    (place.folder / "r.txt").write_text("good\n\nbad === = 1\n")

    check_error(place.run("realise", "-r", "r.txt"), 2, r"r\.txt:3")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jbos = 2\n", "jbos.*\n.*jobs"),
        ("jobs = 'many'\n", "jobs must be a whole number"),
        ("jobs = 0\n", "at least 1"),
        ("jobs = \n", "fromager.toml"),
        ("sandbox = 'strong'\n", "full or none"),
        ("[realise]\njobs = 1\n", "realise"),
    ],
)
def test_a_settings_file_that_is_wrong_is_named(
    place: Place, text: str, said: str
) -> None:
    (place.folder / "fromager.toml").write_text(text)

    check_error(place.run("realise", "demo"), 2, r"fromager\.toml", said)


def test_a_settings_file_that_is_no_text_is_named(place: Place) -> None:
    (place.folder / "fromager.toml").write_bytes(b"\xff\xfe")

    check_error(place.run("realise", "demo"), 2, r"fromager\.toml")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("FROMAGER_JOBS", "two"), ("FROMAGER_OFFLINE", "maybe"), ("FROMAGER_CORES", "0")],
)
def test_a_variable_that_is_wrong_is_named(
    place: Place, variable: str, value: str
) -> None:
    place.variables[variable] = value

    check_error(place.run("realise", "demo"), 2, variable)


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["relaise"], "realise"),
        (["store", "lss"], "ls"),
        (["realise", "--jbs", "2"], "--jobs"),
    ],
)
def test_a_wrong_word_is_answered_by_a_guess(
    place: Place, words: list[str], guess: str
) -> None:
    outcome = place.run(*words)

    assert outcome.code == 2
    assert guess in outcome.err


@pytest.mark.parametrize("python", ["no-such-python", "/etc/passwd", "/bin/true"])
def test_an_interpreter_that_is_none_is_named(place: Place, python: str) -> None:
    check_error(place.run("realise", "demo", "--python", python), 2, python)


def test_an_index_that_cannot_be_reached_is_named(place: Place) -> None:
    with local_index() as gone:
        url = gone.url
    place.variables["UV_HTTP_TIMEOUT"] = "1"

    outcome = place.run("--index", url, "realise", "demo")

    check_error(outcome, 1, url)


def test_an_index_that_does_not_answer_is_given_up(
    place: Place, index: LocalIndex
) -> None:
    index.fail("silent", delay=2)
    place.variables["UV_HTTP_TIMEOUT"] = "0.2"

    check_error(place.run("realise", "silent"), 1, "silent", "time|answer")


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_an_index_that_refuses_is_an_error(
    place: Place, index: LocalIndex, status: int
) -> None:
    index.fail("refused", status=status, headers={"Retry-After": "0"})

    check_error(place.run("realise", "refused"), 1, "refused", str(status))


@pytest.mark.parametrize("status", [429, 503])
def test_what_fails_for_a_moment_is_tried_again(
    place: Place, index: LocalIndex, status: int
) -> None:
    name = f"busy{status}"
    index.add(*sdist(name, "1.0"))
    index.fail(f"/simple/{name}", status=status, times=2, headers={"Retry-After": "0"})
    index.fail(f"/files/{name}", status=status, times=1, headers={"Retry-After": "0"})

    outcome = place.run("realise", name)

    assert outcome.code == 0, outcome.err
    assert str(status) in outcome.err


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\x00\x01\x02 nothing", "application/octet-stream"),
        (b"{", "application/vnd.pypi.simple.v1+json"),
        (b"[]", "application/vnd.pypi.simple.v1+json"),
        (b"<html><form>Password: <input type=password></form></html>", "text/html"),
    ],
    ids=["garbage", "cut-off", "other-json", "login"],
)
def test_a_page_that_is_none_is_not_taken_for_one(
    place: Place, index: LocalIndex, body: bytes, content_type: str
) -> None:
    index.fail("strange", body=body, content_type=content_type)

    outcome = place.run("realise", "--refresh", "strange")

    assert outcome.code in (1, 4)
    check_error(outcome, outcome.code, "strange")


def test_a_download_that_breaks_off_is_continued(
    place: Place, index: LocalIndex
) -> None:
    index.add(*sdist("interrupted", "1.0", more={"big.txt": "x" * 1000}))
    index.fail("/files/interrupted", truncate=100, times=2)

    outcome = place.run("realise", "interrupted")

    assert outcome.code == 0, outcome.err


def test_a_file_that_the_page_names_and_nobody_has_is_an_error(
    place: Place, index: LocalIndex
) -> None:
    index.add(*sdist("vanished", "1.0"))
    index.fail("/files/vanished", status=404)

    check_error(place.run("realise", "vanished"), 1, "vanished-1.0.tar.gz", "404")


def test_a_source_that_is_too_large_is_refused(place: Place, offer: Offer) -> None:
    offer("bulky", more={"big.txt": "x" * 100_000})
    place.variables["FROMAGER_MAX_SOURCE_BYTES"] = "50000"

    check_error(place.run("realise", "bulky"), 1, "bulky-1.0.tar.gz")


def test_where_hashes_are_given_all_must_be(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("sealed", dependencies=["unsealed"])
    offer("unsealed")
    lines = [f"sealed==1.0 --hash=sha256:{index.sha256('sealed-1.0.tar.gz')}"]
    (place.folder / "r.txt").write_text("\n".join(lines))

    outcome = place.run("realise", "-r", "r.txt")

    check_error(outcome, 2, "unsealed==1.0", "no hash")
    lines += [f"unsealed==1.0 --hash=sha256:{index.sha256('unsealed-1.0.tar.gz')}"]
    (place.folder / "r.txt").write_text("\n".join(lines))
    assert place.run("realise", "-r", "r.txt").code == 0
