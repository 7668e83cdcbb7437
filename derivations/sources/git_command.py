"""git as a program: started so that no repository can make it do anything else.

Nothing is checked out, so no hook, filter or attribute of a repository is ever acted
on. Of protocols only those of `GIT_SCHEMES` are allowed, whatever is configured. A
password is handed over in the environment of one process, for one host, and git is
kept from storing it; the user's own configuration (proxies, credential helpers,
`insteadOf`, ssh) holds otherwise.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fromager.derivations.errors import NetworkError, SourceError, Stopped
from fromager.derivations.index.address import redact
from fromager.derivations.index.transport import Transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fromager.derivations.building.sandbox import Stop

_KEPT: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|XDG_CONFIG_HOME|SSH_AUTH_SOCK|SSH_AGENT_PID|TMPDIR|"
    r"GIT_SSH(_COMMAND|_VARIANT)?|GIT_CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|"
    r"GIT_SSL_\w+|GIT_PROXY_SSL_\w+|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|"
    r"(https?|all|no|HTTPS?|ALL|NO)_(proxy|PROXY)"
)
"""Variables that reach git; those that point it to another repository do not."""
_OPTIONS: Final = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
    *("-c", "fetch.recurseSubmodules=false"),
    *("-c", "submodule.recurse=false"),
)
_HELPER: Final = (
    '!f() { test "$1" = get || exit 0; printf "username=%s\\npassword=%s\\n" '
    '"$FROMAGER_GIT_USER" "$FROMAGER_GIT_PASSWORD"; }; f'
)
_TRANSIENT: Final = re.compile(
    r"could not resolve host|timed out|connection reset|connection refused|"
    r"early EOF|hung up unexpectedly|error: (408|429|5\d\d)|temporary failure|"
    r"operation too slow|failed to connect",
    re.IGNORECASE,
)
_UNTRUSTED: Final = re.compile(
    r"server certificate verification failed|SSL certificate problem|"
    r"certificate verify failed",
    re.IGNORECASE,
)
_NOT_SECURED: Final = re.compile(
    r"gnutls|openssl|\bSSL|getpeername|certificate|TLS connect error", re.IGNORECASE
)
_DENIED: Final = re.compile(
    r"could not read (username|password)|authentication failed|permission denied|"
    r"error: (401|403)|host key verification failed|access denied",
    re.IGNORECASE,
)
_LOGIN_HINT: Final = (
    "Give user and password in a netrc file or in the address, or a key for ssh; check "
    "also that the repository exists"
)
_NOT_SECURED_HINT: Final = (
    "If the server wants to see a certificate of yours, name the file with it and its "
    "key in SSL_CLIENT_CERT"
)
_UNTRUSTED_HINT: Final = (
    "If the server's certificate is signed by an authority of your own, name its bundle "
    "of certificates in SSL_CERT_FILE"
)


@dataclass(frozen=True)
class GitSettings:
    """How git is found and started."""

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The user's environment; only a part of it reaches git."""
    executable: str = "git"
    slow_seconds: int = 60
    """A transfer that stands still for so long has failed."""
    more: Callable[[], Mapping[str, str]] = dict
    """Variables for requests, where the environment has none; asked when one is made."""


class GitFailed(SourceError):
    """git ended with an error; its last words are in the message."""


@dataclass(frozen=True)
class GitCommand:
    """Starts git."""

    settings: GitSettings
    stop: Stop | None = None

    def run(
        self,
        words: Sequence[str],
        *,
        folder: Path | None = None,
        url: str | None = None,
        login: tuple[str, str] | None = None,
    ) -> bytes:
        """What git prints. With a `url` it is a request to there, with that `login`.

        Raises:
            GitFailed: it ended with an error.
            NetworkError: the server refuses this user, or anybody.
            Transient: the server cannot be reached now.
            Stopped: `stop` was set.
        """
        with TemporaryFile() as out, TemporaryFile() as err:
            process = self.start(
                words, folder, stdin=None, out=out, err=err, url=url, login=login
            )
            self._wait(process)
            out.seek(0)
            err.seek(0)
            if process.returncode:
                said = err.read().decode("utf-8", "replace")
                raise _failure(words[0], said, process.returncode, url)
            return out.read()

    def start(
        self,
        words: Sequence[str],
        folder: Path | None,
        *,
        stdin: int | None,
        out: IO[bytes] | int,
        err: IO[bytes] | int,
        url: str | None = None,
        login: tuple[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Begin a git that leads a session of its own.

        Raises:
            SourceError: there is no git.
        """
        where = () if folder is None else ("-C", str(folder))
        try:
            return subprocess.Popen(
                [self.settings.executable, *_OPTIONS, *where, *words],
                env=self._environment(url, login),
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise SourceError(
                f"{self.settings.executable} is not there",
                hint="Install git, or take the source from an archive",
            ) from error

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        if self.stop is None:
            process.wait()
            return
        watched = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(watched, select.POLLIN)
            poll.register(self.stop.fileno(), select.POLLIN)
            if watched not in dict(poll.poll()):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise Stopped("a repository was not fetched")
            process.wait()
        finally:
            os.close(watched)

    def _environment(
        self, url: str | None, login: tuple[str, str] | None
    ) -> dict[str, str]:
        given = self.settings.environ
        environment = {
            **{name: value for name, value in given.items() if _KEPT.fullmatch(name)},
            "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
            "GIT_ASKPASS": "true",
            "GIT_HTTP_LOW_SPEED_LIMIT": "1",
            "GIT_HTTP_LOW_SPEED_TIME": str(self.settings.slow_seconds),
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C.UTF-8",
            "SSH_ASKPASS": "true",
        }
        if not {"GIT_SSH", "GIT_SSH_COMMAND"} & set(environment):
            environment["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"
        if url is not None:
            environment = {**self.settings.more(), **environment}
        if url is not None and login is not None:
            environment |= _with_login(url, login)
        return environment


def _with_login(url: str, login: tuple[str, str]) -> dict[str, str]:
    """Variables by which git finds a password for this host alone.

    The helper answers only where git asks on behalf of that very origin, so not for
    another one that a redirect leads to. The empty value before it takes away helpers
    of the user's, which would keep what they are told.
    """
    parts = urlsplit(url)
    place = f"credential.{parts.scheme}://{parts.netloc}.helper"
    return {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": place,
        "GIT_CONFIG_VALUE_0": "",
        "GIT_CONFIG_KEY_1": place,
        "GIT_CONFIG_VALUE_1": _HELPER,
        "FROMAGER_GIT_USER": login[0],
        "FROMAGER_GIT_PASSWORD": login[1],
    }


def _failure(word: str, said: str, code: int, url: str | None) -> Exception:
    lines = [line.strip() for line in redact(said).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("warning:", "hint:"))]
    text = kept[0] if kept else f"git {word} ended with exit code {code}"
    for start in ("fatal: ", "error: ", "remote: "):
        text = text.removeprefix(start)
    # The address stands before it as it is.
    text = re.sub(r"^unable to access '[^']*': ", "", text)
    if url is not None and _UNTRUSTED.search(said):
        return NetworkError(url, text, hint=_UNTRUSTED_HINT)
    if url is not None and _DENIED.search(said):
        return NetworkError(url, text, hint=_LOGIN_HINT)
    if url is not None and _TRANSIENT.search(said):
        return Transient(text, hint="Check the connection to the network")
    if url is not None and _NOT_SECURED.search(text):
        return NetworkError(url, text, hint=_NOT_SECURED_HINT)
    return GitFailed(text if url is None else f"{url}: {text}")
