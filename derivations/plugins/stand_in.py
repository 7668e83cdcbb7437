"""Stands in for pyproject-hooks' script where a plugin has a say in a build.

The runner loads this in place of `_in_process.py`, whose functions it has: those that
the plugin overrides call the plugin, the others do what they always do. The plugin is
called in processes of its own, so that the backend never sees its modules.

Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace

# The typing module is not worth its time here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HERE = Path(__file__).resolve().parent
FOLDER = Path(sys.argv[1])
REQUEST: dict[str, Any] = json.loads((FOLDER / "plugin.json").read_text("utf-8"))
SETTINGS_FILE = "fromager-build-settings"

_real = ModuleType("_in_process")
_real.__file__ = os.environ.pop("FROMAGER_PLUGIN_HOOKS")
_tree = os.environ.pop("FROMAGER_PLUGIN")
SourceFileLoader(_real.__name__, _real.__file__).exec_module(_real)

HookMissing = _real.HookMissing
BackendUnavailable = _real.BackendUnavailable
GotUnsupportedOperation = _real.GotUnsupportedOperation
_builds = "build_wheel" in REQUEST["functions"]


class PluginFailed(Exception):
    """A plugin did not do what it was called for; why is in a file for who asked."""


def _build_backend() -> Any:
    """The backend; where the plugin builds, there need be none."""
    if "update_extra_environ" in REQUEST["functions"]:
        changed = _call("update_extra_environ", {})
        os.environ.clear()
        os.environ.update(changed)
    try:
        return _real._build_backend()
    except BackendUnavailable:
        if not _builds:
            raise
        return SimpleNamespace(build_wheel=build_wheel)


def get_requires_for_build_wheel(config_settings: Any) -> Any:
    """What the plugin says that the backend needs, or what the backend says."""
    if "get_build_backend_dependencies" in REQUEST["functions"]:
        return _call("get_build_backend_dependencies", {})
    try:
        return _real.get_requires_for_build_wheel(config_settings)
    except BackendUnavailable:
        if not _builds:
            raise
        return []


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: Any, _allow_fallback: bool
) -> str:
    """The metadata that the wheel has, or would have."""
    if not _builds:
        name = _real.prepare_metadata_for_build_wheel(
            metadata_directory, config_settings, _allow_fallback
        )
        if "get_install_dependencies_of_sdist" in REQUEST["functions"]:
            needs = _call("get_install_dependencies_of_sdist", {})
            _replace_needs(Path(metadata_directory, name, "METADATA"), needs)
        return str(name)
    wheel = Path(metadata_directory, build_wheel(metadata_directory, config_settings))
    info = _dist_info(wheel)
    with zipfile.ZipFile(wheel) as packed:
        names = [name for name in packed.namelist() if name.startswith(f"{info}/")]
        packed.extractall(metadata_directory, names)
    wheel.unlink()
    return info


def _replace_needs(path: Path, needs: list[str]) -> None:
    """Let a METADATA file say that exactly these requirements are needed."""
    head, blank, body = path.read_text("utf-8", "surrogateescape").partition("\n\n")
    kept, passed = [], False
    for line in head.splitlines():
        # A line that begins with a space goes on with the field before it.
        passed = passed if line[:1] in (" ", "\t") else _says_needs(line)
        if not passed:
            kept.append(line)
    kept += [f"Requires-Dist: {each}" for each in needs]
    text = "\n".join(kept) + (blank or "\n") + body
    path.write_text(text, "utf-8", "surrogateescape")


def _says_needs(line: str) -> bool:
    name, _, value = line.partition(":")
    field = name.lower()
    return field == "requires-dist" or (
        field == "dynamic" and value.strip().lower() == "requires-dist"
    )


def build_wheel(
    wheel_directory: str, config_settings: Any, metadata_directory: Any = None
) -> str:
    """The wheel's name: the plugin's if it builds, with its metadata if it has any."""
    if _builds:
        _call("build_wheel", {"output": wheel_directory})
        name = _only_wheel(Path(wheel_directory))
    else:
        name = _real.build_wheel(wheel_directory, config_settings, metadata_directory)
    if "add_extra_metadata_to_wheels" in REQUEST["functions"]:
        _add_metadata(Path(wheel_directory, name))
    return str(name)


def _only_wheel(folder: Path) -> str:
    found = sorted(folder.glob("*.whl"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise _failed("build_wheel", f"one wheel must be written, not {names}")
    return found[0].name


def _add_metadata(wheel: Path) -> None:
    """Let the plugin look at the wheel's `.dist-info` folder and write into it."""
    work = FOLDER / "tmp" / "plugin-wheel"
    info = _dist_info(wheel)
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(work)
        modes = {each.filename: each.external_attr for each in packed.infolist()}
    found = _call("add_extra_metadata_to_wheels", {"dist_info": str(work / info)})
    if found:
        text = _toml(found, "")
        (work / info / SETTINGS_FILE).write_text(text, encoding="utf-8")
    record = work / info / "RECORD"
    files = [p for p in sorted(work.rglob("*")) if p.is_file() and p != record]
    with record.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for path in files:
            raw = hashlib.sha256(path.read_bytes()).digest()
            digest = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            name = path.relative_to(work).as_posix()
            writer.writerow((name, f"sha256={digest}", path.stat().st_size))
        writer.writerow((f"{info}/RECORD", "", ""))
    with zipfile.ZipFile(wheel, "w") as packed:
        for path in [*files, record]:
            name = path.relative_to(work).as_posix()
            header = zipfile.ZipInfo(name)
            header.create_system = 3
            header.external_attr = modes.get(name, 0o100644 << 16)
            packed.writestr(header, path.read_bytes())
    shutil.rmtree(work)


def _dist_info(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as packed:
        for name in packed.namelist():
            folder, slash, _ = name.partition("/")
            if slash and folder.endswith(".dist-info"):
                return folder
    raise _failed("build_wheel", f"{wheel.name} has no .dist-info folder")


def _toml(table: dict[str, Any], prefix: str) -> str:
    """A table as TOML: values first, then tables within."""
    plain = {k: v for k, v in table.items() if v is not None}
    lines = [
        f"{json.dumps(key)} = {_toml_value(value)}\n"
        for key, value in plain.items()
        if not isinstance(value, dict)
    ]
    for key, value in plain.items():
        if isinstance(value, dict):
            name = f"{prefix}{json.dumps(key)}"
            lines.append(f"\n[{name}]\n{_toml(value, name + '.')}")
    return "".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(each) for each in value) + "]"
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)} = {_toml_value(v)}" for k, v in value.items())
        return "{ " + ", ".join(pairs) + " }"
    return json.dumps(value)


def _call(function: str, places: dict[str, str]) -> Any:
    """What a function of the plugin gives, called in a process of its own."""
    asked = REQUEST["functions"][function]
    answer = FOLDER / "tmp" / "plugin-answer.json"
    request = {
        **REQUEST,
        **asked,
        "function": function,
        "in_sandbox": True,
        "paths": [_tree],
        "hooks": _real.__file__,
        "answer": str(answer),
    }
    aliases = {"dist_info": "dist_info_dir"}
    values = dict(REQUEST["values"])
    for name, place in places.items():
        values[name] = values[aliases.get(name, name)] = place
    request["values"] = values
    path = FOLDER / "tmp" / "plugin-request.json"
    path.write_text(json.dumps(request), "utf-8")
    command = [sys.executable, str(HERE / "caller.py"), str(path)]
    done = subprocess.run(command, check=False)
    path.unlink()
    if not answer.exists():
        raise _failed(function, f"it ended with exit code {done.returncode}")
    found = json.loads(answer.read_text("utf-8"))
    answer.unlink()
    if found["status"] != "done":
        raise _failed(function, found["detail"], found["status"])
    return found["value"]


def _failed(function: str, reason: str, status: str = "raised") -> PluginFailed:
    told = {"function": function, "status": status, "detail": reason}
    (FOLDER / "plugin-failure.json").write_text(json.dumps(told), "utf-8")
    return PluginFailed(f"{REQUEST['module']}.{function}: {reason}")
