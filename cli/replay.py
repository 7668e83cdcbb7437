"""What a command printed before, printed again while nothing that it read has changed.

Reading settings and requirements takes longer than finding out that they are the same.
So an answer is kept with the state of every file that led to it, and is looked for
before anything else is imported. This module imports little, and must go on to do so.
"""

import json
import os
import sys
import time

VERSION = 1
"""Raise it whenever a command may give another answer than before."""
COMMANDS = ("realise", "realize", "lock")
_VOLATILE = ("_", "SHLVL", "OLDPWD")
"""Variables that shells change from command to command."""


def place_of_answer(arguments: list[str]) -> str | None:
    """Where the answer to a command line is kept; None if it never is.

    Its name stands for the words, the environment, the working folder, the
    interpreter and where the output goes.
    """
    if not any(word in COMMANDS for word in arguments):
        return None
    home = os.environ.get("HOME", "")
    caches = os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    if not caches.startswith("/") or (home == "" and caches == "/.cache"):
        return None
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        return None
    around = sorted((n, v) for n, v in os.environ.items() if n not in _VOLATILE)
    words = [
        *(VERSION, sys.hexversion, sys.executable, sys.path, os.getuid(), folder),
        *(_is_terminal(sys.stdout), _is_terminal(sys.stderr), arguments, around),
    ]
    # Other commands do without it, and without OpenSSL.
    import hashlib

    name = hashlib.blake2b(repr(words).encode("utf-8", "surrogateescape"))
    return f"{caches}/fromager/answers/{name.hexdigest()[:64]}.json"


def state(path: str) -> list[int] | None:
    """Equal as long as a file or folder is the same; None if it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def replay(place: str) -> int | None:
    """Print the answer that is kept there, and give its exit status.

    None, and nothing printed, if there is none or if it does not hold any more.
    """
    try:
        with open(place, "rb") as file:
            answer = json.loads(file.read())
        if answer["version"] != VERSION or answer["until"] <= time.time():
            return None
        for path, before in answer["states"].items():
            if state(path) != before:
                return None
        out, err, code = answer["out"], answer["err"], answer["code"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    sys.stderr.write(err)
    sys.stderr.flush()
    sys.stdout.write(out)
    return int(code)


def _is_terminal(stream: object) -> bool:
    answer = getattr(stream, "isatty", None)
    return answer is not None and bool(answer())
