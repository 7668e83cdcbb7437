"""The benchmarks measure all that a command costs, and count what it leaves behind."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.bench_realise import Row, summary
from benchmarks.bench_serve import SERVERS, Rate, parse
from benchmarks.bench_serve import summary as serve_summary
from benchmarks.bench_share import BYTES, COPY, against_copy
from benchmarks.bench_store import ratios
from benchmarks.collect_sdists import LOCK, pin_of, read_lock
from benchmarks.contenders import WORKLOADS
from benchmarks.many_packages import findings, requests_since, served_from
from benchmarks.measuring import Cost
from benchmarks.samples import Sample
from benchmarks.samples import summary as overhead_summary
from benchmarks.store_work import closure_seconds, make_tree

TESTS: Final = Path(__file__).parent
MEASURE: Final = """
import dataclasses, json, pathlib, sys
from benchmarks.measuring import adopt_orphans, measure
folder = pathlib.Path(sys.argv[1])
adopt_orphans()
cost = measure([sys.executable, "-c", sys.argv[2]], {}, folder, folder / "log")
print(json.dumps(dataclasses.asdict(cost)))
"""
BUSY: Final = "import time\nwhile time.process_time() < 0.3: pass\n"


def measured(folder: Path, script: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), script],
        env={"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    cost: dict[str, Any] = json.loads(done.stdout)
    return cost


def test_processor_time_of_children_counts(tmp_path: Path) -> None:
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])"

    cost = measured(tmp_path, script)

    assert cost["cpu"] >= 0.3
    assert (cost["status"], cost["left_over"]) == (0, 0)


def test_processor_time_of_daemons_counts(tmp_path: Path) -> None:
    script = (
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BUSY!r}])"
    )

    cost = measured(tmp_path, script)

    assert cost["cpu"] >= 0.3
    assert (cost["status"], cost["left_over"]) == (0, 1)


def test_memory_and_exit_status_are_noted(tmp_path: Path) -> None:
    script = "import sys, time\nx = bytearray(50_000_000)\ntime.sleep(0.2)\nsys.exit(3)"

    cost = measured(tmp_path, script)

    assert cost["status"] == 3
    assert cost["largest_rss"] > 50_000_000
    assert cost["main_rss"] > 50_000_000


def test_ratios_are_of_rounds_and_not_of_medians() -> None:
    seconds = {"fast": (1.0, 8.0, 2.0), "slow": (2.0, 16.0, 8.0)}
    rows = [
        Row(number, tool, step, Cost(0, cpu, cpu, 1, 1, 0), 7, 0.1, 0.0)
        for step in ("cold", "warm")
        for tool, values in seconds.items()
        for number, cpu in enumerate(values)
    ]

    text = summary(rows, ["fast", "slow"])

    (line,) = (x for x in text.splitlines() if x.startswith("cold  slow"))
    assert line.endswith("0.50 [0.25..0.50]  0.50 [0.25..0.50]")


def test_a_thing_is_summed_up_by_the_least_and_the_median_of_its_samples() -> None:
    samples = [
        *(Sample("thing", cpu, 2 * cpu, 3_000_000, 1) for cpu in (0.5, 0.25, 4.0)),
        Sample("other", 7.0),
    ]

    lines = [line.split() for line in overhead_summary(samples).splitlines()]

    assert lines[1:] == [
        ["thing", "3", "0.2500", "0.5000", "1.000", "3", "1"],
        ["other", "1", "7.0000", "7.0000"],
    ]


def test_shares_are_held_against_the_copy_of_their_own_round() -> None:
    walls = {COPY: (1.0, 4.0, 1.0), **dict.fromkeys(BYTES, (2.0, 4.0, 1.0))}
    samples = [Sample(name, 0.0, wall) for name in walls for wall in walls[name]]

    lines = list(against_copy(samples))

    assert len(lines) == len(BYTES)
    assert lines[0].split(None, 2)[2] == "1.00 [0.50..1.00] x the copy"


def test_trivial_derivations_are_built_each_time_with_another_salt(
    tmp_path: Path,
) -> None:
    for salt in ("one", "two"):
        subprocess.run(
            [
                *(sys.executable, "-m", "benchmarks.trivial_builds"),
                *(str(tmp_path / "store"), salt, "3", "2"),
            ],
            env={"PYTHONPATH": str(TESTS), "PATH": os.defpath},
            check=True,
        )

    results = tmp_path.glob("store/*-trivial-?")
    assert sorted(path.read_text() for path in results) == [
        f"{salt} {number}\n" for salt in ("one", "two") for number in range(3)
    ]


def test_the_lock_has_the_sdists_of_all_workloads() -> None:
    pins = {pin_of(filename) for filename in read_lock(LOCK)}

    for workload in WORKLOADS.glob("w*.txt"):
        assert set(workload.read_text().split()) <= pins


def test_the_store_is_compared_with_nix_round_by_round() -> None:
    walls = {"fromager": (1.0, 4.0, 2.0), "nix": (2.0, 4.0, 8.0)}
    samples = [
        Sample(f"tree: {tool}", cpu=wall / 2, wall=wall)
        for tool, each in walls.items()
        for wall in each
    ]

    lines = ratios(samples).splitlines()

    assert [line.split() for line in lines[1:]] == [
        ["tree", "0.500", "x", "0.500", "x", "1.000", "x", "0.7"]
    ]


def test_a_tree_to_add_is_the_same_each_time_and_has_no_equal_files(
    tmp_path: Path,
) -> None:
    for name in ("one", "other"):
        make_tree(tmp_path / name, 50, 100_000, 5)

    def contents(name: str) -> list[bytes]:
        places = sorted((tmp_path / name).rglob("file*"))
        return [place.read_bytes() for place in places]

    found = contents("one")
    assert found == contents("other")
    assert len(set(found)) == 50
    assert 99_000 < sum(map(len, found)) < 102_000


def test_a_made_up_graph_is_reached_as_a_whole(tmp_path: Path) -> None:
    assert closure_seconds(tmp_path / "store", 100) < 1


def test_what_wrk_says_is_read() -> None:
    text = (
        "  Socket errors: connect 1, read 2, write 0, timeout 3\n"
        "  Non-2xx or 3xx responses: 4\n"
        "Requests/sec:   1234.50\nTransfer/sec:      1.50GB\n"
    )

    rate = parse(text, "fromager", "pages", 50)

    assert (rate.requests, round(rate.megabytes), rate.errors) == (1234.5, 1611, 10)


def test_requests_are_compared_within_a_round() -> None:
    rates = [
        Rate(server, "pages", 50, requests, 1.0, 0)
        for pair in ((300.0, 100.0), (800.0, 200.0), (500.0, 100.0))
        for server, requests in zip(SERVERS, pair, strict=True)
    ]

    (line,) = serve_summary(rates)

    assert "4.0 [3.0..5.0] x" in line


def test_memory_and_requests_of_many_packages_are_told() -> None:
    samples = [
        Sample("many cold: uv", 1.0, 1.0, 50_000_000),
        Sample("many cold: us", 2.0, 1.0, 64_000_000, requests=20, repeated=3),
    ]

    assert findings(samples) == (
        "many cold: us: 64 MB, at most 300; 20 requests, 3 of them repeated, at most 0"
    )


def test_an_index_of_many_packages_counts_what_is_asked_again(tmp_path: Path) -> None:
    (tmp_path / "pkg-1.0.tar.gz").write_bytes(b"x")

    with served_from(tmp_path) as index:
        for path in ("pkg", "pkg", "other"):
            server = index.base.removeprefix("http://")
            connection = http.client.HTTPConnection(server, timeout=30)
            with contextlib.closing(connection):
                connection.request("GET", f"/simple/{path}/")
                connection.getresponse().read()

        assert requests_since(index) == (3, 1)
        assert requests_since(index) == (0, 0)
