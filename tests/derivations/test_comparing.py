"""Artifacts compared as a whole: containers, members, formats within formats."""

from __future__ import annotations

import gzip
import io
import json
import os
import py_compile
import shutil
import subprocess
import tarfile
import time
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import (
    Cause,
    Clues,
    InputError,
    Report,
    Sameness,
    compare,
    html_page,
    open_contents,
    summary,
    verdict,
)
from fromager.derivations.comparing.binaries import compare_binaries, kind_of
from support.wheels import WheelMaker

NOTHING = Clues.none()
needs_compiler = pytest.mark.skipif(
    shutil.which("gcc") is None, reason="needs a C compiler"
)


def report_of(first: Path, second: Path) -> Report:
    with open_contents(first) as one, open_contents(second) as two:
        return compare(one, two, NOTHING)


def write(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path


def two_wheels(folder: Path, first: bytes, second: bytes) -> Report:
    name = "demo-1.0-py3-none-any.whl"
    return report_of(
        write(folder / "a", name, first), write(folder / "b", name, second)
    )


def sdist(
    members: dict[str, bytes],
    *,
    mtime: int = 1,
    top: str = "demo-1.0",
    **fields: Any,
) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, content in members.items():
            info = tarfile.TarInfo(f"{top}/{path}")
            info.size = len(content)
            for name, value in fields.items():
                setattr(info, name, value)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), mtime=mtime)


def test_equal_files_are_identical_whatever_they_are_called(tmp_path: Path) -> None:
    content = WheelMaker().build()
    first = write(tmp_path / "a", "demo-1.0-py3-none-any.whl", content)
    second = write(tmp_path / "b", "demo-1.0-py3-none-any.whl", content)

    report = report_of(first, second)

    assert report.sameness is Sameness.IDENTICAL
    assert list(summary(report)) == ["demo-1.0-py3-none-any.whl: identical"]


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"date": (2020, 2, 2, 3, 4, 8)}, Cause.MEMBER_TIME),
        ({"mode": 0o600}, Cause.MODE),
        ({"compression": zipfile.ZIP_STORED}, Cause.COMPRESSION),
        ({"order": "reversed"}, Cause.MEMBER_ORDER),
    ],
)
def test_a_container_that_differs_is_told_from_its_content(
    tmp_path: Path, options: dict[str, Any], cause: Cause
) -> None:
    maker = WheelMaker(files={"demo/__init__.py": b"x = 1\n" * 50})
    if options.get("order"):
        options = {"order": list(reversed(maker.members()))}

    report = two_wheels(tmp_path, maker.build(), maker.build(**options))

    assert report.sameness is Sameness.SAME_CONTENT
    assert report.members == ()
    assert report.causes == (cause,)


def test_record_is_a_consequence_and_no_cause(tmp_path: Path) -> None:
    first = WheelMaker(files={"demo/a.py": b"t = 1795390212\n"}).build()
    second = WheelMaker(files={"demo/a.py": b"t = 1795390999\n"}).build()

    report = two_wheels(tmp_path, first, second)

    assert report.causes == (Cause.TIMESTAMP,)
    assert [m.path for m in report.members] == [
        "demo-1.0.dist-info/RECORD",
        "demo/a.py",
    ]
    assert report.members[0].findings[0].cause is Cause.RECORD


def test_a_record_that_lies_is_no_consequence(tmp_path: Path) -> None:
    maker = WheelMaker()
    true = maker.members()["demo-1.0.dist-info/RECORD"]
    false = WheelMaker(record=true.replace(b",6\n", b",7\n")).build()

    report = two_wheels(tmp_path, maker.build(), false)

    assert Cause.RECORD not in report.causes


def test_members_of_one_side_and_executable_bits_are_told(tmp_path: Path) -> None:
    first = WheelMaker(files={"demo/a.py": b"", "demo/run": b"x"})
    second = WheelMaker(
        files={"demo/b.py": b"", "demo/run": b"x"}, executable=frozenset({"demo/run"})
    )

    report = two_wheels(tmp_path, first.build(), second.build())

    changes = {member.path: member.change for member in report.members}
    assert changes["demo/a.py"] == "only in first"
    assert changes["demo/b.py"] == "only in second"
    assert changes["demo/run"] == "changed"
    assert {Cause.MEMBERS, Cause.MODE} <= set(report.causes)


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_sdists_of_two_versions_are_compared_below_their_top_folders(
    tmp_path: Path, suffix: str
) -> None:
    contents = [
        {"PKG-INFO": f"Version: {version}\n".encode(), "demo/a.py": b"x = 1\n"}
        for version in ("1.0", "1.1")
    ]
    contents[1]["demo/new.py"] = b""
    places = []
    for version, members in zip(("1.0", "1.1"), contents, strict=True):
        top = f"demo-{version}"
        packed = sdist(members, top=top)
        if suffix == ".zip":
            raw = io.BytesIO()
            with zipfile.ZipFile(raw, "w") as archive:
                archive.mkdir(top)
                for path, content in members.items():
                    archive.writestr(f"{top}/{path}", content)
            packed = raw.getvalue()
        places.append(write(tmp_path / version, f"{top}{suffix}", packed))

    report = report_of(*places)

    assert [(each.path, each.change) for each in report.members] == [
        ("PKG-INFO", "changed"),
        ("demo/new.py", "only in second"),
    ]
    found = report.container[0]
    assert (found.cause, found.first, found.second) == (
        Cause.NAME,
        "demo-1.0",
        "demo-1.1",
    )


def test_archives_whose_top_folders_alone_differ_have_the_same_content(
    tmp_path: Path,
) -> None:
    members = {"a.py": b"x = 1\n"}
    first, second = (
        write(tmp_path / top, "demo.tar.gz", sdist(members, top=top))
        for top in ("demo-1.0", "demo-1.1")
    )

    report = report_of(first, second)

    assert report.sameness is Sameness.SAME_CONTENT
    assert [each.cause for each in report.container] == [Cause.NAME]


def test_sdists_differ_in_headers_owners_and_times(tmp_path: Path) -> None:
    members = {"setup.py": b"x\n"}
    base = write(tmp_path / "a", "demo-1.0.tar.gz", sdist(members))

    def causes(**options: Any) -> tuple[Cause, ...]:
        other = write(tmp_path / "b", "demo-1.0.tar.gz", sdist(members, **options))
        report = report_of(base, other)
        assert report.sameness is Sameness.SAME_CONTENT
        return report.causes

    assert causes(mtime=1795390212) == (Cause.TIMESTAMP,)
    assert causes(uid=1000, uname="alice") == (Cause.OWNER,)
    assert causes(mode=0o600) == (Cause.MODE,)


def test_folders_and_links_are_compared(tmp_path: Path) -> None:
    for name, target in (("a", "/build/one/lib.so"), ("b", "/other/two/lib.so")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lib.so").symlink_to(target)
        (tmp_path / name / "same.txt").write_text("same")

    report = report_of(tmp_path / "a", tmp_path / "b")

    assert report.causes == (Cause.LINK,)
    assert report_of(tmp_path / "a", tmp_path / "a").sameness is Sameness.IDENTICAL


def test_archives_in_archives_are_looked_into(tmp_path: Path) -> None:
    def nested(text: bytes) -> bytes:
        inside = io.BytesIO()
        with zipfile.ZipFile(inside, "w") as archive:
            info = zipfile.ZipInfo("deep/when.txt")
            archive.writestr(info, text)
        return WheelMaker(files={"demo/data.zip": inside.getvalue()}).build()

    report = two_wheels(tmp_path, nested(b"on 2026-11-22"), nested(b"on 2026-11-23"))

    assert report.causes == (Cause.TIMESTAMP,)
    (data,) = (m for m in report.members if m.path == "demo/data.zip")
    assert data.findings[0].detail.startswith("deep/when.txt")


def test_a_gzip_header_is_told_from_what_is_packed() -> None:
    first, second = gzip.compress(b"x", mtime=1), gzip.compress(b"x", mtime=2)

    (finding,) = compare_binaries(kind_of("x.gz", first), first, second, NOTHING)

    assert finding.cause is Cause.TIMESTAMP


def test_bytecode_differs_in_its_header_or_in_its_code(tmp_path: Path) -> None:
    source = tmp_path / "m.py"

    def compiled(text: str, mtime: int) -> bytes:
        source.write_text(text)
        os.utime(source, (mtime, mtime))
        mode = py_compile.PycInvalidationMode.TIMESTAMP
        path = py_compile.compile(
            str(source), str(tmp_path / "m.pyc"), dfile="m.py", invalidation_mode=mode
        )
        return Path(str(path)).read_bytes()

    first, later, other = (
        compiled("x = 1", 1000),
        compiled("x = 1", 2000),
        compiled("y = 'else'", 1000),
    )

    assert kind_of("m.pyc", first) == "bytecode"
    (header,) = compare_binaries("bytecode", first, later, NOTHING)
    assert header.cause is Cause.BYTECODE and "header" in header.detail
    found = compare_binaries("bytecode", first, other, NOTHING)
    assert found[-1].cause is Cause.BYTECODE and "code" in found[-1].detail


def test_a_static_library_differs_in_the_headers_of_members() -> None:
    def library(mtime: int) -> bytes:
        header = f"{'a.o/':<16}{mtime:<12}{0:<6}{0:<6}{'100644':<8}{4:<10}`\n"
        return b"!<arch>\n" + header.encode() + b"code"

    kind = kind_of("lib.a", library(1))
    (finding,) = compare_binaries(kind, library(1), library(2), NOTHING)

    assert (kind, finding.cause) == ("static library", Cause.TIMESTAMP)


def shared_object(folder: Path, code: str, *options: str, source: str = "m.c") -> bytes:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.c").write_text(code)
    command = ["gcc", "-shared", "-fPIC", "-o", "m.so", *options, source]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "m.so").read_bytes()


@needs_compiler
def test_debug_information_names_the_folder_of_the_build(tmp_path: Path) -> None:
    code = "int f(void) { return 1; }\n"
    first = shared_object(tmp_path / "one" / "here", code, "-g")
    second = shared_object(tmp_path / "another" / "place", code, "-g")

    findings = compare_binaries("ELF", first, second, NOTHING)

    causes = {finding.cause for finding in findings}
    assert causes == {Cause.BUILD_PATH, Cause.DEBUG_INFO}


@needs_compiler
def test_a_path_in_the_code_of_a_module_is_found(tmp_path: Path) -> None:
    code = "const char *f(void) { return __FILE__; }\n"
    folders = (tmp_path / "one" / "here", tmp_path / "another" / "place")
    first, second = (
        shared_object(folder, code, source=str(folder / "m.c")) for folder in folders
    )

    findings = compare_binaries("ELF", first, second, NOTHING)

    assert findings[0].cause is Cause.BUILD_PATH
    assert ".rodata" in findings[0].detail


@needs_compiler
def test_the_date_in_a_module_is_found(tmp_path: Path) -> None:
    first = shared_object(tmp_path, 'const char *d = "Nov 22 2026 10:11:12";\n')
    second = shared_object(tmp_path, 'const char *d = "Nov 23 2026 10:11:13";\n')

    findings = compare_binaries("ELF", first, second, NOTHING)

    assert findings[0].cause is Cause.TIMESTAMP


@needs_compiler
def test_code_that_differs_is_named_by_its_section(tmp_path: Path) -> None:
    first = shared_object(tmp_path, "int f(void) { return 1; }\n")
    second = shared_object(tmp_path, "int f(void) { return 2; }\n")

    (finding,) = compare_binaries("ELF", first, second, NOTHING)

    assert finding.cause is Cause.BINARY
    assert ".text" in finding.detail


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_bytes_that_differ_have_a_cause(first: bytes, second: bytes) -> None:
    if first == second:
        return
    for head in (b"", b"\x7fELF", b"PK\3\4", b"\x1f\x8b", b"!<arch>\n"):
        one, two = head + first, head + second
        kind = kind_of("x", one)

        assert compare_binaries(kind, one, two, NOTHING)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}\.(py|so|txt)", fullmatch=True),
       st.binary(max_size=30), min_size=1, max_size=4),
       st.dictionaries(st.from_regex(r"[a-z]{1,6}\.(py|so|txt)", fullmatch=True),
       st.binary(max_size=30), min_size=1, max_size=4))  # fmt: skip
def test_a_report_names_what_differs_and_nothing_else(
    first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    differing = {
        k for k in first.keys() | second.keys() if first.get(k) != second.get(k)
    }
    with _folder(first) as one, _folder(second) as two:
        report = report_of(one, two)

    assert {member.path for member in report.members} == differing
    assert (report.sameness is Sameness.IDENTICAL) == (not differing)
    assert all(member.findings for member in report.members)
    json.dumps(report.row)


def _folder(files: dict[str, bytes]) -> Any:
    from contextlib import contextmanager
    from tempfile import TemporaryDirectory

    @contextmanager
    def made() -> Any:
        with TemporaryDirectory() as folder:
            write(Path(folder), ".keep", b"")
            for name, content in files.items():
                write(Path(folder), name, content)
            yield Path(folder)

    return made()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("demo-1.0-py3-none-any.whl", b""),
        ("demo-1.0-py3-none-any.whl", b"PK\3\4 no zip"),
        ("demo-1.0.tar.gz", b"\x1f\x8b no gzip"),
    ],
)
def test_a_damaged_archive_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = write(tmp_path, name, content)

    with pytest.raises(InputError, match="cannot be read"), open_contents(path):
        pass


def test_a_member_that_is_damaged_is_named(tmp_path: Path) -> None:
    whole = WheelMaker(files={"demo/a.py": b"x = 1\n" * 100}).build(
        compression=zipfile.ZIP_STORED
    )
    broken = whole.replace(b"x = 1\nx = 1\n", b"x = 2\nx = 1\n", 1)

    with pytest.raises(InputError, match=r"demo/a\.py .* cannot be read"):
        two_wheels(tmp_path, whole, broken)


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    first = WheelMaker(files={"demo/<b>.py": b"a = '<script>'\n"}).build()
    second = WheelMaker(files={"demo/<b>.py": b"a = '&lt;'\n"}).build(mode=0o600)
    report = two_wheels(tmp_path, first, second)

    page = html_page(
        report, "<title>", ["input source: a -> b"], [("Log", "more & more")]
    )

    opened: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            assert not {"src", "href"} & {name for name, _ in attrs}
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Tags().feed(page)
    assert opened == []
    assert "<script>" not in page
    assert "demo/&lt;b&gt;.py" in page
    assert "more &amp; more" in page


def test_two_wheels_of_50_mb_are_compared_in_time(tmp_path: Path) -> None:
    words = b"".join(b"%d\n" % (n * 2654435761 % 2**32) for n in range(500_000))
    files = {f"demo/data{n}.bin": b"\0" + bytes([n]) + words * 2 for n in range(5)}
    changed = {**files, "demo/data3.bin": files["demo/data3.bin"] + b"x"}
    assert sum(map(len, files.values())) > 50_000_000
    first, second = (
        WheelMaker(files=each).build(compression=zipfile.ZIP_STORED)
        for each in (files, changed)
    )

    began = time.process_time()
    report = two_wheels(tmp_path, first, second)
    spent = time.process_time() - began

    assert report.sameness is Sameness.DIFFERENT
    # It takes about one; what grows with the square of a size takes minutes.
    assert spent < 15, f"{spent:.1f} s"
    assert verdict(report).startswith("demo-1.0-py3-none-any.whl: 2 members differ")
