from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fromager.derivations.building.sandbox import Mount, SandboxSpec
from fromager.derivations.building.stopping import StopSignal
from fromager.derivations.building.unsandboxed import UnsandboxedRunner

if TYPE_CHECKING:
    from collections.abc import Callable

PARENT: Final = ("sh", "-c", "sleep 1000 & echo $!; wait")


def _run(
    tmp_path: Path,
    *command: str,
    environment: dict[str, str] | None = None,
    timeout: float | None = 30,
    stop: StopSignal | None = None,
    listen: Callable[[bytes], None] = lambda _: None,
) -> tuple[int | None, str]:
    for name in ("build", "env"):
        (tmp_path / name).mkdir(exist_ok=True)
    spec = SandboxSpec(
        command=command,
        mounts=(
            Mount("/usr", "/usr"),
            Mount(str(tmp_path / "env"), "/env"),
            Mount(str(tmp_path / "build"), "/build", writable=True),
        ),
        environment={"PATH": "/usr/bin:/bin", **(environment or {})},
        cwd="/build",
        timeout=timeout,
    )
    output = bytearray()

    def take(chunk: bytes) -> None:
        output.extend(chunk)
        listen(chunk)

    ending = UnsandboxedRunner().run(spec, take, stop or StopSignal())
    return ending.code, output.decode()


def test_its_level_is_not_that_of_the_full_sandbox() -> None:
    assert UnsandboxedRunner().level == "none"


def test_paths_are_those_of_the_machine(tmp_path: Path) -> None:
    code, output = _run(
        tmp_path,
        "sh",
        "-c",
        'pwd; echo "$1:$P:$B"',
        "sh",
        "/build/src=/buildings",
        environment={"P": "/env/bin:/usr/bin", "B": "x/build"},
    )

    assert code == 0
    assert output == (
        f"{tmp_path}/build\n{tmp_path}/build/src=/buildings:{tmp_path}/env/bin:/usr/bin:x/build\n"
    )


def test_the_environment_holds_nothing_else(tmp_path: Path) -> None:
    _, output = _run(tmp_path, "env", environment={"ONE": "1"})

    names = {line.split("=")[0] for line in output.splitlines()}
    assert names - {"PWD", "OLDPWD"} == {"ONE", "PATH"}


def test_umask_and_limits_are_those_of_a_sandbox(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        _, output = _run(tmp_path, "sh", "-c", "umask; ulimit -c; ulimit -S -n")
    finally:
        os.umask(before)

    assert output.split() == ["0022", "0", "1024"]


def test_what_is_stopped_is_killed_with_its_children(tmp_path: Path) -> None:
    stop = StopSignal()

    output = _run(tmp_path, *PARENT, stop=stop, listen=lambda _: stop.set())[1]

    assert _ends(output.strip())


def test_what_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    _, output = _run(tmp_path, *PARENT, timeout=2)

    assert _ends(output.splitlines()[0])


def _ends(process: str) -> bool:
    """Whether a process is gone, now or in a moment."""
    deadline = time.monotonic() + 30
    while _is_running(process) and time.monotonic() < deadline:
        os.sched_yield()
    return not _is_running(process)


def _is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
