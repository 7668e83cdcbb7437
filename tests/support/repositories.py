"""Git repositories made on the spot, and a server for them on loopback.

repository = Repository.make(tmp_path / "demo")
commit = repository.commit({"a.txt": "text"}, tag="v1.0")
repository.url                      # file:///…/demo

with git_server(tmp_path, ("user", "password")) as server:
    server.url("demo")              # http://127.0.0.1:PORT/demo
    server.requests                 # what was asked, with its headers
"""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from fromager.derivations.index.address import Credentials
from fromager.derivations.index.retries import Retries
from fromager.derivations.sources.git import Git
from fromager.derivations.sources.git_command import GitCommand, GitSettings
from support.index import secure

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WHEN: Final = 1_700_000_000
"""When all commits are made, in seconds since the epoch."""

_ENVIRONMENT: Final = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.test",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.test",
    "GIT_AUTHOR_DATE": f"{WHEN} +0000",
    "GIT_COMMITTER_DATE": f"{WHEN} +0000",
    "GIT_ALLOW_PROTOCOL": "file:http",
}


def git(folder: Path, *words: str, **variables: str) -> str:
    """What git prints in a folder; nothing of this machine's configuration counts."""
    ended = subprocess.run(
        ["git", "-C", str(folder), *words],
        env={"PATH": os.environ["PATH"], **_ENVIRONMENT, **variables},
        check=True,
        capture_output=True,
        text=True,
    )
    return ended.stdout.strip()


@dataclass(frozen=True)
class Repository:
    """A repository with a working folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Repository:
        """An empty one, its branch called `main`."""
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--initial-branch=main", "--template=")
        return cls(folder)

    @property
    def url(self) -> str:
        """Its address on this machine."""
        return f"file://{self.folder}"

    def commit(self, files: Mapping[str, str | bytes], *, tag: str = "") -> str:
        """Write files and commit everything; the commit's digits."""
        for path, content in files.items():
            place = self.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
        git(self.folder, "add", "--all", "--force")
        git(self.folder, "commit", "--quiet", "--allow-empty", "--message=x")
        if tag:
            git(self.folder, "tag", "--annotate", "--message=x", tag)
        return self.head

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return git(self.folder, "rev-parse", "HEAD")

    def add_submodule(self, url: str, path: str) -> str:
        """Take another repository in as a submodule, and commit."""
        git(self.folder, "submodule", "--quiet", "add", "--", url, path)
        return self.commit({})


def git_client(
    cache: Path,
    *,
    credentials: Credentials | None = None,
    offline: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Git:
    """What fetches repositories, without the configuration of this machine."""
    given = environ if environ is not None else {**_ENVIRONMENT}
    return Git(
        GitCommand(GitSettings({"PATH": os.environ["PATH"], **given})),
        cache,
        Retries(tries=1),
        lambda: credentials or Credentials(),
        offline,
    )


@dataclass
class GitServer:
    """The state of a server that runs `git http-backend`."""

    folder: Path
    credentials: tuple[str, str] | None
    dumb: bool
    """It only gives files, as any web server would."""
    base: str = ""
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of each."""
    redirect: str = ""
    """Where every request is sent on to, if anywhere."""
    tls: ssl.SSLContext | None = None

    def url(self, name: str) -> str:
        """The address of a repository in the folder."""
        return f"{self.base}/{name}"


@contextmanager
def git_server(
    folder: Path,
    credentials: tuple[str, str] | None = None,
    *,
    dumb: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Iterator[GitServer]:
    """A server for the repositories in a folder, that runs while the block does."""
    state = GitServer(folder, credentials, dumb, tls=tls)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.state = state
    scheme = "http" if tls is None else "https"
    state.base = f"{scheme}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    state: GitServer

    def finish_request(self, request: Any, client_address: Any) -> None:
        tls = self.state.tls
        secured = request if tls is None else secure(request, tls)
        if secured is not None:
            with secured:
                super().finish_request(secured, client_address)


class _Handler(BaseHTTPRequestHandler):
    @property
    def state(self) -> GitServer:
        return cast("_Server", self.server).state

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `GitServer.requests` instead."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        state = self.state
        headers = {name.lower(): value for name, value in self.headers.items()}
        state.requests.append((self.path, headers))
        if state.redirect:
            self._answer(302, b"", {"Location": f"{state.redirect}{self.path}"})
        elif state.credentials and headers.get("authorization") != self._expected():
            self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="git"'})
        elif state.dumb:
            place = state.folder / urlsplit(self.path).path.lstrip("/")
            if place.is_file():
                self._answer(200, place.read_bytes(), {})
            else:
                self._answer(404, b"", {})
        else:
            self._backend(headers)

    def _expected(self) -> str:
        pair = ":".join(self.state.credentials or ()).encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _backend(self, headers: dict[str, str]) -> None:
        parts = urlsplit(self.path)
        body = self._body(headers)
        ended = subprocess.run(
            ["git", "http-backend"],
            input=body,
            env={
                "PATH": os.environ["PATH"],
                **_ENVIRONMENT,
                "GIT_PROJECT_ROOT": str(self.state.folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": headers.get("git-protocol", ""),
                "REQUEST_METHOD": self.command,
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "CONTENT_TYPE": headers.get("content-type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
            },
            capture_output=True,
            check=False,
        )
        head, _, content = ended.stdout.partition(b"\r\n\r\n")
        rows = (
            row.split(": ", 1) for row in head.decode().split("\r\n") if ": " in row
        )
        found = dict(rows)
        status = int(found.pop("Status", "200").split()[0])
        self._answer(status, content, found)

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _answer(self, status: int, body: bytes, headers: Mapping[str, Any]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
