"""Provenance objects of PEP 740: read from a folder, told on pages, sent as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fromager.derivations import Attestor, InputError, StoreCache, read_provenances
from fromager.derivations.index.simple import parse_page
from fromager.derivations.realising.events import unheard
from fromager.derivations.serving.application import Application
from fromager.derivations.serving.catalogue import Catalogue
from fromager.store import LocalStore, open_store
from support.asgi import ask
from support.provenance import provenance_of
from support.sharing import build
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WHEEL = "demo-1.0-py3-none-any.whl"
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html"
SHA256 = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "attested"
    folder.mkdir()
    return folder


def write(folder: Path, value: object, name: str = f"{WHEEL}.provenance") -> bytes:
    content = json.dumps(value).encode()
    (folder / name).write_bytes(content)
    return content


def served(store: LocalStore, folder: Path) -> Application:
    attestor = Attestor(store, None, unheard)
    provenances = read_provenances(folder)
    catalogue = Catalogue(store, attestor, unheard, provenances=provenances)
    cache = StoreCache(store, attestor, tuple, lambda: 0.0)
    return Application(catalogue, cache, lambda claim, form: b"")


def test_provenance_is_told_by_whole_addresses_and_sent_as_it_is(
    store: LocalStore, folder: Path
) -> None:
    sha256 = "cd" * 32
    build(store, "demo==1.0", {WHEEL: WheelMaker("demo").build()}, sha256=sha256)
    build(
        store, "demo==2.0", {f"demo-2.0{WHEEL[8:]}": WheelMaker("demo", "2.0").build()}
    )
    content = write(folder, provenance_of(WHEEL, sha256))
    app = served(store, folder)

    page = ask(app, "/simple/demo/", accept=JSON).json
    attested, other = page["files"]
    links = ask(app, "/simple/demo/", accept=HTML).body.decode()
    address = f"http://index.test/files/{sha256}/{WHEEL}.provenance"
    answer = ask(app, address.removeprefix("http://index.test"))

    assert page["meta"]["api-version"] == "1.3"
    assert attested["provenance"] == address
    assert "provenance" not in other
    assert links.count("data-provenance") == 1
    assert f'data-provenance="{address}"' in links
    assert answer.body == content
    assert answer.headers["content-type"] == "application/vnd.pypi.integrity.v1+json"


@pytest.mark.parametrize("form", [JSON, HTML])
def test_pages_with_provenance_are_read_as_any(
    store: LocalStore, folder: Path, form: str
) -> None:
    build(store, "demo==1.0", {WHEEL: WheelMaker("demo").build()}, sha256=SHA256)
    write(folder, provenance_of(WHEEL, SHA256))

    answer = ask(served(store, folder), "/simple/demo/", accept=form)
    kind = answer.headers["content-type"]
    page = parse_page(answer.body, kind, "https://index.test/simple/demo/", "demo")

    assert [file.filename for file in page.files] == [WHEEL]


@pytest.mark.parametrize("host", ["index.test:8080", "[::1]:8080", "10.0.0.1"])
def test_addresses_are_those_that_the_client_knows(
    store: LocalStore, folder: Path, host: str
) -> None:
    build(store, "demo==1.0", {WHEEL: WheelMaker("demo").build()}, sha256=SHA256)
    write(folder, provenance_of(WHEEL, SHA256))

    (row,) = ask(served(store, folder), "/simple/demo/", accept=JSON, host=host).json[
        "files"
    ]

    assert row["provenance"].startswith(f"http://{host}/files/")


@pytest.mark.parametrize("host", ['x"><script>', "a/b", "", "a b", "x:y"])
def test_a_host_that_cannot_be_is_told_no_address(
    store: LocalStore, folder: Path, host: str
) -> None:
    build(store, "demo==1.0", {WHEEL: WheelMaker("demo").build()}, sha256=SHA256)
    write(folder, provenance_of(WHEEL, SHA256))

    page = ask(served(store, folder), "/simple/demo/", accept=JSON, host=host).json

    assert page["meta"]["api-version"] == "1.1"
    assert "provenance" not in page["files"][0]


def test_what_is_attested_of_other_bytes_is_not_told(
    store: LocalStore, folder: Path
) -> None:
    build(store, "demo==1.0", {WHEEL: WheelMaker("demo").build()}, sha256=SHA256)
    write(folder, provenance_of(WHEEL, "00" * 32))
    app = served(store, folder)

    (row,) = ask(app, "/simple/demo/", accept=JSON).json["files"]

    assert "provenance" not in row
    assert ask(app, f"/files/{SHA256}/{WHEEL}.provenance").status == 404


def test_names_may_be_spelled_otherwise(folder: Path) -> None:
    write(folder, provenance_of("Some.Thing-1.0.0-py2.py3-none-any.whl", SHA256))

    found = read_provenances(folder)

    assert found.of(SHA256, "some_thing-1.0.0-py3.py2-none-any.whl") is not None
    assert found.of(SHA256, "some_thing-1.0.1-py3.py2-none-any.whl") is None


def _change(**members: object) -> Callable[[dict[str, Any]], object]:
    return lambda value: {**value, **members}


def _without_signature(value: dict[str, Any]) -> object:
    del value["attestation_bundles"][0]["attestations"][0]["envelope"]["signature"]
    return value


def _of_two(value: dict[str, Any]) -> object:
    more = provenance_of("other-1.0-py3-none-any.whl", SHA256)
    value["attestation_bundles"] += more["attestation_bundles"]
    return value


def _no_wheel(value: dict[str, Any]) -> object:
    return provenance_of("demo-1.0.tar.gz", SHA256)


def _bad_base64(value: dict[str, Any]) -> object:
    attestation = value["attestation_bundles"][0]["attestations"][0]
    attestation["envelope"]["statement"] = "%%%"
    return value


def _deep(value: dict[str, Any]) -> object:
    nested: object = 1
    for _ in range(200):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    "change",
    [
        _change(version=2),
        _change(attestation_bundles=[]),
        _change(attestation_bundles=[{"publisher": {}, "attestations": []}]),
        _change(attestation_bundles=3),
        _without_signature,
        _of_two,
        _no_wheel,
        _bad_base64,
        _deep,
        lambda value: None,
    ],
)
def test_what_is_no_provenance_is_refused_by_name(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    write(folder, change(provenance_of(WHEEL, SHA256)))

    with pytest.raises(InputError, match=f"{WHEEL}.provenance is no provenance"):
        read_provenances(folder)


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"[" * 100_000])
def test_what_is_no_json_is_refused(folder: Path, content: bytes) -> None:
    (folder / f"{WHEEL}.provenance").write_bytes(content)

    with pytest.raises(InputError, match="is no provenance"):
        read_provenances(folder)


def test_a_folder_without_any_is_a_mistake(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no provenance in"):
        read_provenances(folder)
    with pytest.raises(InputError, match="cannot be read"):
        read_provenances(folder / "nowhere")
