"""Layouts: where the parts of a wheel go, and what is written for them."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fromager.derivations.building.layout import Scheme, install_wheel
from fromager.derivations.errors import WheelRefused
from support.wheels import WHEEL_TEXT, WheelMaker

SITE = "lib/python3.12/site-packages"
SCHEME = Scheme(SITE, "lib64/python3.12/site-packages", "include/site/python3.12")


def install(folder: Path, maker: WheelMaker) -> Path:
    target = folder / "env"
    target.mkdir()
    install_wheel(maker.write(folder), target, SCHEME)
    return target


def files(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()}


def with_data() -> WheelMaker:
    data = "demo-1.0.data"
    return WheelMaker(
        files={
            "demo/__init__.py": b"x = 1\n",
            "demo/tool": b"#!/bin/sh\n",
            f"{data}/scripts/run": b"#!python\nprint(1)\n",
            f"{data}/headers/demo.h": b"",
            f"{data}/data/share/man/demo.1": b"",
            f"{data}/purelib/pure.py": b"",
            f"{data}/platlib/plat.py": b"",
        },
        executable=frozenset({"demo/tool"}),
    )


def test_every_part_of_a_wheel_has_its_place(tmp_path: Path) -> None:
    info = f"{SITE}/demo-1.0.dist-info"

    assert files(install(tmp_path, with_data())) == {
        f"{SITE}/demo/__init__.py",
        f"{SITE}/demo/tool",
        f"{SITE}/pure.py",
        "lib64/python3.12/site-packages/plat.py",
        "bin/run",
        "include/site/python3.12/demo/demo.h",
        "share/man/demo.1",
        f"{info}/METADATA",
        f"{info}/WHEEL",
        f"{info}/RECORD",
        f"{info}/INSTALLER",
    }


def test_a_wheel_that_is_not_pure_goes_to_platlib(tmp_path: Path) -> None:
    maker = WheelMaker(wheel=WHEEL_TEXT.replace(b"true", b"false"))

    assert (install(tmp_path, maker) / SCHEME.platlib / "demo/__init__.py").is_file()


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        target = install(tmp_path, with_data())
    finally:
        os.umask(before)

    modes = {name: (target / name).stat().st_mode & 0o777 for name in files(target)}
    assert {name for name, mode in modes.items() if mode == 0o755} == {
        "bin/run",
        f"{SITE}/demo/tool",
    }
    assert set(modes.values()) == {0o755, 0o644}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"#!python\nx\n", b"#!/env/bin/python\nx\n"),
        (b"#!pythonw\r\nx\r\n", b"#!/env/bin/python\nx\r\n"),
        (b"#!python -E\nx", b"#!/env/bin/python -E\nx"),
        (b"#!python", b"#!/env/bin/python"),
        (b"#!python3\nx", b"#!python3\nx"),
        (b"#!/usr/bin/env python\nx", b"#!/usr/bin/env python\nx"),
        (b"\x7fELF", b"\x7fELF"),
    ],
)
def test_scripts_are_run_by_the_interpreter_of_the_environment(
    tmp_path: Path, script: bytes, expected: bytes
) -> None:
    maker = WheelMaker(files={"demo-1.0.data/scripts/run": script})

    assert (install(tmp_path, maker) / "bin/run").read_bytes() == expected


def with_entry_points(text: str) -> WheelMaker:
    maker = WheelMaker()
    maker.files[f"{maker.dist_info}/entry_points.txt"] = text.encode()
    return maker


def test_entry_points_become_scripts(tmp_path: Path) -> None:
    target = install(
        tmp_path,
        with_entry_points(
            "# comment\n[console_scripts]\ndemo=demo.cli:main\n"
            "[gui_scripts]\n demo-w = demo : App.run [extra]\n"
            "[other]\nx = not an entry point of ours\n"
        ),
    )

    assert (target / "bin/demo").read_text() == (
        "#!/env/bin/python\nimport sys\n\nfrom demo.cli import main\n\n"
        'if __name__ == "__main__":\n    sys.exit(main())\n'
    )
    assert "from demo import App\n" in (target / "bin/demo-w").read_text()
    assert "sys.exit(App.run())" in (target / "bin/demo-w").read_text()
    assert (target / "bin/demo").stat().st_mode & 0o777 == 0o755
    assert files(target / "bin") == {"demo", "demo-w"}


def test_a_generated_script_goes_before_one_of_the_same_name(tmp_path: Path) -> None:
    maker = with_entry_points("[console_scripts]\ndemo = demo:main\n")
    maker.files["demo-1.0.data/scripts/demo"] = b"old"

    assert b"import main" in (install(tmp_path, maker) / "bin/demo").read_bytes()


def test_the_installed_distribution_is_described_correctly(tmp_path: Path) -> None:
    maker = with_data()
    maker.files["demo-1.0.dist-info/entry_points.txt"] = (
        b"[console_scripts]\ndemo = demo:main\n"
    )
    target = install(tmp_path, maker)

    (found,) = importlib.metadata.distributions(path=[str(target / SITE)])

    assert (found.name, found.version) == ("demo", "1.0")
    assert found.read_text("INSTALLER") == "fromager\n"
    assert found.files is not None
    listed = {str(Path(str(file.locate())).resolve()) for file in found.files}
    assert listed == {str((target / name).resolve()) for name in files(target)}
    for file in found.files:
        if file.hash is not None:
            content = Path(str(file.locate())).read_bytes()
            import base64
            import hashlib

            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
            assert file.hash.value == digest.rstrip(b"=").decode()
            assert file.size == len(content)
    text = found.read_text("RECORD")
    assert text is not None
    assert text.splitlines()[:-1] == sorted(text.splitlines()[:-1])


def test_what_the_wheel_says_of_its_installer_is_replaced(tmp_path: Path) -> None:
    maker = WheelMaker()
    maker.files[f"{maker.dist_info}/INSTALLER"] = b"other"
    target = install(tmp_path, maker)

    assert (target / SITE / maker.dist_info / "INSTALLER").read_text() == "fromager\n"


@pytest.mark.parametrize(
    ("maker", "reason"),
    [
        (WheelMaker(files={"demo-1.0.data/odd/x": b""}), "no known folder"),
        (WheelMaker(files={"demo-1.0.data/x": b""}), "no known folder"),
        (WheelMaker(files={"../x": b""}), "not plain"),
        (
            WheelMaker(files={"a.py": b"", "demo-1.0.data/purelib/a.py": b""}),
            "two of its members",
        ),
        (WheelMaker(files={"a": b"", "a/b": b""}), "a file and a folder"),
        (with_entry_points("[console_scripts]\nx = demo\n"), "is none"),
        (with_entry_points("[console_scripts]\n../x = demo:main\n"), "is none"),
        (with_entry_points("[console_scripts]\nx = demo:main; import os\n"), "is none"),
        (WheelMaker(record=b"a,b\n"), "RECORD is wrong"),
    ],
)
def test_what_cannot_be_installed_is_refused(
    tmp_path: Path, maker: WheelMaker, reason: str
) -> None:
    with pytest.raises(WheelRefused, match=reason):
        install(tmp_path, maker)

    assert files(tmp_path) <= {
        maker.filename,
        *(f"env/{name}" for name in files(tmp_path / "env")),
    }


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo-1.0-py3-none-any.whl").write_bytes(b"<html>")

    with pytest.raises(WheelRefused, match="no whole zip"):
        install_wheel(tmp_path / "demo-1.0-py3-none-any.whl", tmp_path / "env", SCHEME)


def test_two_installations_are_equal_whatever_the_order_of_members(
    tmp_path: Path,
) -> None:
    maker = with_data()
    trees = []
    for number, order in enumerate([None, sorted(maker.members(), reverse=True)]):
        wheel = tmp_path / str(number) / maker.filename
        wheel.parent.mkdir()
        wheel.write_bytes(maker.build(order=order, compression=zipfile.ZIP_STORED))
        target = wheel.parent / "env"
        target.mkdir()
        install_wheel(wheel, target, SCHEME)
        trees.append({name: (target / name).read_bytes() for name in files(target)})

    assert trees[0] == trees[1]


def test_a_script_of_an_installed_wheel_runs(tmp_path: Path) -> None:
    scheme = Scheme(SITE, SITE, "include/site/python3.12", python=sys.executable)
    maker = with_entry_points("[console_scripts]\ndemo = demo:Hello.main\n")
    maker.files["demo/__init__.py"] = (
        b"class Hello:\n    def main():\n        print('hello')\n        return 3\n"
    )
    (tmp_path / "env").mkdir()
    install_wheel(maker.write(tmp_path), tmp_path / "env", scheme)

    done = subprocess.run(
        [tmp_path / "env/bin/demo"],
        env={
            "PYTHONPATH": str(tmp_path / "env" / SITE),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        check=False,
    )

    assert (done.stdout, done.returncode) == (b"hello\n", 3)
