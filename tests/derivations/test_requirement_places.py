"""Requirement files at addresses: what they include, and what they may not name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fromager.derivations.errors import InputError
from fromager.derivations.requirements import read_constraints, read_requirements
from support.index import local_index

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fromager.derivations.requirements import RequirementFile

BASE = "https://me:secret@lists.test/team/"


def read(
    files: Mapping[str, str], place: str | Path = f"{BASE}r.txt", **environ: str
) -> RequirementFile:
    """Read a file where these are served, by their addresses from the base on."""
    served = {f"{BASE}{name}" if "://" not in name else name for name in files}
    assert len(served) == len(files)

    def fetch(url: str) -> bytes:
        name = url.removeprefix(BASE)
        if name not in files:
            raise InputError(f"{name} is not served")
        return files[name].encode()

    return read_requirements(place, environ, fetch)


def names(found: RequirementFile) -> list[str]:
    return [str(each.requirement) for each in found.requirements]


def test_a_file_at_an_address_includes_others_beside_it() -> None:
    found = read(
        {
            "r.txt": "a==1\n-r more/s.txt\n-c c.txt\n",
            "more/s.txt": "b==1\n-r ../t.txt\n--requirement /u.txt\n",
            "t.txt": "c==1\n",
            "https://me:secret@lists.test/u.txt": "d==1\n-r https://x.test/v.txt\n",
            "https://x.test/v.txt": "e==1\n",
            "c.txt": "a<2\n",
        }
    )

    assert names(found) == ["a==1", "b==1", "c==1", "d==1", "e==1"]
    assert [str(each.requirement) for each in found.constraints] == ["a<2"]
    origins = [each.origin for each in found.requirements]
    assert origins == [
        "https://***@lists.test/team/r.txt:1",
        "https://***@lists.test/team/more/s.txt:1",
        "https://***@lists.test/team/t.txt:1",
        "https://***@lists.test/u.txt:1",
        "https://x.test/v.txt:1",
    ]


def test_a_file_of_this_machine_includes_addresses(tmp_path: Path) -> None:
    path = tmp_path / "here.txt"
    (tmp_path / "also.txt").write_text("b\n")
    path.write_text(f"-r ${{LIST}}\n-r also.txt\n-r {tmp_path.as_uri()}/also.txt\n")

    found = read({"r.txt": "a\n"}, path, LIST=f"{BASE}r.txt")

    assert names(found) == ["a", "b", "b"]


def test_an_address_of_this_machine_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a file.txt").write_text("a\n")
    url = (tmp_path / "a file.txt").as_uri()

    assert "%20" in url
    assert names(read_requirements(url, {})) == ["a"]
    assert [c.origin for c in read_constraints(url, {}).constraints] == [
        f"{tmp_path / 'a file.txt'}:1"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "./project",
        "/srv/project",
        "demo @ file:///srv/project-1.0.tar.gz",
        "-e /srv",
        "git+file:///srv/project",
        "-r file:///etc/passwd",
        "-c file:///etc/passwd",
        "-f ./wheels",
        "--find-links=file:///srv/wheels",
        "-i /srv/simple",
        "--extra-index-url file:///srv/simple",
    ],
)
def test_a_file_from_elsewhere_names_nothing_of_this_machine(line: str) -> None:
    with pytest.raises(InputError) as caught:
        read({"r.txt": f"ok\n{line}\n"})

    text = str(caught.value)
    assert text.startswith("https://***@lists.test/team/r.txt:2: ")
    assert "this machine" in text


def test_a_file_from_elsewhere_names_addresses() -> None:
    found = read(
        {
            "r.txt": "-i https://i.test/simple\n-f https://l.test/links\n"
            "demo @ https://x.test/demo-1.0.tar.gz\ngit+https://x.test/other\n"
        }
    )

    assert found.index_urls == ("https://i.test/simple",)
    assert found.find_links == ("https://l.test/links",)
    assert [str(each.source) for each in found.direct] == [
        "https://x.test/demo-1.0.tar.gz",
        "git+https://x.test/other",
    ]


def test_addresses_that_include_each_other_are_an_error() -> None:
    with pytest.raises(InputError, match="include each other") as caught:
        read({"r.txt": "-r s.txt\n", "s.txt": "-r r.txt\n"})

    assert "secret" not in str(caught.value)


def test_an_address_of_another_kind_is_an_error() -> None:
    with pytest.raises(InputError, match="not the address of a file") as caught:
        read_requirements("ftp://me:secret@x.test/r.txt", {})

    assert "secret" not in str(caught.value)


def test_pip_includes_the_same_files(tmp_path: Path) -> None:
    pip = pytest.importorskip("pip._internal.req.req_file")
    session = pytest.importorskip("pip._internal.network.session")
    here = tmp_path / "here.txt"
    with local_index() as server, session.PipSession() as opened:
        server.texts = {
            "/a/r.txt": (b"one\n-r s.txt\n-r sub/t.txt\n-r /u.txt\n-c ../c.txt\n", {}),
            "/a/s.txt": (b"two\n", {}),
            "/a/sub/t.txt": (b"three\n-r ../s.txt\n", {}),
            "/u.txt": (b"four\n", {}),
            "/c.txt": (b"one<2\n", {}),
        }
        here.write_text(f"zero\n-r {server.base}/a/r.txt\n")
        # No proxy of this machine is asked for what is on it.
        opened.trust_env = False
        expected = [
            (each.requirement, each.constraint)
            for each in pip.parse_requirements(str(here), opened)
        ]
        found = read_requirements(
            here, {}, lambda url: server.texts[url.removeprefix(server.base)][0]
        )

    ours = [(str(each.requirement), False) for each in found.requirements]
    ours += [(str(each.requirement), True) for each in found.constraints]
    assert sorted(ours) == sorted(expected)
