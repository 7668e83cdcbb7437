"""Diagnoses: what the last lines of a log tell."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.building.diagnose import Diagnosis, diagnose

LOGS = [
    ("ffi.c:3:10: fatal error: ffi.h: No such file or directory\n", "header ffi.h"),
    ("x.c:1:10: fatal error: 'zlib.h' file not found\n", "header zlib.h"),
    ("x.c:1: fatal error: Python.h: No such file or directory\n", "headers of the int"),
    ("/usr/bin/ld: cannot find -lxml2: No such file or directory\n", "library xml2"),
    ("/usr/bin/ld: cannot find -lssl\ncollect2: error\n", "library ssl"),
    ("error: command 'gcc' failed: No such file or directory\n", "no compiler"),
    ("meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc']]\n", "no compiler"),
    ("CMake Error: No CMAKE_C_COMPILER could be found.\n", "no compiler"),
    ("configure: error: no acceptable C compiler found in $PATH\n", "no compiler"),
    ("ModuleNotFoundError: No module named 'numpy'\n", "module numpy is missing"),
    ("pip: Could not resolve host: example.test\n", "the network"),
    ("socket.gaierror: [Errno -3] Temporary failure in name resolution\n", "network"),
    ("ERROR: No matching distribution found for wheel\n", "network"),
    ("OSError: [Errno 28] No space left on device\n", "disk is full"),
    ("g++: fatal error: Killed signal terminated program cc1plus\n", "of memory"),
    ("error: can't find Rust compiler\n", "Rust"),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'cargo'\n", "Rust"),
    ("sh: 1: cmake: not found\n", "tool cmake"),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'ninja'\n", "tool ninja"),
    ("ERROR: Could not find CMake with version >=3.15\n", "tool CMake"),
    ("No package 'cairo' found\n", "no package cairo"),
    ("Package libpq was not found in the pkg-config search path.\n", "package libpq"),
    ("The system library `openssl` required by crate `o` was not found.", "openssl"),
    ("error: no matching package named `leaf` found\n", "Cargo.lock does not fit"),
    (
        "error: cannot update the lock file /x because --locked was passed\n",
        "Cargo.lock",
    ),
    ("Package 'libffi', required by 'virtual:world', not found\n", "package libffi"),
    (
        "LookupError: setuptools-scm was unable to detect version for /build/src.\n",
        "version control",
    ),
    ("fatal: not a git repository (or any of the parent directories)\n", "version con"),
    (
        "ERROR: Package 'x' requires a different Python: 3.9.1 not in '>=3.10'\n",
        ">=3.10",
    ),
    ("PermissionError: [Errno 13] Permission denied: '/usr/lib/x'\n", "/usr/lib/x"),
    ("OSError: [Errno 30] Read-only file system: '/opt/x'\n", "/opt/x"),
    ("mkdir: cannot create '/homeless'\n", "/homeless"),
    ("ImportError: cannot import name 'x' from 'setuptools'\n", "no longer has x"),
    ("AttributeError: module 'ast' has no attribute 'Str'\n", "no longer has Str"),
]


@pytest.mark.parametrize(("log", "cause"), LOGS, ids=[cause for _, cause in LOGS])
def test_a_known_failure_is_told(log: str, cause: str) -> None:
    found = diagnose(f"building\nrunning build_ext\n{log}more lines\n")

    assert found is not None
    assert cause in found.cause
    assert not found.hint.endswith(".")
    assert "{" not in found.cause + found.hint


@pytest.mark.parametrize("log", ["", "error: something odd\n", "all is well\n"])
def test_an_unknown_failure_is_left_to_the_log(log: str) -> None:
    assert diagnose(log) is None


def test_the_cause_outweighs_what_follows_from_it() -> None:
    found = diagnose(
        "cc1: fatal error: ffi.h: No such file or directory\n"
        "ModuleNotFoundError: No module named 'x'\n"
    )

    assert found == Diagnosis(
        "the header ffi.h is missing",
        "Install the development package of the library that has ffi.h",
    )


def test_of_several_the_last_counts() -> None:
    found = diagnose(
        "No module named 'a'\n"
        + "".join(f"ModuleNotFoundError: No module named '{name}'\n" for name in "bc")
    )

    assert found is not None
    assert "module c " in found.cause


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_a_log(text: str) -> None:
    diagnose(text)


def test_a_long_log_does_not_take_for_ever() -> None:
    before = time.process_time()
    diagnose("gcc -DNDEBUG -g -I/usr/include " * 20_000)
    diagnose("command 'cc" * 5_000)

    # It takes a tenth of a second; what backtracks takes many minutes.
    assert time.process_time() - before < 60
