"""Eight commands at once on one store, one of them killed."""

from __future__ import annotations

import os
import selectors
import signal
from collections import Counter
from typing import TYPE_CHECKING

from fromager.store import open_store
from support.store_check import check_store

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    from support.command_line import Place

    Offer = Callable[..., None]

COMMANDS = 8
KINDS = ("fetch", "source", "environment", "requires", "wheel", "layout")


def first_to_say(running: Sequence[subprocess.Popen[str]], word: str) -> int:
    """The number of the process that said this first; of the others nothing is lost."""
    with selectors.DefaultSelector() as waiting:
        for number, process in enumerate(running):
            assert process.stderr is not None
            waiting.register(process.stderr.fileno(), selectors.EVENT_READ, number)
        said = dict.fromkeys(range(len(running)), b"")
        while True:
            for key, _ in waiting.select():
                content = os.read(key.fd, 1 << 16)
                assert content, said[key.data]
                said[key.data] += content
                if word.encode() in said[key.data]:
                    return int(key.data)


def test_each_thing_is_built_once_though_one_of_them_is_killed(
    fresh: Place, offer: Offer
) -> None:
    offer("tool_deep")
    offer("tool", requires=["tool-deep"], imports=["tool_deep"])
    names = [f"part-{number}" for number in range(COMMANDS)]
    for number, name in enumerate(names):
        needs = [names[number - 1]] if number else []
        offer(
            name.replace("-", "_"),
            requires=["tool"],
            imports=["tool"],
            dependencies=needs,
        )

    running = [
        fresh.start("realise", names[number], names[number - 3], "--jobs", "2")
        for number in range(COMMANDS)
    ]
    killed = first_to_say(running, "built tool-deep")
    os.killpg(running[killed].pid, signal.SIGKILL)
    outcomes = [fresh.finish(process, 120) for process in running]

    codes = [outcome.code for outcome in outcomes]
    assert codes.pop(killed) == -signal.SIGKILL
    assert codes == [0] * (COMMANDS - 1), outcomes
    with open_store(fresh.store) as store:
        with store.scratch("next"):  # whoever works next removes what was left
            pass
        claims = [
            claim
            for kind in KINDS
            for subject in store.subjects(kind)
            for claim in store.history(kind, subject)
        ]
    assert set(Counter(claim.key for claim in claims).values()) == {1}
    wheels = Counter(claim.subject for claim in claims if claim.kind == "wheel")
    built = {f"{name}==1.0": 1 for name in ("tool", "tool-deep", *names)}
    assert wheels == built
    check_store(fresh)
    # Whoever comes later finds all of it.
    assert fresh.realise(*names).builds == 0
