"""Runs inside the interpreter that is asked about, and prints facts as JSON.

Standard library only, and readable by old interpreters too, so that they can say
which version they are. Nothing here depends on fromager.
"""

import json
import sys


def main() -> None:
    if sys.hexversion < 0x03090000:
        sys.stdout.write(json.dumps({"version": list(sys.version_info[:3])}))
        return
    import os
    import platform
    import sysconfig
    from pathlib import Path

    _load_extensions()
    version = ".".join(str(part) for part in sys.version_info[:3])
    full = platform.python_version()
    scheme = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
    inside = {"base": "/env", "platbase": "/env"}
    purelib = sysconfig.get_path("purelib", scheme, inside)
    platlib = sysconfig.get_path("platlib", scheme, inside)
    base = sysconfig.get_paths("posix_prefix")
    variable = sysconfig.get_config_var
    implementation = sys.implementation
    facts = {
        "version": list(sys.version_info[:3]),
        "release": version,
        "executable": getattr(sys, "_base_executable", None) or sys.executable,
        "prefix": sys.base_prefix,
        "implementation": implementation.name,
        "stdlib": base["stdlib"],
        "platstdlib": base["platstdlib"],
        "include": [base["include"], base["platinclude"]],
        "shared": [
            str(Path(variable("LIBDIR") or "", variable(name)))
            for name in ("INSTSONAME", "LDLIBRARY", "PY3LIBRARY")
            if variable("Py_ENABLE_SHARED") and variable(name)
        ],
        "loaded": _loaded(),
        "purelib": os.path.relpath(purelib, "/env"),
        "platlib": os.path.relpath(platlib, "/env"),
        "ext_suffix": variable("EXT_SUFFIX") or "",
        "soabi": variable("SOABI") or "",
        "debug": bool(variable("Py_DEBUG") or hasattr(sys, "gettotalrefcount")),
        "free_threaded": bool(variable("Py_GIL_DISABLED")),
        "platform": sysconfig.get_platform(),
        "narrow": sys.maxsize < 2**32,
        "cache_tag": implementation.cache_tag or "",
        "libc": list(platform.libc_ver()),
        "markers": {
            "implementation_name": implementation.name,
            "implementation_version": _version_of(implementation.version),
            "os_name": os.name,
            "platform_machine": platform.machine(),
            "platform_python_implementation": platform.python_implementation(),
            "platform_system": platform.system(),
            "python_full_version": full,
            "python_version": ".".join(full.split(".")[:2]),
            "sys_platform": sys.platform,
        },
    }
    sys.stdout.write(json.dumps(facts))


def _version_of(info: "sys._version_info") -> str:
    # PEP 508, `format_full_version`.
    text = ".".join(str(part) for part in info[:3])
    if info.releaselevel != "final":
        text += info.releaselevel[0] + str(info.serial)
    return text


def _load_extensions() -> None:
    # What these link to belongs to the interpreter, wherever it lies.
    import contextlib
    import importlib

    names = (
        "_ssl _hashlib _sqlite3 _ctypes _bz2 _lzma zlib _curses readline _uuid pyexpat"
    )
    for name in names.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _loaded() -> "list[str]":
    from pathlib import Path

    lines = Path("/proc/self/maps").read_text().splitlines()
    names = {line.split(None, 5)[5].strip() for line in lines if "/" in line}
    return sorted(name for name in names if ".so" in name.rsplit("/", 1)[-1])


if __name__ == "__main__":
    main()
