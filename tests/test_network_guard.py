"""The guard that keeps tests on this machine."""

import socket
from contextlib import suppress

import pytest

pytest_plugins = ["pytester"]

GUARDED = """
import socket
from contextlib import suppress

def test_connects():
    with suppress(Exception):
        socket.create_connection(("192.0.2.1", 9), timeout=0.01)

def test_looks_up_a_name():
    with suppress(Exception):
        socket.getaddrinfo("index.test", 443)

def test_stays():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
"""


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_sockets_of_this_machine_are_open() -> None:
    one, other = socket.socketpair()
    with one, other, suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as s:
        s.connect("/nonexistent/socket")


def test_other_machines_are_refused(
    pytester: pytest.Pytester, request: pytest.FixtureRequest
) -> None:
    conftest = request.config.rootpath / "tests" / "conftest.py"
    pytester.makeconftest(conftest.read_text())
    pytester.makepyfile(GUARDED)

    result = pytester.runpytest_subprocess("-p", "no:randomly")

    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*192.0.2.1*", "*index.test*"])


def test_the_mark_network_needs_the_option(
    pytester: pytest.Pytester, request: pytest.FixtureRequest
) -> None:
    conftest = request.config.rootpath / "tests" / "conftest.py"
    pytester.makeconftest(conftest.read_text())
    pytester.makeini("[pytest]\nmarkers = network: the index")
    pytester.makepyfile(
        "import pytest\n@pytest.mark.network\ndef test_asks(): assert True\n"
    )

    pytester.runpytest_subprocess().assert_outcomes(skipped=1)
    pytester.runpytest_subprocess("--network").assert_outcomes(passed=1)
