"""What lies beside files of an index, and is of use only if it is to be had at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fromager.derivations.errors import NetworkError
from fromager.derivations.index.transport import Transient

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations.index.transport import Transport

SECONDS: Final = 10.0
LARGEST: Final = 1 << 20
"""Bytes."""


@dataclass
class Glances:
    """Asks for small things once each; a server that does not answer is left alone.

    Used by many threads.
    """

    transport: Callable[[str], Transport]
    """What makes requests for a URL."""
    patience: float = SECONDS
    _silent: set[str] = field(default_factory=set)

    def at(self, url: str) -> bytes | None:
        """What lies there; None if it is not to be had, for whatever reason."""
        server = urlsplit(url).netloc
        if server in self._silent:
            return None
        found: list[bytes] = []
        # A server that gives a byte now and then is left behind with its thread,
        # for which nobody waits, at the end of the process either.
        thread = Thread(target=self._ask, args=(url, server, found), daemon=True)
        thread.start()
        thread.join(self.patience)
        if thread.is_alive():
            self._silent.add(server)
        return found[0] if found else None

    def _ask(self, url: str, server: str, found: list[bytes]) -> None:
        content = bytearray()
        try:
            with self.transport(url).open(url, {}, decode=True) as answer:
                if answer.status != 200:
                    return
                for chunk in answer.body:
                    content += chunk
                    if len(content) > LARGEST:
                        return
        except Transient:
            self._silent.add(server)
        except NetworkError:
            return
        else:
            found.append(bytes(content))
