from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from fromager.derivations.building.sandbox import Mount, SandboxSpec, StopSignal
from fromager.derivations.building.unsandboxed import UnsandboxedRunner


def _run(
    tmp_path: Path,
    *command: str,
    environment: dict[str, str] | None = None,
    timeout: float | None = 30,
    stop: StopSignal | None = None,
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
    ending = UnsandboxedRunner().run(spec, output.extend, stop or StopSignal())
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


@pytest.mark.parametrize("way", ["timeout", "stop"])
def test_what_must_not_go_on_is_killed_with_its_children(
    tmp_path: Path, way: str
) -> None:
    stop = StopSignal()
    threading.Timer(0.3, stop.set if way == "stop" else lambda: None).start()

    _run(
        tmp_path,
        "sh",
        "-c",
        "sleep 1000 & echo $! > /build/child; wait",
        timeout=0.3 if way == "timeout" else 30,
        stop=stop,
    )

    child = (tmp_path / "build" / "child").read_text().strip()
    deadline = time.monotonic() + 10
    while _is_running(child) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _is_running(child)


def _is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
