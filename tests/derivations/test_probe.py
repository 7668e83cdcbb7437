from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from fromager.derivations.building.probe import describe, probe
from fromager.derivations.errors import InputError
from support.facts import MemoryFacts, NoFacts

FACTS = {
    "version": [3, 13, 2],
    "release": "3.13.2",
    "executable": "/opt/py/bin/python3.13",
    "prefix": "/opt/py",
    "implementation": "cpython",
    "stdlib": "/opt/py/lib/python3.13",
    "platstdlib": "/opt/py/lib/python3.13",
    "include": [],
    "shared": [],
    "loaded": [],
    "purelib": "lib/python3.13/site-packages",
    "platlib": "lib/python3.13/site-packages",
    "ext_suffix": ".cpython-313-x86_64-linux-gnu.so",
    "soabi": "cpython-313-x86_64-linux-gnu",
    "debug": False,
    "free_threaded": False,
    "platform": "linux-x86_64",
    "narrow": False,
    "cache_tag": "cpython-313",
    "libc": ["glibc", "2.36"],
    "markers": {"python_version": "3.13"},
}


def test_the_tags_of_the_running_interpreter_are_those_that_packaging_gives() -> None:
    interpreter = probe(sys.executable, NoFacts())

    assert [str(tag) for tag in sys_tags()] == list(interpreter.tags)


def test_links_and_virtual_environments_lead_to_the_base_interpreter(
    tmp_path: Path,
) -> None:
    base = os.path.realpath(sys.executable)
    link = tmp_path / "some-python"
    link.symlink_to(sys.executable)
    for kind in ("--symlinks", "--copies"):
        command = [base, "-m", "venv", "--without-pip", kind, str(tmp_path / kind)]
        subprocess.run(command, check=True)

    found = {
        probe(path, NoFacts()).executable
        for path in (
            link,
            tmp_path / "--symlinks" / "bin" / "python",
            tmp_path / "--copies" / "bin" / "python",
        )
    }

    assert found == {base}


def test_the_prefix_is_the_base_prefix_and_holds_the_standard_library() -> None:
    interpreter = probe(sys.executable, NoFacts())

    assert interpreter.prefix == sys.base_prefix
    assert Path(interpreter.stdlib, "os.py").is_file()
    assert interpreter.version == ".".join(map(str, sys.version_info[:3]))


def test_an_interpreter_is_run_once_as_long_as_its_file_stays_as_it_is(
    tmp_path: Path,
) -> None:
    python = _pretender(tmp_path / "python", FACTS)
    facts = MemoryFacts()

    first = probe(python, facts)
    second = probe(python, facts)

    assert first == second
    assert (tmp_path / "runs").read_text() == "run\n"


def test_an_interpreter_that_was_replaced_is_asked_again(tmp_path: Path) -> None:
    python = _pretender(tmp_path / "python", FACTS)
    facts = MemoryFacts()
    probe(python, facts)
    _pretender(tmp_path / "python", {**FACTS, "release": "3.13.9999"})

    assert probe(python, facts).version == "3.13.9999"


def test_a_damaged_memory_is_no_harm() -> None:
    facts = MemoryFacts()
    known = probe(sys.executable, facts)
    for key in list(facts.values):
        facts.values[key] = b'{"signature": 3}'

    assert known == probe(sys.executable, facts)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("#!/bin/sh\necho hello\n", "no Python interpreter"),
        ("#!/bin/sh\nexit 3\n", "no Python interpreter"),
        ("#!/bin/sh\necho '{\"version\": [3, 8, 18]}'\n", "Python 3.8.18, too old"),
        ("#!/bin/sh\necho 'Unknown option: -I' >&2; exit 2\n", "Python 2 or older"),
        ("no program at all", "exec format error"),
    ],
)
def test_what_is_no_usable_interpreter_is_refused_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "python"
    path.write_text(text)
    path.chmod(0o755)

    with pytest.raises(InputError, match=reason) as caught:
        probe(path, NoFacts())

    assert caught.value.hint is not None and "3.9" in caught.value.hint


def test_a_missing_interpreter_is_refused_by_the_name_that_was_given() -> None:
    with pytest.raises(InputError, match=r"no-such-python.*no such file"):
        probe("/no-such-python", NoFacts())


def test_a_debug_build_loads_extensions_of_normal_builds_too() -> None:
    interpreter = describe({**FACTS, "debug": True}, "/opt/py/bin/python3.13")

    assert interpreter.tags[0] == "cp313-cp313d-linux_x86_64"
    assert "cp313-cp313-linux_x86_64" in interpreter.tags


def test_a_free_threaded_build_has_its_own_abi_and_no_abi3() -> None:
    interpreter = describe({**FACTS, "free_threaded": True}, "/opt/py/bin/python3.13t")

    assert interpreter.tags[0] == "cp313-cp313t-linux_x86_64"
    assert not any("-abi3-" in tag for tag in interpreter.tags)


def test_musl_gives_musllinux_tags_and_no_manylinux_tags() -> None:
    interpreter = describe({**FACTS, "libc": ["musl", "1.2.4"]}, "/usr/bin/python3")

    assert "cp313-cp313-musllinux_1_2_x86_64" in interpreter.tags
    assert "cp313-cp313-musllinux_1_3_x86_64" not in interpreter.tags
    assert not any("manylinux" in tag for tag in interpreter.tags)


def test_a_narrow_interpreter_on_a_wide_kernel_builds_for_the_narrow_platform() -> None:
    interpreter = describe({**FACTS, "narrow": True}, "/usr/bin/python3")

    assert interpreter.platform_tag == "linux_i686"


def test_no_marker_tells_the_kernel() -> None:
    markers = probe(sys.executable, NoFacts()).marker_environment

    assert (markers["platform_release"], markers["platform_version"]) == ("", "")


@given(
    minor=st.integers(9, 14),
    libc=st.sampled_from(
        [["glibc", "2.17"], ["glibc", "2.41"], ["musl", "1.2.5"], ["", ""]]
    ),
    platform=st.sampled_from(["linux-x86_64", "linux-aarch64", "linux-riscv64"]),
    debug=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_every_tag_is_well_formed_and_the_first_is_that_of_a_wheel_built_here(
    minor: int, libc: list[str], platform: str, debug: bool
) -> None:
    answer = {
        **FACTS,
        "version": [3, minor, 1],
        "libc": libc,
        "platform": platform,
        "debug": debug,
    }

    interpreter = describe(answer, "/usr/bin/python3")

    for tag in interpreter.tags:
        parse_wheel_filename(f"example-1.0-{tag}.whl")
    assert interpreter.tags[0].endswith(interpreter.platform_tag)
    assert len(set(interpreter.tags)) == len(interpreter.tags)


def _pretender(path: Path, answer: dict[str, object]) -> Path:
    answer = {**answer, "executable": str(path)}
    path.write_text(
        f"#!/bin/sh\necho run >> {path.parent}/runs\ncat <<'END'\n{json.dumps(answer)}\nEND\n"
    )
    path.chmod(0o755)
    return path
