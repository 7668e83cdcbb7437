"""Calling a plugin: in a process of its own, in the sandbox or on this machine."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fromager.derivations.building.sandbox import (
    BUILD,
    ENVIRONMENT,
    Mount,
    SandboxSpec,
)
from fromager.derivations.building.unsandboxed import UnsandboxedRunner
from fromager.derivations.errors import Stopped
from fromager.derivations.plugins.broken import PluginFailed
from fromager.derivations.plugins.protocol import HOOKS
from fromager.derivations.plugins.scripts import INSIDE, scripts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from fromager.derivations.building.platform import HostBase
    from fromager.derivations.building.sandbox import Sandbox, SandboxExit, Stop
    from fromager.derivations.plugins.protocol import Hook
    from fromager.derivations.plugins.use import PluginUse

HOOKS_SCRIPT: Final = f"{INSIDE}/_in_process.py"
"""Where the script that calls a backend's hooks is seen inside."""
TREE: Final = f"{INSIDE}/plugin"
"""Where the plugin's code is seen inside."""
_WORDS: Final = {
    "raised": "{detail}",
    "not-loaded": "it cannot be loaded: {detail}",
    "nonsense": "{detail}",
}


def places_inside(build_dir: str) -> dict[str, str]:
    """Where the parts of a build are seen inside, by what plugins call them."""
    source = f"{BUILD}/src"
    project = f"{source}/{build_dir}" if build_dir else source
    return {
        "build_dir": project,
        "environment": ENVIRONMENT,
        "output": f"{BUILD}/out",
        "project": project,
        "sdist_root_dir": source,
        "source": source,
        "work": f"{BUILD}/tmp",
    }


def mounts(code: Path) -> tuple[Mount, ...]:
    """What a build sees so that a plugin can be called in it, beside what calls hooks."""
    return (
        *(Mount(str(path), inside) for inside, path in scripts().items()),
        Mount(str(code), TREE),
    )


def call_inside(
    sandbox: Sandbox,
    base: HostBase,
    folder: Path,
    use: PluginUse,
    function: str,
    more: Sequence[Mount],
    values: Mapping[str, object],
    *,
    environment: Mapping[str, str],
    build_dir: str,
    config_settings: Mapping[str, object],
    timeout: float | None,
    output: Callable[[bytes], None],
    stop: Stop,
) -> Any:
    """What a function gives, called in the sandbox on the source in a folder.

    Raises:
        PluginFailed: it gives nothing of use.
        Stopped: `stop` was set.
    """
    request = {
        **use.request(
            {**values, "config_settings": dict(config_settings)},
            config_settings=config_settings,
            build_dir=build_dir,
        ),
        **HOOKS[function].value,
        "function": function,
        "in_sandbox": True,
        "paths": [TREE],
        "hooks": HOOKS_SCRIPT,
        "answer": f"{BUILD}/answer.json",
    }
    real = {BUILD: str(folder), ENVIRONMENT: "", TREE: ""}
    for mount in more:
        real[mount.inside] = mount.host
    path = folder / "plugin.json"
    path.write_text(json.dumps(_placed(request, real, sandbox)))
    spec = SandboxSpec(
        command=(
            f"{ENVIRONMENT}/bin/python",
            f"{INSIDE}/caller.py",
            f"{BUILD}/plugin.json",
        ),
        mounts=(*base.mounts, *more, Mount(str(folder), BUILD, writable=True)),
        links=base.links,
        environment=environment,
        cwd=f"{BUILD}/src",
        timeout=timeout,
    )
    ending = sandbox.run(spec, output, stop)
    return _answer(folder / "answer.json", ending, use, function)


def _placed(
    request: Mapping[str, object], real: Mapping[str, str], sandbox: Sandbox
) -> object:
    """The request; without a sandbox, with the places of this machine in it."""
    if sandbox.level != UnsandboxedRunner().level:
        return request
    return replaced(request, real)


def replaced(value: object, real: Mapping[str, str]) -> object:
    """A value with paths inside replaced by those of this machine."""
    match value:
        case str():
            for inside, outside in sorted(real.items(), reverse=True):
                if value == inside or value.startswith(f"{inside}/"):
                    return f"{outside}{value.removeprefix(inside)}"
            return value
        case dict():
            return {name: replaced(each, real) for name, each in value.items()}
        case list() | tuple():
            return [replaced(each, real) for each in value]
    return value


@dataclass(frozen=True)
class Outside:
    """Calls plugins on this machine, as they are installed."""

    paths: tuple[str, ...]
    environ: Mapping[str, str]
    timeout: float | None
    output: Callable[[bytes], None]
    stop: Stop

    def call(
        self,
        use: PluginUse,
        hook: Hook,
        function: str,
        values: Mapping[str, object],
        folder: Path,
    ) -> Any:
        """What a function gives; `folder` is empty, and may be written to.

        Raises:
            PluginFailed: it gives nothing of use.
            Stopped: `stop` was set.
        """
        answer = folder / "answer.json"
        request = {
            **use.request(
                {"work": str(folder), **values}, config_settings={}, build_dir=""
            ),
            **hook.value,
            "function": function,
            "in_sandbox": False,
            "paths": list(self.paths),
            "hooks": "",
            "answer": str(answer),
        }
        path = folder / "plugin.json"
        path.write_text(json.dumps(request))
        script = scripts()[f"{INSIDE}/caller.py"]
        spec = SandboxSpec(
            command=(sys.executable, str(script), str(path)),
            mounts=(),
            environment=self.environ,
            cwd=str(folder),
            timeout=self.timeout,
        )
        ending = UnsandboxedRunner().run(spec, self.output, self.stop)
        found = _answer(answer, ending, use, function)
        path.unlink()
        answer.unlink()
        return found


def failed(
    use: PluginUse, function: str, detail: str, status: str = "raised"
) -> PluginFailed:
    """The error for an answer that is none."""
    subject = use.package if use.version is None else f"{use.package}=={use.version}"
    reason = _WORDS.get(status, "{detail}").format(detail=detail)
    return PluginFailed(subject, use.module, function, reason)


def _answer(path: Path, ending: SandboxExit, use: PluginUse, function: str) -> Any:
    if ending.stopped:
        raise Stopped(f"{use.package}: {function} was stopped")
    if ending.timed_out:
        reason = f"it was stopped after {ending.duration:.0f} seconds, the time that it was given"  # fmt: skip
        raise failed(use, function, reason)
    try:
        answer = json.loads(path.read_bytes())
        status, detail = str(answer["status"]), str(answer["detail"])
        value = answer["value"]
    except (OSError, ValueError, KeyError, TypeError):
        how = f"by signal {ending.signal}" if ending.signal else f"with exit code {ending.code}"  # fmt: skip
        raise failed(use, function, f"its process ended {how}") from None
    if status != "done":
        raise failed(use, function, detail, status)
    return value
