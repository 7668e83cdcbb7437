"""Publishing: transactions of several threads that end at the same time go together."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.store.durability import storage_error
from fromager.store.errors import StoreError
from fromager.store.publication import Batch, Publication

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.store.beneath import Beneath
    from fromager.store.layout import StoreLayout
    from fromager.store.writer import Writer


@dataclass(eq=False)
class _Ticket:
    batch: Batch
    done: bool = False
    error: BaseException | None = None


class Publisher:
    """Publishes batches; those that wait at the same time go together."""

    def __init__(
        self,
        layout: StoreLayout,
        writer: Writer,
        effect: Callable[[str], None],
        beneath: Beneath,
    ) -> None:
        self._layout, self._writer, self._effect = layout, writer, effect
        self._beneath = beneath
        self._change = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._busy = False

    def publish(self, batch: Batch) -> None:
        """Return when all of the batch is valid and on disk.

        Raises:
            ObjectMissing: it refers to an object that is not valid.
            StoreFull, StoreUnavailable: it cannot be written; nothing has changed.
        """
        ticket = _Ticket(batch)
        group = self._queue(ticket)
        if group:
            self._lead(group)
        if ticket.error is not None:
            raise ticket.error

    def _queue(self, ticket: _Ticket) -> list[_Ticket]:
        """The tickets to be published by this thread; none if another did it."""
        with self._change:
            self._waiting.append(ticket)
            try:
                while self._busy and not ticket.done:
                    self._change.wait()
            except BaseException:
                # Interrupted: our files must not go while another publishes them.
                while not ticket.done and ticket not in self._waiting:
                    self._change.wait()
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                raise
            if ticket.done:
                return []
            self._busy = True
            group, self._waiting = self._waiting, []
            return group

    def _lead(self, group: list[_Ticket]) -> None:
        try:
            Publication(self._layout, self._effect, self._beneath).run(
                [ticket.batch for ticket in group],
                self._writer,
                lambda batch, error: self._fail(
                    [ticket for ticket in group if ticket.batch is batch], error
                ),
            )
        except OSError as error:
            self._fail(group, storage_error(self._layout.root, error))
        except StoreError as error:
            self._fail(group, error)
        except BaseException:
            self._fail(group, StoreError("the publishing thread was interrupted"))
            raise
        finally:
            with self._change:
                for ticket in group:
                    ticket.done = True
                self._busy = False
                self._change.notify_all()

    def _fail(self, group: list[_Ticket], error: BaseException) -> None:
        for ticket in group:
            ticket.error = ticket.error or error
