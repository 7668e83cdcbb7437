"""Repositories and forges, reached as the user has configured it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.index.address import Credentials, netrc_hosts
from fromager.derivations.index.configuration import (
    find_forges,
    find_http_settings,
    forge_logins,
)
from fromager.derivations.index.forges import ForgeClient
from fromager.derivations.sources.git import Git
from fromager.derivations.sources.git_command import GitCommand, GitSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fromager.derivations.building.sandbox import Stop
    from fromager.derivations.index.address import IndexUrl, Login
    from fromager.derivations.index.client import HttpIndexClient
    from fromager.derivations.index.configuration import Surroundings
    from fromager.derivations.index.retries import Retries
    from fromager.derivations.index.transport import HttpSettings


@dataclass(frozen=True)
class Repositories:
    """What fetches repositories, and what tells their tags."""

    git: Git
    forges: ForgeClient


def open_repositories(
    around: Surroundings,
    client: HttpIndexClient,
    cache: Path,
    retries: Retries,
    stop: Stop,
    *,
    indexes: Sequence[IndexUrl] = (),
    logins: Sequence[Login] = (),
    offline: bool = False,
) -> Repositories:
    """Repositories are kept in the folder `cache`; tags are asked for with `client`.

    Passwords are those of `logins`, of `indexes` on the same server, of a netrc file
    and of forges; they are looked up when a request is made.
    """

    def credentials() -> Credentials:
        hosts = netrc_hosts(find_http_settings(around).netrc)
        return Credentials(indexes, hosts, (*logins, *forge_logins(around.environ)))

    settings = GitSettings(
        around.environ, more=lambda: _variables(find_http_settings(around))
    )
    command = GitCommand(settings, stop)
    return Repositories(
        Git(command, cache, retries, credentials, offline),
        ForgeClient(client.ask, find_forges(around.environ)),
    )


def _variables(settings: HttpSettings) -> Mapping[str, str]:
    """Certificates and proxies, under the names that git knows them by."""
    found = {}
    bundle, certificate = settings.ca_bundle, settings.client_certificate
    if bundle is not None:
        name = "GIT_SSL_CAPATH" if bundle.is_dir() else "GIT_SSL_CAINFO"
        found[name] = str(bundle)
    if certificate is not None:
        found["GIT_SSL_CERT"] = found["GIT_SSL_KEY"] = str(certificate)
    for scheme, url in settings.proxies:
        found[f"{scheme}_proxy"] = url
    return found
