"""The index that other tests rely on is itself a proper index."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from support.index import JSON_TYPE, Hosted, local_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse

SUPPORT = Path(__file__).parents[1] / "support"


def get(url: str, headers: Mapping[str, str] | None = None) -> BaseHTTPResponse:
    with urllib3.PoolManager() as pool:
        return pool.request("GET", url, headers=headers, timeout=10)


def test_pages_come_in_the_form_that_is_accepted() -> None:
    with local_index({"pkg-1.0.tar.gz": b"x"}) as index:
        as_json = get(f"{index.url}pkg/", {"Accept": JSON_TYPE})
        as_html = get(f"{index.url}pkg/", {"Accept": "text/html"})

    assert json.loads(as_json.data)["files"][0]["filename"] == "pkg-1.0.tar.gz"
    assert b"<a href=" in as_html.data
    assert [request.status for request in index.requests] == [200, 200]


def test_files_are_served_whole_and_in_ranges() -> None:
    with local_index({"a-b-1.0.tar.gz": Hosted(b"0123456789")}) as index:
        whole = get(index.file_url("a-b-1.0.tar.gz"))
        part = get(index.file_url("a-b-1.0.tar.gz"), {"Range": "bytes=4-"})

    assert whole.data == b"0123456789"
    assert (part.status, part.data) == (206, b"456789")


def test_a_fault_hits_as_often_as_it_was_told() -> None:
    with local_index({"pkg-1.0.tar.gz": b"x"}) as index:
        index.fail("/pkg/", status=503, times=2)
        statuses = [get(f"{index.url}pkg/").status for _ in range(3)]

    assert statuses == [503, 503, 200]


def test_a_folder_is_served_from_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "pkg-1.0.tar.gz").write_bytes(b"content")
    command = [sys.executable, str(SUPPORT / "serve_index.py"), str(tmp_path)]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            names = get(url, {"Accept": JSON_TYPE}).json()["projects"]
            content = get(f"{url}../files/pkg-1.0.tar.gz").data
        finally:
            process.terminate()

    assert names == [{"name": "pkg"}]
    assert content == b"content"
