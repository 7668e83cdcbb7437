"""A password given in any of the ways is used, and is nowhere to be found afterwards."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import trustme

from support.canary import CANARY, LOGIN, USER, assert_hidden
from support.forge import serve_forge
from support.index import LocalIndex, local_index
from support.projects import scm_members, sdist
from support.proxy import forward_proxy
from support.repositories import Repository, git_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.command_line import Place


@pytest.fixture
def private() -> Iterator[LocalIndex]:
    """An index that wants a password."""
    with local_index(credentials=(USER, CANARY), cache_control="max-age=600") as index:
        yield index


def failing(name: str) -> tuple[str, bytes]:
    """A project whose build prints its environment and all that it can read, and fails."""
    script = (
        "import os, pathlib\n"
        "def build_wheel(*a, **k):\n"
        "    print(dict(os.environ))\n"
        "    places = [*pathlib.Path('/build').rglob('*'), *pathlib.Path('/tmp').rglob('*')]\n"
        "    for path in [*places, *pathlib.Path('/proc').glob('*/[ce]*')]:\n"
        "        try: print(path, path.read_bytes())\n"
        "        except OSError: pass\n"
        "    raise SystemExit('on purpose')\n"
    )
    pyproject = (
        '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
    )
    more = {"b.py": script, "pyproject.toml": pyproject}
    return sdist(name, "1.0", more=more)


def test_the_search_finds_what_is_not_hidden(fresh: Place, private: LocalIndex) -> None:
    fresh.index = private.url_with_credentials
    private.add(*sdist("plain", "1.0", more={"leak.txt": CANARY}))
    outcome = fresh.realise("plain")

    with pytest.raises(AssertionError, match="leak"):
        assert_hidden(fresh, outcome)


@dataclass
class Case:
    """An index behind a password, and what the command is told to get in."""

    place: Place
    private: LocalIndex
    given: tuple[str, ...] = ()
    """What holds the password below the folder."""
    words: tuple[str, ...] = ()
    """Options that come first."""
    passed: Callable[[], bool] = lambda: True
    """Whether the way was taken at all."""

    def write(self, path: str, text: str) -> Path:
        file = self.place.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.given = (*self.given, path.partition("/")[0])
        return file


def by_address(case: Case) -> None:
    case.words = ("--index", case.private.url_with_credentials)


def by_variable(case: Case) -> None:
    case.place.variables["FROMAGER_INDEX_URL"] = case.private.url_with_credentials


def by_variable_of_uv(case: Case) -> None:
    case.place.variables["UV_DEFAULT_INDEX"] = case.private.url_with_credentials


def by_name_of_uv(case: Case) -> None:
    (case.place.folder / "uv.toml").write_text(
        f'[[index]]\nname = "own"\nurl = "{case.private.url}"\ndefault = true\n'
    )
    case.place.variables["UV_INDEX_OWN_USERNAME"] = USER
    case.place.variables["UV_INDEX_OWN_PASSWORD"] = CANARY


def by_file_of_uv(case: Case) -> None:
    url = case.private.url_with_credentials
    case.write("uv.toml", f'[[index]]\nurl = "{url}"\ndefault = true\n')


def by_variable_of_pip(case: Case) -> None:
    case.place.variables["PIP_INDEX_URL"] = case.private.url_with_credentials


def by_file_of_pip(case: Case) -> None:
    url = case.private.url_with_credentials
    case.write(".config/pip/pip.conf", f"[global]\nindex-url = {url}\n")


def by_netrc(case: Case) -> None:
    text = f"machine 127.0.0.1 login {USER} password {CANARY}\n"
    case.write(".netrc", text)
    case.place.index = case.private.url


def by_netrc_elsewhere(case: Case) -> None:
    text = f"machine 127.0.0.1 login {USER} password {CANARY}\n"
    case.place.variables["NETRC"] = str(case.write("logins", text))
    case.place.index = case.private.url


def by_keyring(case: Case) -> None:
    said = json.dumps({"username": USER, "password": CANARY})
    program = case.write("bin/keyring", f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    path = case.place.environ["PATH"]
    case.place.variables["PATH"] = f"{program.parent}:{path}"
    case.place.index = case.private.url


WAYS: list[Callable[[Case], None]] = [
    by_address,
    by_variable,
    by_variable_of_uv,
    by_name_of_uv,
    by_file_of_uv,
    by_variable_of_pip,
    by_file_of_pip,
    by_netrc,
    by_netrc_elsewhere,
    by_keyring,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_password_for_an_index_is_nowhere(
    place: Place, private: LocalIndex, way: Callable[[Case], None]
) -> None:
    place.index = ""
    case = Case(place, private)
    way(case)

    assert_used_and_hidden(case, way.__name__.replace("_", "-"))


def assert_used_and_hidden(case: Case, mark: str) -> None:
    """A project is locked, and its build shows all that it can see; nothing of that,
    and nothing that is said or kept, tells the password."""
    place = case.place
    name = f"fail-{mark}"
    case.private.add(*failing(name))

    locked = place.run(*case.words, "lock", name, "-o", "pylock.toml")
    built = place.run(*case.words, "realise", "-vv", name)
    shown = place.run(*case.words, "config", "show")
    log = place.run("log", name)

    assert locked.code == 0, locked.err
    assert built.code == 5, built.err
    assert "SOURCE_DATE_EPOCH" in log.out and "on purpose" in log.out
    assert case.passed()
    assert_hidden(place, locked, built, shown, log, given=case.given)
    assert (place.folder / "pylock.toml").exists()


def test_a_password_is_not_in_an_answer_that_is_kept(
    place: Place, private: LocalIndex
) -> None:
    private.add(*sdist("answered", "1.0"))
    words = ("--index", private.url_with_credentials, "lock", "-o", "-", "answered")
    place.variables["OTHER"] = CANARY

    said = [place.call(*words) for _ in range(3)]

    assert len({each.out for each in said}) == 1 and "answered" in said[0].out
    answers = place.folder / ".cache" / "fromager" / "answers"
    assert len(list(answers.iterdir())) == 1
    assert_hidden(place, *said)


def test_a_password_for_the_index_of_one_project_is_nowhere(
    place: Place, private: LocalIndex
) -> None:
    private.add(*sdist("single", "1.0"))
    private.add(*failing("single-failing"))
    place.index = "http://127.0.0.1:1/"
    url = private.url_with_credentials
    words = [f"--index-for={name}={url}" for name in ("single", "single-failing")]

    locked = place.call(*words, "lock", "single", "-o", "pylock.toml")
    built = place.run(
        *words, "realise", "--keep-going", "-vv", "single", "single-failing"
    )

    assert (locked.code, built.code) == (0, 5)
    assert_hidden(place, locked, built)


def test_a_password_in_a_variable_of_a_requirement_file_is_nowhere(
    place: Place, private: LocalIndex
) -> None:
    private.add(*sdist("listed", "1.0"))
    place.index = ""
    (place.folder / "r.txt").write_text("-i ${INDEX}\nlisted\n")
    place.variables["INDEX"] = private.url_with_credentials

    locked = place.call("lock", "-r", "r.txt", "-o", "pylock.toml")
    built = place.run("realise", "-vv", "-r", "r.txt")

    assert (locked.code, built.code) == (0, 0)
    assert_hidden(place, locked, built)


@pytest.mark.parametrize("way", ["variable", "pip.conf"])
def test_a_password_for_a_proxy_is_nowhere(
    place: Place, private: LocalIndex, way: str
) -> None:
    private.credentials = None
    case = Case(place, private)
    place.index = private.url
    with forward_proxy((USER, CANARY)) as proxy:
        if way == "variable":
            place.variables["http_proxy"] = proxy.url(LOGIN)
        else:
            text = f"[global]\nproxy = {proxy.url(LOGIN)}\n"
            case.write(".config/pip/pip.conf", text)
        case.passed = lambda: len(proxy.requests) >= 2
        assert_used_and_hidden(case, f"proxied-{way.replace('.', '-')}")


def test_a_password_that_a_proxy_refuses_is_not_shown(place: Place) -> None:
    with forward_proxy((USER, "another")) as proxy:
        for scheme in ("http", "https"):
            place.variables[f"{scheme}_proxy"] = proxy.url(LOGIN)
            index = f"{scheme}://{USER}:{CANARY.replace('/', '%2F')}@index.test/simple/"
            outcome = place.run("--index", index, "realise", "-vv", "wanted")

            assert outcome.code == 1
            assert "407" in outcome.error and "address of the proxy" in outcome.error
            assert_hidden(place, outcome)

        # Asked once each: a password does not become right by waiting.
        assert [row[0] for row in proxy.requests] == ["GET", "CONNECT"]


@pytest.mark.parametrize(
    ("variable", "provider", "user"),
    [
        ("GITHUB_TOKEN", "github", "x-access-token"),
        ("GITLAB_PRIVATE_TOKEN", "gitlab", "oauth2"),
        ("CI_JOB_TOKEN", "gitlab", "gitlab-ci-token"),
    ],
)
def test_a_token_of_a_forge_is_nowhere(
    place: Place, variable: str, provider: str, user: str
) -> None:
    name = f"of-{variable.lower().replace('_', '-')}"
    project = "owner/demo" if provider == "github" else "group/sub/demo"
    repository = Repository.make(place.folder / "served" / f"{project}.git")
    repository.commit(scm_members(name), tag="v1.0")
    (place.folder / "fromager.toml").write_text(
        f"[package.{name}.tags]\nprovider = '{provider}'\nproject = '{project}'\n"
    )
    with (
        serve_forge() as forge,
        git_server(place.folder / "served", (user, CANARY)) as server,
    ):
        forge.tags = {"v1.0": repository.head}
        sites = {"GITHUB_SERVER_URL": server.base, "CI_SERVER_URL": server.base}
        place.variables |= {**forge.environ, **sites, variable: CANARY}
        locked = place.call("lock", name, "-o", "pylock.toml")
        built = place.run("realise", "-vv", name)
        forge.refusals.append((403, {}))
        refused = place.run("realise", "-vv", "--refresh", name)

    assert refused.code == 1
    assert locked.code == 0, locked.err
    assert built.code == 0, built.err
    assert forge.requests and any(CANARY in str(h) for _, h in forge.requests)
    assert_hidden(place, locked, built, refused)


def test_the_key_of_a_client_certificate_is_nowhere(place: Place) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("me@example.test")
    authority.cert_pem.write_to_path(str(place.folder / "authority.pem"))
    file = place.folder / "me.pem"
    made.private_key_and_cert_chain_pem.write_to_path(str(file))
    # Text between the parts of such a file is passed over; it stands for the key.
    file.write_text(f"{CANARY}\n{file.read_text()}")
    key = file.read_text().splitlines()[2]
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    place.variables["SSL_CERT_FILE"] = str(place.folder / "authority.pem")

    with local_index(
        dict([sdist("certified", "1.0"), failing("certified-failing")]), tls=tls
    ) as index:
        place.index = index.url
        without = place.run("realise", "certified")
        place.variables["SSL_CLIENT_CERT"] = str(file)
        locked = place.call("lock", "certified", "-o", "pylock.toml")
        built = place.run(
            "realise", "--keep-going", "-vv", "certified", "certified-failing"
        )
        log = place.run("log", "certified-failing")

    assert without.code == 1 and "SSL_CLIENT_CERT" in without.error
    assert locked.code == 0, locked.err
    assert built.code == 5 and "on purpose" in log.out
    assert_hidden(place, without, locked, built, log, given=("me.pem",))
    assert all(key not in each.out + each.err for each in (locked, built, log))
    assert str(file) not in log.out + (place.folder / "pylock.toml").read_text()


def test_a_password_that_is_refused_is_not_shown(
    place: Place, private: LocalIndex
) -> None:
    url = private.url.replace("://", f"://{USER}:{quote(CANARY + 'x', safe='')}@")

    for words in (
        ("wanted",),
        (private.file_url("x-1.tar.gz").replace("://", "://u:p@"),),
    ):
        outcome = place.run("--index", url, "realise", *words)

        assert outcome.code == 1
        assert "401" in outcome.err
        assert_hidden(place, outcome)


def test_a_settings_file_that_is_wrong_does_not_show_a_password(place: Place) -> None:
    url = f"https://{USER}:{quote(CANARY, safe='')}@host.test/simple/"
    (place.folder / "fromager.toml").write_text(f'index = "{url}"\n')

    outcome = place.run("config", "show")

    assert outcome.code == 2 and "***@host.test" in outcome.err
    assert_hidden(place, outcome, given=("fromager.toml",))


def test_a_password_for_an_archive_is_nowhere(
    place: Place, private: LocalIndex
) -> None:
    private.add(*sdist("archived", "1.0"))
    url = private.file_url("archived-1.0.tar.gz")
    secret = url.replace("://", f"://{USER}:{quote(CANARY, safe='')}@")

    plain = place.realise(secret)
    fixed = place.realise(f"{secret}#sha256={private.sha256('archived-1.0.tar.gz')}")
    (place.folder / "r.txt").write_text(f"archived @ {secret}\n")
    named = place.run("realise", "-v", "-r", "r.txt")
    wrong = place.run("realise", f"other @ {secret}")

    assert named.code == 0 and wrong.code == 1
    assert_hidden(place, plain, fixed, named, wrong, given=("r.txt",))


def test_a_password_for_a_repository_is_nowhere(place: Place) -> None:
    repository = Repository.make(place.folder / "served" / "hidden")
    repository.commit({"pyproject.toml": "[project]\nname = 'hidden'\n"})
    with git_server(place.folder / "served", (USER, CANARY)) as server:
        url = server.url("hidden/.git")
        secret = url.replace("://", f"://{USER}:{quote(CANARY, safe='')}@")
        refused = place.run("realise", f"git+{url}")
        outcome = place.run("realise", "-v", f"git+{secret}")
        wrong = place.run("realise", f"git+{secret}@nothing")

    assert refused.code == 1 and "netrc" in refused.err
    # It has no backend that could be had; what matters is how far it came.
    assert "hidden" in outcome.err and wrong.code == 1
    assert any("authorization" in headers for _, headers in server.requests)
    assert_hidden(place, refused, outcome, wrong)
