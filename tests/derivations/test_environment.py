"""Build environments: what is merged, what clashes, and what all of them have."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

from fromager.derivations.building.environment import (
    EnvironmentClash,
    base_files,
    compose,
)
from fromager.derivations.interpreter import Interpreter
from fromager.store import Directory, File, Link, Node, blob_digest, from_paths


def file(text: str, executable: bool = False) -> File:
    return File(blob_digest(text.encode()), executable, len(text))


def tree(**nodes: Node | str) -> Directory:
    return from_paths(
        (path.replace("__", "/"), file(node) if isinstance(node, str) else node)
        for path, node in nodes.items()
    )


BASE = tree(bin__python=Link("/usr/bin/python3"), cfg="home")


def test_layouts_are_merged_over_the_base() -> None:
    merged = compose(
        [("a==1", tree(lib__a="a", bin__a="x")), ("b==2", tree(lib__b__c="b"))], BASE
    )

    assert merged == tree(
        bin__python=Link("/usr/bin/python3"),
        bin__a="x",
        cfg="home",
        lib__a="a",
        lib__b__c="b",
    )


def test_equal_files_may_be_in_several_layouts() -> None:
    layout = tree(lib__ns="same", lib__link=Link("ns"))

    assert compose([("a==1", layout), ("b==1", layout)], Directory.of({})) == layout


def test_without_layouts_the_base_is_left() -> None:
    assert compose([], BASE) == BASE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("text", "other text"),
        ("text", Link("text")),
        (Link("a"), Link("b")),
        ("text", tree(below="x")),
        (file("text"), file("text", executable=True)),
    ],
)
def test_different_things_at_one_path_clash(one: Node | str, other: Node | str) -> None:
    with pytest.raises(EnvironmentClash, match=r"lib/x \(a==1, b==2\)") as caught:
        compose([("b==2", tree(lib__x=other)), ("a==1", tree(lib__x=one))], BASE)

    assert caught.value.clashes == (("lib/x", "a==1", "b==2"),)
    assert caught.value.hint


def test_a_clash_with_the_base_names_it() -> None:
    with pytest.raises(EnvironmentClash, match=r"bin/python \(the environment's own"):
        compose([("a==1", tree(bin__python="x"))], BASE)


def test_all_clashes_are_known_and_the_first_ten_shown() -> None:
    one = tree(**{f"lib__{n:02}": "x" for n in range(13)})
    other = tree(**{f"lib__{n:02}": "y" for n in range(13)})

    with pytest.raises(EnvironmentClash, match=r"lib/09 .*, and 3 more") as caught:
        compose([("a==1", one), ("b==1", other)], BASE)

    assert len(caught.value.clashes) == 13
    assert "lib/10" not in str(caught.value)


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> Directory:
    nodes: dict[str, Node] = {}
    for path in draw(st.sets(PATHS, max_size=5)):
        below = any(p.startswith(f"{path}/") or path.startswith(f"{p}/") for p in nodes)
        if not below:
            nodes[path] = file(draw(st.sampled_from("xy")))
    return from_paths(nodes.items())


@given(st.lists(trees(), max_size=4), st.data())
@settings(max_examples=100, deadline=None)
def test_the_order_of_layouts_does_not_matter_and_nothing_is_lost(
    parts: list[Directory], data: st.DataObject
) -> None:
    layouts = [(f"p{n}==1", part) for n, part in enumerate(parts)]
    shuffled = data.draw(st.permutations(layouts))

    def outcome(given: list[tuple[str, Directory]]) -> object:
        try:
            return compose(given, Directory.of({}))
        except EnvironmentClash as error:
            return error.clashes

    result = outcome(layouts)

    assert outcome(shuffled) == result
    if isinstance(result, Directory):
        wanted = {item for part in parts for item in part.walk()}
        assert set(result.walk()) == wanted


def test_five_thousand_files_are_merged() -> None:
    layouts = [
        (
            f"p{n}==1",
            from_paths(
                (f"lib/site/p{n}/d{i % 20}/f{i}", file(f"{n}.{i}")) for i in range(500)
            ),
        )
        for n in range(10)
    ]

    merged = compose(layouts, BASE)

    assert sum(1 for _ in merged.walk()) == 5002


def interpreter() -> Interpreter:
    version = "{}.{}.{}".format(*sys.version_info[:3])
    executable = os.path.realpath(sys.executable)
    short = version.rpartition(".")[0]
    return Interpreter(
        executable=executable,
        prefix=sys.base_prefix,
        version=version,
        implementation=sys.implementation.name,
        stdlib=sysconfig.get_path("stdlib"),
        platstdlib=sysconfig.get_path("platstdlib"),
        include=(),
        libraries=(),
        purelib_name=f"lib/python{short}/site-packages",
        platlib_name=f"lib/python{short}/site-packages",
        ext_suffix="",
        soabi="",
        platform_tag="",
        cache_tag="",
        tags=(),
        markers=(),
    )


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """The base alone, on disk."""
    for name, content in base_files(interpreter()).items():
        place = tmp_path / "env" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            place.symlink_to(content)
        else:
            place.write_bytes(content)
    return tmp_path / "env"


def run(environment: Path, code: str, name: str = "python") -> str:
    done = subprocess.run(
        [environment / "bin" / name, "-c", code],
        env={"TMPDIR": str(environment.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_base_is_an_environment_of_the_interpreter(environment: Path) -> None:
    short = interpreter().python_version
    for name in ("python", "python3", f"python{short}"):
        out = run(
            environment,
            "import sys, json; print(sys.prefix, sys.base_prefix); "
            "print([p for p in sys.path if 'site-packages' in p])",
            name,
        )
        prefixes, paths = out.splitlines()
        assert prefixes == f"{environment} {sys.base_prefix}"
        assert paths == str([str(environment / interpreter().purelib_name)])


def test_names_of_temporary_files_are_a_counter(environment: Path) -> None:
    code = (
        "import tempfile, os; a = tempfile.mkdtemp(); "
        "b = tempfile.NamedTemporaryFile(prefix='x', suffix='.y'); "
        "print(os.path.basename(a), os.path.basename(b.name)); os.rmdir(a)"
    )

    assert run(environment, code) == "tmp00000000 x00000001.y\n"
    assert run(environment, code) == "tmp00000000 x00000001.y\n"


def test_a_name_that_is_taken_is_passed_over(environment: Path) -> None:
    (environment.parent / "tmp00000000").mkdir()

    code = "import tempfile; print(tempfile.mkdtemp()[-8:])"
    assert run(environment, code) == "00000001\n"


def test_child_processes_have_the_same_names(environment: Path) -> None:
    code = (
        "import subprocess, sys; print(subprocess.run([sys.executable, '-c', "
        "'import tempfile; print(next(tempfile._get_candidate_names()))'], "
        "capture_output=True, text=True).stdout, end='')"
    )

    assert run(environment, code) == "00000000\n"


def test_the_hook_imports_nothing_and_goes_away(environment: Path) -> None:
    out = run(
        environment,
        "import sys; names = lambda: {getattr(f, '__name__', '') for f in sys.meta_path};"
        "loaded = {'tempfile', '_fromager_temporary_names'} & set(sys.modules); "
        "print(loaded, 'TemporaryNames' in names()); import tempfile; "
        "print('TemporaryNames' in names(), tempfile.__name__, "
        "tempfile.__spec__.name, tempfile.__file__.endswith('tempfile.py'))",
    )

    assert out == "set() True\nFalse tempfile tempfile True\n"


def test_a_reload_of_tempfile_works(environment: Path) -> None:
    code = "import tempfile, importlib; importlib.reload(tempfile).mkdtemp()"

    run(environment, code)


def test_the_base_names_the_interpreter(tmp_path: Path) -> None:
    other = replace(
        interpreter(),
        executable="/opt/py/bin/python3.14",
        version="3.14.1",
        purelib_name="lib/python3.14/site-packages",
    )
    files = base_files(other)

    assert files["bin/python3.14"] == files["bin/python"] == other.executable
    assert files["pyvenv.cfg"] == (
        b"home = /opt/py/bin\ninclude-system-site-packages = false\nversion = 3.14.1\n"
    )
    assert {path for path in files if path.startswith("lib/")} == {
        "lib/python3.14/site-packages/_fromager_temporary_names.pth",
        "lib/python3.14/site-packages/_fromager_temporary_names.py",
    }
