"""The console script: an answer that still holds, or else the command."""

import gc
import io
import os
import sys
import threading
import time

from fromager.cli.replay import place_of_answer, replay

_GRACE = 2.0
"""Seconds for which processes that were told to end are waited for."""


def run() -> None:
    """Run this process's command line, and end it."""
    # Most objects of a run live as long as it does: looking for garbage often finds
    # none, and takes a tenth of the time.
    gc.set_threshold(100_000, 50, 100)
    _let_all_be_printed()
    place = place_of_answer(sys.argv[1:])
    code = None if place is None else replay(place)
    if code is None:
        code = _run(place)
    if threading.active_count() > 1:
        # Something was stopped while a thread waited for a server; Python would let
        # it wait to the end. Whatever it leaves in the store, the next command clears.
        _let_children_end()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _let_all_be_printed() -> None:
    """Names of files are any bytes: print those, or what the encoding has for them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            unicode = stream.encoding.lower() == "utf-8"
            stream.reconfigure(
                errors="surrogateescape" if unicode else "backslashreplace"
            )


def _run(place: str | None) -> int:
    if place is None:
        from fromager.cli.main import main

        return main()
    from fromager.cli.recording import recorded

    recording, out, err = recorded()
    from fromager.cli.main import main

    code = main(recording=recording)
    recording.save(place, code, out.text, err.text)
    return code


def _let_children_end() -> None:
    """Let threads end the processes that they started, and were told to end.

    A sandbox that has only just begun does not end with this process by itself.
    """
    end = time.monotonic() + _GRACE
    while time.monotonic() < end:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return
        time.sleep(0.005)
