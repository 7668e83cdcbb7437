"""Collecting garbage: exactly what nothing needs goes, whatever happens meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.store import (
    PURPOSE_CHECK,
    InvalidRecord,
    LocalStore,
    Member,
    Policy,
    StoreFull,
    make_room,
    open_store,
)
from fromager.store.layout import StoreLayout
from fromager.store.sweeping import find_litter
from support.garbage import add, claim, here, key, on_disk, orphan, root, stray
from support.processes import fork, wait
from support.trees import damages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fromager.store import Collected, ObjectInfo

NOW = 1_800_000_000
DAY = 86_400


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "store"


def unexpected(holder: str) -> None:
    raise AssertionError(f"waits for {holder}")


def collect(place: Path, policy: Policy | None = None, now: float = NOW) -> Collected:
    """Collect garbage as a process of its own does: nothing else is relied on."""
    with open_store(place, clock=lambda: now) as store:
        return store.collector().collect(policy or Policy(), unexpected)


def preview(place: Path, policy: Policy | None = None, now: float = NOW) -> Collected:
    with open_store(place, create=False, clock=lambda: now) as store:
        return store.collector().preview(policy or Policy())


def test_what_a_root_holds_stays_with_what_it_refers_to(place: Path) -> None:
    with open_store(place) as store:
        base = add(store, "base", b"base")
        top = add(store, "top", b"top", references=[base.path])
        add(store, "other", b"other", references=[base.path])
        root(store, "mine", top)

    done = collect(place)

    with open_store(place) as store:
        assert here(store) == {"top", "base"}
        assert list(damages(store)) == []
        assert stray(store) == []
    assert done.objects == 1
    assert done.freed.count == 1


def test_without_roots_nothing_stays(place: Path) -> None:
    with open_store(place) as store:
        for number in range(3):
            add(store, f"tree{number}", b"shared", b"%d" % number)
            claim(store, f"built{number}", add(store, f"blob{number}"))

    done = collect(place)

    assert (done.objects, done.freed.count) == (9, 10)
    with open_store(place) as store:
        assert here(store) == set()
        assert stray(store) == []


def test_a_shared_blob_goes_with_the_last_object_that_has_it(place: Path) -> None:
    with open_store(place) as store:
        keep = add(store, "keep", b"shared", b"mine")
        add(store, "go", b"shared", b"its")
        root(store, "mine", keep)

    assert collect(place).freed.count == 1

    with open_store(place) as store:
        assert stray(store) == []
        assert store.read_file(keep.path, "f0") == b"shared"


def built(store: LocalStore) -> ObjectInfo:
    """A wheel from a source in an environment from a tool."""
    claim(store, "tool", add(store, "tool", b"tool"))
    claim(store, "environment", add(store, "environment", b"tool", b"e"), "tool")
    claim(store, "source", add(store, "source", b"source"))
    wheel = add(store, "wheel", b"wheel")
    claim(store, "wheel", wheel, "source", "environment")
    return wheel


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (
            Policy(),
            "wheel wheel.drv source source.drv environment environment.drv tool tool.drv",
        ),
        (Policy(keep_build_closure=False), "wheel wheel.drv"),
        (Policy(keep_derivations=False), "wheel source environment tool"),
        (Policy(keep_derivations=False, keep_build_closure=False), "wheel"),
    ],
)
def test_a_wheel_keeps_what_the_policy_says(
    place: Path, policy: Policy, left: str
) -> None:
    with open_store(place) as store:
        root(store, "mine", built(store))

    collect(place, policy)

    with open_store(place) as store:
        assert here(store) == set(left.split())
        assert len(store.history("wheel", "tool")) == 1
        assert stray(store) == []


def test_a_generation_keeps_the_build_that_it_names(place: Path) -> None:
    with open_store(place) as store:
        wheel = add(store, "wheel", b"wheel")
        for tool, started in (("old", 1), ("new", 2), ("older", 0)):
            claim(store, tool, add(store, tool, tool.encode()))
            claim(store, f"with-{tool}", wheel, tool, started=started)
        store.add_generation("mine", [Member("wheel", wheel.path, key("with-old"))])

    collect(place)

    with open_store(place) as store:
        assert here(store) == {
            *("wheel", "with-old.drv", "with-new.drv"),
            *("old", "old.drv", "new", "new.drv"),
        }


def test_what_a_check_gave_is_not_kept_in_place_of_what_was_used(place: Path) -> None:
    with open_store(place) as store:
        used, other = add(store, "used"), add(store, "other")
        claim(store, "tool", used)
        claim(store, "tool", other, started=9, purpose=PURPOSE_CHECK)
        wheel = add(store, "wheel")
        claim(store, "wheel", wheel, "tool")
        root(store, "mine", wheel)

    collect(place, Policy(keep_derivations=False))

    with open_store(place) as store:
        assert here(store) == {"wheel", "used"}
        assert len(store.history("wheel", "tool")) == 2


def test_records_of_what_is_gone_stay_unless_they_are_not_wanted(place: Path) -> None:
    with open_store(place) as store:
        claim(store, "one", add(store, "one"))

    collect(place)
    with open_store(place) as store:
        assert [each.subject for each in store.history("wheel", "one")] == ["one"]

    expected = preview(place, Policy(keep_records=False))
    done = collect(place, Policy(keep_records=False))

    assert dict(done.litter)["record"].count == 1
    assert expected == done
    with open_store(place) as store:
        assert store.history("wheel", "one") == ()
        assert not list((place / ".fromager" / "realisations").glob("*/*"))


def test_what_was_used_lately_stays(place: Path, clock: Clock) -> None:
    with open_store(place, clock=clock) as store:
        add(store, "old")
        touched = add(store, "touched")
        relied_on = add(store, "relied-on")
    clock.now = NOW + 10 * DAY
    with open_store(place, clock=clock) as store:
        add(store, "new")
        store.touch([touched.path])
        store.rely_on([relied_on.path])

    collect(place, Policy(keep_recent=DAY), now=clock.now)

    with open_store(place) as store:
        assert here(store) == {"new", "touched", "relied-on"}


def test_the_least_recently_used_goes_first(place: Path, clock: Clock) -> None:
    with open_store(place, clock=clock) as store:
        base = add(store, "base", b"b" * 5000)
        for day, name in enumerate(["first", "second", "third"]):
            clock.now = NOW + day * DAY
            add(store, name, name.encode() * 1000)
        clock.now = NOW + 9 * DAY
        add(store, "user", b"u" * 5000, references=[base.path])

    gone = []
    for _ in range(5):
        with open_store(place) as store:
            before = here(store)
        collect(place, Policy(max_freed=1))
        with open_store(place) as store:
            gone.append(before - here(store))

    # The base was added first and used last.
    assert gone == [{"first"}, {"second"}, {"third"}, {"user"}, {"base"}]


def test_it_stops_when_the_pool_is_small_enough(place: Path, clock: Clock) -> None:
    with open_store(place, clock=clock) as store:
        for number in range(10):
            clock.now += DAY
            add(store, f"o{number}", b"%d" % number * 100_000)
    total = preview(place).freed.bytes

    policy = Policy(max_size=total // 2)
    expected = preview(place, policy)
    done = collect(place, policy)

    with open_store(place) as store:
        assert here(store) == {f"o{number}" for number in range(5, 10)}
    assert done == expected
    assert collect(place, policy).objects == 0


def test_it_stops_when_enough_is_free(place: Path) -> None:
    with open_store(place) as store:
        add(store, "one", b"1" * 100_000)

    assert collect(place, Policy(free_to=1)).objects == 0
    assert collect(place, Policy(free_to=1 << 62)).objects == 1


def test_generations_go_by_age_and_by_number_and_never_the_current_one(
    place: Path, clock: Clock
) -> None:
    with open_store(place, clock=clock) as store:
        for number in range(1, 6):
            clock.now = NOW + number * DAY
            root(store, "mine", add(store, f"o{number}"))
        store.generations().switch("mine", 1)

    assert preview(place, Policy(keep_generations=3)).generations == (("mine", 2),)
    policy = Policy(older_than=3 * DAY, keep_generations=9)
    done = collect(place, policy, now=NOW + 7 * DAY)

    assert done.generations == (("mine", 2), ("mine", 3))
    with open_store(place) as store:
        found = store.generations().of("mine")
        assert [(each.number, each.current) for each in found] == [
            *((1, True), (4, False), (5, False))
        ]
        assert here(store) == {"o1", "o4", "o5"}


def test_a_broken_link_is_no_root_and_is_forgotten(place: Path, tmp_path: Path) -> None:
    with open_store(place) as store:
        for name in ("kept", "removed", "elsewhere"):
            store.link_root(tmp_path / name, add(store, name).path.below(store.root))
    (tmp_path / "removed").unlink()
    (tmp_path / "elsewhere").unlink()
    (tmp_path / "elsewhere").symlink_to(tmp_path)

    assert preview(place).links == 2
    done = collect(place)

    assert done.links == 2
    with open_store(place) as store:
        assert here(store) == {"kept"}
    assert len(list((place / ".fromager" / "roots" / "links").iterdir())) == 1


def test_a_link_that_was_pointed_elsewhere_keeps_what_it_leads_to(
    place: Path, tmp_path: Path
) -> None:
    with open_store(place) as store:
        add(store, "old")
        new = add(store, "new", b"new").path.below(store.root)
        old = next(i.path for i in store.objects() if i.path.name == "old")
        store.link_root(tmp_path / "link", old.below(store.root))
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(os.path.relpath(new / "f0", tmp_path))

    collect(place)

    with open_store(place) as store:
        assert here(store) == {"new"}


def test_a_link_on_a_file_system_that_is_not_mounted_is_not_judged(
    place: Path, tmp_path: Path
) -> None:
    with open_store(place) as store:
        info = add(store, "kept")
        (tmp_path / "project").mkdir()
        store.link_root(tmp_path / "project" / "link", info.path.below(store.root))
    (listing,) = (place / ".fromager" / "roots" / "links").iterdir()
    text = listing.read_text()
    shutil.rmtree(tmp_path / "project")

    # As it is listed when the folder is where another file system is mounted.
    mount = f'"mount": "{tmp_path / "project"}"'
    listing.write_text(text.replace('"mount": "/', f'{mount}, "was": "/', 1))
    assert collect(place).objects == 0

    listing.write_text(text)
    assert collect(place).objects == 1


def test_a_link_that_may_not_be_read_is_not_judged() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)

        def work() -> None:
            if os.geteuid() == 0:  # which may read everything
                os.setgid(65534)
                os.setuid(65534)
            place, closed = Path(folder) / "store", Path(folder) / "closed"
            closed.mkdir()
            with open_store(place) as store:
                info = add(store, "kept")
                store.link_root(closed / "link", info.path.below(store.root))
            closed.chmod(0)
            assert collect(place).objects == 0
            with open_store(place) as store:
                (use,) = store.accounts().roots()
                assert not use.roots[0].certain
            closed.chmod(0o700)
            (closed / "link").unlink()
            assert collect(place).objects == 1

        assert wait(fork(work)) == 0


@pytest.mark.parametrize("content", [b"", b"{}", b'{"version":2}', b"\xff", b"[1]"])
@pytest.mark.parametrize("kind", ["generation", "link"])
def test_a_root_that_cannot_be_read_stops_everything(
    place: Path, tmp_path: Path, kind: str, content: bytes
) -> None:
    with open_store(place) as store:
        info = add(store, "kept")
        add(store, "garbage")
        if kind == "link":
            store.link_root(tmp_path / "link", info.path.below(store.root))
        else:
            root(store, "mine", info)
    roots = place / ".fromager" / "roots"
    (file,) = (path for path in roots.rglob("*.json") if not path.is_symlink())
    file.write_bytes(content)

    for act in (preview, collect):
        with pytest.raises(InvalidRecord):
            act(place)

    with open_store(place) as store:
        assert here(store) == {"kept", "garbage"}


def litter_about(store: LocalStore, tmp_path: Path) -> None:
    """Logs, a failed build, a lock and a temporary file; `here` keeps its log."""
    private = store.root / ".fromager"
    log = tmp_path / "log"
    log.write_text("text")
    kept = add(store, "here")
    claim(store, "here", kept)
    root(store, "mine", kept)
    claim(store, "gone", add(store, "gone"))
    for name in ("here", "gone", "failed"):
        store.save_log(key(name), log)
    with store.scratch("failed") as scratch:
        (scratch.path / "file").write_bytes(b"x" * 10_000)
        scratch.keep()
    (private / "locks" / key("x").hex).touch()
    (store.cache("index") / ".page.1.ab").write_text("half")
    (store.cache("index") / "page").write_text("whole")


def test_what_is_kept_as_a_whole_keeps_its_hidden_files(place: Path) -> None:
    with open_store(place) as store:
        whole = store.cache("base") / "host-1" / "usr" / ".hidden"
        begun = store.cache("base") / ".new-1" / "usr"
    whole.parent.mkdir(parents=True)
    whole.write_text("part of it")
    begun.mkdir(parents=True)
    (begun / "file").write_text("half")
    age(place, NOW - 6 * DAY)

    assert dict(collect(place).litter)["temporary file"].count == 1
    assert whole.exists()
    assert not begun.parent.exists()


def test_folders_that_vanish_while_litter_is_sought_are_passed_over(
    place: Path,
) -> None:
    with open_store(place) as store:
        folders = [store.cache("index") / name for name in "abcdef"]
    for folder in folders:
        folder.mkdir()
        (folder / ".half").write_text("half")
    age(place, NOW - 6 * DAY)

    found = find_litter(StoreLayout(place), (), NOW, NOW)
    first = next(found).place
    for folder in folders:
        if folder != first.parent:
            shutil.rmtree(folder)

    assert list(found) == []


def age(place: Path, seconds: float) -> None:
    for path in (place / ".fromager").rglob("*"):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def test_logs_failed_builds_and_other_litter_go_when_they_are_old(
    place: Path, tmp_path: Path
) -> None:
    with open_store(place) as store:
        litter_about(store, tmp_path)
    age(place, NOW - 6 * DAY)

    assert {kind for kind, _ in collect(place).litter} == {"lock", "temporary file"}
    expected = preview(place, now=NOW + 2 * DAY)
    done = collect(place, now=NOW + 2 * DAY)

    assert done == expected
    assert {kind: amount.count for kind, amount in done.litter} == {
        "failed build": 1,
        "log": 2,
    }
    assert dict(done.litter)["failed build"].bytes >= 10_000
    with open_store(place) as store:
        assert store.read_log(key("here")) == b"text"
        assert store.read_log(key("gone")) is None
        assert [path.name for path in store.cache("index").iterdir()] == ["page"]


def test_a_dry_run_changes_nothing(place: Path, tmp_path: Path) -> None:
    with open_store(place) as store:
        litter_about(store, tmp_path)
        built(store)
        store.link_root(tmp_path / "link", add(store, "x").path.below(store.root))
    (tmp_path / "link").unlink()
    age(place, NOW - 30 * DAY)
    before = on_disk(place)

    expected = preview(place, Policy(thorough=True, keep_records=False))

    assert on_disk(place) == before
    assert expected.objects > 0
    assert expected.links == 1
    assert collect(place, Policy(thorough=True, keep_records=False)) == expected


def test_what_crashes_left_is_found_when_all_is_looked_at(place: Path) -> None:
    with open_store(place) as store:
        kept = add(store, "kept", b"kept")
        root(store, "mine", kept)
        lost = add(store, "lost", b"lost", b"kept")
    private = place / ".fromager"
    claims = private / "realisations" / "00" / ("0" * 64)
    claims.mkdir(parents=True)
    (claims / f"{'1' * 64}.json").write_text("{}")
    orphan(place, b"orphan")
    moved = place / f"{'a' * 32}-{lost.path.name}"
    lost.path.below(place).chmod(0o755)
    lost.path.below(place).rename(moved)
    moved.chmod(0o555)
    with open_store(place) as store:
        collect(place)
        assert stray(store) != []

    expected = preview(place, Policy(thorough=True))
    done = collect(place, Policy(thorough=True))

    with open_store(place) as store:
        assert stray(store) == []
        assert here(store) == {"kept"}
    assert not claims.exists()
    assert dict(done.litter)["leftover"].count == 2
    assert expected.litter == done.litter


# A store as numbers: what each object refers to, which contents it has, which builds
# gave it out of what, and which objects roots hold.
objects = st.integers(1, 9)


@st.composite
def stores(draw: st.DrawFn) -> dict[str, list[list[int]]]:
    count = draw(objects)
    below = [
        draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True))
        if number
        else []
        for number in range(count)
    ]
    contents = [draw(st.lists(st.integers(0, 5), max_size=4)) for _ in range(count)]
    inputs = [
        draw(st.lists(st.integers(0, count - 1), max_size=3, unique=True))
        for _ in range(count)
    ]
    roots = draw(st.lists(st.lists(st.integers(0, count - 1), max_size=3), max_size=3))
    return {"below": below, "contents": contents, "inputs": inputs, "roots": roots}


def fill(store: LocalStore, sketch: dict[str, list[list[int]]]) -> None:
    made: list[ObjectInfo] = []
    for number, (below, contents) in enumerate(
        zip(sketch["below"], sketch["contents"], strict=True)
    ):
        files = [b"%d" % content * 3000 for content in contents]
        references = [made[each].path for each in below]
        made.append(add(store, f"o{number}", *files, references=references))
    for number, inputs in enumerate(sketch["inputs"]):
        if inputs:
            claim(store, f"o{number}", made[number], *(f"o{each}" for each in inputs))
    for number, members in enumerate(sketch["roots"]):
        if members:
            root(store, f"r{number}", *(made[each] for each in members))


def needed(sketch: dict[str, list[list[int]]]) -> set[str]:
    """The names of what roots need, by the plainest way to find it."""
    claimed = {number for number, inputs in enumerate(sketch["inputs"]) if inputs}
    found: set[int] = set()
    queue = [each for members in sketch["roots"] for each in members]
    while queue:
        number = queue.pop()
        if number not in found:
            found.add(number)
            queue += sketch["below"][number]
            queue += [each for each in sketch["inputs"][number] if each in claimed]
    return {f"o{each}" for each in found} | {f"o{n}.drv" for n in found & claimed}


@pytest.fixture(scope="module")
def many() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@given(sketch=stores())
@settings(max_examples=60, deadline=None)
def test_exactly_what_roots_need_stays_and_the_dry_run_says_so(
    many: Path, sketch: dict[str, list[list[int]]]
) -> None:
    with tempfile.TemporaryDirectory(dir=many) as folder:
        place = Path(folder) / "store"
        with open_store(place) as store:
            fill(store, sketch)
            everything = here(store)
        expected = preview(place)

        done = collect(place)

        with open_store(place) as store:
            assert here(store) == needed(sketch)
            assert stray(store) == []
            assert list(damages(store)) == []
        assert done == expected
        assert done.objects == len(everything) - len(needed(sketch))
        assert collect(place).objects == 0


def test_bytes_that_no_object_got_are_not_kept(place: Path) -> None:
    with open_store(place) as store, store.transaction() as transaction:
        transaction.put_blob(b"unused")
        transaction.add_bytes(b"used", "used")

    with open_store(place) as store:
        assert stray(store) == []


def test_what_is_missing_of_a_size_is_told(place: Path) -> None:
    with open_store(place) as store:
        root(store, "mine", add(store, "kept", b"k" * 100_000))
        add(store, "gone", b"g" * 100_000)

    policy = Policy(max_size=50_000)
    expected = preview(place, policy)

    assert expected.objects == 1
    assert 50_000 < expected.short < 60_000
    assert collect(place, policy) == expected
    assert collect(place, Policy(max_size=50_000, max_freed=10)).short == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(folder)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("file systems cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_can_be_freed(small_disk: Path) -> None:
    place = small_disk / "store"
    with open_store(place) as store, pytest.raises(StoreFull) as caught:
        for number in range(1000):
            add(store, f"o{number}", b"%d" % number * 20_000)
    assert caught.value.hint
    with (
        suppress(OSError),
        (small_disk / "filler").open("wb", buffering=0) as file,
    ):
        while True:
            file.write(b"x" * 4096)

    make_room(place)
    done = collect(place)

    assert done.objects > 10
    with open_store(place) as store:
        assert here(store) == set()
        assert stray(store) == []
    assert (place / ".fromager" / "reserve").stat().st_size == 4 << 20


def test_space_that_is_there_is_not_given_up(place: Path) -> None:
    open_store(place).close()

    make_room(place)

    assert (place / ".fromager" / "reserve").exists()
