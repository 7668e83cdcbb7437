from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.building.sandbox import (
    keyed_environment,
    unkeyed_environment,
)
from fromager.derivations.building.stopping import StopSignal
from support.golden import check_golden

if TYPE_CHECKING:
    from support.workbench import Workbench

TESTS = Path(__file__).parent.parent
PROJECT = TESTS / "projects" / "conformance"
NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", min_size=1, max_size=8)


@pytest.fixture(scope="module")
def report(workbench: Workbench) -> dict[str, Any]:
    return _observe(workbench)


def test_what_a_build_can_observe_is_what_was_agreed(
    workbench: Workbench, report: dict[str, Any]
) -> None:
    shown = deepcopy(report)
    base = {mount.inside for mount in workbench.base.mounts}
    roots = {
        f"/{place.split('/')[1]}"
        for place in (*base, *(place for place, _ in workbench.base.links))
    }
    # What depends on where this machine has its interpreter and its libraries, and on
    # whether the files of the kernel belong to the caller.
    kernel = ("/proc/bus", "/proc/irq")
    shown["mounts"] = [
        mount for mount in report["mounts"] if mount[0] not in (*base, *kernel)
    ]
    shown["root"] = [name for name in report["root"] if f"/{name}" not in roots]
    shown["process"]["limits"].pop("RLIMIT_NOFILE")

    check_golden("sandbox/conformance.json", shown)


def test_the_limit_of_open_files_is_1024_now_and_524288_or_what_the_machine_permits(
    report: dict[str, Any],
) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    permitted = 524288 if hard == resource.RLIM_INFINITY else min(524288, hard)

    assert report["process"]["limits"]["RLIMIT_NOFILE"] == [1024, permitted]


def test_all_that_is_mounted_of_the_machine_is_read_only(
    workbench: Workbench, report: dict[str, Any]
) -> None:
    base = {mount.inside for mount in workbench.base.mounts}

    assert {access for place, _, access, _ in report["mounts"] if place in base} == {
        "ro"
    }


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_another_user_home_umask_zone_locale_and_folder_make_no_difference(
    workbench: Workbench, report: dict[str, Any], tmp_path: Path
) -> None:
    become = ("unshare", "--user", "--map-user=4321", "--map-group=1234")
    if subprocess.run([*become, "true"], check=False, capture_output=True).returncode:
        pytest.skip("unshare cannot map users here")

    other = _observe(
        workbench,
        *become,
        environment={
            "HOME": str(tmp_path),
            "TZ": "Asia/Kathmandu",
            "LC_ALL": "C",
            "LANG": "de_DE",
            "CFLAGS": "-O0",
            "PYTHONHASHSEED": "7",
            "SECRET": "x",
        },
        cwd=tmp_path,
        umask=0o077,
    )

    assert other == report


def test_the_variables_of_a_build_are_what_was_agreed() -> None:
    check_golden(
        "sandbox/environment.json",
        {
            "keyed": keyed_environment(1700000000, {"EXTRA": "1"}),
            "unkeyed": unkeyed_environment(4),
        },
    )


def test_no_compiler_flags_are_set_unless_the_package_sets_them() -> None:
    names = {"CFLAGS", "CXXFLAGS", "LDFLAGS", "CPPFLAGS", "CC", "CXX"}

    assert not names & set(keyed_environment(0, {}))
    assert keyed_environment(0, {"CFLAGS": "-O1"})["CFLAGS"] == "-O1"


@given(cores=st.integers(1, 512), epoch=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_number_of_processors_is_in_no_variable_that_a_key_covers(
    cores: int, epoch: int
) -> None:
    assert not set(unkeyed_environment(cores)) & set(keyed_environment(epoch, {}))


@given(extra=st.dictionaries(NAMES, st.text(max_size=5), max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_packages_own_variables_win_and_change_no_other(
    extra: dict[str, str],
) -> None:
    plain, with_extra = keyed_environment(1, {}), keyed_environment(1, extra)

    assert {name: with_extra[name] for name in extra} == extra
    assert {k: v for k, v in with_extra.items() if k not in extra} == {
        k: v for k, v in plain.items() if k not in extra
    }


def test_a_stop_signal_is_readable_once_it_was_set() -> None:
    import select

    stop = StopSignal()
    before = select.select([stop], [], [], 0)[0]
    stop.set()
    stop.set()

    assert (before, select.select([stop], [], [], 0)[0]) == ([], [stop])
    assert stop.is_set()
    stop.close()


def _observe(
    workbench: Workbench,
    *prefix: str,
    environment: dict[str, str] | None = None,
    cwd: Path = TESTS,
    umask: int = 0o022,
) -> dict[str, Any]:
    script = str(TESTS / "support" / "observe.py")
    done = subprocess.run(
        [*prefix, sys.executable, script, str(workbench.scratch), str(PROJECT)],
        env={
            "PATH": os.environ["PATH"],
            **(environment or {}),
            "PYTHONPATH": str(TESTS),
        },
        capture_output=True,
        check=False,
        cwd=cwd,
        umask=umask,
    )
    assert done.returncode == 0, done.stderr.decode()
    report: dict[str, Any] = json.loads(done.stdout)
    return report
