"""Runs inside the sandbox: calls a build backend's hooks (PEP 517), in one process.

    python /fromager/runner.py /build /fromager/_in_process.py

The folder holds `src` (the source; the request says in which folder of it hooks are
called), `out` (empty), and `request.json`, which is removed before the backend is
loaded. The answer is written to `answer.json`. Hooks are called through pyproject-hooks' own script; with it
come the defaults of hooks that a backend does not have.

Standard library only, Python 3.9 or newer.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
from importlib.machinery import SourceFileLoader
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType

# The typing module is not worth its time here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

QUESTIONS = {"sdist": "get_requires_for_build_sdist"}
OUTPUTS = {
    "wheel": "build_wheel",
    "metadata": "prepare_metadata_for_build_wheel",
    "prepare": "prepare_metadata_for_build_wheel",
    "sdist": "build_sdist",
}
MANDATORY = {"build_wheel", "build_sdist"}


class Refused(Exception):
    """The backend cannot be used, or did not do what PEP 517 demands."""

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def main(folder: Path, script: Path) -> None:
    """Answer the request that lies in a folder."""
    request = json.loads((folder / "request.json").read_text("utf-8"))
    (folder / "request.json").unlink()
    for stream in (sys.stdout, sys.stderr):
        # Lines of this process and of those that it starts come in their order.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    source = folder / "src" / request["build_dir"]
    os.chdir(source)
    hooks = _load_hooks(script, source, request)
    answer = {"status": "done", "requires": [], "result": "", "detail": ""}
    try:
        _answer(hooks, folder / "out", request, answer)
    except Refused as error:
        answer["status"], answer["detail"] = error.status, error.detail
    new = folder / "answer.json.new"
    new.write_text(json.dumps(answer), "utf-8")
    new.rename(folder / "answer.json")


def _answer(
    hooks: ModuleType, out: Path, request: dict[str, Any], answer: dict[str, Any]
) -> None:
    operation = request["operation"]
    settings = request["config_settings"] or None
    question = QUESTIONS.get(operation, "get_requires_for_build_wheel")
    backend = _load_backend(hooks)
    requires = _call(hooks, question, settings)
    if not isinstance(requires, (list, tuple)) or not all(
        isinstance(item, str) for item in requires
    ):
        raise Refused("bad-answer", f"{question} returned {_shown(requires)}")
    answer["requires"] = list(requires)
    if operation == "ask":
        return
    if not set(requires) <= set(request["accept"]):
        answer["status"] = "more"
        return
    hook = OUTPUTS[operation]
    # The scripts that call hooks have defaults of their own for some.
    if (hook in MANDATORY or operation == "prepare") and not hasattr(backend, hook):
        raise Refused("hook-missing", hook)
    if operation in ("metadata", "prepare"):
        result = _call(hooks, hook, str(out), settings, operation == "metadata")
    else:
        result = _call(hooks, hook, str(out), settings)
    if not isinstance(result, str):
        raise Refused("bad-answer", f"{hook} returned {_shown(result)}")
    if "/" in result or result in ("", ".", "..") or not (out / result).exists():
        raise Refused(
            "no-output", f"{hook} returned {result!r}, which it did not write"
        )
    answer["result"] = result


def _load_hooks(script: Path, source: Path, request: dict[str, Any]) -> ModuleType:
    here = Path(__file__).resolve().parent
    # The backend must not find what lies here.
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != here]
    os.environ["_PYPROJECT_HOOKS_BUILD_BACKEND"] = request["backend"]
    if request["backend_path"]:
        paths = [os.path.normpath(source / path) for path in request["backend_path"]]
        os.environ["_PYPROJECT_HOOKS_BACKEND_PATH_JSON"] = json.dumps(paths)
    hooks = ModuleType("_in_process")
    hooks.__file__ = str(script)
    SourceFileLoader(hooks.__name__, str(script)).exec_module(hooks)
    return hooks


def _load_backend(hooks: ModuleType) -> Any:
    try:
        return hooks._build_backend()
    except hooks.BackendUnavailable as error:
        sys.stderr.write(f"{error.traceback or error.message}\n")
        raise Refused("backend-missing", error.message) from error
    except AttributeError as error:
        traceback.print_exc()
        raise Refused("backend-missing", str(error)) from error
    except BaseException as error:
        traceback.print_exc()
        raise Refused("raised", _summary(error)) from error


def _call(hooks: ModuleType, name: str, *arguments: Any) -> Any:
    """Call a hook as if it were alone in its process: what it changed is put back."""
    before = Path.cwd(), list(sys.argv), list(sys.path), dict(os.environ)
    sys.argv[:] = [str(hooks.__file__), name]
    try:
        return getattr(hooks, name)(*arguments)
    except hooks.HookMissing as error:
        raise Refused("hook-missing", error.hook_name or name) from error
    except hooks.GotUnsupportedOperation as error:
        sys.stderr.write(error.traceback)
        raise Refused("unsupported", name) from error
    except BaseException as error:
        # Also SystemExit: that is how a setup.py gives up.
        traceback.print_exc()
        raise Refused("raised", _summary(error)) from error
    finally:
        cwd, sys.argv[:], sys.path[:], environment = before
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)


def _summary(error: BaseException) -> str:
    lines = traceback.format_exception_only(type(error), error)
    return lines[-1].strip()[:500]


def _shown(value: object) -> str:
    return f"{repr(value)[:200]}, a {type(value).__name__}"


if __name__ == "__main__":
    # A build is short, and makes modules that live to its end: to look for garbage
    # as often as a server does takes a sixth of a small build's time.
    gc.set_threshold(200_000, 50, 100)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written. Whatever threads the backend left need not be waited for.
    os._exit(0)
