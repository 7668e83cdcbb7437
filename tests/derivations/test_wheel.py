"""Wheels: what is refused, and what the normal form keeps and fixes."""

from __future__ import annotations

import hashlib
import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from fromager.derivations.building.wheel import (
    Normalised,
    check_wheel,
    inspect_wheel,
    normalise,
)
from fromager.derivations.errors import WheelRefused
from fromager.derivations.versions import NORMALISATION_VERSION
from support.wheels import WHEEL_TEXT, WheelMaker, record_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

ONE = Version("1.0")
EPOCH = 1_600_000_001


def check(folder: Path, content: bytes, filename: str | None = None) -> None:
    path = folder / (filename or WheelMaker().filename)
    path.write_bytes(content)
    check_wheel(path, name="demo", version=ONE)


def normal(content: bytes, epoch: int = EPOCH) -> tuple[bytes, Normalised]:
    with TemporaryDirectory() as folder:
        path, target = Path(folder, WheelMaker().filename), Path(folder, "out.whl")
        path.write_bytes(content)
        digests = normalise(path, target, epoch=epoch)
        return target.read_bytes(), digests


def test_a_wheel_says_what_it_is(tmp_path: Path) -> None:
    metadata = (
        b"Metadata-Version: 2.4\nName: Demo\nVersion: 1.0.0\nRequires-Python: >=3.9\n"
        b"Requires-Dist: a\nRequires-Dist: b; extra == 'x'\nProvides-Extra: x\n\nText\n"
    )
    maker = WheelMaker(metadata=metadata, tag="py2.py3-none-any")
    points = b"[console_scripts]\ndemo = demo:main\n"
    maker.files[f"{maker.dist_info}/entry_points.txt"] = points

    built = check_wheel(maker.write(tmp_path), name="demo", version=ONE)

    assert built.filename == "demo-1.0-py2.py3-none-any.whl"
    assert built.tags == ("py2-none-any", "py3-none-any")
    assert built.metadata == metadata
    assert built.requires_dist == ("a", "b; extra == 'x'")
    assert (built.requires_python, built.provides_extra) == (">=3.9", ("x",))
    assert built.root_is_purelib
    assert built.entry_points == points


def rows(maker: WheelMaker) -> bytes:
    return maker.members()[f"{maker.dist_info}/RECORD"]


def with_record(old: bytes, new: bytes) -> bytes:
    maker = WheelMaker()
    maker.record = rows(maker).replace(old, new)
    assert maker.record != rows(WheelMaker())
    return maker.build()


def renamed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    return content.replace(old, new)


def with_file(name: str, content: bytes = b"") -> bytes:
    return WheelMaker(files={"demo/__init__.py": b"", name: content}).build()


def with_link() -> bytes:
    content = bytearray(WheelMaker().build())
    start = content.index(b"PK\1\2")
    content[start + 38 : start + 42] = struct.pack("<L", 0o120777 << 16)
    return bytes(content)


def with_gap() -> bytes:
    """Three bytes between the first member and the second."""
    content = WheelMaker(files={}).build(compression=zipfile.ZIP_STORED)
    second = content.index(b"PK\3\4", 4)
    shifted = bytearray(content[:second] + b"gap" + content[second:])
    entry = shifted.index(b"PK\1\2")
    position = entry
    while shifted[position : position + 4] == b"PK\1\2":
        name, extra, comment = struct.unpack_from("<3H", shifted, position + 28)
        (offset,) = struct.unpack_from("<L", shifted, position + 42)
        if offset >= second:
            struct.pack_into("<L", shifted, position + 42, offset + 3)
        position += 46 + name + extra + comment
    struct.pack_into("<L", shifted, position + 16, entry)
    return bytes(shifted)


def with_local_crc_changed() -> bytes:
    content = bytearray(WheelMaker().build())
    content[14] ^= 0xFF
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(WheelMaker().build())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    return bytes(content)


def with_comment() -> bytes:
    buffer = io.BytesIO(WheelMaker().build())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"hello"
    return buffer.getvalue()


def doubled() -> bytes:
    buffer = io.BytesIO(WheelMaker().build())
    with (
        pytest.warns(UserWarning, match="Duplicate"),
        zipfile.ZipFile(buffer, "a") as archive,
    ):
        archive.writestr("demo/__init__.py", b"x = 1\n")
    return buffer.getvalue()


WHOLE = WheelMaker().build()
REFUSED = {
    "no zip": (lambda: b"<html>", "no whole zip"),
    "empty": (lambda: b"", "no whole zip"),
    "cut short": (lambda: WHOLE[:-30], "no whole zip"),
    "bytes before": (lambda: b"#!/bin/sh\n" + WHOLE, "bytes"),
    "bytes after": (lambda: WHOLE + b"more", "bytes after"),
    "comment": (with_comment, "comment"),
    "gap": (with_gap, "belong to no member"),
    "headers disagree": (with_local_crc_changed, "say different things"),
    "names disagree": (
        lambda: WHOLE.replace(b"demo/__init__.py", b"demo/__exit__.py", 1),
        "say different things",
    ),
    "encrypted": (encrypted, "encrypted"),
    "link": (with_link, "no plain file"),
    "twice": (doubled, "is there twice"),
    "twice but for case": (lambda: with_file("demo/__INIT__.py"), "again"),
    "twice but for accents": (
        lambda: WheelMaker(files={"caf\u00e9": b"", "cafe\u0301": b""}).build(),
        "again",
    ),
    "parent": (lambda: with_file("../x"), "not plain"),
    "absolute": (lambda: with_file("/x"), "absolute"),
    "dot": (lambda: with_file("demo/./x"), "not plain"),
    "backslash": (lambda: with_file("demo\\x"), "backslash"),
    "no RECORD": (
        lambda: renamed(WHOLE, b".dist-info/RECORD", b".dist-info/RECORX"),
        "no RECORD",
    ),
    "two dist-infos": (lambda: with_file("b-1.dist-info/RECORD"), "2 .dist-info"),
    "no dist-info": (lambda: renamed(WHOLE, b".dist-info", b".dist-inf0"), "0 .dist"),
    "wrong size": (lambda: with_record(b",6\n", b",7\n"), "not what RECORD says"),
    "wrong hash": (
        lambda: with_record(
            record_row("", b"x = 1\n")[1:].encode(), b"sha256=AAAA,6\n"
        ),
        "not what RECORD says",
    ),
    "weak hash": (lambda: with_record(b"sha256=", b"md5="), "kind 'md5'"),
    "no hash": (
        lambda: with_record(
            record_row("demo/__init__.py", b"x = 1\n").encode(), b"demo/__init__.py,,\n"
        ),
        "no hash in RECORD",
    ),
    "hash that is none": (lambda: with_record(b"sha256=", b"sha256=!"), "is none"),
    "row missing": (
        lambda: with_record(record_row("demo/__init__.py", b"x = 1\n").encode(), b""),
        "missing from RECORD",
    ),
    "row too many": (
        lambda: with_record(b"RECORD,,\n", b"RECORD,,\nx,sha256=,\n"),
        "'x', which is not there",
    ),
    "two rows that differ": (
        lambda: with_record(b"RECORD,,\n", b"RECORD,,\ndemo/__init__.py,,\n"),
        "twice",
    ),
    "RECORD of two columns": (lambda: with_record(b",,\n", b",\n"), "2 columns"),
    "RECORD that is no text": (lambda: with_record(b"demo/", b"\xff/"), "be read"),
    "another Wheel-Version": (
        lambda: WheelMaker(wheel=WHEEL_TEXT.replace(b"1.0", b"2.0")).build(),
        "version 2.0",
    ),
    "another name in METADATA": (
        lambda: WheelMaker(metadata=b"Name: other\nVersion: 1.0\n").build(),
        "METADATA is for 'other'",
    ),
    "another version in METADATA": (
        lambda: WheelMaker(metadata=b"Name: demo\nVersion: 2.0\n").build(),
        "'2.0', not 1.0",
    ),
    "no version in METADATA": (
        lambda: WheelMaker(metadata=b"Name: demo\n").build(),
        "'', not 1.0",
    ),
    "another version in the folder": (
        lambda: WheelMaker(version="2.0").build(),
        "folder says version '2.0'",
    ),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_malformed_wheel_is_refused(
    tmp_path: Path, make: Callable[[], bytes], reason: str
) -> None:
    content = make()

    with pytest.raises(WheelRefused, match=reason) as caught:
        check(tmp_path, content)

    assert caught.value.subject == "demo==1.0"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("filename", "reason"),
    [
        ("other-1.0-py3-none-any.whl", "for 'other', expected demo"),
        ("demo-1.1-py3-none-any.whl", "'1.1', not 1.0"),
        ("demo-1.0-any.whl", "no wheel's"),
        ("demo-1.0-py3-none-any.zip", "no wheel's"),
    ],
)
def test_a_wheel_with_a_wrong_file_name_is_refused(
    tmp_path: Path, filename: str, reason: str
) -> None:
    with pytest.raises(WheelRefused, match=reason):
        check(tmp_path, WHOLE, filename)


def test_names_and_versions_are_compared_in_normal_form(tmp_path: Path) -> None:
    maker = WheelMaker(name="Zope.Demo", version="1.0.post1")

    check_wheel(maker.write(tmp_path), name="zope-demo", version=Version("1.0-1"))


def test_contents_that_are_not_hashed_are_left_to_normalisation(tmp_path: Path) -> None:
    path = tmp_path / WheelMaker().filename
    path.write_bytes(with_record(b",6\n", b",7\n"))

    inspect_wheel(path, name="demo", version=ONE)

    with pytest.raises(WheelRefused, match="not what RECORD says"):
        normalise(path, tmp_path / "out", epoch=EPOCH)


def test_a_wheel_written_as_a_stream_is_accepted(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        content = b""

        def writable(self) -> bool:
            return True

        def write(self, data: ReadableBuffer, /) -> int:
            self.content += bytes(data)
            return len(bytes(data))

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, content in WheelMaker().members().items():
            archive.writestr(name, content)
    check(tmp_path, pipe.content)


def test_a_wheel_with_64_bit_headers_is_accepted(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in WheelMaker().members().items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content)
    check(tmp_path, buffer.getvalue())


def test_a_better_hash_than_sha256_is_verified(tmp_path: Path) -> None:
    def record(digest: bytes) -> bytes:
        from base64 import urlsafe_b64encode

        encoded = urlsafe_b64encode(digest).rstrip(b"=").decode()
        row = record_row("demo/__init__.py", b"x = 1\n").encode()
        return with_record(row, f"demo/__init__.py,sha512={encoded},\n".encode())

    good = record(hashlib.sha512(b"x = 1\n").digest())
    check(tmp_path, good)

    assert normal(good)[1].sha256 == normal(WHOLE)[1].sha256
    with pytest.raises(WheelRefused):
        check(tmp_path, record(hashlib.sha512(b"x = 2\n").digest()))


def test_the_normal_form_is_as_specified() -> None:
    maker = WheelMaker(
        files={"z.py": b"z", "\u00e9.txt": b"text", "a/run": b"#!", "a.py": b""},
        executable=frozenset({"a/run"}),
    )
    content, digests = normal(maker.build(), EPOCH)

    assert NORMALISATION_VERSION == "wheel-nf/1"
    assert digests.raw_sha256 == hashlib.sha256(maker.build()).hexdigest()
    assert digests.sha256 == hashlib.sha256(content).hexdigest()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
        assert [info.filename for info in infos] == [
            "a.py",
            "a/run",
            "z.py",
            "\u00e9.txt",
            "demo-1.0.dist-info/METADATA",
            "demo-1.0.dist-info/WHEEL",
            "demo-1.0.dist-info/RECORD",
        ]
        for info in infos:
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (2020, 9, 13, 12, 26, 40)
            assert (info.create_system, info.create_version) == (3, 20)
            assert info.extract_version == 20
            assert info.flag_bits == (0x800 if info.filename == "\u00e9.txt" else 0)
            assert (info.extra, info.comment) == (b"", b"")
            mode = 0o100755 if info.filename == "a/run" else 0o100644
            assert info.external_attr == mode << 16
        record = archive.read("demo-1.0.dist-info/RECORD").decode()
    assert [line.split(",")[0] for line in record.splitlines()] == [
        info.filename for info in infos
    ]
    assert record.endswith("demo-1.0.dist-info/RECORD,,\n")


def test_the_bytes_of_the_normal_form_never_change() -> None:
    maker = WheelMaker(executable=frozenset({"demo/__init__.py"}))
    digests = normal(maker.build())[1]

    assert (digests.sha256, digests.content_sha256) == (
        "eae845d5da16ef3e107f280bbfd704f4dd760cf1c770b8332dc42b48c4d28219",
        "9aed7d6d76d5c22ceb43264239d1a7487394ffc0a76b99def5e02539926c57c2",
    )


def test_folders_and_signatures_are_left_out() -> None:
    buffer = io.BytesIO(WHOLE)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("demo/", b"")
        archive.writestr("demo-1.0.dist-info/RECORD.jws", b"{}")

    assert normal(buffer.getvalue())[0] == normal(WHOLE)[0]


@pytest.mark.parametrize("epoch", [-1, 0, 1 << 40])
def test_times_that_a_zip_file_cannot_hold_are_clamped(epoch: int) -> None:
    with zipfile.ZipFile(io.BytesIO(normal(WHOLE, epoch)[0])) as archive:
        assert archive.infolist()[0].date_time[0] in (1980, 2107)


PATHS = st.lists(
    st.text('ab,"é.', min_size=1, max_size=4).filter(
        lambda text: text not in (".", "..")
    ),
    min_size=1,
    max_size=2,
).map(lambda parts: "f" + "/".join(parts))


@st.composite
def makers(draw: st.DrawFn) -> WheelMaker:
    files = draw(st.dictionaries(PATHS, st.binary(max_size=20), max_size=5))
    return WheelMaker(
        files=files,
        executable=frozenset(draw(st.sets(st.sampled_from([*files, "x"])))),
    )


@given(makers(), st.data())
@settings(max_examples=60, deadline=None)
def test_the_normal_form_depends_on_contents_and_executable_bits_only(
    maker: WheelMaker, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(list(maker.members())))
    other = maker.build(
        order=order,
        date=(1999, 1, 2, 3, 4, 6),
        mode=data.draw(st.sampled_from([0o600, 0o664])),
        compression=data.draw(
            st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
        ),
    )

    first, digests = normal(maker.build())
    second, others = normal(other)

    assert first == second
    assert digests.content_sha256 == others.content_sha256


@given(makers(), st.integers(0, 1 << 33))
@settings(max_examples=60, deadline=None)
def test_the_normal_form_of_a_normal_form_is_itself(
    maker: WheelMaker, epoch: int
) -> None:
    once, digests = normal(maker.build(), epoch)
    twice, again = normal(once, epoch)

    assert twice == once
    assert again.content_sha256 == digests.content_sha256
    assert again.raw_sha256 == again.sha256 == digests.sha256


def test_other_contents_or_executable_bits_have_another_content_digest() -> None:
    plain = normal(WHOLE)[1].content_sha256
    run = WheelMaker(executable=frozenset({"demo/__init__.py"})).build()
    other = WheelMaker(files={"demo/__init__.py": b"x = 2\n"}).build()

    assert (
        len({plain, normal(run)[1].content_sha256, normal(other)[1].content_sha256})
        == 3
    )


def test_pip_installs_a_wheel_in_normal_form(tmp_path: Path) -> None:
    maker = WheelMaker(files={"demo/__init__.py": b"x = 1\n", "demo/\u00e9.txt": b""})
    (tmp_path / maker.filename).write_bytes(normal(maker.build())[0])

    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "-q"),
            *("--isolated", "--disable-pip-version-check", "--no-cache-dir"),
            *("--root-user-action=ignore", "--target", tmp_path / "site"),
            tmp_path / maker.filename,
        ],
        check=True,
    )

    assert (tmp_path / "site/demo/__init__.py").read_bytes() == b"x = 1\n"
