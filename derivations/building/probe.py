"""What an interpreter is, asked once and then known by its file's status.

The interpreter runs `inspection.py`; everything that can be worked out from the
facts, such as the wheel tags, is worked out here, for that interpreter and not for
the one that runs fromager.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fromager.derivations.errors import InputError
from fromager.derivations.interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fromager.derivations.building.facts import Facts

OLDEST: Final = (3, 9)
"""The first Python version that wheels can be built for."""

_NAMESPACE: Final = "interpreter/1"
_TIMEOUT: Final = 60.0
_LEGACY_MANYLINUX: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_NARROW: Final = {"linux_x86_64": "linux_i686", "linux_aarch64": "linux_armv8l"}
_HINT: Final = "Name an executable of CPython 3.9 or newer, such as /usr/bin/python3"


def probe(executable: str | Path, facts: Facts) -> Interpreter:
    """The interpreter behind a path: links followed, virtual environments left.

    It is run at most once as long as its file stays as it is. A script that stands
    for an interpreter (a version manager's shim) is run each time, since what it
    chooses is its own business.

    Raises:
        InputError: no such file, or nothing that wheels can be built for.
    """
    path = os.path.realpath(executable)
    try:
        status = Path(path).stat()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise _refused(str(executable), reason.lower()) from error
    signature = [
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]
    known = _recall(facts, path, signature)
    if known is not None:
        return known
    answer = _ask(path, str(executable))
    if (base := _base_executable(answer, path)) != path:
        return probe(base, facts)
    interpreter = describe(answer, path)
    _remember(facts, path, signature, interpreter)
    return interpreter


def describe(answer: Mapping[str, Any], executable: str) -> Interpreter:
    """The interpreter as a value, from what `inspection.py` prints."""
    inside = (answer["prefix"], answer["stdlib"], "/lib", "/lib64", "/usr/lib")
    own = (f"{answer['prefix']}/lib", f"{answer['prefix']}/bin")
    libraries = {os.path.realpath(path) for path in answer["shared"]} | {
        path
        for path in answer["loaded"]
        if not path.startswith(f"{answer['stdlib']}/")
        and (str(Path(path).parent) in own or not path.startswith(inside))
    }
    # Links that a compiler is told of, `-lpython3.12`, and the files behind them.
    libraries |= {path for path in answer["shared"] if Path(path).is_file()}
    platform = _tag_of(answer["platform"], narrow=answer["narrow"])
    return Interpreter(
        executable=executable,
        prefix=answer["prefix"],
        version=answer["release"],
        implementation=answer["implementation"],
        stdlib=answer["stdlib"],
        platstdlib=answer["platstdlib"],
        include=tuple(dict.fromkeys(filter(os.path.isdir, answer["include"]))),
        libraries=tuple(sorted(path for path in libraries if Path(path).is_file())),
        purelib_name=answer["purelib"],
        platlib_name=answer["platlib"],
        ext_suffix=answer["ext_suffix"],
        soabi=answer["soabi"],
        platform_tag=platform,
        cache_tag=answer["cache_tag"],
        tags=tuple(_tags(answer, platform)),
        # The kernel's release and version are no property of what is built: left
        # out, so that no marker can ask for them.
        markers=tuple(
            sorted(
                {
                    **answer["markers"],
                    "platform_release": "",
                    "platform_version": "",
                }.items()
            )
        ),
    )


def _recall(facts: Facts, path: str, signature: list[int]) -> Interpreter | None:
    content = facts.recall(_NAMESPACE, path)
    if content is None:
        return None
    try:
        record = json.loads(content)
        if record["signature"] != signature:
            return None
        values = record["interpreter"]
        if set(values) != {field.name for field in fields(Interpreter)}:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    return interpreter_of(values)


def interpreter_of(values: Mapping[str, Any]) -> Interpreter:
    """An interpreter from its fields, as JSON has them."""
    lists = {name: tuple(values[name]) for name in ("include", "libraries", "tags")}
    markers = tuple((name, value) for name, value in values["markers"])
    return Interpreter(**{**values, **lists, "markers": markers})


def _remember(
    facts: Facts, path: str, signature: list[int], interpreter: Interpreter
) -> None:
    record = {"signature": signature, "interpreter": asdict(interpreter)}
    facts.remember(_NAMESPACE, path, json.dumps(record, sort_keys=True).encode())


def _ask(path: str, given: str) -> dict[str, Any]:
    import subprocess

    script = Path(__file__).with_name("inspection.py").read_bytes()
    try:
        # Through stdin: the interpreter may belong to somebody who cannot read here.
        # No variables, so that the answer does not depend on who asks.
        done = subprocess.run(
            [path, "-I", "-S", "-B", "-"],
            input=script,
            capture_output=True,
            timeout=_TIMEOUT,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            cwd="/",
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(given, f"it gave no answer in {_TIMEOUT:.0f} seconds") from error
    except OSError as error:
        reason = (error.strerror or "it cannot be run").lower()
        raise _refused(given, reason) from error
    try:
        answer = json.loads(done.stdout)
        version = tuple(answer["version"])
    except (ValueError, KeyError, TypeError) as error:
        reason = _python_2(done.stderr) or "it is no Python interpreter"
        raise _refused(given, reason) from error
    if version < OLDEST:
        name = ".".join(str(part) for part in version)
        raise _refused(given, f"it is Python {name}, too old to build for")
    return dict(answer)


def _python_2(errors: bytes) -> str | None:
    if b"Unknown option: -I" in errors:
        return "it is Python 2 or older than 3.4, too old to build for"
    return None


def _refused(executable: str, reason: str) -> InputError:
    return InputError(
        f"{executable} cannot be used as interpreter: {reason}", hint=_HINT
    )


def _base_executable(answer: Mapping[str, Any], path: str) -> str:
    base = os.path.realpath(str(answer["executable"]))
    if base != path and Path(base).is_file():
        return base
    # A copied executable in a virtual environment, before Python 3.11.
    if not (Path(path).parent.parent / "pyvenv.cfg").is_file():
        return path
    short = ".".join(answer["release"].split(".")[:2])
    candidate = os.path.realpath(f"{answer['prefix']}/bin/python{short}")
    return candidate if Path(candidate).is_file() else path


def _tag_of(platform: str, *, narrow: bool) -> str:
    tag = platform.replace("-", "_").replace(".", "_")
    if narrow:
        return _NARROW.get(tag, tag)
    return tag


def _tags(answer: Mapping[str, Any], platform: str) -> Iterator[str]:
    from packaging.tags import compatible_tags, cpython_tags, generic_tags

    version = answer["version"][:2]
    platforms = list(_platforms(platform, answer["libc"]))
    nodot = f"{version[0]}{version[1]}"
    if answer["implementation"] == "cpython":
        threads = "t" if answer["free_threaded"] else ""
        abis = [f"cp{nodot}{threads}"]
        if answer["debug"]:
            # A debug build loads extensions of normal builds too, since 3.8.
            abis.insert(0, f"cp{nodot}{threads}d")
        interpreter = f"cp{nodot}"
        yield from map(str, cpython_tags(version, abis, platforms))
    else:
        interpreter, abi = _generic(answer, nodot)
        yield from map(str, generic_tags(interpreter, [abi], platforms))
    yield from map(str, compatible_tags(version, interpreter, platforms))


def _generic(answer: Mapping[str, Any], nodot: str) -> tuple[str, str]:
    short = {"pypy": "pp"}.get(answer["implementation"], answer["implementation"])
    # `pypy310-pp73-x86_64-linux-gnu` gives the ABI `pypy310_pp73`.
    abi = "_".join(answer["soabi"].split("-")[:2]) or "none"
    return f"{short}{nodot}", abi


def _platforms(platform: str, libc: list[str]) -> Iterator[str]:
    yield platform
    if not platform.startswith("linux_"):
        return
    architecture = platform.removeprefix("linux_")
    name, version = libc
    parts = version.split(".")
    if len(parts) < 2 or not all(part.isdecimal() for part in parts[:2]):
        return
    major, newest = int(parts[0]), int(parts[1])
    if name == "musl":
        for minor in range(newest, -1, -1):
            yield f"musllinux_{major}_{minor}_{architecture}"
    if name == "glibc":
        # PEP 600 and, for the oldest, PEP 513: older systems are not promised.
        oldest = 5 if architecture in ("x86_64", "i686") else 17
        for minor in range(newest, oldest - 1, -1):
            yield f"manylinux_{major}_{minor}_{architecture}"
            if minor in _LEGACY_MANYLINUX:
                yield f"{_LEGACY_MANYLINUX[minor]}_{architecture}"
