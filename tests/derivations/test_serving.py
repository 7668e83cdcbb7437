"""The store over HTTP: what an index and a cache answer."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations import (
    Attestor,
    Cache,
    EnvelopeSigner,
    InputError,
    Kind,
    Standing,
    StoreCache,
    Tokens,
    find_offer,
    read_tokens,
    shared_steps,
)
from fromager.derivations.index.simple import parse_page
from fromager.derivations.realising.events import unheard
from fromager.derivations.serving.application import Application
from fromager.derivations.serving.catalogue import Catalogue
from fromager.derivations.serving.frames import frame, frame_length
from fromager.derivations.serving.negotiation import (
    Form,
    choose_form,
    is_known,
    span_of,
)
from fromager.derivations.sharing.compression import decompress
from fromager.store import LocalStore, open_store
from support.asgi import AskedPlace, ask
from support.sharing import belief, build, builder, take
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from fromager.derivations import SbomForm
    from fromager.derivations.realising.events import Event
    from fromager.store import Realisation

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "empty") as opened:
        yield opened


def signer(name: str = "farm") -> EnvelopeSigner:
    from securesystemslib.signer._crypto_signer import CryptoSigner

    secret: Ed25519PrivateKey = builder(name).secret
    return EnvelopeSigner(builder(name).key, CryptoSigner(secret))


def application(
    store: LocalStore,
    chosen: list[Realisation] | None = None,
    *,
    signed: bool = True,
    told: list[Event] | None = None,
    monotonic: Callable[[], float] = lambda: 0.0,
    bill: Callable[[Realisation, SbomForm], bytes] = lambda claim, form: b"",
) -> Application:
    """What answers for a store, or for these builds only."""
    report = unheard if told is None else told.append
    attestor = Attestor(store, signer() if signed else None, report)
    steps = None if chosen is None else tuple(chosen)
    cache = StoreCache(
        store,
        attestor,
        lambda: shared_steps(store) if steps is None else steps,
        monotonic,
    )
    return Application(Catalogue(store, attestor, report, chosen), cache, bill)


def wheel(
    store: LocalStore,
    name: str = "demo",
    version: str = "1.0",
    *,
    requires_python: str | None = None,
    text: str = "x = 1\n",
    **more: Any,
) -> Realisation:
    """Have the store hold a wheel."""
    maker = WheelMaker(name, version, files={f"{name}/__init__.py": text.encode()})
    if requires_python is not None:
        maker.metadata = (
            f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
            f"Requires-Python: {requires_python}\n\nWords: ä\n"
        ).encode()
    content = maker.build()
    more["sha256"] = hashlib.sha256(content).hexdigest()
    subject = f"{name.replace('_', '-')}=={version}"
    return build(store, subject, {maker.filename: content}, **more)


def content_of(store: LocalStore, made: Realisation) -> bytes:
    (file,) = store.place(made.output).iterdir()
    return file.read_bytes()


def files(app: Application, project: str = "demo") -> Any:
    return ask(app, f"/simple/{project}/", accept=JSON).json["files"]


def below(url: str) -> str:
    """Where a link of a project's page leads."""
    return f"/{url.removeprefix('../../')}"


# The index.


@pytest.mark.parametrize("form", [JSON, HTML])
def test_both_forms_of_a_page_say_the_same(store: LocalStore, form: str) -> None:
    made = wheel(store, requires_python=">=3.8,<4")
    content = content_of(store, made)

    answer = ask(application(store), "/simple/demo/", accept=form)
    kind = answer.headers["content-type"]
    page = parse_page(answer.body, kind, "https://index.test/simple/demo/", "demo")

    (file,) = page.files
    assert kind.split(";")[0] == form
    assert file.filename == "demo-1.0-py3-none-any.whl"
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.url.startswith(f"https://index.test/files/{file.sha256}/")
    assert file.requires_python == ">=3.8,<4"


def test_pages_tell_sizes_times_and_hashes_of_metadata(store: LocalStore) -> None:
    made = wheel(store, requires_python=">=3.8", started=1_790_000_000)
    content = content_of(store, made)
    app = application(store)

    page = ask(app, "/simple/demo/", accept=JSON).json
    (row,) = page["files"]
    metadata = ask(app, below(row["url"]) + ".metadata")

    assert page["versions"] == ["1.0"]
    assert row["size"] == len(content)
    assert row["upload-time"] == "2026-09-21T14:13:20.000000Z"
    assert row["core-metadata"]["sha256"] == hashlib.sha256(metadata.body).hexdigest()
    assert "Words: ä".encode() in metadata.body


def test_projects_are_listed_in_both_forms(store: LocalStore) -> None:
    wheel(store, "demo")
    wheel(store, "other_one")
    app = application(store)

    listed = ask(app, "/simple/", accept=JSON).json["projects"]
    page = ask(app, "/simple/", accept="text/html").body.decode()

    assert listed == [{"name": "demo"}, {"name": "other-one"}]
    assert 'href="demo/"' in page
    assert 'href="other-one/"' in page


def test_an_index_of_nothing_is_empty(store: LocalStore) -> None:
    assert ask(application(store), "/simple/", accept=JSON).json["projects"] == []


def test_names_are_led_to_their_normal_form(store: LocalStore) -> None:
    wheel(store, "other_one")
    app = application(store)

    for place in ("/simple/Other_One/", "/simple/other-one"):
        answer = ask(app, place)
        assert (answer.status, answer.headers["location"][-10:]) == (301, "other-one/")
    assert ask(app, "/").headers["location"] == "simple/"


def test_what_is_not_there_is_not_found(store: LocalStore) -> None:
    wheel(store)
    app = application(store)
    digits = "0" * 64

    for place in (
        "/simple/nothing/",
        f"/files/{digits}/demo-1.0-py3-none-any.whl",
        f"/files/{digits}/demo.whl",
        f"/files/{digits}/demo-1.0-py3-none-any.whl.metadata",
        "/cache/segments/none",
        "/favicon.ico",
    ):
        assert ask(app, place).status == 404, place


@pytest.mark.parametrize(
    "place",
    [
        "/files/../../etc/passwd",
        "/files/%2e%2e/%2e%2e%2fetc%2fpasswd",
        "/files/..%2f..%2f..%2fetc/passwd",
        "/cache/../../../etc/passwd",
        "/cache/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/cache//etc/passwd",
        "/cache/blobs/../../.fromager/version",
        "/simple/%00/",
        "/cache/%00",
        "/files/%00/%00",
    ],
)
def test_nothing_outside_is_reached(store: LocalStore, place: str) -> None:
    wheel(store)

    assert ask(application(store), place).status in (301, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(store: LocalStore, method: str) -> None:
    wheel(store)
    app = application(store)

    for place in ("/simple/", "/simple/demo/", "/cache/index.json"):
        assert ask(app, place, method).status == 405


def test_of_builds_of_one_file_the_newest_is_listed(store: LocalStore) -> None:
    old = wheel(store, text="x = 1\n", started=1_790_000_000)
    new = wheel(store, text="x = 2\n", started=1_790_000_009, kind=Kind.WHEEL)
    app = application(store)

    (row,) = files(app)

    assert row["hashes"]["sha256"] == new.fact("sha256")
    assert ask(app, below(row["url"])).body == content_of(store, new)
    # Whoever locked the other one still gets it.
    other = f"/files/{old.fact('sha256')}/{row['filename']}"
    assert ask(app, other).body == content_of(store, old)


def test_of_builds_of_the_same_second_all_servers_list_the_same_one(
    store: LocalStore, empty: LocalStore
) -> None:
    texts = [f"x = {number}\n" for number in range(4)]
    for text in texts:
        wheel(store, text=text)
    for text in reversed(texts):
        wheel(empty, text=text)

    rows = [files(application(each))[0]["hashes"] for each in (store, empty)]

    assert rows[0] == rows[1]


def test_versions_are_in_order(store: LocalStore) -> None:
    for version in ("1.10", "1.9", "1.0rc1"):
        wheel(store, version=version)

    page = ask(application(store), "/simple/demo/", accept=JSON).json

    assert page["versions"] == ["1.0rc1", "1.9", "1.10"]


def test_what_a_check_made_is_not_offered(store: LocalStore) -> None:
    wheel(store, purpose="check")

    assert ask(application(store), "/simple/demo/").status == 404


def test_what_is_built_later_is_offered_at_once(store: LocalStore) -> None:
    app = application(store)
    assert ask(app, "/simple/demo/").status == 404

    wheel(store)
    wheel(store, "late")

    assert len(files(app)) == 1
    assert len(ask(app, "/simple/", accept=JSON).json["projects"]) == 2


def test_a_page_is_new_although_a_file_was_asked_for_in_between(
    store: LocalStore,
) -> None:
    wheel(store)
    app = application(store)
    (row,) = files(app)

    wheel(store, version="2.0")
    ask(app, below(row["url"]))

    assert len(files(app)) == 2


def test_only_what_was_chosen_is_offered(store: LocalStore) -> None:
    chosen = wheel(store)
    hidden = wheel(store, "hidden")
    app = application(store, [chosen])

    listed = ask(app, "/simple/", accept=JSON).json["projects"]
    place = f"/files/{hidden.fact('sha256')}/hidden-1.0-py3-none-any.whl"

    assert listed == [{"name": "demo"}]
    assert ask(app, place).status == 404
    assert find_offer([Cache(AskedPlace(app))], "hidden") is None


def test_a_wheel_that_cannot_be_read_is_told_of_and_left_out(
    store: LocalStore,
) -> None:
    wheel(store)
    build(store, "demo==2.0", {"demo-2.0-py3-none-any.whl": b"no wheel"})
    told: list[Event] = []

    listed = files(application(store, told=told))

    assert [row["filename"] for row in listed] == ["demo-1.0-py3-none-any.whl"]
    assert "demo==2.0" in str(told)


def test_names_cannot_break_out_of_a_page(store: LocalStore) -> None:
    wheel(store, requires_python='>=3"><script>')

    page = ask(application(store), "/simple/demo/", accept="text/html").body

    assert b"<script>" not in page


def test_claims_are_offered_as_they_were_signed(store: LocalStore) -> None:
    made = wheel(store)
    app = application(store)

    (row,) = files(app)
    page = ask(app, "/simple/demo/", accept="text/html").body
    (line,) = ask(app, below(row["_claims"])).body.splitlines()

    assert row["_claims"] == f"{row['url']}.intoto.jsonl"
    claim = belief("farm").examine(line)
    assert claim.standing is Standing.TRUSTED
    assert claim.key == made.key
    # A key without a certificate makes no provenance that PEP 740 knows.
    assert "provenance" not in row
    assert b"provenance" not in page


def test_without_a_key_nothing_is_attested(store: LocalStore) -> None:
    wheel(store)
    app = application(store, signed=False)

    (row,) = files(app)

    assert "_claims" not in row
    assert ask(app, below(row["url"]) + ".intoto.jsonl").status == 404


def test_bills_of_materials_lie_beside_wheels(store: LocalStore) -> None:
    made = wheel(store)
    asked: list[str] = []

    def bill(claim: Realisation, form: SbomForm) -> bytes:
        assert claim == made
        asked.append(form.value)
        return f"{len(asked)} {form.value}".encode()

    app = application(store, bill=bill)
    (row,) = files(app)
    first = ask(app, below(row["_sbom"]))
    again = ask(app, below(row["_sbom"]))
    spdx = ask(app, below(row["url"]) + ".spdx.json")

    assert row["_sbom"] == f"{row['url']}.cdx.json"
    assert (first.body, again.body, spdx.body) == (
        b"1 cyclonedx",
        b"1 cyclonedx",
        b"2 spdx",
    )
    assert first.headers["content-type"] == (
        "application/vnd.cyclonedx+json; version=1.6"
    )
    assert spdx.headers["content-type"] == "application/spdx+json"
    tag = first.headers["etag"]
    assert ask(app, below(row["_sbom"]), if_none_match=tag).status == 304
    assert asked == ["cyclonedx", "spdx"]


def test_a_bill_is_made_anew_when_the_store_has_changed(store: LocalStore) -> None:
    """What a wheel needs may have been built in the meantime."""
    wheel(store)
    count = iter(range(9))
    app = application(store, bill=lambda claim, form: b"%d" % next(count))
    (row,) = files(app)

    first = ask(app, below(row["_sbom"])).body
    wheel(store, "other")
    second = ask(app, below(row["_sbom"])).body

    assert (first, second) == (b"0", b"1")


def test_of_what_is_not_offered_there_is_no_bill(store: LocalStore) -> None:
    chosen, hidden = wheel(store), wheel(store, "hidden")
    app = application(store, [chosen])

    place = f"/files/{hidden.fact('sha256')}/hidden-1.0-py3-none-any.whl.cdx.json"

    assert ask(app, place).status == 404


# Files.


def test_files_have_strong_tags_and_are_not_sent_twice(store: LocalStore) -> None:
    wheel(store)
    app = application(store)
    (row,) = files(app)
    place = below(row["url"])

    first = ask(app, place, accept_encoding="gzip, br")
    tag = first.headers["etag"]
    again = ask(app, place, if_none_match=f'"other", {tag}')

    assert tag == f'"{row["hashes"]["sha256"]}"'
    assert "content-encoding" not in first.headers
    assert first.headers["content-length"] == str(row["size"])
    assert "immutable" in first.headers["cache-control"]
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == tag


def test_pages_are_not_sent_twice(store: LocalStore) -> None:
    wheel(store)
    app = application(store)

    first = ask(app, "/simple/demo/", accept=JSON)
    again = ask(app, "/simple/demo/", accept=JSON, if_none_match=first.headers["etag"])
    other = ask(app, "/simple/demo/", accept=HTML, if_none_match=first.headers["etag"])
    wheel(store, version="2.0")
    later = ask(app, "/simple/demo/", accept=JSON, if_none_match=first.headers["etag"])

    assert (first.headers["vary"], first.headers["cache-control"]) == (
        "Accept",
        "no-cache",
    )
    assert [again.status, other.status, later.status] == [304, 200, 200]


@pytest.mark.parametrize("large", [False, True])
def test_spans_of_files_are_sent(store: LocalStore, large: bool) -> None:
    made = wheel(store, text="x = 1\n" * (400_000 if large else 1))
    if large:
        maker = WheelMaker(files={"demo/data": bytes(range(256)) * 8192})
        raw = maker.build(compression=0)
        sha256 = hashlib.sha256(raw).hexdigest()
        made = build(
            store, "big==1.0", {"big-1.0-py3-none-any.whl": raw}, sha256=sha256
        )
    content = content_of(store, made)
    app = application(store)
    (row,) = files(app, made.subject.split("==")[0])
    place, size = below(row["url"]), len(content)

    middle = ask(app, place, range="bytes=5-14")
    rest = ask(app, place, range=f"bytes={size - 3}-")
    beyond = ask(app, place, range=f"bytes={size}-")
    other = ask(app, place, range="bytes=5-14", if_range='"other"')
    whole = ask(app, place)
    head = ask(app, place, "HEAD")

    assert (middle.status, middle.body) == (206, content[5:15])
    assert middle.headers["content-range"] == f"bytes 5-14/{size}"
    assert (rest.status, rest.body) == (206, content[-3:])
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert (other.status, other.body) == (200, content)
    assert (whole.status, whole.body) == (200, content)
    assert (head.status, head.headers["content-length"]) == (200, str(size))


# What clients ask for.


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, Form.OLD_HTML),
        ("", Form.OLD_HTML),
        ("*/*", Form.OLD_HTML),
        ("text/html", Form.OLD_HTML),
        (JSON, Form.JSON),
        ("application/vnd.pypi.simple.latest+json", Form.JSON),
        # pip's, and uv's.
        (f"{JSON}, {HTML}; q=0.1, text/html; q=0.01", Form.JSON),
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", Form.JSON),
        (f"{HTML}, text/html;q=0.9, */*;q=0.1", Form.HTML),
        (f"{JSON};q=0.1, {HTML}", Form.HTML),
        (f"{JSON};q=0, text/html", Form.OLD_HTML),
        ("image/png", None),
        (f"{JSON};q=nonsense", None),
        (f"{JSON};q=0", None),
    ],
)
def test_the_form_that_is_liked_best_is_sent(
    accept: str | None, form: Form | None
) -> None:
    assert choose_form(accept) is form


def test_a_form_that_nobody_has_is_refused(store: LocalStore) -> None:
    wheel(store)
    app = application(store)

    assert ask(app, "/simple/", accept="image/png").status == 406
    for name in (JSON, JSON.replace("+", "%2B")):
        assert ask(app, f"/simple/demo/?format={name}").json["name"] == "demo"


@given(st.text(), st.text(max_size=60), st.integers(0, 1 << 40))
@settings(max_examples=100, deadline=None)
def test_headers_of_any_kind_are_read(accept: str, asked: str, size: int) -> None:
    choose_form(accept)
    is_known('"x"', accept)
    try:
        span = span_of(f"bytes={asked}", size)
    except ValueError:
        return
    if span is not None:
        assert 0 <= span[0] < span[1] <= size


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40))
@settings(max_examples=100, deadline=None)
def test_a_span_is_what_was_asked_for(size: int, start: int, length: int) -> None:
    if start >= size:
        with pytest.raises(ValueError):
            span_of(f"bytes={start}-{start + length}", size)
    else:
        end = min(start + length + 1, size)
        assert span_of(f"bytes={start}-{start + length}", size) == (start, end)


# Tokens.


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    "shown",
    [b"Bearer secret", b"bearer  secret ", basic("anybody:secret"), basic(":secret")],
)
def test_who_shows_a_token_may_read(shown: bytes) -> None:
    assert Tokens.of(["other", "secret"]).admit(shown)


@pytest.mark.parametrize(
    "shown",
    [
        None,
        b"",
        b"secret",
        b"Bearer",
        b"Bearer secrets",
        b"Bearer Secret",
        b"Digest secret",
        basic("secret"),
        basic("secret:"),
        b"Basic not base64!",
        b"Basic \xff",
    ],
)
def test_nobody_else_may_read(shown: bytes | None) -> None:
    assert not Tokens.of(["secret"]).admit(shown)
    assert Tokens().admit(shown)


@pytest.mark.parametrize("text", ["", "two words", "käse", "line\n"])
def test_a_token_that_no_header_can_hold_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Tokens.of([text])


def test_tokens_stand_one_a_line() -> None:
    assert read_tokens("# of the farm\nabc\n\n  def \n") == ("abc", "def")


def test_tokens_are_never_shown() -> None:
    assert "secret" not in repr(Tokens.of(["secret"]))


# The cache.


@given(st.lists(st.integers(0, 300_000), max_size=4))
@settings(max_examples=50, deadline=None)
def test_frames_hold_what_they_are_given(sizes: list[int]) -> None:
    contents = [bytes([number % 256]) * size for number, size in enumerate(sizes)]

    made = frame(contents)

    assert len(made) == frame_length(sum(sizes))
    assert decompress(made, 4 << 20) == b"".join(contents)


def closure(store: LocalStore) -> Realisation:
    """A wheel, and what it was made from: small files, large ones, empty ones."""
    fetch = build(
        store, "demo-1.0.tar.gz", {"demo.tar.gz": b"t" * 400_000}, kind=Kind.FETCH
    )
    tree = {f"src/{n}.py": f"x = {n}\n".encode() * n for n in range(50)}
    tree["run.sh"] = b"#!/bin/sh\n"
    source = build(
        store, "demo==1.0", tree, kind=Kind.SOURCE, inputs={"archive": fetch}
    )
    return wheel(store, inputs={"source": source})


def test_what_is_served_is_pulled(store: LocalStore, empty: LocalStore) -> None:
    made = closure(store)

    pulled = take(empty, Cache(AskedPlace(application(store))), "demo", "farm")

    assert pulled.output == made.output
    assert {info.path for info in empty.objects()} == {
        info.path for info in store.objects()
    }
    assert [bool(found) for found in empty.care().verify().damaged] == []


def test_what_is_pulled_again_costs_no_files(
    store: LocalStore, empty: LocalStore
) -> None:
    closure(store)
    app = application(store)
    take(empty, Cache(AskedPlace(app)), "demo", "farm")
    place = AskedPlace(app)

    take(empty, Cache(place), "demo", "farm")

    assert [name for name in place.asked if name.startswith(("packs", "blobs"))] == []


def test_of_several_builds_the_last_is_pulled(
    store: LocalStore, empty: LocalStore
) -> None:
    wheel(store, text="x = 1\n", started=1_790_000_000, raw_sha256="1")
    source = build(store, "demo==1.0", {"a": b"a"}, kind=Kind.SOURCE)
    new = wheel(store, text="x = 2\n", started=1_790_000_009, inputs={"source": source})

    pulled = take(empty, Cache(AskedPlace(application(store))), "demo", "farm")

    assert pulled.output == new.output


def test_what_came_later_is_told_beside_what_was_there(
    store: LocalStore, empty: LocalStore
) -> None:
    closure(store)
    app = application(store)
    early = Cache(AskedPlace(app))
    offer = find_offer([early], "demo")
    (push,) = early.pushes()

    wheel(store, "late", text="y = 1\n")
    take(empty, Cache(AskedPlace(app)), "late", "farm")

    # Who began before goes on undisturbed.
    assert offer is not None
    assert len(early.manifest(push).objects) > 0
    assert take(empty, early, "demo", "farm").subject == "demo==1.0"


def test_a_cache_that_is_costly_to_compute_is_not_computed_all_the_time(
    store: LocalStore,
) -> None:
    moments = [0.0, 2.0]
    wheel(store)
    app = application(store, monotonic=lambda: moments.pop(0))
    first = ask(app, "/cache/index.json").body
    wheel(store, "late")

    # It took two seconds.
    moments += [21.0]
    soon = ask(app, "/cache/index.json").body
    moments += [22.0, 23.0]
    later = ask(app, "/cache/index.json").body

    assert soon == first
    assert later != first


def test_two_servers_of_equal_stores_tell_the_same(
    store: LocalStore, empty: LocalStore
) -> None:
    for each in (store, empty):
        closure(each)

    answers = [ask(application(s), "/cache/index.json").body for s in (store, empty)]

    assert answers[0] == answers[1]


def test_a_cache_of_nothing_is_one(store: LocalStore) -> None:
    cache = Cache(AskedPlace(application(store)))

    assert cache.pushes() == ()
    assert ask(application(store), "/cache/fromager-cache.json").json == {"format": 1}


def test_damaged_files_are_not_passed_on(store: LocalStore) -> None:
    made = closure(store)
    app = application(store)
    cache = Cache(AskedPlace(app))
    (push,) = cache.pushes()
    records = {digest for _, digest in cache.manifest(push).objects}
    packs = [pack for each in records for pack in cache.records(each).packs]
    source = store.realisations(made.inputs[0][1])[0]
    file = store.tree(source.output).get("run.sh")  # type: ignore[union-attr]
    place = store.path_of_blob(file)  # type: ignore[arg-type]
    place.chmod(0o644)
    place.write_bytes(b"#!/bin/no\n")

    from fromager.store import ObjectDamaged

    with pytest.raises(ObjectDamaged):
        ask(app, f"/cache/packs/{packs[0].digest.hex}")


def test_packs_are_sent_in_spans(store: LocalStore) -> None:
    closure(store)
    app = application(store)
    cache = Cache(AskedPlace(app))
    (push,) = cache.pushes()
    (records,) = {digest for _, digest in cache.manifest(push).objects}
    (pack,) = cache.records(records).packs
    place = f"/cache/packs/{pack.digest.hex}"

    whole = ask(app, place)
    some = ask(app, place, range="bytes=7-1006")
    beyond = ask(app, place, range=f"bytes={len(whole.body)}-")
    head = ask(app, place, "HEAD")

    assert len(whole.body) == sum(pack.frames)
    assert (some.status, some.body) == (206, whole.body[7:1007])
    assert beyond.status == 416
    assert (head.headers["content-length"], head.body) == (str(len(whole.body)), b"")
    assert ask(app, place, if_none_match=whole.headers["etag"]).status == 304
