"""Registries of crates: which index is meant, and where its crates are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import (
    AccessDenied,
    InputError,
    NetworkError,
    SourceError,
)
from fromager.derivations.rust.lock import Crate, RegistrySource
from fromager.derivations.rust.registries import (
    CargoConfiguration,
    Registries,
    crate_address,
)
from support.rust import DEFAULT_INDEX

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT = RegistrySource(DEFAULT_INDEX)
PRIVATE = RegistrySource("https://git.example.test/private-index")
LEAF = Crate("leaf", "1.2.0", DEFAULT, "a" * 64)


SPARSE = RegistrySource("sparse+https://c.example.test/")
NAMED = '[registries.acme]\nindex = "sparse+https://c.example.test/"\n'


class Server:
    """Gives one content, and keeps who asked for what with which token."""

    def __init__(self, configuration: dict[str, object]) -> None:
        self.content = json.dumps(configuration)
        self.asked: list[tuple[str, str | None]] = []

    def __call__(
        self,
        url: str,
        target: Path,
        *,
        sha256: str | None = None,
        login: str | None = None,
    ) -> None:
        self.asked.append((url, login))
        target.write_text(self.content)


def configured(
    tmp_path: Path, text: str, name: str = "config.toml"
) -> CargoConfiguration:
    (tmp_path / name).write_text(text)
    return CargoConfiguration.load(tmp_path)


def test_the_registry_that_cargo_knows_is_read_file_by_file() -> None:
    host = DEFAULT_INDEX.rpartition("/")[2].removesuffix("-index")

    assert CargoConfiguration().sparse_index(DEFAULT) == f"https://index.{host}/"


def test_a_sparse_registry_is_its_own_address() -> None:
    source = RegistrySource("sparse+https://c.example.test/index")

    assert CargoConfiguration().sparse_index(source) == "https://c.example.test/index/"


def test_a_git_index_is_not_read() -> None:
    with pytest.raises(SourceError, match="git repository") as error:
        CargoConfiguration().sparse_index(PRIVATE)

    assert "replace-with" in str(error.value.hint)


@pytest.mark.parametrize("name", ["config", "config.toml"])
def test_replacements_of_cargo_are_followed(tmp_path: Path, name: str) -> None:
    config = configured(
        tmp_path,
        '[source.crates-io]\nreplace-with = "near"\n'
        '[source.near]\nreplace-with = "mirror"\n'
        '[source.mirror]\nregistry = "sparse+https://m.example.test/"\n',
        name,
    )

    assert config.sparse_index(DEFAULT) == "https://m.example.test/"


def test_any_registry_may_be_replaced(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        f'[source.own]\nregistry = "{PRIVATE.url}"\nreplace-with = "mirror"\n'
        '[registries.mirror]\nindex = "sparse+https://m.example.test/"\n',
    )

    assert config.sparse_index(PRIVATE) == "https://m.example.test/"


CIRCLE = """
[source.crates-io]
replace-with = "a"
[source.a]
replace-with = "b"
[source.b]
replace-with = "a"
"""
FOLDER = """
[source.crates-io]
replace-with = "a"
[source.a]
directory = "/a"
"""


@pytest.mark.parametrize(
    ("text", "reason"), [(CIRCLE, "by itself"), (FOLDER, "by a folder")]
)
def test_replacements_that_lead_nowhere_are_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    config = configured(tmp_path, text)

    with pytest.raises((InputError, SourceError), match=reason):
        config.sparse_index(DEFAULT)


def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.toml cannot be read"):
        configured(tmp_path, "[source")


def test_no_configuration_replaces_nothing(tmp_path: Path) -> None:
    assert CargoConfiguration.load(tmp_path / "absent") == CargoConfiguration()


@pytest.mark.parametrize(
    ("name", "template", "address"),
    [
        ("leaf", "https://c.test/api", "https://c.test/api/leaf/1.2.0/download"),
        ("leaf", "https://c.test/{crate}-{version}", "https://c.test/leaf-1.2.0"),
        ("a", "https://c.test/{prefix}", "https://c.test/1"),
        ("ab", "https://c.test/{prefix}", "https://c.test/2"),
        ("abc", "https://c.test/{prefix}", "https://c.test/3/a"),
        ("Leaf", "https://c.test/{prefix}/{lowerprefix}", "https://c.test/Le/af/le/af"),
        ("leaf", "https://c.test/{sha256-checksum}", f"https://c.test/{'a' * 64}"),
    ],
)
def test_addresses_follow_the_template_of_a_registry(
    name: str, template: str, address: str
) -> None:
    crate = Crate(name, "1.2.0", DEFAULT, "a" * 64)

    assert crate_address(template, crate) == address


def test_a_registry_is_asked_once_and_only_when_it_is_needed(tmp_path: Path) -> None:
    server = Server({"dl": "https://f.example.test"})
    registries = Registries(CargoConfiguration, server)
    assert server.asked == []

    for _ in range(2):
        registries.fetch(LEAF, SPARSE, tmp_path / "file")

    assert server.asked == [
        ("https://c.example.test/config.json", None),
        ("https://f.example.test/leaf/1.2.0/download", None),
        ("https://f.example.test/leaf/1.2.0/download", None),
    ]


@pytest.mark.parametrize("closed", [True, False])
def test_a_token_is_sent_to_crates_where_the_registry_demands_it(
    tmp_path: Path, closed: bool
) -> None:
    config = configured(tmp_path, NAMED)
    (tmp_path / "credentials.toml").write_text(
        '[registries.acme]\ntoken = "secret"\n[registries.other]\ntoken = "no"\n'
    )
    server = Server({"dl": "https://f.example.test", "auth-required": closed})
    registries = Registries(lambda: CargoConfiguration.load(tmp_path), server)

    registries.fetch(LEAF, SPARSE, tmp_path / "file")

    assert server.asked == [
        ("https://c.example.test/config.json", "secret"),
        ("https://f.example.test/leaf/1.2.0/download", "secret" if closed else None),
    ]
    assert config.tokens == {}
    assert "secret" not in repr(CargoConfiguration.load(tmp_path))


def test_variables_say_more_of_tokens_than_files(tmp_path: Path) -> None:
    configured(tmp_path, NAMED + 'token = "of the configuration"\n')
    variables = {"CARGO_REGISTRIES_ACME_TOKEN": "of the environment"}

    found = CargoConfiguration.load(tmp_path, variables)

    assert CargoConfiguration.load(tmp_path).tokens == {"acme": "of the configuration"}
    assert found.token("https://c.example.test/") == "of the environment"
    assert found.token("https://d.example.test/") is None


def test_a_registry_that_lets_nobody_in_is_told_with_the_remedy(tmp_path: Path) -> None:
    def download(
        url: str, target: Path, *, sha256: str | None = None, login: str | None = None
    ) -> None:
        raise AccessDenied(url, "the server answered 401 Unauthorized")

    with pytest.raises(AccessDenied, match=r"config\.json: .* 401") as error:
        Registries(CargoConfiguration, download).fetch(LEAF, SPARSE, tmp_path / "file")

    assert 'index = "sparse+https://c.example.test/"' in str(error.value.hint)
    assert "credentials.toml" in str(error.value.hint)


def test_credentials_that_cannot_be_read_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "credentials.toml").write_text('[registries.acme]\ntoken = "secret\n')

    with pytest.raises(InputError, match=r"credentials\.toml.* at line 2") as error:
        CargoConfiguration.load(tmp_path)

    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "content", ["<html>", "{}", "[]", '{"dl": "ftp://f.test"}', '{"dl": 3}']
)
def test_a_page_that_is_no_registry_is_refused(tmp_path: Path, content: str) -> None:
    server = Server({})
    server.content = content
    registries = Registries(CargoConfiguration, server)

    with pytest.raises(NetworkError, match=r"config\.json"):
        registries.fetch(LEAF, DEFAULT, tmp_path / "file")
