"""Which indexes to use and how to reach them, from what the user has configured.

The first place that names an index decides: what was asked for explicitly, this
program's own variable, uv's configuration, pip's, and else the public index. All
that is read comes in as arguments: the environment, the home and current folders.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError
from fromager.derivations.index.address import (
    ConfiguredIndexes,
    IndexUrl,
    Login,
    redact,
)
from fromager.derivations.index.pip_configuration import (
    PipConfiguration,
    pip_indexes,
    read_pip_configuration,
)
from fromager.derivations.index.transport import HttpSettings, Token
from fromager.derivations.index.uv_configuration import uv_indexes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.derivations.index.forges import Forges

ETC: Final = Path("/etc")
GITHUB: Final = "https://github.com"
GITHUB_API: Final = "https://api.github.com"
GITLAB: Final = "https://gitlab.com"
INDEX_VARIABLE: Final = "FROMAGER_INDEX_URL"
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class IndexConfiguration:
    """The indexes of a command."""

    indexes: tuple[IndexUrl, ...]
    """In order of priority, none twice; each tells where it was configured."""
    notes: tuple[str, ...]
    """What was configured but is not used, for people."""
    assigned: tuple[tuple[str, IndexUrl], ...] = ()
    """Projects (normalised) that are looked for on one index alone, sorted."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where configuration is looked for."""

    environ: Mapping[str, str]
    home: Path
    cwd: Path
    etc: Path = ETC


def find_indexes(
    explicit: Sequence[str],
    around: Surroundings,
    *,
    links: Sequence[str] = (),
    no_index: bool = False,
    assigned: Sequence[str] = (),
) -> IndexConfiguration:
    """The indexes to use: `explicit` ones, or those that are configured.

    `links` are folders, and pages with links to archives; they come before all
    indexes, and with `no_index` are all there is. `assigned` are texts `NAME=URL`: the
    one index for a project.

    No file is parsed that cannot matter, and no address is looked up, so that a
    command which asks no index pays nothing.

    Raises:
        InputError: an address or a file that cannot be understood.
    """
    environ, cwd, given = around.environ, around.cwd, "given explicitly"
    lists = [IndexUrl.parse_links(place, given, cwd) for place in links]
    own = [_assigned(text, around.cwd) for text in assigned]
    if no_index:
        return _configuration(ConfiguredIndexes(lists, assigned=dict(own)))
    indexes = [IndexUrl.parse(u, given, cwd) for u in explicit]
    if not indexes:
        urls = environ.get(INDEX_VARIABLE, "").split()
        indexes = [IndexUrl.parse(u, INDEX_VARIABLE, cwd) for u in urls]
    found = ConfiguredIndexes(indexes)
    if not found.indexes:
        found = uv_indexes(environ, around.home, cwd, around.etc)
    if not found.indexes and not found.only:
        pip = read_pip_configuration(environ, around.home, around.etc)
        before = found
        found = pip_indexes(pip, cwd)
        found.notes += before.notes
        found.assigned |= before.assigned
    if not found.indexes and not found.only:
        found.indexes = [IndexUrl.default()]
    found.indexes = [*lists, *found.indexes]
    found.assigned |= dict(own)
    return _configuration(found)


def _configuration(found: ConfiguredIndexes) -> IndexConfiguration:
    unique: dict[str, IndexUrl] = {}
    for index in found.indexes:
        unique.setdefault(index.name, index)
    return IndexConfiguration(
        tuple(unique.values()),
        tuple(found.notes),
        tuple(sorted(found.assigned.items(), key=lambda item: item[0])),
    )


def _assigned(text: str, cwd: Path) -> tuple[str, IndexUrl]:
    name, equals, url = text.partition("=")
    name = name.strip()
    if not equals or not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name):
        raise InputError(
            f"{redact(text)!r} does not say which index a project has",
            hint="Write NAME=URL",
        )
    project = re.sub(r"[-_.]+", "-", name).lower()
    return project, IndexUrl.parse(url, "given explicitly", cwd)


def find_http_settings(around: Surroundings) -> HttpSettings:
    """How servers are reached, as pip, uv, curl and requests are told it.

    Raises:
        InputError: a file or a time-out that cannot be understood.
    """
    from fromager.derivations.index.keyrings import Keyring

    environ = around.environ
    pip = read_pip_configuration(environ, around.home, around.etc)
    bundle = environ.get("SSL_CERT_FILE") or pip.get("cert")
    for name in _BUNDLES:
        bundle = bundle or environ.get(name)
    certificate = environ.get("SSL_CLIENT_CERT") or pip.get("client-cert")
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    netrc = environ.get("NETRC") or str(around.home / ".netrc")
    provider = environ.get("UV_KEYRING_PROVIDER") or pip.get("keyring-provider")
    keyring = None
    if (provider or "auto") != "disabled":
        path = environ.get("PATH", "")
        command = shutil.which("keyring", path=path)
        keyring = Keyring((command,) if command else (), environ)
    return HttpSettings(
        ca_bundle=_path(bundle, around),
        client_certificate=_path(certificate, around),
        proxies=_proxies(environ, pip),
        no_proxy=tuple(e.strip() for e in no_proxy.split(",") if e.strip()),
        netrc=_path(netrc, around),
        timeout=_timeout(environ, pip),
        keyring=keyring,
        tokens=_tokens(environ),
    )


def _tokens(environ: Mapping[str, str]) -> tuple[Token, ...]:
    """What forges are shown, as their own runners and command lines are told it."""
    forges = find_forges(environ)
    found = []
    if environ.get("GITHUB_TOKEN"):
        value = f"Bearer {environ['GITHUB_TOKEN']}"
        found.append(Token(forges.github_api, "Authorization", value))
    for variable, header in (
        ("GITLAB_PRIVATE_TOKEN", "PRIVATE-TOKEN"),
        ("CI_JOB_TOKEN", "JOB-TOKEN"),
    ):
        if environ.get(variable):
            found.append(Token(forges.gitlab_api, header, environ[variable]))
            break
    return tuple(found)


def find_forges(environ: Mapping[str, str]) -> Forges:
    """Where GitHub and GitLab are, as their own runners are told it."""
    from fromager.derivations.index.forges import Forges

    gitlab = environ.get("CI_SERVER_URL") or GITLAB
    return Forges(
        environ.get("GITHUB_SERVER_URL") or GITHUB,
        environ.get("GITHUB_API_URL") or GITHUB_API,
        gitlab,
        environ.get("CI_API_V4_URL") or f"{gitlab.rstrip('/')}/api/v4",
    )


def forge_logins(environ: Mapping[str, str]) -> tuple[Login, ...]:
    """The same tokens as user and password, for git over HTTP."""
    forges = find_forges(environ)
    found = []
    for variable, site, user in (
        ("GITHUB_TOKEN", forges.github, "x-access-token"),
        ("GITLAB_PRIVATE_TOKEN", forges.gitlab, "oauth2"),
        ("CI_JOB_TOKEN", forges.gitlab, "gitlab-ci-token"),
    ):
        if environ.get(variable):
            found.append(Login(site, user, environ[variable]))
    return tuple(found)


def _path(text: str | None, around: Surroundings) -> Path | None:
    if not text:
        return None
    if text.startswith("~/"):
        return around.home / text[2:]
    return around.cwd / text


def _proxies(
    environ: Mapping[str, str], pip: PipConfiguration
) -> tuple[tuple[str, str], ...]:
    one = pip.get("proxy")
    if one:
        return (("all", _with_scheme(one)),)
    found = {
        scheme: environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY")
        for scheme in ("http", "https", "all")
    }
    return tuple((scheme, _with_scheme(url)) for scheme, url in found.items() if url)


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _timeout(environ: Mapping[str, str], pip: PipConfiguration) -> float:
    name = "UV_HTTP_TIMEOUT"
    text = environ.get(name)
    if not text:
        name, text = "pip's time-out", pip.get("timeout")
    if not text:
        return HttpSettings().timeout
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InputError(f"{name} is {text!r}: not a number of seconds")
    return seconds
