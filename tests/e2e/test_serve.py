"""`fromager serve` as real clients use it: pip, uv, and other machines; and as nobody
should."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from fromager.derivations import Kind
from fromager.derivations.serving import server
from fromager.store import open_store
from support.command_line import Place
from support.index import local_index
from support.projects import sdist
from support.provenance import provenance_of
from support.sharing import build
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JSON: Final = "application/vnd.pypi.simple.v1+json"
CLIENTS: Final = 200
ANSWERS: Final = 8
"""So many large files are more than the system holds for who does not take them."""


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    process: subprocess.Popen[str]
    url: str
    """Of the index."""

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def cache(self) -> str:
        return self.url.replace("/simple/", "/cache/")

    def get(
        self, path: str, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def serving(place: Place, *words: str) -> Iterator[Served]:
    """A server on a port of its own, until the block is left."""
    process = place.start("serve", "--port", "0", *words)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            outcome = place.finish(process)
            pytest.fail(f"it ended: {outcome.err}")
        yield Served(process, url)
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def shelf(quick_folder: Path) -> Place:
    """A store with wheels that were never built, but can be installed."""
    folder = quick_folder / "shelf"
    folder.mkdir()
    with open_store(folder / "store") as store:
        for name, needs in (("demo", "Requires-Dist: base\n"), ("base", "")):
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}"
            maker = WheelMaker(
                name,
                files={f"{name}/__init__.py": b"x = 1\n"},
                metadata=metadata.encode(),
            )
            content = maker.build()
            sha256 = hashlib.sha256(content).hexdigest()
            files = {maker.filename: content}
            made = build(store, f"{name}==1.0", files, sha256=sha256)
        # Only the last one is in it.
        build(store, "set", kind=Kind.COLLECTION, inputs={"wheel": made})
        large = WheelMaker("large", files={"large/data": os.urandom(3 << 20)})
        build(store, "large==1.0", {large.filename: large.build(compression=0)})
    return Place(folder, folder / "store", "")


@pytest.fixture(scope="module")
def served(shelf: Place) -> Iterator[Served]:
    with serving(shelf, "--all") as found:
        yield found


def hashes(served: Served, *names: str) -> str:
    """A file of requirements with hashes."""
    lines = []
    for name in names:
        _, page = served.get(f"/simple/{name}/", {"Accept": JSON})
        (row,) = json.loads(page)["files"]
        lines.append(f"{name}==1.0 --hash=sha256:{row['hashes']['sha256']}\n")
    return "".join(lines)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_it_is_installed_from_with_hashes(
    served: Served, tmp_path: Path, installer: str
) -> None:
    (tmp_path / "pins.txt").write_text(hashes(served, "demo", "base"))
    command = {
        "pip": [*(sys.executable, "-m", "pip", "--isolated", "--no-cache-dir"), "-v"],
        "uv": ["uv", "--no-cache", "--no-config", "pip"],
    }[installer]
    python = ("--python", sys.executable) if installer == "uv" else ()
    options = ("--require-hashes", "-r", "pins.txt", "--target", "t", *python)

    subprocess.run(
        [*command, "install", "--index-url", served.url, *options],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )

    assert (tmp_path / "t" / "demo" / "__init__.py").is_file()
    assert (tmp_path / "t" / "base" / "__init__.py").is_file()


def test_metadata_is_had_without_the_wheel(served: Served, shelf: Place) -> None:
    command = ["uv", "--no-cache", "--no-config", "pip", "compile", "--no-header", "-"]
    python = ("--python", sys.executable)
    asked = subprocess.run(
        [*command, "--index-url", served.url, "--no-annotate", *python],
        cwd=shelf.folder,
        input="demo\n",
        text=True,
        check=True,
        capture_output=True,
    )

    assert asked.stdout.split() == ["base==1.0", "demo==1.0"]


@pytest.mark.parametrize(
    ("suffix", "form"), [(".cdx.json", "cyclonedx"), (".spdx.json", "spdx")]
)
def test_the_bill_of_materials_is_that_which_is_printed(
    served: Served, shelf: Place, suffix: str, form: str
) -> None:
    _, page = served.get("/simple/demo/", {"Accept": JSON})
    (row,) = json.loads(page)["files"]

    status, bill = served.get(f"{row['url'].removeprefix('../..')}{suffix}")

    printed = shelf.run("sbom", "demo==1.0", "--format", form)
    assert (status, bill.decode()) == (200, printed.out)


def test_provenance_that_was_made_elsewhere_is_offered(
    shelf: Place, served: Served, tmp_path: Path
) -> None:
    _, page = served.get("/simple/demo/", {"Accept": JSON})
    (row,) = json.loads(page)["files"]
    value = provenance_of(row["filename"], row["hashes"]["sha256"])
    file = tmp_path / f"{row['filename']}.provenance"
    file.write_text(json.dumps(value))

    with serving(shelf, "demo", "--provenance", str(tmp_path)) as attested:
        _, page = attested.get("/simple/demo/", {"Accept": JSON})
        address = urlsplit(json.loads(page)["files"][0]["provenance"])
        status, content = attested.get(address.path)

    assert address.netloc == f"127.0.0.1:{attested.port}"
    assert (status, json.loads(content)) == (200, value)


def test_large_files_come_whole(served: Served, shelf: Place) -> None:
    _, page = served.get("/simple/large/", {"Accept": JSON})
    (row,) = json.loads(page)["files"]

    status, content = served.get(row["url"].removeprefix("../.."))

    assert status == 200
    assert hashlib.sha256(content).hexdigest() == row["hashes"]["sha256"]


def test_many_clients_at_once_are_all_answered(served: Served) -> None:
    _, page = served.get("/simple/demo/", {"Accept": JSON})
    (row,) = json.loads(page)["files"]
    barrier = threading.Barrier(CLIENTS)

    def client(_: int) -> set[tuple[int, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        with contextlib.closing(connection):
            connection.connect()
            barrier.wait(60)
            found = set()
            for _ in range(5):
                for path in ("/simple/demo/", row["url"].removeprefix("../..")):
                    connection.request("GET", path, headers={"Accept": JSON})
                    answer = connection.getresponse()
                    body = answer.read()
                    found.add((answer.status, hashlib.sha256(body).hexdigest()))
            return found

    with ThreadPoolExecutor(CLIENTS) as threads:
        answers = set[tuple[int, str]]().union(*threads.map(client, range(CLIENTS)))

    wanted = hashlib.sha256(page).hexdigest(), row["hashes"]["sha256"]
    assert answers == {(200, each) for each in wanted}


@pytest.mark.parametrize(
    "path", ["/../../../etc/passwd", "/files/../../../../etc/passwd", "//etc/passwd"]
)
def test_nothing_else_of_the_machine_is_sent(served: Served, path: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        assert raw.recv(1000).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /simple/ HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
        b"GET /" + b"a" * 200_000,
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000,
    ],
)
def test_nonsense_ends_the_connection_and_nothing_else(
    served: Served, sent: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as raw:
        with contextlib.suppress(ConnectionError):
            raw.sendall(sent)
        with contextlib.suppress(ConnectionError):
            answer = b"".join(iter(lambda: raw.recv(1 << 16), b""))
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4")

    assert served.get("/simple/demo/")[0] == 200


IMPATIENT = """
import sys
from fromager.cli.start import run
from fromager.derivations import Kind
from fromager.derivations.serving import server
server.PATIENCE = 0.3
sys.argv[0] = "fromager"
run()
"""


@pytest.fixture
def impatient(shelf: Place) -> Iterator[Served]:
    """A server that waits less long than it does by default."""
    with subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, "serve", "--all", "--port", "0"],
        env=shelf.environ,
        cwd=shelf.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Served(process, process.stdout.readline().strip())
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize("sent", [b"", b"GET /simple/ HTTP/1.1\r\nHost: x\r\n"])
def test_requests_that_do_not_arrive_are_given_up(
    impatient: Served, sent: bytes
) -> None:
    address = ("127.0.0.1", impatient.port)
    with socket.create_connection(address, timeout=30) as raw:
        raw.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(100) == b""


def test_a_request_that_drips_for_ever_is_given_up(impatient: Served) -> None:
    address = ("127.0.0.1", impatient.port)
    with socket.create_connection(address, timeout=0.05) as raw:
        raw.sendall(b"GET /simple/ HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            while True:
                raw.sendall(b"X: y\r\n")
                with contextlib.suppress(TimeoutError):
                    assert raw.recv(100) == b""
                    raise ConnectionResetError


def test_an_answer_that_nobody_takes_is_given_up(impatient: Served) -> None:
    _, page = impatient.get("/simple/large/", {"Accept": JSON})
    (row,) = json.loads(page)["files"]
    path = row["url"].removeprefix("../..")
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(30)
        raw.connect(("127.0.0.1", impatient.port))
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        raw.sendall(request * ANSWERS)

        own = raw.getsockname()[1]
        assert comes(lambda: not is_open(impatient.port, own))

        taken = 0
        with contextlib.suppress(ConnectionError):
            while chunk := raw.recv(1 << 20):
                taken += len(chunk)
        assert taken < row["size"] * ANSWERS


def is_open(port: int, other: int) -> bool:
    """Whether who listens at a port keeps a connection with another port open."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        if (local[-4:], remote[-4:]) == (f"{port:04X}", f"{other:04X}"):
            return state == "01"
    return False


def comes(condition: Callable[[], bool]) -> bool:
    """Whether something becomes true in time."""
    pause = threading.Event()
    return any(condition() or pause.wait(0.02) for _ in range(1000))


# Who may read.


@pytest.fixture(scope="module")
def guarded(shelf: Place) -> Iterator[Served]:
    (shelf.folder / "tokens").write_text("# two\nfirst-token\nsecond-token\n")
    variables = {**shelf.variables, "INDEX_TOKEN": "third-token"}
    place = Place(shelf.folder, shelf.store, "", variables)
    words = ("--tokens", "tokens", "--token-variable", "INDEX_TOKEN")
    with serving(place, "--all", *words) as found:
        yield found


def test_without_a_token_nothing_is_said(guarded: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=30)
    with contextlib.closing(connection):
        for path in ("/simple/", "/simple/demo/", "/cache/index.json", "/nothing"):
            connection.request("GET", path, headers={"Authorization": "Bearer wrong"})
            answer = connection.getresponse()
            assert (answer.status, b"demo" in answer.read()) == (401, False)
            assert "Basic" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("token", ["first-token", "second-token", "third-token"])
def test_who_shows_a_token_is_answered(guarded: Served, token: str) -> None:
    user = b64encode(f"user:{token}".encode()).decode()

    for header in (f"Bearer {token}", f"Basic {user}"):
        assert guarded.get("/simple/demo/", {"Authorization": header})[0] == 200


def test_uv_installs_with_a_token(guarded: Served, tmp_path: Path) -> None:
    url = guarded.url.replace("://", "://any:second-token@")

    subprocess.run(
        [
            *("uv", "--no-cache", "--no-config", "pip", "install", "demo"),
            *("--index-url", url, "--target", "t", "--python", sys.executable),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )

    assert (tmp_path / "t" / "demo").is_dir()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine that nobody else vouches for, and its key."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "index.test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    day = datetime.datetime(2020, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day.replace(year=2090))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(made.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


def test_it_speaks_https(shelf: Place, tmp_path: Path) -> None:
    public, private = certificate(tmp_path)
    words = ("--certificate", str(public), "--private-key", str(private))

    with serving(shelf, "--all", *words) as found:
        trusting = ssl.create_default_context(cafile=public)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", found.port, timeout=30, context=trusting
        )
        with contextlib.closing(connection):
            connection.request("GET", "/simple/demo/")
            status = connection.getresponse().status

    assert found.url.startswith("https://127.0.0.1:")
    assert status == 200


# What cannot be served.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Name what to offer"),
        (("--all", "demo"), "Name what to offer"),
        (("nothing",), "nothing"),
        (("--all", "--certificate", "c.pem"), "go together"),
        (("--all", "--certificate", "c", "--private-key", "k"), "cannot be used"),
        (("--all", "--tokens", "none"), "cannot be read"),
        (("--all", "--tokens", "empty"), "no token"),
        (("--all", "--tokens", "blank"), "blanks"),
        (("--all", "--token-variable", "NOT_SET"), "no token in the variable NOT_SET"),
        (("--all", "--port", "70000"), "70000"),
        (("--all", "--signing-key", "none"), "none"),
        (("--all", "--provenance", "nowhere"), "cannot be read"),
        (("--all", "--provenance", "."), "there is no provenance in"),
    ],
)
def test_mistakes_are_told(shelf: Place, words: tuple[str, ...], said: str) -> None:
    (shelf.folder / "empty").write_text("# nothing\n")
    (shelf.folder / "blank").write_text("two words\n")

    outcome = shelf.run("serve", *words)

    assert outcome.code in (1, 2)
    assert said in outcome.err
    assert outcome.out == ""
    assert "Traceback" not in outcome.err


def test_an_address_of_another_machine_is_told(shelf: Place) -> None:
    outcome = shelf.call("serve", "--all", "--host", "203.0.113.7", "--port", "0")

    assert outcome.code == 2
    assert "cannot listen at 203.0.113.7" in outcome.error


def test_a_port_in_use_is_told(shelf: Place, served: Served) -> None:
    outcome = shelf.run("serve", "--all", "--port", str(served.port))

    assert outcome.code == 2
    assert "in use" in outcome.error


def test_the_extra_that_is_missing_is_named(shelf: Place) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; "
        "sys.argv[0] = 'fromager'; from fromager.cli.start import run; run()"
    )
    words = ("serve", "--all", "--port", "0")

    ended = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=shelf.environ,
        cwd=shelf.folder,
        text=True,
        capture_output=True,
        check=False,
    )

    assert ended.returncode == 2
    assert "fromager[serve]" in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_good_order(shelf: Place, how: signal.Signals) -> None:
    process = shelf.start("serve", "demo", "--port", "0", "--json")
    assert process.stdout is not None
    lines = list(itertools.takewhile(lambda line: line != "}\n", process.stdout))

    process.send_signal(how)
    outcome = shelf.finish(process)

    said: Any = json.loads("".join([*lines, "}"]))
    assert outcome.code == 0, outcome.err
    assert set(said) == {"version", "index", "cache", "builder"}
    assert "Traceback" not in outcome.err


# Other machines.


def test_a_collection_is_offered_as_its_wheels(shelf: Place) -> None:
    with open_store(shelf.store, create=False) as store:
        (collection,) = store.history("collection", "set")

    with serving(shelf, str(collection.output)) as found:
        _, page = found.get("/simple/", {"Accept": JSON})

    assert json.loads(page)["projects"] == [{"name": "base"}]


def test_another_machine_builds_nothing_that_is_served(
    place: Place, fresh: Place
) -> None:
    projects = [
        sdist("served-tool", "1.0", files={"served_tool/x.txt": "x"}),
        sdist("served-demo", "1.0", requires=["served-tool"]),
    ]
    with local_index(dict(projects), cache_control="max-age=600") as index:
        farm = Place(place.folder, place.store, index.url)
        built = farm.realise("served-demo")
        key = farm.run("key", "generate", "farm").out.strip()
        home = fresh.folder / "other"
        home.mkdir()
        other = Place(home, fresh.store, index.url)
        assert other.run("key", "trust", key).code == 0

        with serving(farm, "served-demo") as found:
            theirs = other.realise("served-demo", "--substituter", found.cache)

    name = "served-demo"
    assert theirs.builds == 0
    assert theirs.wheel(name)["digest"] == built.wheel(name)["digest"]


def test_limits_are_those_that_are_documented() -> None:
    assert (server.PATIENCE, server.CONNECTIONS) == (20.0, 1000)
