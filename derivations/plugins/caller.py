"""Runs in a process of its own: calls one function of a plugin, and writes its answer.

    python caller.py request.json

The request names the module and the function, where both may look for modules, and
what the function may be given. It gets by keyword only what it has parameters for.
Beside this script lies `upstream_modules.py`, which stands for upstream's modules.

Standard library only, Python 3.9 or newer; `packaging` is among what plugins are given.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import traceback
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

# The typing module is not worth its time here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATHS = {
    *(
        "archive",
        "build_dir",
        "dist_info",
        "environment",
        "output",
        "project",
        "source",
        "work",
    ),
    *("dist_info_dir", "sdist_filename", "sdist_root_dir", "sdists_downloads_dir"),
    *("source_filename", "wheel_filename"),
}
"""Parameters that are paths."""


class Refused(Exception):
    """The plugin cannot be used, or did not give what it must."""

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def main(path: Path) -> None:
    """Answer the request in a file."""
    request = json.loads(path.read_text("utf-8"))
    answer = {"status": "done", "detail": "", "value": None}
    try:
        answer["value"] = _answer(request)
    except Refused as error:
        answer["status"], answer["detail"] = error.status, error.detail
    target = Path(request["answer"])
    new = target.with_name(target.name + ".new")
    new.write_text(json.dumps(answer), "utf-8")
    new.rename(target)


def _answer(request: dict[str, Any]) -> Any:
    if request["in_sandbox"]:
        sys.path[:0] = request["paths"]
    else:
        sys.path.extend(p for p in request["paths"] if p not in sys.path)
    modules = _stand_ins(request)
    function = _load(request["module"], request["function"])
    if request["returns"] == "loaded":
        return None
    values = _values(request, modules, _wanted(function, request["offered"]))
    try:
        result = function(**values)
    except BaseException as error:
        traceback.print_exc()
        raise Refused("raised", _summary(error)) from error
    try:
        return RESULTS[request["returns"]](result, request)
    except Refused:
        raise
    except BaseException as error:
        # A generator fails only when it is asked.
        traceback.print_exc()
        raise Refused("raised", _summary(error)) from error


def _stand_ins(request: dict[str, Any]) -> ModuleType:
    script = Path(__file__).resolve().with_name("upstream_modules.py")
    modules = ModuleType("upstream_modules")
    modules.__file__ = str(script)
    SourceFileLoader(modules.__name__, str(script)).exec_module(modules)
    modules.install(request)
    return modules


def _load(module: str, name: str) -> Any:
    try:
        found: Any = import_module(module)
        for part in filter(None, name.split(".")):
            found = getattr(found, part)
    except BaseException as error:
        traceback.print_exc()
        raise Refused("not-loaded", _summary(error)) from error
    if name and not callable(found):
        raise Refused("not-loaded", f"{name} is a {type(found).__name__}")
    return found


def _wanted(function: Any, offered: list[str]) -> list[str]:
    """What of all that is offered the function has parameters for.

    Raises:
        Refused: it demands something else.
    """
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise Refused("nonsense", f"its parameter {name!r} cannot be named")
        if name in offered:
            found.append(name)
        elif parameter.default is parameter.empty:
            known = ", ".join(sorted(offered))
            reason = f"it has a parameter {name!r}; there are {known}"
            raise Refused("nonsense", reason)
    return found


def _values(
    request: dict[str, Any], modules: ModuleType, wanted: list[str]
) -> dict[str, Any]:
    """What the function is given; only what it wants is made, since that takes time."""
    values: dict[str, Any] = {}
    variables = dict(os.environ)
    for name in wanted:
        values[name] = (
            variables
            if name in ("extra_environ", "variables")
            else _value(name, request, modules)
        )
    if request["returns"] == "variables":
        request["changed"] = variables
    return values


def _value(name: str, request: dict[str, Any], modules: ModuleType) -> Any:
    package, version = request["package"], request["version"]
    if name == "ctx":
        return modules.WorkContext(request)
    if name in ("name", "dist_name"):
        return package
    if name == "variant":
        return request["variant"]
    if name == "dist_version":
        return version
    if name == "version":
        return version and import_module("packaging.version").Version(version)
    if name in ("req", "requirement"):
        exact = f"{package}=={version}" if version else package
        return import_module("packaging.requirements").Requirement(exact)
    if name == "build_env":
        return modules.BuildEnvironment(request["values"]["environment"])
    if name == "req_type":
        return import_module("fromager.resolver").RequirementType.INSTALL
    value = request["values"][name]
    if name == "wheel_tags":
        parse = import_module("packaging.tags").parse_tag
        return frozenset(tag for text in value for tag in parse(text))
    return Path(value) if name in PATHS and value is not None else value


def _requirements(result: Any, request: dict[str, Any]) -> list[str]:
    if isinstance(result, (str, bytes, dict)) or not hasattr(result, "__iter__"):
        raise _nonsense("requirements", result)
    requirement = import_module("packaging.requirements")
    found = []
    for each in result:
        text = str(each)
        try:
            requirement.Requirement(text)
        except requirement.InvalidRequirement:
            raise _nonsense("requirements", each) from None
        found.append(text)
    return sorted(set(found))


def _path(result: Any, request: dict[str, Any]) -> str | None:
    if isinstance(result, tuple) and len(result) == 2:
        result = result[0]
    if result is not None and not isinstance(result, (str, os.PathLike)):
        raise _nonsense("a path", result)
    return None if result is None else str(Path.cwd() / result)


def _name(result: Any, request: dict[str, Any]) -> str | None:
    if result is None:
        return None
    text = str(result)
    if not isinstance(result, (str, os.PathLike)) or not text:
        raise _nonsense("a name", result)
    if Path(text).is_absolute() or ".." in text.split("/"):
        raise _nonsense("a name that leads nowhere else", result)
    return text


def _nothing(result: Any, request: dict[str, Any]) -> None:
    return None


def _variables(result: Any, request: dict[str, Any]) -> dict[str, str]:
    changed = request["changed"] if result is None else result
    if not isinstance(changed, dict) or not all(
        isinstance(text, str) for pair in changed.items() for text in pair
    ):
        raise _nonsense("variables, names and texts", changed)
    return dict(changed)


def _metadata(result: Any, request: dict[str, Any]) -> Any:
    if result is None or isinstance(result, dict):
        try:
            return json.loads(json.dumps(result))
        except (TypeError, ValueError):
            raise _nonsense("plain values", result) from None
    raise _nonsense("a dict", result)


def _provider(result: Any, request: dict[str, Any]) -> Any:
    if not hasattr(result, "described"):
        raise _nonsense("one of upstream's providers", result)
    return result.described(request["package"])


def _segments(result: Any, request: dict[str, Any]) -> list[str]:
    if isinstance(result, (str, bytes)) or not hasattr(result, "__iter__"):
        raise _nonsense("a sequence of texts", result)
    found = list(result)
    for each in found:
        plain = isinstance(each, str) and each.replace(".", "").isalnum()
        if not plain or not each.isascii():
            raise _nonsense("letters, digits and dots", each)
    return found


RESULTS = {
    "requirements": _requirements,
    "path": _path,
    "name": _name,
    "nothing": _nothing,
    "variables": _variables,
    "metadata": _metadata,
    "provider": _provider,
    "segments": _segments,
}


def _nonsense(wanted: str, found: object) -> Refused:
    shown = f"{repr(found)[:200]} of type {type(found).__name__}"
    return Refused("nonsense", f"{wanted} must be returned, not {shown}")


def _summary(error: BaseException) -> str:
    lines = traceback.format_exception_only(type(error), error)
    return lines[-1].strip()[:500]


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written. Whatever threads the plugin left need not be waited for.
    os._exit(0)
