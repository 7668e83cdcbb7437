"""What a resolution misses is learnt as it comes, and errors count last."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest

from fromager.derivations import ResolutionError, Stopped
from fromager.derivations.realising.learning import Fact, Learning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

A: Fact = ("a", None)
B: Fact = ("b", None)


class Answers:
    """Answers that come when a test gives them."""

    def __init__(self) -> None:
        self.asked: list[Fact] = []
        self.known: list[Fact] = []
        self._coming: dict[Fact, asyncio.Future[None]] = {}

    def asking(self, *facts: Fact) -> dict[Fact, Callable[[], Awaitable[None]]]:
        """How each is asked for."""
        return {fact: partial(self._ask, fact) for fact in facts}

    async def _ask(self, fact: Fact) -> None:
        self.asked.append(fact)
        await self.coming(fact)
        self.known.append(fact)

    def coming(self, fact: Fact) -> asyncio.Future[None]:
        """What is waited for."""
        loop = asyncio.get_running_loop()
        return self._coming.setdefault(fact, loop.create_future())

    def give(self, fact: Fact) -> None:
        """The answer comes."""
        self.coming(fact).set_result(None)

    def fail(self, fact: Fact, error: Exception) -> None:
        """No answer comes."""
        self.coming(fact).set_exception(error)


def never(fact: Fact) -> bool:
    return False


def test_one_answer_is_enough_to_go_on() -> None:
    async def run() -> None:
        answers, learning = Answers(), Learning(never)
        answers.give(A)

        await learning.learn(answers.asking(A, B))

        assert answers.known == [A]
        assert answers.asked == [A, B]
        learning.give_up()

    asyncio.run(run())


def test_what_is_being_asked_for_is_not_asked_for_again() -> None:
    async def run() -> None:
        answers, learning = Answers(), Learning(never)
        answers.give(A)
        await learning.learn(answers.asking(A, B))
        answers.give(B)

        await learning.learn(answers.asking(B))

        assert answers.known == answers.asked == [A, B]

    asyncio.run(run())


def test_an_error_counts_only_where_nothing_else_becomes_known() -> None:
    async def run() -> None:
        answers, learning = Answers(), Learning(never)
        answers.fail(A, ResolutionError("a is broken"))
        answers.give(B)

        await learning.learn(answers.asking(A, B))

        assert answers.known == [B]
        with pytest.raises(ResolutionError, match="a is broken"):
            await learning.learn(answers.asking(A))

    asyncio.run(run())


@pytest.mark.parametrize("error", [Stopped("stopped"), ResolutionError("a is broken")])
def test_what_every_answer_needs_and_a_stop_are_not_waited_with(
    error: Exception,
) -> None:
    async def run() -> None:
        answers = Answers()
        learning = Learning(lambda fact: isinstance(error, ResolutionError))
        answers.fail(A, error)

        with pytest.raises(type(error)):
            await learning.learn(answers.asking(A, B))
        learning.give_up()

    asyncio.run(run())
