"""Runs inside the sandbox: prints what a build can see of what surrounds it, as JSON.

    python /fromager/observer.py /build/src

Each value is text that is the same as long as nothing is varied. Standard library
only, Python 3.9 or newer.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import locale
import os
import socket
import sys
import time


def main(folder: str) -> None:
    """Print everything that is varied by checks, as it is seen from here."""
    umask = os.umask(0o022)
    os.umask(umask)
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("LC_", "LANG", "TZ"))
    }
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    seen = {
        "umask": f"{umask:03o}",
        "tz": repr(
            (variables.get("TZ"), time.tzname, os.path.exists("/etc/localtime"))
        ),
        "locale": repr((sorted(variables.items()), locale.setlocale(locale.LC_ALL))),
        "home": repr((os.environ.get("HOME"), os.path.expanduser("~"))),
        "hostname": repr((socket.gethostname(), os.uname().nodename)),
        "cores": repr((len(os.sched_getaffinity(0)), os.environ.get("MAKEFLAGS"))),
        "readdir": _order(folder),
        "aslr": hex(
            ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value or 0
        ),
        "build-path": os.getcwd(),
        "kernel": repr((os.uname().release, os.uname().version, sys.platform)),
        "time": str(int(time.clock_gettime(clock)) // 10_000_000),
    }
    json.dump(seen, sys.stdout)


def _order(folder: str) -> str:
    """Names the order in which a folder lists its files."""
    return hashlib.sha256("\n".join(os.listdir(folder)).encode()).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1])
