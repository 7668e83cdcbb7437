"""What lies beside files of an index, and is of use only if it is to be had at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fromager.derivations.errors import NetworkError
from fromager.derivations.index.transport import Transient

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations.index.transport import Transport

SECONDS: Final = 20.0
LARGEST: Final = 1 << 20
"""Bytes."""


@dataclass
class Glances:
    """Asks for small things once each; a server that does not answer is left alone."""

    transport: Callable[[str], Transport]
    """What makes requests for a URL."""
    clock: Callable[[], float]
    _silent: set[str] = field(default_factory=set)

    def at(self, url: str) -> bytes | None:
        """What lies there; None if it is not to be had, for whatever reason."""
        server = urlsplit(url).netloc
        if server in self._silent:
            return None
        until = self.clock() + SECONDS
        content = bytearray()
        try:
            with self.transport(url).open(url, {}, decode=True) as answer:
                if answer.status != 200:
                    return None
                for chunk in answer.body:
                    content += chunk
                    if len(content) > LARGEST:
                        return None
                    if self.clock() > until:
                        self._silent.add(server)
                        return None
        except Transient:
            self._silent.add(server)
            return None
        except NetworkError:
            return None
        return bytes(content)
