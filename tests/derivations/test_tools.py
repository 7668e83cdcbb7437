"""Wrappers of compilers: what reaches the compiler in the end."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fromager.derivations.building.tools import wrapper
from fromager.derivations.customisation.values import CompilerFlags

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = CompilerFlags(
    ("-DX=a b", "-O2"), ("-std=c++20",), ("-Wl,-z now",), ("-Werror",)
)


def passed(folder: Path, program: str, arguments: list[str]) -> list[str]:
    """The arguments that the compiler gets."""
    script = wrapper(program, FLAGS).replace(
        f"exec /usr/bin/{program}", "exec printf '%s\\0'"
    )
    path = folder / "wrapper"
    path.write_text(script)
    done = subprocess.run(["sh", path, *arguments], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


C = ["-DX=a b", "-O2"]
LINK = ["-Wl,-z now"]


@pytest.mark.parametrize(
    ("arguments", "added"),
    [
        (["-c", "x.c"], C),
        (["x.o", "-o", "x"], [*C, *LINK]),
        (["-shared", "x.o"], [*C, *LINK]),
        (["-E", "x.c"], C),
        (["--version"], []),
    ],
)
def test_flags_are_added_where_they_matter(
    tmp_path: Path, arguments: list[str], added: list[str]
) -> None:
    assert passed(tmp_path, "gcc", arguments) == [*arguments, *added]


def test_a_compiler_of_another_language_gets_its_own(tmp_path: Path) -> None:
    assert (
        passed(tmp_path, "x86_64-linux-gnu-g++-12", ["-c", "x.cc"])[-1] == "-std=c++20"
    )


def test_arguments_are_dropped_word_for_word(tmp_path: Path) -> None:
    given = ["-Werror", "-Werror=x", "-c", "x.c"]

    assert passed(tmp_path, "cc", given)[:3] == ["-Werror=x", "-c", "x.c"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
        max_size=5,
    )
)
def test_all_other_arguments_stay_as_they_are(
    tmp_path: Path, arguments: list[str]
) -> None:
    kept = [each for each in arguments if each != "-Werror"]

    assert passed(tmp_path, "cc", ["-c", *arguments])[1 : 1 + len(kept)] == kept
