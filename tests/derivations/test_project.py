"""Build systems and static metadata of source trees."""

from __future__ import annotations

import json

import pytest
from packaging.requirements import Requirement

from fromager.derivations.core_metadata import parse_headers
from fromager.derivations.sources.project import (
    BuildSystem,
    InvalidProject,
    StaticMetadata,
    build_system,
    static_metadata,
)

LEGACY = BuildSystem(("setuptools>=40.8.0",), "setuptools.build_meta:__legacy__")


@pytest.mark.parametrize("pyproject", [None, b"", b"[tool.black]\nline-length = 9\n"])
def test_without_a_build_system_the_legacy_backend_is_meant(
    pyproject: bytes | None,
) -> None:
    assert build_system(pyproject) == LEGACY


def test_a_build_system_is_read_as_it_is_written() -> None:
    found = build_system(
        b"""
        [build-system]
        requires = ["flit_core >=3.8,<4", 'tomli; python_version < "3.11"']
        build-backend = "backend.api:Hooks.main"
        backend-path = ["./tools/", "."]
        """
    )

    assert found == BuildSystem(
        ("flit_core >=3.8,<4", 'tomli; python_version < "3.11"'),
        "backend.api:Hooks.main",
        ("tools", "."),
    )


def test_without_a_backend_the_requirements_stand_as_they_are() -> None:
    found = build_system(b'[build-system]\nrequires = ["setuptools<70", "cython"]\n')

    assert found == BuildSystem(("setuptools<70", "cython"), LEGACY.backend)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("", "has no requires"),
        ('requires = "flit"', "no list of strings"),
        ("requires = [1]", "no list of strings"),
        ('requires = ["flit core"]', "'flit core' is no requirement"),
        ("requires = []\nbuild-backend = 3", "names no object"),
        ('requires = []\nbuild-backend = "a b"', "names no object"),
        ('requires = []\nbuild-backend = "a"\nbackend-path = ".."', "list of strings"),
        ('requires = []\nbuild-backend = "a"\nbackend-path = [".."]', "leads out"),
        ('requires = []\nbuild-backend = "a"\nbackend-path = ["/x"]', "leads out"),
        ('requires = []\nbackend-path = ["x"]', "needs a build-backend"),
    ],
)
def test_a_wrong_build_system_table_is_said(table: str, reason: str) -> None:
    with pytest.raises(InvalidProject, match=reason):
        build_system(f"[build-system]\n{table}\n".encode())


@pytest.mark.parametrize(
    "content",
    [b"build-system = 1", b"[build-system", b"\xff", b"a = " + b"[" * 10_000],
)
def test_a_file_that_is_no_pyproject_is_said(content: bytes) -> None:
    with pytest.raises(InvalidProject, match="pyproject"):
        build_system(content)


PKG_INFO = b"""Metadata-Version: 2.2
Name: Demo
Version: 1.0
Summary: several
        lines
Requires-Python: >=3.9
Requires-Dist: attrs>=20; python_version < "4"
Provides-Extra: x
Requires-Dist: click; extra == "x"

Requires-Dist: not-this
"""
PYPROJECT = b"""
[project]
name = "demo"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["attrs>=20"]
dynamic = ["readme"]
[project.optional-dependencies]
"X_y" = ["click; os_name == 'posix' or os_name == 'nt'", "tool @ https://x.test/t.zip"]
"""


def test_pkg_info_without_dynamic_fields_is_static() -> None:
    assert static_metadata(PKG_INFO, None) == StaticMetadata(
        "Demo",
        "1.0",
        ('attrs>=20; python_version < "4"', 'click; extra == "x"'),
        ">=3.9",
        ("x",),
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Version: 2.2", b"Version: 2.1"),
        (b"Version: 2.2", b"Version: x"),
        (b"Summary:", b"Dynamic: requires-dist\nSummary:"),
        (b"Summary:", b"Dynamic: Requires-Python\nSummary:"),
        (b"Summary:", b"Dynamic: Version\nSummary:"),
        (b"Name: Demo\n", b""),
        (b"1.0", b"one"),
    ],
)
def test_other_pkg_info_is_not_static(old: bytes, new: bytes) -> None:
    assert static_metadata(PKG_INFO.replace(old, new, 1), None) is None


def test_fields_that_nobody_needs_may_be_dynamic() -> None:
    content = PKG_INFO.replace(b"Summary:", b"Dynamic: license-file\nSummary:")

    assert static_metadata(content, None) is not None


def test_a_newer_metadata_version_is_static() -> None:
    content = PKG_INFO.replace(b"Version: 2.2", b"Version: 2.10")

    assert static_metadata(content, None) is not None


def test_the_project_table_is_static_where_pkg_info_is_not() -> None:
    found = static_metadata(PKG_INFO.replace(b"2.2", b"2.1"), PYPROJECT)

    assert found is not None
    assert (found.name, found.version, found.requires_python) == (
        "demo",
        "1.0",
        ">=3.9",
    )
    assert found.provides_extra == ("x-y",)
    plain, marked, linked = map(Requirement, found.requires_dist)
    assert str(plain) == "attrs>=20"
    assert marked.marker is not None
    assert marked.marker.evaluate({"os_name": "nt", "extra": "x-y"})
    assert not marked.marker.evaluate({"os_name": "nt", "extra": ""})
    assert linked.url == "https://x.test/t.zip"
    assert linked.marker is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"readme"', b'"version"'),
        (b'"readme"', b'"dependencies"'),
        (b'"readme"', b'"optional-dependencies"'),
        (b'"readme"', b'"requires-python"'),
        (b'version = "1.0"', b""),
        (b'["attrs>=20"]', b'"attrs"'),
        (b"click; os", b"click; ; os"),
        (b"[project]", b"[tool.poetry]"),
    ],
)
def test_other_project_tables_are_not_static(old: bytes, new: bytes) -> None:
    assert static_metadata(None, PYPROJECT.replace(old, new, 1)) is None


def test_without_either_file_nothing_is_static() -> None:
    assert static_metadata(None, None) is None


def test_static_metadata_is_read_back_from_json() -> None:
    found = static_metadata(PKG_INFO, None)
    assert found is not None

    assert StaticMetadata.load(json.loads(json.dumps(found.dump()))) == found
    assert StaticMetadata.load(None) is None


def test_headers_end_at_the_first_empty_line_whatever_ends_the_lines() -> None:
    headers = parse_headers(
        b"\xef\xbb\xbfA: 1\r\nb:2\r\n\tmore\r\nno header\r\n\r\nC: 3"
    )

    assert headers.all("a") == ("1",)
    assert headers.first("B") == "2 more"
    assert headers.first("C") is None


def test_a_version_that_only_pkg_info_has_leaves_the_rest_static() -> None:
    pyproject = b"""
    [project]
    name = "demo"
    dynamic = ["version"]
    dependencies = ["other>=1"]
    """
    pkg_info = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.5\n"

    found = static_metadata(pkg_info, pyproject)

    assert found is not None
    assert (found.version, found.requires_dist) == ("1.5", ("other>=1",))
    assert static_metadata(None, pyproject) is None
