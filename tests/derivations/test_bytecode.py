"""Bytecode: the same bytes from every run, loaded without a look at the source."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fromager.derivations import building

SCRIPT = Path(building.__path__[0]).resolve() / "bytecode.py"
FINAL = "/env/lib/python3/site-packages"
SOURCES = {
    "pkg/__init__.py": "from pkg.mod import value\n",
    "pkg/mod.py": (
        "names = frozenset(('a', 'b', 'c', 'dd', 'e1'))\n"
        "def value(x):\n    return x in {'alpha', 'beta', 'gamma', None} or 'q' + x\n"
        "def where():\n    return value.__code__.co_filename\n"
    ),
    "pkg/sub/deep.py": "class K:\n    a, b = 1.5, 10**20\n    c = ('x', 1, b'y')\n",
    "top.py": "def top():\n    assert True, 'kept'\n    return 'alpha', '-', 3.25\n",
}


def interpreters() -> list[str]:
    """This interpreter, and others that tell their version under their usual name."""
    found = {sys.version_info[:2]: sys.executable}
    for minor in range(9, 15):
        path = shutil.which(f"python3.{minor}")
        if path is None or (3, minor) in found:
            continue
        code = "import sys; print(sys.version_info[1])"
        done = subprocess.run(
            [path, "-c", code], capture_output=True, text=True, check=False
        )
        if done.stdout.strip() == str(minor):
            found[(3, minor)] = path
    return [found[version] for version in sorted(found)]


def make(folder: Path, extra: dict[str, str] | None = None) -> Path:
    for name, text in {**SOURCES, **(extra or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def compile_folder(
    folder: Path, python: str = sys.executable, seed: str = "0"
) -> dict[str, bytes]:
    done = subprocess.run(
        [python, "-S", "-s", SCRIPT, folder, FINAL],
        env={"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.pyc")
    }


@pytest.mark.parametrize("python", interpreters())
def test_bytecode_depends_on_the_source_alone(tmp_path: Path, python: str) -> None:
    alone = compile_folder(make(tmp_path / "one"), python)
    # Other modules, compiled before, share names and constants with these.
    other = {
        "aaa.py": "alpha = beta = top = pkg = K = 1.5\n['q', '-', 'x', 10**20, b'y']\n",
        "pkg/a.py": "def value(gamma, names): return {'dd', 'e1', 'c'}, 3.25, 'kept'\n",
    }
    beside = compile_folder(make(tmp_path / "another/place", other), python)

    assert len(alone) == 4
    assert {name: beside[name] for name in alone} == alone


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sets are not sorted")
def test_bytecode_does_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    first = compile_folder(make(tmp_path / "one"), seed="1")

    assert compile_folder(make(tmp_path / "two"), seed="2") == first


def test_bytecode_says_where_the_file_will_lie_and_is_not_checked(
    tmp_path: Path,
) -> None:
    content = compile_folder(make(tmp_path))
    tag = sys.implementation.cache_tag

    assert set(content) == {
        f"pkg/__pycache__/__init__.{tag}.pyc",
        f"pkg/__pycache__/mod.{tag}.pyc",
        f"pkg/sub/__pycache__/deep.{tag}.pyc",
        f"__pycache__/top.{tag}.pyc",
    }
    pyc = content[f"pkg/__pycache__/mod.{tag}.pyc"]
    assert pyc[4:8] == b"\1\0\0\0"
    assert f"{FINAL}/pkg/mod.py".encode() in pyc
    assert str(tmp_path).encode() not in pyc


def test_the_interpreter_loads_the_bytecode(tmp_path: Path) -> None:
    compile_folder(make(tmp_path))
    # Not looked at any more: an unchecked pyc stands for itself.
    (tmp_path / "pkg/mod.py").write_text("broken broken\n")

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import pkg.mod as m; print(m.where(), m.value('alpha'))",
        ],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    # The importer puts the real place in, for modules that were compiled elsewhere.
    assert done.stdout.split() == [str(tmp_path / "pkg/mod.py"), "True"]


def test_files_that_do_not_compile_are_passed_over_in_silence(tmp_path: Path) -> None:
    odd = {
        "old.py": "print 'python 2'\n",
        "null.py": "x = '\0'\n",
        "deep.py": "x = " + "(" * 5000 + ")" * 5000 + "\n",
        "encoding.py": "# coding: nonsense\n",
        "warning.py": "x = '\\d' is 1\n",
        "not_a_module.txt": "",
    }

    content = compile_folder(make(tmp_path, odd))

    stems = {name.rpartition("/")[2].partition(".")[0] for name in content}
    assert stems == {"__init__", "mod", "deep", "top", "warning"}


def test_old_bytecode_is_replaced_and_not_entered(tmp_path: Path) -> None:
    tag = sys.implementation.cache_tag
    make(tmp_path, {f"__pycache__/top.{tag}.pyc": "old", "__pycache__/x.py": "x\n"})

    content = compile_folder(tmp_path)

    assert content[f"__pycache__/top.{tag}.pyc"] != b"old"
    assert not any("/x." in name for name in content)
