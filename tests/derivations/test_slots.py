"""Slots go to what most others wait for, and to no more builds than there are slots."""

from __future__ import annotations

import asyncio

from fromager.derivations.realising.slots import Slots


async def use(slots: Slots, name: str, urgency: int, order: list[str]) -> None:
    async with slots.slot(lambda: urgency):
        order.append(name)
        await asyncio.sleep(0)


def test_the_most_urgent_goes_first_and_equals_in_the_order_they_came() -> None:
    async def scene() -> list[str]:
        order: list[str] = []
        slots = Slots(1)
        async with slots.slot(lambda: 0):
            wishes = [("a", 0), ("b", 2), ("c", 1), ("d", 2)]
            tasks = [
                asyncio.create_task(use(slots, name, urgency, order))
                for name, urgency in wishes
            ]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(scene()) == ["b", "d", "c", "a"]


def test_a_slot_is_not_lost_with_who_waited_for_it() -> None:
    async def scene() -> list[str]:
        order: list[str] = []
        slots = Slots(1)
        async with slots.slot(lambda: 0):
            task = asyncio.create_task(use(slots, "gone", 9, order))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await use(slots, "next", 0, order)
        return order

    assert asyncio.run(scene()) == ["next"]


def test_so_many_run_at_once_and_no_more() -> None:
    async def scene() -> int:
        slots, running, most = Slots(2), 0, 0

        async def work() -> None:
            nonlocal running, most
            async with slots.slot(lambda: 0):
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                running -= 1

        await asyncio.gather(*(work() for _ in range(7)))
        return most

    assert asyncio.run(scene()) == 2
