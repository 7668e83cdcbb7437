"""Archives: what is refused, and that what is unpacked depends on nothing else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.errors import SourceError, UnsafeArchive
from fromager.derivations.sources.archive import (
    Unpacked,
    metadata_files,
    pkg_info,
    unpack,
)
from fromager.derivations.sources.members import Limits

PLAIN = {"demo-1.0/PKG-INFO": b"Name: demo\n", "demo-1.0/src/demo.py": b"x = 1\n"}


def tar_bytes(*infos: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in infos:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def entry(
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    mode: int = 0o644,
    mtime: float = 0,
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    info.mode, info.mtime = mode, mtime
    return info, content


def zip_bytes(
    files: dict[str, bytes], *, mode: int = 0o100644, date: tuple[int, ...] = ()
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, date or (2020, 2, 2, 0, 0, 0))  # type: ignore[arg-type]
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr, info.create_system = mode << 16, 3
            file.writestr(info, content)
    return buffer.getvalue()


def plain_tar(files: dict[str, bytes]) -> bytes:
    return tar_bytes(*(entry(name, content) for name, content in files.items()))


def unpack_bytes(
    folder: Path, content: bytes, filename: str, limits: Limits | None = None
) -> Unpacked:
    archive = folder / "archive"
    archive.write_bytes(content)
    return unpack(archive, filename, folder / "target", limits or Limits())


def tree(root: Path) -> dict[str, tuple[int, bytes | str]]:
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        name, mode = str(path.relative_to(root)), path.lstat().st_mode & 0o7777
        if path.is_symlink():
            found[name] = 0, str(path.readlink())
        elif path.is_dir():
            found[name] = mode, ""
        else:
            found[name] = mode, path.read_bytes()
    return found


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("demo-1.0.tar", plain_tar(PLAIN)),
        ("demo-1.0.tar.gz", gzip.compress(plain_tar(PLAIN))),
        ("demo-1.0.TGZ", gzip.compress(plain_tar(PLAIN))),
        ("demo-1.0.tar.xz", lzma.compress(plain_tar(PLAIN))),
        ("demo-1.0.tar.bz2", bz2.compress(plain_tar(PLAIN))),
        ("demo-1.0.zip", zip_bytes(PLAIN)),
    ],
)
def test_every_format_gives_the_same_tree(
    tmp_path: Path, filename: str, content: bytes
) -> None:
    unpacked = unpack_bytes(tmp_path, content, filename)

    assert unpacked.root == tmp_path / "target" / "demo-1.0"
    assert tree(unpacked.root) == {
        "PKG-INFO": (0o644, b"Name: demo\n"),
        "src": (0o755, ""),
        "src/demo.py": (0o644, b"x = 1\n"),
    }


def test_only_the_executable_bit_of_the_owner_is_kept(tmp_path: Path) -> None:
    content = tar_bytes(
        entry("a/run", b"#!", mode=0o4711),
        entry("a/plain", b"", mode=0o677),
        entry("a/closed", kind=tarfile.DIRTYPE, mode=0o500),
        entry("a/closed/in", b""),
    )
    before = os.umask(0o077)
    try:
        unpacked = unpack_bytes(tmp_path, gzip.compress(content), "a.tar.gz")
    finally:
        os.umask(before)

    modes = {name: mode for name, (mode, _) in tree(unpacked.root).items()}
    assert modes == {"run": 0o755, "plain": 0o644, "closed": 0o755, "closed/in": 0o644}
    assert unpacked.root.stat().st_mode & 0o7777 == 0o755


def test_the_executable_bit_of_a_zip_member_is_kept(tmp_path: Path) -> None:
    unpacked = unpack_bytes(
        tmp_path, zip_bytes({"a/run": b"#!"}, mode=0o100700), "a.zip"
    )

    assert (unpacked.root / "run").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("mtimes", "newest"),
    [((5.0, 1.6e9 + 0.7, 7.0), 1_600_000_000), ((0.0,), 0), ((-5.0,), 0)],
)
def test_the_newest_time_of_a_member_is_reported(
    tmp_path: Path, mtimes: tuple[float, ...], newest: int
) -> None:
    content = tar_bytes(*(entry(f"a/{i}", mtime=t) for i, t in enumerate(mtimes)))

    assert unpack_bytes(tmp_path, content, "a.tar").newest == newest


def test_times_of_a_zip_archive_are_read_as_utc(tmp_path: Path) -> None:
    content = zip_bytes({"a/b": b""}, date=(2020, 2, 2, 0, 0, 0))

    assert unpack_bytes(tmp_path, content, "a.zip").newest == 1580601600


def test_links_inside_the_tree_are_kept(tmp_path: Path) -> None:
    content = tar_bytes(
        entry("a/sub/b", b"text"),
        entry("a/sub/up", kind=tarfile.SYMTYPE, link="../c"),
        entry("a/folder", kind=tarfile.SYMTYPE, link="./sub"),
    )
    root = unpack_bytes(tmp_path, content, "a.tar").root

    assert (root / "sub/up").readlink() == Path("../c")
    assert (root / "folder/b").read_bytes() == b"text"


def test_a_symbolic_link_of_a_zip_archive_is_kept(tmp_path: Path) -> None:
    content = zip_bytes({"a/link": b"b"}, mode=0o120777)

    root = unpack_bytes(tmp_path, content, "a.zip").root
    assert (root / "link").readlink() == Path("b")


def test_hard_links_inside_the_tree_become_copies(tmp_path: Path) -> None:
    content = tar_bytes(
        entry("a/b", b"text", mode=0o755),
        entry("a/c", kind=tarfile.LNKTYPE, link="a/b"),
    )
    root = unpack_bytes(tmp_path, content, "a.tar").root

    assert tree(root)["c"] == (0o755, b"text")
    assert (root / "c").stat().st_nlink == 1


def test_folders_may_be_listed_again_and_names_may_begin_with_a_dot(
    tmp_path: Path,
) -> None:
    content = tar_bytes(
        entry("./", kind=tarfile.DIRTYPE),
        entry("./a/", kind=tarfile.DIRTYPE),
        entry("./a//b", b"text"),
        entry("./a/", kind=tarfile.DIRTYPE),
        entry("./a/B", b"other"),
    )

    assert set(tree(unpack_bytes(tmp_path, content, "a.tar").root)) == {"b", "B"}


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
EVIL = {
    "absolute name": [entry("/etc/passwd", b"x")],
    "parent in name": [entry("a/../../b", b"x")],
    "parent that stays inside": [entry("a/b/../c", b"x")],
    "absolute link": [entry("a/b", kind=SYM, link="/etc/passwd")],
    "link out of the tree": [entry("a/b", kind=SYM, link="../../b")],
    "link out of the top-level folder": [entry("a/b", kind=SYM, link="../c")],
    "link back up after a name": [entry("a/b/c/d", kind=SYM, link="x/../../../..")],
    "link with an empty target": [entry("a/b", kind=SYM)],
    "top-level link": [entry("a", kind=SYM, link="b")],
    "write through a link": [
        entry("a/sub/x", b""),
        entry("a/l", kind=SYM, link="sub"),
        entry("a/l/y", b"x"),
    ],
    "write below a file": [entry("a/b", b""), entry("a/b/c", b"")],
    "folder over a link": [
        entry("a/sub/x", b""),
        entry("a/l", kind=SYM, link="sub"),
        entry("a/l", kind=tarfile.DIRTYPE),
    ],
    "hard link out of the tree": [entry("a/b", kind=HARD, link="/etc/passwd")],
    "hard link up": [entry("a/b", kind=HARD, link="../etc/passwd")],
    "hard link to itself": [entry("a/b", kind=HARD, link="a/b")],
    "hard link to a link": [
        entry("a/l", kind=SYM, link="b"),
        entry("a/b", kind=HARD, link="a/l"),
    ],
    "hard link to what comes later": [
        entry("a/b", kind=HARD, link="a/c"),
        entry("a/c", b""),
    ],
    "pipe": [entry("a/b", kind=tarfile.FIFOTYPE)],
    "device": [entry("a/b", kind=tarfile.CHRTYPE)],
    "same name twice": [entry("a/b", b"1"), entry("a/b", b"1")],
    "same name spelled differently": [entry("a/b", b"1"), entry("a/./b", b"1")],
    "two top-level folders": [entry("a/b", b""), entry("c/d", b"")],
    "file beside the folder": [entry("a/b", b""), entry("README", b"")],
    "file without a name": [entry("./", b"")],
    "name too long": [entry("a/" + "b" * 300, b"")],
}


@pytest.mark.parametrize("members", EVIL.values(), ids=EVIL)
def test_an_archive_that_would_do_harm_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    content = gzip.compress(tar_bytes(*members))

    with pytest.raises(UnsafeArchive, match=r"^evil-1\.tar\.gz: "):
        unpack_bytes(tmp_path, content, "evil-1.tar.gz")

    assert {path.name for path in tmp_path.iterdir()} == {"archive", "target"}


@pytest.mark.parametrize(
    "content",
    [
        zip_bytes({"../b": b""}),
        zip_bytes({"/b": b""}),
        zip_bytes({"a/link": b"../../b"}, mode=0o120777),
        zip_bytes({"a/pipe": b""}, mode=0o010644),
        zip_bytes({"a/bXc": b""}).replace(b"a/bXc", b"a/b\0c"),
    ],
)
def test_a_zip_archive_that_would_do_harm_is_refused(
    tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(UnsafeArchive):
        unpack_bytes(tmp_path, content, "evil.zip")


def test_what_was_found_instead_of_one_folder_is_said(tmp_path: Path) -> None:
    content = plain_tar({"a/b": b"", "c/d": b"", "e": b""})

    with pytest.raises(UnsafeArchive, match="found a, c, e"):
        unpack_bytes(tmp_path, content, "x.tar")


COMPLETE = gzip.compress(plain_tar({"a/b": os.urandom(40_000), "a/c": b"x"}))
BROKEN = {
    "empty file": (b"", "a.tar.gz"),
    "no archive": (b"<html>not found</html>", "a.tar.gz"),
    "cut short": (COMPLETE[:20_000], "a.tar.gz"),
    "check sum missing": (COMPLETE[:-6], "a.tar.gz"),
    "damaged": (COMPLETE[:9_000] + b"\0\0\0" + COMPLETE[9_003:], "a.tar.gz"),
    "damaged second header": (
        plain_tar({"a/b": b"", "a/c": b""}).replace(b"a/c", b"a/d"),
        "a.tar",
    ),
    "cut in a header": (plain_tar({"a/b": b"", "a/c": b""})[:700], "a.tar"),
    "no members": (gzip.compress(tar_bytes()), "a.tar.gz"),
    "xz that is none": (b"xz", "a.tar.xz"),
    "bz2 that is none": (b"bz", "a.tar.bz2"),
    "zip that is none": (b"PK", "a.zip"),
    "zip without members": (zip_bytes({}), "a.zip"),
    "zip cut short": (zip_bytes(PLAIN)[:60], "a.zip"),
    "zip with damage": (
        zip_bytes({"a/b": b"x" * 99}).replace(b"\xab\xa8", b"\xab\xa9", 1),
        "a.zip",
    ),
    "unknown format": (b"", "a.rar"),
}


@pytest.mark.parametrize(("content", "filename"), BROKEN.values(), ids=BROKEN)
def test_a_broken_archive_is_one_clear_error(
    tmp_path: Path, content: bytes, filename: str
) -> None:
    with pytest.raises(SourceError, match=rf"^{filename}: "):
        unpack_bytes(tmp_path, content, filename)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"a/b": b"x"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1

    with pytest.raises(UnsafeArchive, match="encrypted"):
        unpack_bytes(tmp_path, bytes(content), "a.zip")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(total_bytes=4000), "more than 4000 bytes"),
        (Limits(files=3), "more than 3 files"),
        (Limits(depth=2), "deeper than 2"),
    ],
)
@pytest.mark.parametrize("filename", ["a.tar", "a.zip"])
def test_an_archive_over_a_limit_is_refused(
    tmp_path: Path, limits: Limits, reason: str, filename: str
) -> None:
    files = {"a/b/c": b"x" * 3000, "a/b/d": b"x" * 3000}
    content = plain_tar(files) if filename == "a.tar" else zip_bytes(files)

    with pytest.raises(UnsafeArchive, match=reason):
        unpack_bytes(tmp_path, content, filename, limits)


@pytest.mark.parametrize("filename", ["a.tar.xz", "a.zip"])
def test_a_bomb_is_stopped_before_it_is_written(tmp_path: Path, filename: str) -> None:
    zeros = {"a/zeros": bytes(80 << 20)}
    content = (
        zip_bytes(zeros)
        if filename == "a.zip"
        else lzma.compress(plain_tar(zeros), preset=0)
    )

    with pytest.raises(UnsafeArchive, match="500 times"):
        unpack_bytes(tmp_path, content, filename, Limits())


def test_a_sparse_file_counts_with_its_full_size(tmp_path: Path) -> None:
    info, _ = entry("a/sparse")
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "a/sparse",
        "GNU.sparse.realsize": str(1 << 50),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        body = b"0\n".ljust(512, b"\0")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))

    with pytest.raises(UnsafeArchive):
        unpack_bytes(tmp_path, buffer.getvalue(), "a.tar")


@pytest.mark.parametrize("filename", ["a.tar.gz", "a.zip"])
def test_metadata_is_read_without_unpacking(tmp_path: Path, filename: str) -> None:
    files = {
        "a/sub/PKG-INFO": b"wrong",
        "a/pyproject.toml": b"[project]",
        "a/PKG-INFO": b"Name: a",
    }
    archive = tmp_path / "archive"
    archive.write_bytes(
        zip_bytes(files) if filename == "a.zip" else gzip.compress(plain_tar(files))
    )

    found = metadata_files(archive, filename)

    assert (found.pkg_info, found.pyproject) == (b"Name: a", b"[project]")
    assert pkg_info(archive, filename) == b"Name: a"
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_missing_metadata_is_none(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(plain_tar({"a/b": b""}))

    assert metadata_files(archive, "a.tar").pkg_info is None


NAMES = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", "l"]), min_size=1, max_size=4
).map("/".join)


@given(
    st.lists(
        st.tuples(
            NAMES,
            st.sampled_from(
                [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]
            ),
            NAMES,
        ),
        max_size=6,
    )
)
@settings(max_examples=100, deadline=None)
def test_nothing_is_ever_written_or_reachable_outside(
    members: list[tuple[str, bytes, str]],
) -> None:
    with TemporaryDirectory() as folder:
        base = Path(folder).resolve()
        infos = [
            entry(
                f"top/{name}",
                b"x" if kind == tarfile.REGTYPE else b"",
                kind=kind,
                link=link if kind == tarfile.SYMTYPE else f"top/{link}",
            )
            for name, kind, link in members
        ]
        try:
            root = unpack_bytes(base, tar_bytes(*infos), "x.tar").root
        except UnsafeArchive:
            root = base / "target"

        assert {path.name for path in base.iterdir()} == {"archive", "target"}
        for path in root.rglob("*"):
            try:
                resolved = path.resolve(strict=True)
            except FileNotFoundError:  # leads to where nothing is, yet
                resolved = path.resolve(strict=False)
            except (OSError, RuntimeError):  # a loop, or below a file: leads nowhere
                continue
            assert resolved.is_relative_to(root)
