"""What holds for every test: no network, one time zone, one umask."""

import ipaddress
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import settings

settings.register_profile("tests", deadline=None, max_examples=50)
settings.register_profile("ci", settings.get_profile("tests"), derandomize=True)
# For long runs: HYPOTHESIS_PROFILE=thorough pytest tests/store
settings.register_profile("thorough", settings.get_profile("tests"), max_examples=1500)


@dataclass
class NetworkGuard:
    """Refuses and remembers what leaves this machine, while it is closed."""

    closed: bool = False
    breaches: list[str] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook: sees what every library in this process does."""
        if not self.closed or event not in ("socket.connect", "socket.getaddrinfo"):
            return
        place = arguments[1] if event == "socket.connect" else arguments[0]
        host = place[0] if isinstance(place, tuple) else place
        local = not isinstance(place, tuple) and event == "socket.connect"
        if not local and isinstance(host, str) and not is_loopback(host):
            self.breaches.append(f"{event} {place}")
            raise RuntimeError(f"a test without the mark `network` uses {host}")


def is_loopback(host: str) -> bool:
    """Whether a name or an address cannot leave this machine."""
    if host in ("", "localhost", "0.0.0.0", "::"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


GUARD = NetworkGuard()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--network", action="store_true", help="run tests that need the package index"
    )
    parser.addoption(
        "--long", action="store_true", help="run tests that compile for an hour or so"
    )


def pytest_configure(config: pytest.Config) -> None:
    usual = "ci" if os.environ.get("CI") else "tests"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", usual))
    # Audit hooks cannot be taken away again; the guard is opened instead.
    sys.addaudithook(GUARD)
    os.umask(0o022)
    os.environ["TZ"] = "UTC"
    time.tzset()


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    reasons = {"network": "needs the package index", "long": "compiles for an hour"}
    for mark, reason in reasons.items():
        if config.getoption(f"--{mark}"):
            continue
        skip = pytest.mark.skip(reason=f"{reason}: --{mark}")
        for item in items:
            if item.get_closest_marker(mark):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> Iterator[None]:
    GUARD.breaches.clear()
    GUARD.closed = request.node.get_closest_marker("network") is None
    yield
    GUARD.closed = False
    # Whoever catches the guard's error goes on; the test fails all the same.
    assert GUARD.breaches == []
