"""Verifying: whatever is damaged is found, and is not served any more."""

from __future__ import annotations

import os
import shutil
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.store import (
    Damage,
    DamageKind,
    LocalStore,
    ObjectMissing,
    ObjectWithheld,
    Scope,
    StorePath,
    Verification,
    blob_digest,
    open_store,
)
from fromager.store.examine import Row
from fromager.store.verify import plan
from support.damaging import (
    DAMAGES,
    KEY,
    NOW,
    OTHER,
    Victim,
    flip,
    make_victim,
    replace,
    rewrite,
)
from support.garbage import orphan
from support.processes import Killer, fork, wait
from support.trees import damages, write_sketch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def victim(quick_path: Path) -> Victim:
    return make_victim(quick_path)


def verify(victim: Victim, scope: Scope | None = None, now: int = NOW) -> Verification:
    with open_store(victim.root, clock=lambda: float(now)) as store:
        return store.care().verify(scope or Scope())


def test_nothing_is_wrong_with_a_sound_store(victim: Victim) -> None:
    found = verify(victim)

    assert (found.damages, found.leftovers) == ((), ())
    assert (found.objects, found.claims, found.remaining) == (3, 1, 0)
    # One for each content and mode, however many objects share it.
    assert found.files == 7
    assert found.bytes == sum(
        len(content)
        for content in (
            *(b"content of a", b"shared", b"c", b"#!shared", b"", b"own"),
            b"the derivation",
        )
    )


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_not_served(
    victim: Victim, name: str, processes: int
) -> None:
    DAMAGES[name](victim)

    with open_store(victim.root) as store:
        found = store.care().verify(processes=processes)

        assert found.damages
        assert all(str(damage) for damage in found.damages)
        for path in found.damaged:
            assert store.info(path) is None
            assert path not in {info.path for info in store.objects()}
            assert store.find(str(path)) == ()
            assert store.realisations(KEY) == () or path != victim.thing.path
            with pytest.raises(ObjectWithheld):
                store.tree(path)
            with pytest.raises(ObjectWithheld):
                store.read_file(path)
            with pytest.raises(ObjectWithheld):
                store.closure([path])
        assert store.care().withheld() == found.damaged
    again = verify(victim)
    assert again.damages != ()
    assert again.damaged == found.damaged


def test_what_refers_to_something_damaged_has_no_closure(victim: Victim) -> None:
    rewrite(victim.derivation.path.below(victim.root), b"The derivation")
    verify(victim)

    with open_store(victim.root) as store:
        assert store.info(victim.thing.path) is not None
        with pytest.raises(ObjectWithheld, match=r"thing\.drv was found damaged"):
            store.closure([victim.thing.path])


def test_all_objects_that_share_damaged_bytes_are_withheld(victim: Victim) -> None:
    rewrite(victim.place / "lib/b.py", b"Shared")

    found = verify(victim, Scope(frozenset({victim.other.path})))

    assert found.damaged == tuple(sorted([victim.thing.path, victim.other.path]))
    assert not victim.blob(b"shared").exists()


def test_nothing_new_is_made_of_damaged_bytes(victim: Victim, quick_path: Path) -> None:
    rewrite(victim.place / "lib/b.py", b"Shared")
    verify(victim)

    with open_store(victim.root) as store:
        with store.transaction() as transaction:
            transaction.add_directory(write_sketch(quick_path / "new", OTHER), "new")

        assert list(damages(store)) == []


def test_adding_it_again_makes_it_whole(victim: Victim, quick_path: Path) -> None:
    rewrite(victim.place / "lib/b.py", b"Shared")
    verify(victim)

    with open_store(victim.root) as store:
        with store.transaction() as transaction:
            info = transaction.add_directory(quick_path / "thing", "thing")
            transaction.add_directory(quick_path / "other", "other")

        assert store.info(info.path) is not None
        assert store.closure([info.path]) == tuple(
            sorted([info.path, victim.derivation.path])
        )
        assert store.realisations(KEY) == (victim.claim,)
    assert verify(victim).damages == ()


def test_a_wrong_file_of_the_pool_that_nobody_uses_is_removed(victim: Victim) -> None:
    orphan(victim.root, b"unused")
    rewrite(victim.blob(b"unused"), b"Unused")

    found = verify(victim)

    assert [damage.kind for damage in found.damages] == [DamageKind.BLOB]
    assert found.damaged == ()
    assert not victim.blob(b"unused").exists()
    assert verify(victim).damages == ()


def test_leftovers_are_told_and_are_no_damage(victim: Victim) -> None:
    (victim.root / "stray").write_bytes(b"")
    record = victim.private / "records" / f"{'a' * 32}-old.json"
    record.write_bytes(b"{")
    (victim.private / "blobs" / "stray").write_bytes(b"")
    orphan(victim.root, b"unused")
    claim = victim.claim_file.with_name(f"{'0' * 64}.json")
    claim.write_bytes(b"")

    found = verify(victim)

    assert found.damages == ()
    assert set(found.leftovers) == {
        str(place.relative_to(victim.root))
        for place in (
            victim.root / "stray",
            record,
            victim.private / "blobs" / "stray",
            victim.blob(b"unused"),
            claim,
        )
    }


def test_more_references_in_the_record_are_no_damage(victim: Victim) -> None:
    victim.sql("DELETE FROM refs")

    assert verify(victim).damages == ()


def test_a_reference_that_the_record_lacks_is_damage(victim: Victim) -> None:
    victim.sql(
        "INSERT INTO refs SELECT a.id, b.id FROM objects AS a, objects AS b"
        " WHERE a.name = 'thing' AND b.name = 'other'"
    )

    (damage,) = verify(victim).damages

    assert damage.kind is DamageKind.RECORD
    assert str(victim.other.path) in damage.detail


def test_only_what_was_asked_for_is_looked_at(victim: Victim) -> None:
    rewrite(victim.place / "run", flip(b"#!shared"))
    (victim.root / "stray").write_bytes(b"")

    found = verify(victim, Scope(frozenset({victim.other.path})))

    assert (found.objects, found.damages, found.leftovers) == (1, (), ())


def test_a_path_that_is_not_known_is_said(victim: Victim) -> None:
    path = StorePath.of(blob_digest(b"1"), "none")

    with pytest.raises(ObjectMissing):
        verify(victim, Scope(frozenset({path})))


def test_what_was_deleted_meanwhile_is_no_damage(victim: Victim) -> None:
    def collect(number: int, total: int) -> None:
        if victim.place.exists():
            victim.sql("DELETE FROM refs")
            victim.sql("DELETE FROM objects WHERE name = 'thing'")
            victim.place.rename(victim.root.parent / "gone")

    with open_store(victim.root) as store:
        assert store.care().verify(progress=collect).damages == ()


def test_a_store_of_another_user_is_verified_and_not_changed(victim: Victim) -> None:
    rewrite(victim.place / "run", flip(b"#!shared"))
    shutil.chown(victim.private, 12345)

    with open_store(victim.root, create=False) as store:
        found = store.care().verify()

        assert found.damaged == (victim.thing.path,)
        assert store.care().withheld() == ()
        assert victim.blob(b"#!shared", ".x").exists()


def test_a_scrub_begins_with_what_was_not_seen_for_longest(victim: Victim) -> None:
    day = 86_400

    def due(now: int, age: int) -> int:
        return verify(victim, Scope(max_age=age), now=now).objects

    # What was just written was read while it was.
    assert due(NOW + 1, day) == 0
    assert due(NOW + 2 * day, day) == 3
    assert due(NOW + 2 * day + 1, day) == 0
    assert verify(victim, now=NOW + 2 * day + 2).objects == 3


def test_a_scrub_goes_on_where_the_last_one_stopped(victim: Victim) -> None:
    seen: list[StorePath] = []
    for turn in range(3):
        ticks = chain([0.0, 0.0], repeat(9.0))
        with open_store(victim.root, clock=lambda: float(NOW + 100)) as store:
            found = store.care().verify(
                Scope(max_age=50, budget=5), monotonic=partial(next, ticks)
            )
            assert (found.objects, found.remaining) == (1, 2 - turn)
            seen += [
                row.path
                for row in _rows(store)
                if row.verified == NOW + 100 and row.path not in seen
            ]
    assert len(set(seen)) == 3
    assert verify(victim, Scope(max_age=50, budget=5), now=NOW + 101).objects == 0


def _rows(store: LocalStore) -> list[Row]:
    from fromager.store.audit import all_rows

    return all_rows(store.care().query)


def test_a_clock_that_was_set_back_hides_nothing(victim: Victim) -> None:
    verify(victim, now=NOW + 1000)

    assert verify(victim, Scope(max_age=3600), now=NOW - 1000).objects == 3
    assert verify(victim, Scope(max_age=3600), now=NOW - 999).objects == 0


ROWS = st.lists(
    st.builds(
        Row,
        path=st.binary(min_size=32, max_size=32).map(
            lambda raw: StorePath.of(blob_digest(raw), "x")
        ),
        digest=st.just(""),
        kind=st.just("blob"),
        size=st.integers(0, 9),
        references=st.just(frozenset[str]()),
        verified=st.integers(0, 200),
        withheld=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda row: row.path,
)


@given(ROWS, st.integers(0, 150) | st.none(), st.integers(0, 9) | st.none())
def test_the_plan_leaves_out_only_what_was_seen_lately(
    rows: list[Row], max_age: int | None, budget: int | None
) -> None:
    planned = plan(rows, Scope(max_age=max_age, budget=budget), now=100)

    left = [row for row in rows if row not in planned]
    assert sorted(planned + left, key=lambda row: row.path) == sorted(
        rows, key=lambda row: row.path
    )
    for row in left:
        assert max_age is not None
        assert not row.withheld and 0 <= 100 - row.verified <= max_age
    if max_age is not None:
        for row in planned:
            assert row.withheld or not 0 <= 100 - row.verified <= max_age


def test_a_kill_while_damage_is_noted_hides_nothing(quick_path: Path) -> None:
    at = 1
    while True:
        victim = make_victim(quick_path / str(at))
        rewrite(victim.place / "lib/b.py", b"Shared")
        replace(victim.blob(b"own"), b"OWN")

        def die(root: Path = victim.root, at: int = at) -> None:
            with open_store(root, effect=Killer(at)) as store:
                store.care().verify()

        ended = wait(fork(die)) == 0
        found = verify(victim)
        assert found.damaged == tuple(sorted([victim.thing.path, victim.other.path]))
        if ended:
            break
        at += 1
    assert at > 2


def test_a_damage_reads_as_its_place_and_what_is_wrong() -> None:
    damage = Damage("x/lib/a.py", "it is missing", DamageKind.MISSING)

    assert str(damage) == "x/lib/a.py: it is missing"


def test_a_file_with_many_links_is_read_once(quick_path: Path) -> None:
    content = os.urandom(3 << 20)
    with open_store(quick_path / "store") as store:
        for number in range(8):
            folder = write_sketch(
                quick_path / str(number), {"big": content, str(number): b"small"}
            )
            with store.transaction() as transaction:
                transaction.add_directory(folder, "thing")

        found = store.care().verify(processes=2)

    assert (found.files, found.bytes) == (2, len(content) + 5)
