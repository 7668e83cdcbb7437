"""Caches: what is pushed is pulled, nothing is sent twice, and nothing false is taken."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import (
    Cache,
    CacheRefused,
    InputError,
    Kind,
    NetworkError,
    Offer,
    PlaceMeans,
    Puller,
    Retries,
    Untrusted,
    find_claimed,
    find_offer,
    open_place,
)
from fromager.derivations.index.transport import HttpSettings
from fromager.derivations.realising.events import unheard
from fromager.derivations.sharing import layout, packing
from fromager.derivations.sharing.compression import compress, decompress
from fromager.store import (
    PURPOSE_CHECK,
    InvalidRecord,
    LocalStore,
    ObjectDamaged,
    open_store,
)
from support.cache_server import Fault, FileServer, file_server
from support.golden import check_golden
from support.sharing import belief, build, digest, folder_cache, push_one, share, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fromager.store import Realisation


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "empty") as opened:
        yield opened


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return folder_cache(tmp_path / "cache")


@pytest.fixture
def wheel(store: LocalStore) -> Realisation:
    """A wheel with all that goes into one."""
    fetch = build(store, "demo-1.0.tar.gz", kind=Kind.FETCH)
    source = build(
        store, files=FILES, kind=Kind.SOURCE, inputs={"archive": fetch}, epoch="5"
    )
    tool = build(store, "tool==1", {"tool.py": b"tool"}, kind=Kind.LAYOUT)
    environment = build(store, "tool==1", kind=Kind.ENVIRONMENT, inputs={"l": tool})
    inputs = {"source": source, "environment": environment}
    answer = build(store, files={"a.json": b"[]"}, kind=Kind.REQUIRES, inputs=inputs)
    files = {"demo.whl": LARGE}
    return build(store, files=files, inputs=inputs, answer=answer, sha256="ab" * 32)


LARGE = bytes(range(256)) * 1500
FILES = {
    "demo/__init__.py": b"x = 1\n",
    "demo/same.py": b"x = 1\n",
    "run.sh": b"#!/bin/sh\n",
    "run": b"#!/bin/sh\n",
    "empty": b"",
    "large.bin": LARGE + b"!",
}


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_what_is_pushed_is_pulled(
    store: LocalStore, empty: LocalStore, cache: Cache, wheel: Realisation
) -> None:
    share(store, cache, wheel)

    taken = take(empty, cache)

    assert (taken.key, taken.output) == (wheel.key, wheel.output)
    assert [o.path for o in empty.objects()] == [o.path for o in store.objects()]
    for info in store.objects():
        assert empty.tree(info.path) == store.tree(info.path)
        assert empty.info(info.path).references == info.references  # type: ignore[union-attr]
    assert empty.read_file(wheel.output, "demo.whl") == LARGE
    run = empty.root / str(dict(_inputs(empty, wheel))["source"]) / "run.sh"
    assert run.stat().st_mode & 0o111


def _inputs(store: LocalStore, made: Realisation) -> Iterator[tuple[str, object]]:
    for role, key in made.inputs:
        yield role, store.realisations(key)[0].output


def test_what_is_taken_over_says_so(
    store: LocalStore, empty: LocalStore, cache: Cache, wheel: Realisation
) -> None:
    share(store, cache, wheel)

    taken = take(empty, cache)

    assert taken.is_substituted
    assert taken.fact("builder") == "urn:fromager:builder:farm"
    assert taken.fact("sha256") == "ab" * 32
    (question,) = empty.history("requires", "demo==1.0")
    assert question.is_substituted


def test_a_push_of_the_same_sends_nothing(
    store: LocalStore, cache: Cache, wheel: Realisation, tmp_path: Path
) -> None:
    first = share(store, cache, wheel)
    before = files(tmp_path / "cache")

    again = share(store, folder_cache(tmp_path / "cache"), wheel)

    assert first.written > 0
    assert (again.written, again.files, again.unchanged) == (0, 0, True)
    assert files(tmp_path / "cache") == before


def test_a_push_that_nobody_remembers_sends_nothing_either(
    store: LocalStore, cache: Cache, wheel: Realisation, tmp_path: Path
) -> None:
    share(store, cache, wheel)
    take_by = open_store(tmp_path / "copy")
    with take_by as copy:
        take(copy, cache)

        again = share(
            copy, folder_cache(tmp_path / "cache"), copy.realisations(wheel.key)[0]
        )

    assert (again.files, again.objects) == (0, 0)


def test_a_change_of_one_file_sends_one_file(
    store: LocalStore, empty: LocalStore, cache: Cache, tmp_path: Path
) -> None:
    many = {f"file{number}": b"%d" % number * 40 for number in range(50)}
    share(store, cache, build(store, "demo==1", many))
    before = files(tmp_path / "cache")
    changed = build(store, "demo==2", {**many, "file7": b"changed"})

    pushed = share(store, folder_cache(tmp_path / "cache"), changed)

    new = {name.split("/")[0] for name in files(tmp_path / "cache") - before}
    # The derivation of the second one is a file, too.
    assert pushed.files == 2
    assert new == {"packs", "records", "claims", "manifests", "segments"}
    taken = take(empty, cache, "demo==2")
    assert empty.read_file(taken.output, "file7") == b"changed"
    assert empty.read_file(taken.output, "file8") == b"8" * 40


def test_large_files_lie_alone_and_small_ones_together(
    store: LocalStore, cache: Cache, wheel: Realisation, tmp_path: Path
) -> None:
    share(store, cache, wheel)

    names = sorted(name.split("/")[0] for name in files(tmp_path / "cache"))
    assert names.count("blobs") == 2
    assert names.count("packs") == 1


def test_what_cannot_be_compressed_lies_as_it_is(
    store: LocalStore, empty: LocalStore, cache: Cache, tmp_path: Path
) -> None:
    import random

    noise = random.Random(1).randbytes(300_000)
    made = build(store, files={"noise": noise, "zeros": bytes(300_000)})

    share(store, cache, made)

    blobs = {p.suffix: p for p in (tmp_path / "cache/blobs").rglob("*") if p.is_file()}
    assert blobs[""].read_bytes() == noise
    assert blobs[".zst"].stat().st_size < 1000
    assert empty.read_file(take(empty, cache).output, "noise") == noise


def test_files_too_large_for_memory_are_streamed(
    store: LocalStore,
    empty: LocalStore,
    cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "HELD", 280_000)
    monkeypatch.setattr("fromager.derivations.sharing.fetching.HELD", 280_000)
    made = build(store, files={"a.sh": LARGE})

    share(store, cache, made)

    assert empty.read_file(take(empty, cache).output, "a.sh") == LARGE


def test_many_packs_and_frames_are_read(
    store: LocalStore,
    empty: LocalStore,
    cache: Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, size in (("PACK", 6000), ("FRAME", 1000)):
        monkeypatch.setattr(packing, name, size)
    many = {f"file{number}": bytes([number]) * 300 for number in range(60)}
    made = build(store, files=many)

    share(store, cache, made)

    assert len(list((tmp_path / "cache/packs").iterdir())) == 4
    taken = take(empty, cache)
    assert empty.tree(taken.output) == store.tree(made.output)


def test_damaged_files_are_not_pushed(
    store: LocalStore, cache: Cache, tmp_path: Path
) -> None:
    made = build(store, files={"a": b"good"})
    (pooled,) = [p for p in store.root.rglob("blobs/*/*") if p.read_bytes() == b"good"]
    pooled.chmod(0o644)
    pooled.write_bytes(b"evil")

    with pytest.raises(ObjectDamaged):
        share(store, cache, made)

    assert not (tmp_path / "cache" / layout.INDEX).exists()


def test_pushes_that_were_cut_off_are_not_seen_and_go_on(
    store: LocalStore, empty: LocalStore, tmp_path: Path, wheel: Realisation
) -> None:
    """Cut off before each write of one push, and done again."""
    with file_server(tmp_path / "cache") as server:
        count = 0
        while True:
            server.faults[:] = [Fault("", status=403, method="PUT", after=count)]
            try:
                share(store, served(server, tmp_path), wheel)
                break
            except NetworkError:
                server.faults.clear()
                assert find(served(server, tmp_path)) is None
            count += 1
        assert count >= 3

        assert take(empty, served(server, tmp_path)).output == wheel.output


def find(cache: Cache) -> object:
    try:
        return find_offer([cache], "demo")
    except CacheRefused:
        return None


def served(server: FileServer, folder: Path, patience: float = 60.0) -> Cache:
    retries = Retries(tries=2, sleep=lambda seconds: None)
    means = PlaceMeans(folder, HttpSettings, retries, patience)
    return Cache(open_place(server.url, means))


def test_many_may_push_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(push_one, [(tmp_path, number) for number in range(6)])

    offered = {
        s for p in folder_cache(tmp_path / "cache").pushes() for _, s, _ in p.roots
    }
    assert offered == {f"demo{number}==1" for number in range(6)}


@pytest.mark.parametrize("tags", [True, False])
def test_many_may_push_to_a_server_at_once(tmp_path: Path, tags: bool) -> None:
    """Also to one that does not heed conditions: who was overwritten notices."""
    with file_server(tmp_path / "cache", tags=tags) as server:

        def push(number: int) -> None:
            with open_store(tmp_path / f"store{number}") as store:
                made = build(store, f"demo{number}==1", {"a": b"%d" % number})
                cache = served(server, tmp_path)
                share(store, cache, made)
                if not tags:
                    # Somebody may still have been quicker after the last look.
                    share(store, served(server, tmp_path), made)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(push, range(6)))
        if not tags:
            for number in range(6):
                with open_store(tmp_path / f"store{number}") as store:
                    again = store.history("wheel", f"demo{number}==1")
                    share(store, served(server, tmp_path), *again)

        pushes = served(server, tmp_path).pushes()
    assert {s for p in pushes for _, s, _ in p.roots} == {
        f"demo{n}==1" for n in range(6)
    }


def test_the_index_has_few_segments_however_many_push(tmp_path: Path) -> None:
    cache = folder_cache(tmp_path / "cache")
    cache.begin()
    pushes = [
        layout.Push(digest(f"c{n}"), digest(f"m{n}"), n, "farm", (), frozenset())
        for n in range(100)
    ]

    for push in pushes:
        cache.add(push)

    fresh = folder_cache(tmp_path / "cache")
    assert list(fresh.pushes()) == pushes[::-1]
    index = json.loads((tmp_path / "cache" / layout.INDEX).read_text())
    assert len(index["segments"]) <= 8


def test_a_push_that_says_all_of_an_earlier_one_takes_its_place(
    store: LocalStore, cache: Cache, tmp_path: Path
) -> None:
    first = build(store, "demo==1")
    share(store, cache, first)
    second = build(store, "other==1")

    share(store, folder_cache(tmp_path / "cache"), first, second)

    (only,) = folder_cache(tmp_path / "cache").pushes()
    assert {subject for _, subject, _ in only.roots} == {"demo==1", "other==1"}


def test_what_others_signed_is_passed_on_as_it_is(
    store: LocalStore,
    empty: LocalStore,
    cache: Cache,
    wheel: Realisation,
    tmp_path: Path,
) -> None:
    share(store, cache, wheel)
    taken = take(empty, cache)
    mirror = folder_cache(tmp_path / "mirror")

    share(empty, mirror, taken, name="mirror")

    said = mirror.envelopes([wheel.key])
    assert said == cache.envelopes([wheel.key])
    with open_store(tmp_path / "third") as third:
        assert take(third, mirror).fact("builder") == "urn:fromager:builder:farm"


def test_what_checks_found_is_pushed_as_what_it_is(
    store: LocalStore, empty: LocalStore, cache: Cache
) -> None:
    made = build(store, files={"a": b"first"})
    build(store, files={"a": b"second"}, purpose=PURPOSE_CHECK, started=1_790_000_009)

    share(store, cache, made)

    said = [belief("farm").examine(each) for each in cache.envelopes([made.key])]
    assert sorted(claim.is_evidence for claim in said) == [False, True]
    assert empty.read_file(take(empty, cache).output, "a") == b"first"


def test_nothing_is_taken_from_builders_that_nobody_trusts(
    store: LocalStore, empty: LocalStore, cache: Cache, wheel: Realisation
) -> None:
    share(store, cache, wheel, name="mallory")

    with pytest.raises(Untrusted, match="not trusted"):
        take(empty, cache)

    assert list(empty.objects()) == []


def test_nothing_is_taken_where_trusted_builders_disagree(
    store: LocalStore, empty: LocalStore, cache: Cache, tmp_path: Path
) -> None:
    share(store, cache, build(store, files={"a": b"one"}), name="a")
    with open_store(tmp_path / "other") as other:
        share(other, cache, build(other, files={"a": b"two"}), name="b")

    with pytest.raises(Untrusted, match="do not agree"):
        take(empty, folder_cache(tmp_path / "cache"), "demo", "a", "b")

    assert list(empty.objects()) == []


def test_what_is_in_use_is_not_replaced(
    store: LocalStore, empty: LocalStore, cache: Cache
) -> None:
    share(store, cache, build(store, files={"a": b"theirs"}))
    own = build(empty, files={"a": b"ours"})

    take(empty, cache)

    assert [claim.output for claim in empty.realisations(own.key)] == [own.output]


def tamper(folder: Path, kind: str, change: Callable[[bytes], bytes]) -> None:
    for path in (folder / kind).rglob("*"):
        if path.is_file():
            path.write_bytes(change(path.read_bytes()))


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("kind", ["segments", "claims", "manifests", "records"])
@pytest.mark.parametrize("change", [flipped, lambda content: content[:-1], bytes.upper])
def test_parts_that_were_tampered_with_are_refused(
    store: LocalStore,
    empty: LocalStore,
    tmp_path: Path,
    kind: str,
    change: Callable[[bytes], bytes],
) -> None:
    share(store, folder_cache(tmp_path / "cache"), build(store))
    tamper(tmp_path / "cache", kind, change)

    with pytest.raises(CacheRefused):
        take(empty, folder_cache(tmp_path / "cache"))

    assert list(empty.objects()) == []


@pytest.mark.parametrize("kind", ["packs", "blobs"])
@pytest.mark.parametrize(
    "change",
    [flipped, lambda content: content[:-1], lambda content: content + b"x", len],
)
def test_files_that_were_tampered_with_are_never_taken(
    store: LocalStore,
    empty: LocalStore,
    tmp_path: Path,
    kind: str,
    change: Callable[[bytes], object],
) -> None:
    made = build(store, files={"small": b"small", "large": LARGE})
    share(store, folder_cache(tmp_path / "cache"), made)

    def other(content: bytes) -> bytes:
        # As somebody would who knows the format: other content, whole frames.
        found = change(content)
        return found if isinstance(found, bytes) else compress(b"evil" * 100)

    tamper(tmp_path / "cache", kind, other)

    # What stands behind the end of a pack is never read.
    harmless = kind == "packs" and other(b"abc") == b"abcx"
    if harmless:
        assert take(empty, folder_cache(tmp_path / "cache")).output == made.output
    else:
        with pytest.raises((CacheRefused, NetworkError)):
            take(empty, folder_cache(tmp_path / "cache"))
        assert empty.info(made.output) is None


@pytest.mark.parametrize("kind", ["claims", "manifests", "records", "packs", "blobs"])
def test_what_is_listed_and_not_there_is_told(
    store: LocalStore, empty: LocalStore, tmp_path: Path, kind: str
) -> None:
    made = build(store, files={"small": b"small", "large": LARGE})
    share(store, folder_cache(tmp_path / "cache"), made)
    for path in (tmp_path / "cache" / kind).rglob("*"):
        if path.is_file():
            path.unlink()

    with pytest.raises(CacheRefused, match="not there"):
        take(empty, folder_cache(tmp_path / "cache"))


def test_places_that_are_no_cache_are_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(CacheRefused, match="no cache"):
        folder_cache(tmp_path / "folder").pushes()


def test_caches_of_other_formats_are_left_alone(
    store: LocalStore, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / layout.MARKER).write_text('{"format": 99}')

    with pytest.raises(CacheRefused, match="format"):
        share(store, folder_cache(folder), build(store))
    assert files(folder) == {layout.MARKER}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"[" * 100_000, b"\xff\xfe", b"1" * 10_000),
        b'{"version": 2, "segments": []}',
        b'{"version": 1, "segments": [{"digest": "ab", "pushes": 1}]}',
        b'{"version": 1, "segments": 5}',
    ],
)
def test_an_index_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    cache = folder_cache(tmp_path / "cache")
    cache.begin()
    (tmp_path / "cache" / layout.INDEX).write_bytes(content)

    with pytest.raises(CacheRefused):
        cache.pushes()


def test_a_server_that_fails_in_the_middle_is_told(
    store: LocalStore, empty: LocalStore, tmp_path: Path, wheel: Realisation
) -> None:
    with file_server(tmp_path / "cache") as server:
        share(store, served(server, tmp_path), wheel)
        server.fail("packs/", status=404)

        with pytest.raises(CacheRefused, match="not there"):
            take(empty, served(server, tmp_path))

        server.faults.clear()
        assert take(empty, served(server, tmp_path)).output == wheel.output


def test_a_server_that_drips_for_ever_is_given_up(
    store: LocalStore, empty: LocalStore, tmp_path: Path, wheel: Realisation
) -> None:
    with file_server(tmp_path / "cache") as server:
        share(store, served(server, tmp_path), wheel)
        server.fail("packs/", drip=True)

        with pytest.raises(NetworkError, match="no whole answer"):
            take(empty, served(server, tmp_path, patience=0.2))


def test_what_can_be_looked_up_is_looked_up_in_few_requests(
    store: LocalStore, tmp_path: Path
) -> None:
    made = [build(store, f"demo{number}==1") for number in range(40)]
    with file_server(tmp_path / "cache") as server:
        share(store, served(server, tmp_path), *made)
        server.requests.clear()

        said = served(server, tmp_path).envelopes([each.key for each in made])

    assert len(said) == 40
    assert len(server.requests) == 3


def test_parts_that_never_change_are_fetched_once(
    store: LocalStore, tmp_path: Path, wheel: Realisation
) -> None:
    with file_server(tmp_path / "cache") as server:
        share(store, served(server, tmp_path), wheel)
        for _ in range(2):
            server.requests.clear()
            cache = served(server, tmp_path)
            cache.kept = tmp_path / "kept"
            assert len(cache.envelopes([wheel.key])) == 1

    assert server.requests == [("GET", "/cache/index.json")]


def test_parts_that_were_damaged_here_are_fetched_again(
    store: LocalStore, tmp_path: Path, wheel: Realisation, cache: Cache
) -> None:
    share(store, cache, wheel)
    for _ in range(2):
        again = folder_cache(tmp_path / "cache")
        again.kept = tmp_path / "kept"
        assert len(again.envelopes([wheel.key])) == 1
        tamper(tmp_path, "kept", flipped)


def test_the_newest_version_is_meant_or_the_one_named(
    store: LocalStore, cache: Cache
) -> None:
    made = {v: build(store, f"demo=={v}") for v in ("1.9", "1.10", "2.0")}
    share(store, cache, *made.values())

    def key(text: str) -> object:
        found = find_offer([cache], text)
        return found and found.key

    assert key("demo") == made["2.0"].key
    assert key("demo<2") == made["1.10"].key
    assert key("demo==1.9") == made["1.9"].key
    assert key(str(made["1.9"].key)) == made["1.9"].key
    assert key(made["1.9"].key.hex[:12]) == made["1.9"].key
    assert key("demo==3") is None
    assert key("other") is None


def test_a_path_is_what_those_who_are_trusted_say(
    store: LocalStore, empty: LocalStore, cache: Cache, tmp_path: Path
) -> None:
    true, other = build(store), build(store, "other==1", {"o": b"other"})
    share(store, cache, true, other)
    # Somebody says that another key gave the same.
    with open_store(tmp_path / "lying") as lying:
        same = build(lying)
        said = replace(other, output=same.output, output_digest=same.output_digest)
        with lying.transaction() as transaction:
            drv = transaction.add_bytes(
                store.read_file(other.derivation), "other-1-wheel.drv"
            )
            transaction.register(replace(said, derivation=drv.path))
        share(lying, cache, said, name="liar")

    found = find_claimed([cache], str(true.output), belief("farm"))
    lie = find_claimed([cache], str(true.output), belief("liar"))

    assert found is not None and lie is not None
    assert (found.key, lie.key) == (true.key, other.key)
    puller = Puller(empty, [cache], belief("farm"), unheard)
    assert puller.pull([found]) == [puller.store.realisations(true.key)[0]]
    with pytest.raises(Untrusted):
        puller.pull([lie])


def test_a_digest_must_be_begun_far_enough(store: LocalStore, cache: Cache) -> None:
    made = [build(store, f"demo=={number}") for number in range(3)]
    share(store, cache, *made)

    def found(text: str) -> Offer | None:
        return find_claimed([cache], text, belief("farm"))

    assert found("nothing-like-it") is None
    assert found("0" * 40) is None
    assert found(made[0].key.hex[:4]) is None
    assert found(made[0].output_digest.hex) == replace(
        Offer("wheel", "demo==0", made[0].key), output=made[0].output
    )


def test_several_builds_of_one_version_must_be_told_apart(
    store: LocalStore, cache: Cache
) -> None:
    source = build(store, kind=Kind.SOURCE)
    share(store, cache, build(store), build(store, inputs={"source": source}))

    with pytest.raises(InputError, match="any of"):
        find_offer([cache], "demo")


def test_the_form_of_the_index_is_fixed() -> None:
    content = layout.dump_index([(digest("a"), 3), (digest("b"), 1)])

    assert layout.load_index(content) == ((digest("a"), 3), (digest("b"), 1))
    check_golden("sharing/index.json", json.loads(content))


def test_the_form_of_segments_is_fixed() -> None:
    roots = (("wheel", "demo==1.0", digest("key")),)
    keys = frozenset({digest("key"), digest("source")})
    push = layout.Push(digest("c"), digest("m"), 1_790_000_000, "farm", roots, keys)

    part = layout.dump_segment([push])

    assert layout.load_segment(part.content) == (push,)
    check_golden("sharing/segment.json", unpacked(part))


def test_the_form_of_manifests_is_fixed(store: LocalStore) -> None:
    made = build(store)
    records = (digest("r"), digest("s"))
    manifest = layout.Manifest(
        ((made.output, records[0]), (made.derivation, records[1]))
    )

    part = layout.dump_manifest(manifest)

    assert layout.load_manifest(part.content) == manifest
    check_golden("sharing/manifest.json", unpacked(part))


def test_the_form_of_records_is_fixed(
    store: LocalStore, cache: Cache, tmp_path: Path
) -> None:
    made = build(store, files={"a.sh": b"a", "b": LARGE})
    share(store, cache, made)
    (path,) = (tmp_path / "cache/records").iterdir()

    records = layout.load_records(path.read_bytes())

    assert layout.dump_records(records).content == path.read_bytes()
    value = unpacked(layout.Part("records", path.read_bytes()))
    # How far zstd compresses is no matter of the format.
    value["packs"] = [["<digest>", "<size>"] for _ in value["packs"]]  # type: ignore[attr-defined]
    check_golden("sharing/records.json", value)


def unpacked(part: layout.Part) -> dict[str, object]:
    found: dict[str, object] = json.loads(decompress(part.content, 1 << 20))
    return found


@pytest.mark.parametrize(
    "load", [layout.load_segment, layout.load_manifest, layout.load_records]
)
@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["version", "pushes", "objects", "records", "packs", "small"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=8,
    )
)
def test_nonsense_is_refused(load: Callable[[bytes], object], value: object) -> None:
    content = compress(json.dumps(value).encode())

    with pytest.raises(InvalidRecord):
        load(content)


@pytest.mark.parametrize("load", [layout.load_segment, layout.load_records])
def test_what_unpacks_to_too_much_is_refused(
    load: Callable[[bytes], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LARGEST_PART", 1 << 20)

    with pytest.raises(InvalidRecord, match="more than"):
        load(compress(bytes(8 << 20)))


@given(content=st.binary(max_size=2000), cut=st.integers(1, 10))
def test_frames_are_read_as_they_were_made_or_not_at_all(
    content: bytes, cut: int
) -> None:
    packed = compress(content)

    assert decompress(packed, len(content)) == content
    for wrong in (packed[:-cut], packed + b"x", b""):
        with pytest.raises(ValueError, match=r"end|decompress"):
            decompress(wrong, len(content))
