"""A store offered over HTTP: what is needed for it, put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fromager.derivations.errors import InputError
from fromager.derivations.serving.tokens import Tokens

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from fromager.derivations.realising.events import Reporter
    from fromager.derivations.sbom.bill import SbomForm
    from fromager.derivations.serving.catalogue import Catalogue
    from fromager.derivations.serving.listening import Answered, Tls
    from fromager.derivations.serving.store_cache import StoreCache
    from fromager.store import Realisation


@dataclass(frozen=True)
class Service:
    """What is offered, to whom, and who hears of it."""

    catalogue: Catalogue
    cache: StoreCache
    bill: Callable[[Realisation, SbomForm], bytes]
    """Makes the bill of materials of a wheel and what it needs; called in a thread."""
    report: Reporter
    tokens: Tokens = field(default_factory=Tokens)
    """Without one everybody may read."""
    tls: Tls | None = None
    answered: Callable[[Answered], None] | None = None
    """Called for every answer that begins."""

    def run(self, listener: socket.socket, started: Callable[[], None]) -> None:
        """Answer requests until SIGINT or SIGTERM comes; in the main thread.

        `started` is called when requests are answered.

        Raises:
            InputError: the web server is not installed.
        """
        try:
            from fromager.derivations.serving.application import Application
            from fromager.derivations.serving.server import serve
        except ImportError as error:
            raise InputError(
                f"the web server is not installed: there is no {error.name}",
                hint="Install fromager with its extra: pip install 'fromager[serve]'",
            ) from error
        serve(
            Application(self.catalogue, self.cache, self.bill),
            listener,
            tokens=self.tokens,
            tls=self.tls,
            report=self.report,
            answered=self.answered,
            started=started,
        )
