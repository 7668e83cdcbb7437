"""Repairing: what is whole somewhere is whole again, and nothing else is accepted."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from errno import ENOSPC
from typing import TYPE_CHECKING

import pytest

from fromager.store import (
    NotRestored,
    ObjectMissing,
    OtherStore,
    Repairs,
    StoreFull,
    StorePath,
    StoreUnavailable,
    blob_digest,
    open_store,
)
from fromager.store.exchange import exchange
from support.damaging import (
    DAMAGES,
    KEY,
    LOST,
    NOW,
    Victim,
    flip,
    make_victim,
    rewrite,
)
from support.processes import Killer, fork, wait
from support.trees import damages, leftovers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def victim(quick_path: Path) -> Victim:
    return make_victim(quick_path)


def verified(root: Path) -> list[str]:
    with open_store(root, clock=lambda: float(NOW)) as store:
        return [str(damage) for damage in store.care().verify().damages]


def repair(victim: Victim) -> Repairs:
    with open_store(victim.root) as store:
        return store.care().repair()


def check_whole(victim: Victim) -> None:
    assert verified(victim.root) == []
    with open_store(victim.root) as store:
        assert {info.path for info in store.objects()} == {
            victim.thing.path,
            victim.other.path,
            victim.derivation.path,
        }
        assert store.realisations(KEY) == (victim.claim,)
        assert store.closure([victim.thing.path]) == tuple(
            sorted([victim.thing.path, victim.derivation.path])
        )
        assert list(damages(store)) == []
        assert leftovers(store) == []


@pytest.mark.parametrize("name", sorted(DAMAGES.keys() - LOST))
def test_what_is_still_in_the_store_is_repaired_from_it(
    victim: Victim, name: str
) -> None:
    DAMAGES[name](victim)
    assert verified(victim.root)

    repairs = repair(victim)

    assert repairs.irreparable == ()
    assert repairs.repaired
    check_whole(victim)


@pytest.mark.parametrize("name", sorted(DAMAGES))
def test_what_another_store_has_is_repaired_from_there(
    quick_path: Path, victim: Victim, name: str
) -> None:
    other = make_victim(quick_path / "other")
    DAMAGES[name](victim)
    assert verified(victim.root)

    with open_store(victim.root) as store, open_store(other.root, create=False) as lend:
        repairs = store.care().repair(restorers=[OtherStore(lend)])

    assert repairs.irreparable == ()
    if name in LOST:
        assert str(other.root) in {each.source for each in repairs.repaired}
    check_whole(victim)
    check_whole(other)


@pytest.mark.parametrize("name", sorted(LOST))
def test_what_nobody_has_stays_withheld(victim: Victim, name: str) -> None:
    DAMAGES[name](victim)
    before = verified(victim.root)

    repairs = repair(victim)

    assert repairs.repaired == ()
    for each in repairs.irreparable:
        assert "no intact copy of " in each.reason
    assert verified(victim.root) != []
    with open_store(victim.root) as store:
        assert [str(path) for path in store.care().withheld()] == sorted(
            each.place for each in repairs.irreparable
        )
    assert before


def test_bytes_are_taken_from_another_object(victim: Victim) -> None:
    """Neither the pool nor the object has them, but another object does."""
    victim.blob(b"shared").unlink()
    place = victim.place / "lib/b.py"
    place.parent.chmod(0o755)
    place.unlink()
    place.parent.chmod(0o555)

    with open_store(victim.root) as store:
        repairs = store.care().repair([victim.thing.path])
        repairs_of_all = store.care().repair()

    assert [each.place for each in repairs.repaired] == [str(victim.thing.path)]
    assert {each.source for each in repairs_of_all.repaired} <= {"this store"}
    check_whole(victim)


def test_with_paths_these_are_verified_and_no_others(victim: Victim) -> None:
    (victim.place / "run").chmod(0o755)
    (victim.other.path.below(victim.root) / "own").chmod(0o755)

    with open_store(victim.root) as store:
        repairs = store.care().repair([victim.thing.path])

        assert [each.place for each in repairs.repaired] == [str(victim.thing.path)]
        assert store.care().repair() == Repairs((), ())
        with pytest.raises(ObjectMissing):
            store.care().repair([StorePath.of(blob_digest(b""), "none")])
    assert len(verified(victim.root)) == 1


def test_nothing_is_done_where_nothing_is_wrong(victim: Victim) -> None:
    lasting = [victim.place, victim.record, victim.claim_file, victim.blob(b"shared")]
    before = [path.stat().st_ctime_ns for path in lasting]

    assert repair(victim) == Repairs((), ())
    with open_store(victim.root) as store:
        assert store.care().repair([victim.thing.path]) == Repairs((), ())

    assert [path.stat().st_ctime_ns for path in lasting] == before


@dataclass
class Liar:
    """Gives other bytes than those that are wanted."""

    name: str = "a liar"

    def restore(self, path: StorePath, folder: Path) -> Path:
        """Something else."""
        (folder / "x").mkdir()
        (folder / "x" / "run").write_bytes(b"#!evil")
        return folder / "x"


@dataclass
class Beggar:
    """Has nothing."""

    name: str = "a beggar"

    def restore(self, path: StorePath, folder: Path) -> Path:
        """Nothing."""
        raise NotRestored("it never had it")


def test_other_bytes_are_refused_whoever_gives_them(victim: Victim) -> None:
    rewrite(victim.place / "run", flip(b"#!shared"))
    verified(victim.root)

    with open_store(victim.root) as store:
        repairs = store.care().repair(restorers=[Liar(), Beggar()])

    (irreparable,) = repairs.irreparable
    assert "a liar: " in irreparable.reason
    assert "is not what was recorded" in irreparable.reason
    assert "a beggar: it never had it" in irreparable.reason
    assert (victim.place / "run").read_bytes() == flip(b"#!shared")
    with open_store(victim.root) as store:
        assert store.care().withheld() == (victim.thing.path,)
        assert leftovers(store) == []


def test_a_store_of_another_user_is_not_repaired(victim: Victim) -> None:
    os.chown(victim.private, 12345, 12345)

    with (
        open_store(victim.root, create=False) as store,
        pytest.raises(StoreUnavailable, match="it belongs to user 12345"),
    ):
        store.care().repair()


def test_a_repair_that_fails_in_the_end_takes_no_record_away(quick_path: Path) -> None:
    source, victim = make_victim(quick_path / "a"), make_victim(quick_path / "b")
    DAMAGES["a shared file"](victim)
    assert verified(victim.root)
    before = {path.name for path in (victim.private / "records").iterdir()}

    def fail(name: str) -> None:
        if name == "commit":
            raise OSError(ENOSPC, os.strerror(ENOSPC))

    with (
        open_store(victim.root, effect=fail) as store,
        open_store(source.root, create=False) as lend,
        pytest.raises(StoreFull),
    ):
        store.care().repair(restorers=[OtherStore(lend)])

    assert {path.name for path in (victim.private / "records").iterdir()} == before


@pytest.mark.parametrize("name", ["a shared file", "a link for a folder"])
def test_a_kill_at_any_effect_loses_nothing(quick_path: Path, name: str) -> None:
    source = make_victim(quick_path / "source")
    at = 0
    killed = True
    while killed:
        at += 1
        victim = make_victim(quick_path / str(at))
        DAMAGES[name](victim)
        assert verified(victim.root)

        def die(root: Path = victim.root, at: int = at) -> None:
            with (
                open_store(root, effect=Killer(at)) as store,
                open_store(source.root, create=False) as lend,
            ):
                store.care().repair(restorers=[OtherStore(lend)])

        killed = wait(fork(die)) != 0
        with open_store(victim.root) as store:
            # Whatever is served meanwhile is whole.
            withheld = set(store.care().withheld())
            found = {str(path) for path in withheld}
            assert [
                each for each in damages(store) if each.split()[0] not in found
            ] == []
        with (
            open_store(victim.root) as store,
            open_store(source.root, create=False) as lend,
        ):
            assert store.care().repair(restorers=[OtherStore(lend)]).irreparable == ()
            # Whoever writes something new sweeps what the dead have left.
            with store.transaction() as transaction:
                transaction.put_blob(os.urandom(8))
        check_whole(victim)
    assert at > 5


def test_a_reader_sees_the_old_or_the_new_at_any_instant(quick_path: Path) -> None:
    one, other = quick_path / "one", quick_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / folder.name).write_bytes(b"")

    exchange(os.fsencode(one), os.fsencode(other))

    assert (one / "other").exists()
    assert (other / "one").exists()
    with pytest.raises(FileNotFoundError):
        exchange(os.fsencode(one), os.fsencode(quick_path / "none"))
    assert (one / "other").exists()


def test_where_the_system_cannot_exchange_three_renames_do(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: object())
    for name in ("one", "other"):
        (quick_path / name).write_text(name)

    exchange(os.fsencode(quick_path / "one"), os.fsencode(quick_path / "other"))

    assert {path.name: path.read_text() for path in quick_path.iterdir()} == {
        "one": "other",
        "other": "one",
    }
