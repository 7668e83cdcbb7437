"""Which indexes are used, and how they are reached."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import InputError
from fromager.derivations.index.configuration import (
    IndexConfiguration,
    Surroundings,
    find_http_settings,
    find_indexes,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.index.transport import HttpSettings


@dataclass
class Machine:
    """A home, a current folder and an /etc to put files into."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def around(self) -> Surroundings:
        folders = [self.root / name for name in ("home", "work/project", "etc")]
        return Surroundings(self.environ, *folders)

    def find(self, *explicit: str) -> IndexConfiguration:
        return find_indexes(explicit, self.around())

    def names(self, *explicit: str) -> list[str]:
        return [index.name for index in self.find(*explicit).indexes]

    def http(self) -> HttpSettings:
        return find_http_settings(self.around())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def url(name: str) -> str:
    return f"https://{name}.test/simple/"


def test_without_configuration_it_is_the_public_index(machine: Machine) -> None:
    (index,) = machine.find().indexes

    assert (index.name, index.origin, index.location) == ("default", "built in", None)


def test_the_first_place_that_names_an_index_decides(machine: Machine) -> None:
    machine.write("home/.config/pip/pip.conf", f"[global]\nindex-url = {url('pip')}\n")
    from_pip = machine.names()
    machine.write("home/.config/uv/uv.toml", f'index-url = "{url("uv")}"\n')
    from_uv = machine.names()
    machine.environ["FROMAGER_INDEX_URL"] = f"{url('a')} {url('b')}"
    from_variable = machine.names()
    explicit = machine.names(url("x"), url("y"))

    assert from_pip == [url("pip")]
    assert from_uv == [url("uv")]
    assert from_variable == [url("a"), url("b")]
    assert explicit == [url("x"), url("y")]


def test_each_index_tells_where_it_was_configured(machine: Machine) -> None:
    path = machine.write("etc/pip.conf", f"[global]\nindex-url = {url('pip')}\n")
    from_pip = machine.find().indexes[0].origin
    machine.environ["UV_INDEX_URL"] = url("uv")

    assert from_pip == str(path)
    assert machine.find().indexes[0].origin == "UV_INDEX_URL"
    assert machine.find(url("x")).indexes[0].origin == "given explicitly"


def test_an_index_counts_once(machine: Machine) -> None:
    twice = [url("a"), url("b"), "https://me:pw@a.test/simple"]

    assert machine.names(*twice) == [url("a"), url("b")]


def test_a_folder_is_named_relative_to_the_current_one(machine: Machine) -> None:
    (index,) = machine.find("wheels/simple").indexes

    assert index.url == f"{(machine.root / 'work/project/wheels/simple').as_uri()}/"


def test_variables_of_uv_come_in_its_order(machine: Machine) -> None:
    machine.environ |= {
        "UV_DEFAULT_INDEX": url("default"),
        "UV_INDEX_URL": url("older"),
        "UV_INDEX": f"{url('one')} two={url('two')}",
        "UV_EXTRA_INDEX_URL": url("extra"),
        "UV_INDEX_TWO_USERNAME": "me",
        "UV_INDEX_TWO_PASSWORD": "secret",
    }

    found = machine.find().indexes

    expected = [url(name) for name in ("one", "two", "extra", "default")]
    assert [index.name for index in found] == expected
    assert found[1].credentials == ("me", "secret")


def test_an_address_with_an_equals_sign_is_an_address(machine: Machine) -> None:
    machine.environ["UV_INDEX"] = "https://a.test/simple?x=1"

    assert machine.names()[0] == "https://a.test/simple?x=1/"


def test_only_extra_indexes_come_before_the_public_one(machine: Machine) -> None:
    machine.environ["PIP_EXTRA_INDEX_URL"] = url("mine")
    from_pip = machine.names()
    machine.environ["UV_INDEX"] = url("ours")

    assert from_pip == [url("mine"), "default"]
    assert machine.names() == [url("ours"), "default"]


def test_a_main_index_of_pip_comes_before_its_extra_ones(machine: Machine) -> None:
    machine.write(
        "home/.pip/pip.conf",
        f"[global]\nindex_url = {url('main')}\nextra-index-url =\n"
        f"    {url('one')}\n    {url('two')}\n",
    )

    assert machine.names() == [url("main"), url("one"), url("two")]


def test_the_project_speaks_before_the_user(machine: Machine) -> None:
    machine.write(
        "work/pyproject.toml",
        f'[[tool.uv.index]]\nname = "p"\nurl = "{url("project")}"\n',
    )
    machine.write(
        "home/.config/uv/uv.toml",
        f'[[index]]\nurl = "{url("main")}"\ndefault = true\n'
        f'[[index]]\nurl = "{url("user")}"\n',
    )

    assert machine.names() == [url("project"), url("user"), url("main")]


def test_files_of_uv_hide_the_pyproject_beside_them(machine: Machine) -> None:
    machine.write("work/project/pyproject.toml", '[tool.uv]\nindex-url = "https://p/"')
    machine.write("work/project/uv.toml", 'index-url = "https://q/"')

    assert machine.names() == ["https://q/"]


def test_a_pyproject_without_uv_is_passed_over(machine: Machine) -> None:
    machine.write("work/project/pyproject.toml", "[tool.other]\nwith = 'uv'")
    machine.write("work/uv.toml", 'index-url = "https://q/"')

    assert machine.names() == ["https://q/"]


def test_the_configuration_of_uv_can_be_chosen_or_refused(machine: Machine) -> None:
    machine.write("work/project/uv.toml", 'index-url = "https://q/"')
    chosen = machine.write("work/other.toml", 'index-url = "https://o/"')
    machine.environ["UV_CONFIG_FILE"] = str(chosen)
    with_choice = machine.names()
    machine.environ["UV_NO_CONFIG"] = "1"

    assert with_choice == ["https://o/"]
    assert machine.names() == ["default"]


def test_the_configuration_of_pip_can_be_chosen_or_refused(machine: Machine) -> None:
    machine.write("etc/pip.conf", "[global]\nindex-url = https://etc/\n")
    chosen = machine.write("pip.ini", "[global]\nindex-url = https://chosen/\n")
    machine.environ["PIP_CONFIG_FILE"] = str(chosen)
    with_choice = machine.names()
    machine.environ["PIP_CONFIG_FILE"] = "/dev/null"

    assert with_choice == ["https://chosen/"]
    assert machine.names() == ["default"]


def test_an_index_for_some_projects_is_asked_for_no_others(machine: Machine) -> None:
    machine.write(
        "home/.config/uv/uv.toml",
        '[[index]]\nname = "torch"\nurl = "https://t.test/"\nexplicit = true\n'
        '[sources]\nMy_Torch = { index = "torch" }\nother = { index = "none" }\n',
    )
    machine.environ["UV_INDEX_TORCH_USERNAME"] = "me"

    found = machine.find()

    assert [index.name for index in found.indexes] == ["default"]
    ((project, index),) = found.assigned
    assert (project, index.name) == ("my-torch", "https://t.test/")
    assert index.credentials == ("me", "")
    assert "'none'" in "\n".join(found.notes)


@pytest.mark.parametrize("tool", ["pip", "uv", "given"])
def test_lists_of_links_come_before_indexes(machine: Machine, tool: str) -> None:
    links: tuple[str, ...] = ()
    if tool == "pip":
        machine.environ["PIP_FIND_LINKS"] = "/archives https://l.test/page.html"
    elif tool == "uv":
        machine.environ["UV_FIND_LINKS"] = "/archives,https://l.test/page.html"
    else:
        links = ("/archives", "https://l.test/page.html")

    found = find_indexes((), machine.around(), links=links)

    assert [(index.url, index.links) for index in found.indexes[:2]] == [
        ("file:///archives/", True),
        ("https://l.test/page.html", True),
    ]
    assert [index.name for index in found.indexes[2:]] == ["default"]


@pytest.mark.parametrize("variable", ["PIP_NO_INDEX", "UV_NO_INDEX", ""])
def test_without_an_index_links_are_all_there_is(
    machine: Machine, variable: str
) -> None:
    if variable:
        machine.environ[variable] = "1"
    around = machine.around()

    found = find_indexes((), around, links=("l",), no_index=not variable)

    assert [index.links for index in found.indexes] == [True]


def test_a_project_can_be_given_an_index_of_its_own(machine: Machine) -> None:
    around = machine.around()

    found = find_indexes((), around, assigned=(f"Acme.Core={url('acme')}",))

    assert [(name, index.name) for name, index in found.assigned] == [
        ("acme-core", url("acme"))
    ]
    for text in ("acme", "=x", "a b=https://x.test/"):
        with pytest.raises(InputError, match="which index"):
            find_indexes((), around, assigned=(text,))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("home/.config/uv/uv.toml", "index-url = "),
        ("home/.config/uv/uv.toml", "index = 3"),
        ("home/.config/uv/uv.toml", "[[index]]\nname = 'x'"),
        ("home/.config/uv/uv.toml", "extra-index-url = [1]"),
        ("home/.config/uv/uv.toml", "index-url = 'ftp://x/'"),
        ("work/pyproject.toml", "[tool.uv]\nindex-url = 3"),
        ("home/.config/pip/pip.conf", "index-url = https://x/"),
        ("home/.config/pip/pip.conf", "[global]\nindex-url = git+ssh://x/"),
    ],
)
def test_a_broken_file_is_named(machine: Machine, path: str, text: str) -> None:
    place = machine.write(path, text)

    with pytest.raises(InputError) as caught:
        machine.find()

    assert str(place) in str(caught.value)


def test_a_missing_file_that_was_named_is_an_error(machine: Machine) -> None:
    machine.environ["UV_CONFIG_FILE"] = "absent.toml"

    with pytest.raises(InputError, match=r"absent\.toml"):
        machine.find()


def test_servers_are_reached_as_other_tools_are_told(machine: Machine) -> None:
    machine.write(
        "home/.config/pip/pip.conf", "[global]\ncert = ~/ca.pem\ntimeout = 60\n"
    )
    machine.environ |= {
        "HTTPS_PROXY": "proxy.test:3128",
        "http_proxy": "http://me:pw@other.test",
        "NO_PROXY": "localhost, .internal.test",
        "SSL_CLIENT_CERT": "/me.pem",
    }

    found = machine.http()

    assert str(found.ca_bundle) == str(machine.root / "home/ca.pem")
    assert str(found.client_certificate) == "/me.pem"
    assert dict(found.proxies) == {
        "https": "http://proxy.test:3128",
        "http": "http://me:pw@other.test",
    }
    assert found.no_proxy == ("localhost", ".internal.test")
    assert found.netrc == machine.root / "home/.netrc"
    assert found.timeout == 60
    assert "pw" not in repr(found)


def test_the_stronger_setting_of_a_server_wins(machine: Machine) -> None:
    machine.environ |= {
        "REQUESTS_CA_BUNDLE": "/requests.pem",
        "PIP_CERT": "/pip.pem",
        "PIP_PROXY": "http://pip.test",
        "HTTPS_PROXY": "http://other.test",
        "PIP_DEFAULT_TIMEOUT": "7",
        "NETRC": "/netrc",
    }
    first = machine.http()
    machine.environ |= {"SSL_CERT_FILE": "/ssl.pem", "UV_HTTP_TIMEOUT": "8"}
    second = machine.http()

    assert (str(first.ca_bundle), str(second.ca_bundle)) == ("/pip.pem", "/ssl.pem")
    assert (first.timeout, second.timeout) == (7, 8)
    assert first.proxies == (("all", "http://pip.test"),)
    assert str(first.netrc) == "/netrc"


@pytest.mark.parametrize("text", ["soon", "-1", "0", "inf", "nan"])
def test_a_time_out_is_a_number_of_seconds(machine: Machine, text: str) -> None:
    machine.environ["UV_HTTP_TIMEOUT"] = text

    with pytest.raises(InputError, match="UV_HTTP_TIMEOUT"):
        machine.http()


def test_no_parser_is_loaded_where_nothing_can_matter(machine: Machine) -> None:
    machine.write("home/.config/pip/pip.conf", "[global]\ncert = /ca.pem\n")
    machine.write("work/project/pyproject.toml", "[project]\nname = 'x'\n")
    root = machine.root
    script = f"""
import sys
from pathlib import Path
from fromager.derivations.index.configuration import Surroundings, find_indexes
root = Path({str(root)!r})
around = Surroundings({{}}, root / "home", root / "work/project", root / "etc")
assert find_indexes((), around).indexes[0].name == "default"
print(sorted({{"tomllib", "configparser", "pypi_simple"}} & set(sys.modules)))
"""

    output = subprocess.check_output([sys.executable, "-c", script], text=True)

    assert output == "[]\n"
