"""Passwords from a keyring, asked only where a server has refused a request without.

The library `keyring` is used where it is installed beside this program, else the
command of that name.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULE: Final = "keyring"
_PATIENCE: Final = 60.0
"""Seconds; a keyring may have to be unlocked by somebody."""


@dataclass(frozen=True)
class Keyring:
    """Where passwords of people are kept."""

    command: tuple[str, ...]
    """The command; empty: only the library is asked."""
    environ: Mapping[str, str]
    """What the command is started with."""

    def pair(self, url: str, user: str | None) -> tuple[str, str] | None:
        """User and password for an address, of that user if one is given.

        The address itself is asked for first, then its host. A keyring that does not
        answer has none.
        """
        command = self.command
        if find_spec(MODULE) is not None:
            # As a process of its own: its backends do and raise what they like.
            command = (sys.executable, "-m", MODULE)
        places = (url, urlsplit(url).netloc)
        found = (self._look(command, place, user) for place in places)
        return next((pair for pair in found if pair is not None), None)

    def _look(
        self, command: tuple[str, ...], place: str, user: str | None
    ) -> tuple[str, str] | None:
        if not command:
            return None
        if user:
            password = self._said(*command, "get", place, user)
            return (user, password) if password else None
        said = self._said(*command, "--mode", "creds", "--output", "json", "get", place)
        try:
            found = json.loads(said)
            return str(found["username"]), str(found["password"])
        except (ValueError, KeyError, TypeError):
            return None

    def _said(self, *words: str) -> str:
        try:
            ended = subprocess.run(
                words,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        if ended.returncode:
            return ""
        return ended.stdout.decode("utf-8", "replace").rstrip("\r\n")
