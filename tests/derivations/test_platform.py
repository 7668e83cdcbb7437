from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fromager.derivations.building.parts import (
    ASSEMBLER,
    C_LIBRARY,
    COMPILER,
    DATA,
    HEADERS,
    INTERPRETER,
    LIBRARIES,
    LINKER,
    NAMES,
    PYTHON_HEADERS,
    STANDARD_LIBRARY,
    TOOLS,
    identify,
)
from fromager.derivations.building.platform import HostBase, host_platform
from fromager.derivations.building.scan import Item, contents, scan
from fromager.derivations.building.toolchain import (
    THIS_MACHINE,
    Machine,
    Program,
    Toolchain,
)
from fromager.store import blob_digest
from support.facts import MemoryFacts
from support.machines import DEBIAN, make_interpreter, make_machine

if TYPE_CHECKING:
    from fromager.derivations.interpreter import Interpreter
    from support.workbench import Workbench

FILES = {
    "/usr/lib/python3.12/os.py": STANDARD_LIBRARY,
    "/usr/include/python3.12/Python.h": PYTHON_HEADERS,
    "/usr/include/stdio.h": HEADERS,
    "/usr/lib/x86_64-linux-gnu/libc.so.6": C_LIBRARY,
    "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": C_LIBRARY,
    "/usr/lib/x86_64-linux-gnu/libz.a": LIBRARIES,
    "/usr/lib/gcc/x86_64-linux-gnu/12/cc1": COMPILER,
    "/usr/lib/libpython3.12.so.1.0": INTERPRETER,
}
PROGRAMS = {
    "python3.12": INTERPRETER,
    "x86_64-linux-gnu-gcc-12": COMPILER,
    "g++": COMPILER,
    "x86_64-linux-gnu-as": ASSEMBLER,
    "x86_64-linux-gnu-ld.bfd": LINKER,
    "sed": TOOLS,
}


def _parts(
    contents: dict[str, str], interpreter: Interpreter | None = None, mode: int = 0o644
) -> dict[str, str]:
    programs = tuple(
        Program(path.removeprefix("/usr/bin/"), path, None)
        for path in sorted(contents)
        if path.startswith("/usr/bin/")
    )
    toolchain = Toolchain(("/usr",), programs, (), (), (), (), (), ())
    items = [Item(path, 0o100000 | mode, b"") for path in sorted(contents)]
    digests = {path: blob_digest(text.encode()) for path, text in contents.items()}
    parts = identify(
        interpreter or make_interpreter(libraries=("/usr/lib/libpython3.12.so.1.0",)),
        THIS_MACHINE,
        toolchain,
        items,
        digests,
    )
    return {part.name: str(part.digest) for part in parts}


CONTENTS = {path: path for path in (*FILES, *(f"/usr/bin/{name}" for name in PROGRAMS))}
PLAIN = _parts(CONTENTS)


@pytest.mark.parametrize(
    ("path", "part"),
    [*FILES.items(), *((f"/usr/bin/{name}", part) for name, part in PROGRAMS.items())],
)
def test_a_changed_file_changes_its_own_part_and_no_other(path: str, part: str) -> None:
    changed = _parts({**CONTENTS, path: "changed"})

    assert {name for name in PLAIN if PLAIN[name] != changed[name]} == {part}


@given(st.sampled_from(sorted(FILES)))
@settings(max_examples=20, deadline=None)
def test_a_file_that_is_gone_or_has_another_name_changes_its_part(path: str) -> None:
    part = FILES[path]
    gone = {name: text for name, text in CONTENTS.items() if name != path}
    renamed = {**gone, f"{path}x": CONTENTS[path]}

    assert _parts(gone)[part] != PLAIN[part]
    assert _parts(renamed) != PLAIN


def test_the_executable_bit_is_part_of_a_file() -> None:
    assert _parts(CONTENTS)[LIBRARIES] != _parts(CONTENTS, mode=0o755)[LIBRARIES]


def test_the_prefix_and_version_of_the_interpreter_are_part_of_it() -> None:
    interpreter = make_interpreter(libraries=("/usr/lib/libpython3.12.so.1.0",))

    for other in (
        replace(interpreter, prefix="/opt/python"),
        replace(interpreter, version="3.12.2"),
    ):
        changed = _parts(CONTENTS, other)
        assert {n for n in PLAIN if PLAIN[n] != changed[n]} == {INTERPRETER}


def test_where_the_standard_library_lies_is_no_part_of_it() -> None:
    moved = make_interpreter(
        library="/home/me/py/lib/python3.12",
        libraries=("/usr/lib/libpython3.12.so.1.0",),
    )
    contents = {
        path.replace("/usr/lib/python3.12", "/home/me/py/lib/python3.12"): text
        for path, text in CONTENTS.items()
    }

    assert _parts(contents, moved)[STANDARD_LIBRARY] == PLAIN[STANDARD_LIBRARY]


def test_what_the_machine_does_not_have_is_an_absent_part() -> None:
    parts = _parts({"/usr/include/stdio.h": "x"})

    assert parts[COMPILER] == parts[LINKER] == "None"


def test_the_parts_are_named_once_and_in_order(workbench: Workbench) -> None:
    assert tuple(part.name for part in workbench.base.platform.parts) == NAMES


def test_versions_are_shown_to_people(workbench: Workbench) -> None:
    parts = {part.name: part.detail for part in workbench.base.platform.parts}

    assert workbench.interpreter.version in parts[INTERPRETER]


def test_programs_are_copies_that_nobody_can_write_to(workbench: Workbench) -> None:
    home = {mount.inside: Path(mount.host) for mount in workbench.base.mounts}["/usr"]

    assert (home / "bin" / "sh").exists()
    modes = {
        path.lstat().st_mode & 0o222
        for path in (home / "bin").iterdir()
        if not path.is_symlink()
    }
    assert modes == {0}


def test_a_file_without_a_change_of_its_size_is_found_by_a_thorough_look(
    here: Here,
) -> None:
    first = here.base()
    here.write("/usr/include/stdio.h", "STDIO")

    assert _changed(first, here.base()) == {HEADERS}


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/usr/include/new.h", HEADERS),
        ("/usr/lib/python3.12/new.py", STANDARD_LIBRARY),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", COMPILER),
        ("/usr/bin/dash", TOOLS),
        ("/usr/bin/sed", TOOLS),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", C_LIBRARY),
        ("/usr/share/perl/5.36/new.pm", DATA),
    ],
)
def test_new_files_and_main_files_are_found_by_a_quick_look_too(
    here: Here, path: str, part: str
) -> None:
    first = here.base()
    here.write(path, "something else")

    assert _changed(first, here.base(thorough=False)) == {part}


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/cmake",
        "/usr/bin/ninja",
        "/usr/share/doc/other",
        "/usr/lib/node_modules/npm.js",
        "/usr/lib/python3.12/__pycache__/os.pyc",
        "/usr/lib/python3.12/site-packages/left.py",
        "/usr/lib/python3/dist-packages/apt.py",
        "/home/me/.config",
    ],
)
def test_what_cannot_be_seen_from_inside_changes_nothing(here: Here, path: str) -> None:
    here.write("/usr/lib/python3.12/site-packages/pip.py", "pip")
    first = here.base()
    here.write(path, "something else")

    assert here.base() == first


def test_times_change_nothing(here: Here) -> None:
    first = here.base()
    for path in here.machine.at("/usr").rglob("*"):
        os.utime(path, (5, 5), follow_symlinks=False)

    assert here.base() == first


def test_a_quick_look_finds_what_a_thorough_one_found(here: Here) -> None:
    assert here.base(thorough=True) == here.base(thorough=False)


def test_only_what_changed_is_read_again(here: Here) -> None:
    here.write("/usr/include/two.h", "two")
    root = here.machine.root
    listing = scan(["/usr/include"], (), root=root)
    remembered = blob_digest(b"remembered")
    known = {item.path: (item.status, remembered) for item in listing.items}
    here.write("/usr/include/two.h", "2")

    again = scan(["/usr/include"], (), root=root)
    digests = contents(again.items, known, root=root)

    assert digests["/usr/include/stdio.h"] == remembered
    assert digests["/usr/include/two.h"] == blob_digest(b"2")


def test_a_cache_that_was_removed_is_made_anew(here: Here) -> None:
    first = here.base()
    here.cache.rename(here.cache.with_name("elsewhere"))

    assert here.base(thorough=False) == first
    assert all(Path(mount.host).exists() for mount in first.mounts)


def test_the_place_of_the_cache_and_what_is_remembered_do_not_matter(
    here: Here, tmp_path: Path
) -> None:
    first = here.base()
    other = replace(here, cache=tmp_path / "other" / "deep", facts=MemoryFacts())

    assert other.base().platform == first.platform


def test_damaged_memories_are_no_harm(here: Here) -> None:
    first = here.base()
    for damage in (b"", b"{}", b"[1]", b'{"interpreter": []}'):
        for key in here.facts.values:
            here.facts.values[key] = damage

        assert here.base(thorough=False) == first


def test_links_of_the_machine_and_copies_are_as_they_were(here: Here) -> None:
    base = here.base()

    home = {mount.inside: Path(mount.host) for mount in base.mounts}["/usr"]
    assert (home / "bin" / "cc").readlink() == Path("x86_64-linux-gnu-gcc-12")
    assert (home / "bin" / "x86_64-linux-gnu-gcc-12").read_text() == "gcc"
    assert (home / "share/perl/5.36/strict.pm").read_text() == "strict"
    assert (home / "lib64/ld-linux-x86-64.so.2").is_symlink()
    assert list((home / "include").iterdir()) == []


def test_two_that_make_the_same_base_at_once_do_not_disturb_each_other(
    here: Here,
) -> None:
    found: list[HostBase] = []
    barrier = threading.Barrier(4)

    def make() -> None:
        barrier.wait()
        found.append(replace(here, facts=MemoryFacts()).base())

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4 and len(set(found)) == 1
    assert len(list(here.cache.iterdir())) == 1


@dataclass(frozen=True)
class Here:
    """A small machine, and what is remembered of it."""

    machine: Machine
    cache: Path
    facts: MemoryFacts

    def base(self, *, thorough: bool = True) -> HostBase:
        return host_platform(
            make_interpreter(),
            self.cache,
            self.facts,
            thorough=thorough,
            machine=self.machine,
        )

    def write(self, path: str, text: str) -> None:
        place = self.machine.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    files = {**DEBIAN, "/usr/lib/python3.12/site-packages/": ""}
    machine = make_machine(tmp_path / "machine", files)
    return Here(machine, tmp_path / "cache", MemoryFacts())


def _changed(first: HostBase, second: HostBase) -> set[str]:
    assert first.platform.digest != second.platform.digest
    pairs = zip(first.platform.parts, second.platform.parts, strict=True)
    return {a.name for a, b in pairs if a.digest != b.digest}
