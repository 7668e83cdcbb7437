"""Facts of the machine that a build was done on, and how those of two differ."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import (
    Clues,
    facts_of_host,
    host_differences,
    host_kernels,
)
from fromager.derivations.realising.host_facts import facts_of_folder
from fromager.store import file_system_of
from support.sharing import realisation

NAMES = ("host.cores", "host.filesystem", "host.kernel", "version.fromager", "sha256")
FACTS = st.dictionaries(st.sampled_from(NAMES), st.text(max_size=4), max_size=4)


def test_the_machine_is_told_and_not_named() -> None:
    facts = dict(facts_of_host(3, {"fromager": "1.2"}))

    assert facts.keys() == {
        "host.cores",
        "host.kernel",
        "host.processor",
        "version.fromager",
    }
    assert facts["host.cores"] == "3"
    assert facts["host.kernel"] == f"{os.uname().sysname} {os.uname().release}"
    assert facts["version.fromager"] == "1.2"
    assert facts["host.processor"]
    text = " ".join(facts.values())
    assert socket.gethostname() not in text.split()
    assert str(Path.home()) not in text


def test_the_file_system_of_a_folder_is_told_and_not_its_place(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and file_system_of(memory) == "tmpfs":
        assert facts_of_folder(memory / "not" / "there") == (
            ("host.filesystem", "tmpfs"),
        )
    (name, kind) = facts_of_folder(tmp_path)[0]
    (tmp_path / "link").symlink_to("/proc")

    assert name == "host.filesystem"
    assert kind == file_system_of(tmp_path)
    assert "/" not in kind
    assert facts_of_folder(tmp_path / "link") == (("host.filesystem", "proc"),)


@given(one=FACTS, two=FACTS)
def test_just_what_differs_is_told(one: dict[str, str], two: dict[str, str]) -> None:
    first = realisation(facts=tuple(sorted(one.items())))
    second = realisation(facts=tuple(sorted(two.items())))

    found = host_differences(first, second)

    one.pop("sha256", None)
    two.pop("sha256", None)
    expected = {
        name.partition(".")[2]: (one.get(name), two.get(name))
        for name in NAMES
        if one.get(name) != two.get(name)
    }
    assert {each.name: (each.first, each.second) for each in found} == (
        expected if one and two else {}
    )


def test_kernels_are_found_in_outputs_by_their_release() -> None:
    kernels = host_kernels(
        realisation(facts=(("host.kernel", f"Linux {release}"),))
        for release in ("6.1.0-generic", "6.1.0-generic", "5.4")
    )

    clues = Clues.none().with_kernels(kernels)

    assert kernels == {"6.1.0-generic", "5.4"}
    # So short a word stands everywhere.
    assert set(clues.words) == {"6.1.0-generic"}
