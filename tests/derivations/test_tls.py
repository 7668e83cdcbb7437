"""Certificates against a real server: who is believed, and who is let in."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trustme

from fromager.derivations.building.stopping import StopSignal
from fromager.derivations.errors import (
    AccessDenied,
    DerivationError,
    InputError,
    NetworkError,
)
from fromager.derivations.index.address import IndexUrl
from fromager.derivations.index.client import open_client
from fromager.derivations.index.configuration import Surroundings, find_http_settings
from fromager.derivations.index.retries import Retries
from fromager.derivations.sources.direct import GitSource
from fromager.derivations.sources.git_command import GitCommand, GitSettings
from fromager.derivations.sources.opening import open_repositories
from support.index import LocalIndex, local_index
from support.repositories import Repository, git_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from fromager.derivations.index.page_cache import CachedPage

BUNDLE, ME = "authority.pem", "me.pem"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class Machine:
    """A home, and an authority that only some know."""

    folder: Path
    authority: trustme.CA

    def __post_init__(self) -> None:
        self.authority.cert_pem.write_to_path(str(self.folder / BUNDLE))

    def identify(self, authority: trustme.CA) -> None:
        """Have a certificate made for who asks, with its key in the same file."""
        made = authority.issue_cert("me@example.test")
        made.private_key_and_cert_chain_pem.write_to_path(str(self.folder / ME))

    @contextmanager
    def index(
        self,
        host: str = "127.0.0.1",
        *,
        knows: trustme.CA | None = None,
        newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
        until: datetime | None = None,
    ) -> Iterator[LocalIndex]:
        """An index with TLS; it lets in only whom the authority `knows`, if given."""
        context = self.server(host, knows, until)
        context.maximum_version = newest
        with local_index({"pkg-1.0.tar.gz": b"content"}, tls=context) as index:
            yield index

    def server(
        self,
        host: str = "127.0.0.1",
        knows: trustme.CA | None = None,
        until: datetime | None = None,
    ) -> ssl.SSLContext:
        """What a server of this authority secures its connections with."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert(host, not_after=until).configure_cert(context)
        if knows is not None:
            knows.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def ask(self, index: LocalIndex, **environ: str) -> CachedPage | None:
        """Look for a project, and fetch its file."""
        around = self.surroundings(environ)
        client = open_client(
            (IndexUrl.parse(index.url, "test", self.folder),),
            lambda: find_http_settings(around),
            self.folder / "cache",
            retries=Retries(tries=1),
        )
        try:
            page = client.lookup("pkg")
            assert page is not None
            client.download(page.page.files[0].url, self.folder / "file")
        finally:
            client.close()
        assert (self.folder / "file").read_bytes() == b"content"
        return page

    def surroundings(self, environ: Mapping[str, str]) -> Surroundings:
        places = {name: value.format(self.folder) for name, value in environ.items()}
        return Surroundings(places, self.folder, self.folder, self.folder)

    def fetch(self, url: str, **environ: str) -> str:
        """Find out with git which commit a repository is at."""
        kept = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"}
        around = self.surroundings({**kept, **environ})
        retries, cache = Retries(tries=1), self.folder / "git"
        client = open_client((), lambda: find_http_settings(around), cache)
        made = open_repositories(around, client, cache, retries, StopSignal())
        return made.git.find(GitSource(url)).identity

    def write(self, name: str, text: str) -> None:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text.format(self.folder))


@pytest.fixture
def machine(tmp_path: Path, authority: trustme.CA) -> Machine:
    return Machine(tmp_path, authority)


@pytest.mark.parametrize(
    "variable", ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
)
def test_an_authority_of_ones_own_is_believed(machine: Machine, variable: str) -> None:
    with machine.index() as index:
        assert machine.ask(index, **{variable: f"{{}}/{BUNDLE}"})

    assert index.url.startswith("https://") and len(index.requests) == 2


def test_an_authority_is_believed_that_pip_was_told_of(machine: Machine) -> None:
    machine.write(".config/pip/pip.conf", f"[global]\ncert = {{}}/{BUNDLE}\n")

    with machine.index() as index:
        assert machine.ask(index)


@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl")
def test_a_folder_of_authorities_is_believed(machine: Machine) -> None:
    folder = machine.folder / "authorities"
    folder.mkdir()
    machine.authority.cert_pem.write_to_path(str(folder / "own.pem"))
    name = subprocess.check_output(
        ["openssl", "x509", "-hash", "-noout", "-in", folder / "own.pem"], text=True
    )
    (folder / f"{name.strip()}.0").symlink_to("own.pem")

    with machine.index() as index:
        assert machine.ask(index, SSL_CERT_FILE="{}/authorities")


def test_an_authority_that_nobody_named_is_not_believed(machine: Machine) -> None:
    with machine.index() as index, pytest.raises(NetworkError) as caught:
        machine.ask(index)

    assert "certificate verification failed" in str(caught.value)
    assert "SSL_CERT_FILE" in (caught.value.hint or "")
    assert index.requests == []


def test_a_bundle_stands_in_place_of_the_authorities_of_the_system(
    machine: Machine,
) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(str(machine.folder / "other.pem"))

    with machine.index() as index, pytest.raises(NetworkError, match="verification"):
        machine.ask(index, SSL_CERT_FILE="{}/other.pem")


def test_a_certificate_for_another_name_is_refused(machine: Machine) -> None:
    with machine.index("index.test") as index, pytest.raises(NetworkError) as caught:
        machine.ask(index, SSL_CERT_FILE=f"{{}}/{BUNDLE}")

    assert "address" in (caught.value.hint or "")


def test_a_certificate_that_has_ended_is_refused(machine: Machine) -> None:
    ended = datetime(2001, 1, 1, tzinfo=UTC)

    with machine.index(until=ended) as index, pytest.raises(NetworkError) as caught:
        machine.ask(index, SSL_CERT_FILE=f"{{}}/{BUNDLE}")

    assert "clock" in (caught.value.hint or "")


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("way", ["SSL_CLIENT_CERT", "PIP_CLIENT_CERT", "pip.conf"])
def test_a_client_certificate_lets_in(
    machine: Machine, authority: trustme.CA, way: str, newest: ssl.TLSVersion
) -> None:
    machine.identify(authority)
    variables = {"SSL_CERT_FILE": f"{{}}/{BUNDLE}"}
    if way == "pip.conf":
        machine.write(".config/pip/pip.conf", f"[global]\nclient-cert = {{}}/{ME}\n")
    else:
        variables[way] = f"{{}}/{ME}"

    with machine.index(knows=authority, newest=newest) as index:
        assert machine.ask(index, **variables)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_shows_no_certificate_is_told_how_to(
    machine: Machine, authority: trustme.CA, newest: ssl.TLSVersion
) -> None:
    with (
        machine.index(knows=authority, newest=newest) as index,
        pytest.raises(AccessDenied) as caught,
    ):
        machine.ask(index, SSL_CERT_FILE=f"{{}}/{BUNDLE}")

    assert "refused" in str(caught.value)
    assert "SSL_CLIENT_CERT" in (caught.value.hint or "")
    assert index.requests == []


def test_a_certificate_that_the_server_does_not_know_is_refused(
    machine: Machine, authority: trustme.CA
) -> None:
    machine.identify(trustme.CA())

    with machine.index(knows=authority) as index, pytest.raises(AccessDenied) as caught:
        machine.ask(index, SSL_CERT_FILE=f"{{}}/{BUNDLE}", SSL_CLIENT_CERT=f"{{}}/{ME}")

    assert "unknown ca" in str(caught.value)
    assert "this server knows" in (caught.value.hint or "")


def test_a_proxy_that_asks_in_words_for_a_certificate_is_understood(
    machine: Machine,
) -> None:
    with machine.index() as index, pytest.raises(AccessDenied) as caught:
        words = b"<center>No required SSL certificate was sent</center>"
        index.fail("/pkg/", status=400, body=words)
        machine.ask(index, SSL_CERT_FILE=f"{{}}/{BUNDLE}")

    assert "400" in str(caught.value)
    assert "SSL_CLIENT_CERT" in (caught.value.hint or "")


def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
    machine: Machine, authority: trustme.CA
) -> None:
    from cryptography.hazmat.primitives import serialization

    machine.identify(authority)
    content = (machine.folder / ME).read_bytes()
    key = serialization.load_pem_private_key(content, None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"canary"),
    )
    certificate = content[content.index(b"-----BEGIN CERTIFICATE") :]
    (machine.folder / ME).write_bytes(encrypted + certificate)

    with machine.index(knows=authority) as index, pytest.raises(InputError) as caught:
        machine.ask(index, SSL_CLIENT_CERT=f"{{}}/{ME}")

    assert "encrypted" in str(caught.value) and caught.value.hint


def test_a_certificate_without_its_key_is_named(
    machine: Machine, authority: trustme.CA
) -> None:
    with machine.index(knows=authority) as index, pytest.raises(InputError) as caught:
        machine.ask(index, SSL_CLIENT_CERT=f"{{}}/{BUNDLE}")

    assert BUNDLE in str(caught.value) and "key" in (caught.value.hint or "")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository.make(tmp_path / "served" / "demo")
    made.commit({"a.txt": "one"})
    return made


@pytest.mark.parametrize("way", ["SSL_CERT_FILE", "pip.conf"])
def test_git_believes_the_same_authorities_and_shows_the_same_certificate(
    machine: Machine, authority: trustme.CA, repository: Repository, way: str
) -> None:
    machine.identify(authority)
    variables = {}
    if way == "pip.conf":
        text = f"[global]\ncert = {{0}}/{BUNDLE}\nclient-cert = {{0}}/{ME}\n"
        machine.write(".config/pip/pip.conf", text)
    else:
        variables = {way: f"{{}}/{BUNDLE}", "SSL_CLIENT_CERT": f"{{}}/{ME}"}

    with git_server(
        repository.folder.parent, tls=machine.server(knows=authority)
    ) as server:
        found = machine.fetch(server.url("demo/.git"), **variables)

    assert found == repository.head


def test_git_is_not_let_in_without(
    machine: Machine, authority: trustme.CA, repository: Repository
) -> None:
    with git_server(
        repository.folder.parent, tls=machine.server(knows=authority)
    ) as server:
        url = server.url("demo/.git")
        with pytest.raises(NetworkError) as nobody:
            machine.fetch(url)
        with pytest.raises(DerivationError, match="demo"):
            machine.fetch(url, SSL_CERT_FILE=f"{{}}/{BUNDLE}")

    assert "SSL_CERT_FILE" in (nobody.value.hint or "")
    assert server.requests == []


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("server certificate verification failed. CAfile: none", "SSL_CERT_FILE"),
        ("SSL certificate problem: unable to get local issuer", "SSL_CERT_FILE"),
        ("gnutls_handshake() failed: Certificate is required", "SSL_CLIENT_CERT"),
        ("GnuTLS recv error (-110): not properly terminated", "SSL_CLIENT_CERT"),
        ("OpenSSL SSL_read: tlsv13 alert certificate required", "SSL_CLIENT_CERT"),
        ("getpeername() failed with errno 107: not connected", "SSL_CLIENT_CERT"),
    ],
)
def test_what_git_says_of_certificates_comes_with_a_remedy(
    tmp_path: Path, said: str, remedy: str
) -> None:
    program = tmp_path / "git"
    program.write_text(
        f"#!/bin/sh\necho \"fatal: unable to access 'x': {said}\" >&2\nexit 128"
    )
    program.chmod(0o755)
    command = GitCommand(GitSettings(executable=str(program)))

    with pytest.raises(NetworkError) as caught:
        command.run(["ls-remote"], url="https://git.test/demo")

    assert remedy in (caught.value.hint or "")
