"""Locks that are made again: from memory while nothing has changed, and never wrongly."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING, cast

import pytest

from fromager.derivations import Grounds, Memo
from fromager.store import open_store
from support.index import Hosted
from support.projects import sdist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fromager.derivations import IndexClient
    from support.command_line import Place
    from support.index import LocalIndex

    Offer = Callable[..., None]


def empty_pages(place: Place) -> None:
    """Take the pages from the cache, but not what tells whether they are fresh: who
    reads one has to ask for it."""
    for path in (place.store / ".fromager/cache/index").glob("*/*"):
        path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n")


def lock(place: Place, *words: str) -> str:
    """The text of a lock, made as usual: it may be remembered."""
    outcome = place.run("lock", "-o", "-", *words)
    assert outcome.code == 0, outcome.err
    return outcome.out


def made(place: Place, *words: str) -> str:
    """The same, made in any case."""
    return lock(place, "-v", *words)


def test_a_lock_is_made_again_without_reading_a_page(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("rmtop", dependencies=["rmbase"], requires=["rmtool"], imports=["rmtool"])
    offer("rmbase")
    offer("rmtool")
    first = lock(place, "rmtop")
    empty_pages(place)
    index.requests.clear()

    again = lock(place, "rmtop")

    assert again == first
    assert index.requests == []


def test_a_lock_that_is_kept_is_made_again_without_reading_a_page(
    place: Place, offer: Offer, index: LocalIndex
) -> None:
    offer("rmkept", dependencies=["rmkeptbase"])
    offer("rmkeptbase")
    for _ in range(2):
        assert place.run("lock", "rmkept").code == 0
    empty_pages(place)
    index.requests.clear()

    checked = place.run("lock", "--check")

    assert checked.code == 0, checked.err
    assert index.requests == []


@pytest.mark.parametrize("words", [("-v",), ("--refresh",)])
def test_who_wants_the_work_done_gets_it_done(
    place: Place, offer: Offer, index: LocalIndex, words: tuple[str, ...]
) -> None:
    offer("rmasked")
    lock(place, "rmasked")
    empty_pages(place)
    index.requests.clear()

    lock(place, "rmasked", *words)

    assert index.count("/simple/rmasked/") == 1


def test_a_remark_is_made_every_time(place: Place, index: LocalIndex) -> None:
    name, content = sdist("rmyanked", "1.0")
    index.add(name, Hosted(content, yanked="broken"))

    said = [place.run("lock", "-o", "-", "rmyanked==1.0").err for _ in range(3)]

    assert all("it was yanked: broken" in each for each in said), said


def test_a_lock_has_the_addresses_that_a_page_has_now(
    place: Place, index: LocalIndex, tmp_path: Path
) -> None:
    folder = tmp_path / "mirror" / "rmmoved"
    folder.mkdir(parents=True)
    name, content = sdist("rmmoved", "1.0")
    sha256 = hashlib.sha256(content).hexdigest()

    def serve(place: str) -> None:
        (tmp_path / place).mkdir()
        (tmp_path / place / name).write_bytes(content)
        page = (
            f'<!DOCTYPE html><a href="../../{place}/{name}#sha256={sha256}">{name}</a>'
        )
        (folder / "index.html").write_text(page)

    words = ("--index", folder.parent.as_uri() + "/", "rmmoved")
    serve("here")
    lock(place, *words)

    serve("there")

    assert lock(place, *words) == made(place, *words)
    assert "/there/" in lock(place, *words)


def test_a_local_file_without_a_hash_is_looked_at_every_time(
    place: Place, tmp_path: Path
) -> None:
    folder = tmp_path / "index" / "rmloose"
    folder.mkdir(parents=True)

    def serve(value: str) -> None:
        name, content = sdist("rmloose", "1.0", value=value)
        (folder / name).write_bytes(content)
        if not (folder / "index.html").exists():
            page = f'<!DOCTYPE html><a href="{name}">{name}</a>'
            (folder / "index.html").write_text(page)

    words = ("--index", folder.parent.as_uri() + "/", "rmloose")
    serve("a")
    lock(place, *words)

    serve("b")

    assert lock(place, *words) == made(place, *words)


def changes(
    place: Place, links: Path, files: dict[str, Path]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """One input after the other is changed; what is said from then on."""

    def offer(name: str, version: str, **options: object) -> None:
        filename, content = sdist(name, version, **options)  # type: ignore[arg-type]
        (links / filename).write_bytes(content)

    words: tuple[str, ...] = ("-r", str(files["requirements"]))
    yield "nothing", words
    offer("rmone", "2.0")
    yield "a new release", words
    offer("rmone", "2.0", dependencies=["rmtwo"])
    yield "other bytes under the same name", words
    offer("rmmeans", "2.0")
    yield "a new release of a tool", words
    offer("rmmeans", "0.5")
    yield "an old release", words
    files["requirements"].write_text("rmone<2\nrmtwo\n")
    yield "the requirements", words
    words = (*words, "-c", str(files["constraints"]))
    yield "constraints", words
    files["constraints"].write_text("rmtwo<1\n")
    yield "what constraints say", words
    words = (*words, "-b", str(files["build"]))
    yield "build constraints", words
    files["settings"].write_text("[package.rmone]\nbuild-requires = ['rmtwo']\n")
    yield "settings of a package", words
    files["settings"].write_text("[package.rmone]\nenv = { A = 'b' }\n")
    yield "other settings", words
    patches = place.folder / "patches" / "rmone-1.0"
    patches.mkdir(parents=True)
    (patches / "1.patch").write_text(PATCH)
    words = (*words, "--patches", str(patches.parent))
    yield "a patch", words
    (patches / "1.patch").write_text(PATCH.replace("wheel of", "egg of"))
    yield "what a patch says", words
    yield "the variant", (*words, "--variant", "rocm")
    yield "pre-releases", (*words, "--pre")
    yield "more", (*words, "rmthree")
    yield "an extra", (*words, "rmthree[more]")
    (links / "rmtwo-0.5.tar.gz").unlink()
    words = words[:2]
    yield "a release that is gone", words
    yield "the interpreter", (*words, "--python", sys.executable)


PATCH = """\
--- a/PKG-INFO
+++ b/PKG-INFO
@@ -1,3 +1,4 @@
 Metadata-Version: 2.2
 Name: rmone
 Version: 1.0
+Summary: a wheel of mine
"""


def test_whatever_changes_the_answer_is_as_without_memory(
    place: Place, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for row in (
        sdist("rmone", "1.0", requires=["rmmeans"], imports=["rmmeans"]),
        sdist("rmtwo", "0.5"),
        sdist("rmtwo", "1.0"),
        sdist("rmtwo", "2.0b1"),
        sdist("rmthree", "1.0", extras=["more"], dependencies=["rmtwo; extra=='more'"]),
        sdist("rmmeans", "1.0"),
    ):
        (links / row[0]).write_bytes(row[1])
    names = ("requirements", "constraints", "build")
    files = {name: tmp_path / f"{name}.txt" for name in names}
    files["settings"] = tmp_path / "fromager.toml"
    files["requirements"].write_text("rmone\n")
    files["constraints"].write_text("rmtwo<2\n")
    files["build"].write_text("rmmeans<1\n")

    given = set()
    for what, words in changes(place, links, files):
        words = (*words, "--no-index", "--find-links", str(links))
        found = lock(place, *words)
        assert found == made(place, *words), what
        given.add(found)

    assert len(given) > 10


@pytest.mark.parametrize("damage", ["{", "[]", '{"version": 4}', "null", '"text"'])
class Silent:
    """Knows no page."""

    def peek(self, project: str) -> None:
        """Nothing is in its cache."""


def test_a_damaged_memory_is_no_memory(place: Place, offer: Offer) -> None:
    offer("rmdamaged")
    place.realise("rmdamaged")
    with open_store(place.store) as store:
        memo = Memo(store, cast("IndexClient", Silent()))
        memo.remember_value("key", "answer", Grounds({}))
        assert memo.recall_value("key") == "answer"

        for damage in ("{", "[]", '{"version": 4}', "null", '"text"'):
            store.remember("plan", "key", damage.encode())

            assert memo.recall_value("key") is None
            assert memo.recall("key") is None
