from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.building.programs import PROGRAMS
from fromager.derivations.building.toolchain import Machine, Toolchain, discover
from support.machines import (
    ALPINE,
    ARCH,
    DEBIAN,
    FEDORA,
    make_interpreter,
    make_machine,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_programs_of_the_list_are_let_in_and_no_others(tmp_path: Path) -> None:
    found = discover(make_interpreter(), make_machine(tmp_path, DEBIAN))

    names = {program.name for program in found.programs}
    assert {"sh", "cc", "gcc", "x86_64-linux-gnu-gcc", "ld"} <= names
    assert not names & {"cmake", "git", "python3"}


def test_links_between_programs_stay_links_to_one_copy(tmp_path: Path) -> None:
    found = discover(make_interpreter(), make_machine(tmp_path, DEBIAN))

    programs = {program.name: program for program in found.programs}
    compiler = "x86_64-linux-gnu-gcc-12"
    assert programs[compiler].source == f"/usr/bin/{compiler}"
    for name in ("cc", "gcc", "x86_64-linux-gnu-gcc"):
        assert (programs[name].source, programs[name].target) == (None, compiler)


def test_an_interpreter_among_the_programs_is_let_in_under_its_own_name_only(
    tmp_path: Path,
) -> None:
    found = discover(make_interpreter(), make_machine(tmp_path, DEBIAN))

    names = [p.name for p in found.programs if p.name.startswith("python")]
    assert names == ["python3.12"]
    assert found.homes == ("/usr",)


def test_on_debian_the_libraries_of_the_architecture_are_let_in(
    tmp_path: Path,
) -> None:
    found = discover(make_interpreter(), make_machine(tmp_path, DEBIAN))

    assert set(found.folders) == {
        "/usr/include",
        "/usr/lib/gcc",
        "/usr/lib/python3.12",
        "/usr/lib/x86_64-linux-gnu",
    }
    assert {"/usr/lib64", "/usr/share/perl"} <= set(found.copies)
    assert "/usr/share/doc" not in found.copies
    assert ("/lib", "usr/lib") in found.links


def test_alternatives_that_libraries_lead_to_are_let_in(tmp_path: Path) -> None:
    found = discover(make_interpreter(), make_machine(tmp_path, DEBIAN))

    place = "/etc/alternatives/libblas.so-x86"
    assert (place, "/usr/lib/x86_64-linux-gnu/blas/libblas.so") in found.links
    assert not any("cc" in place for place, _ in found.links)


def test_on_fedora_lib64_is_let_in_without_other_pythons_and_their_modules(
    tmp_path: Path,
) -> None:
    interpreter = make_interpreter(library="/usr/lib64/python3.12")

    found = discover(interpreter, make_machine(tmp_path, FEDORA))

    assert "/usr/lib64" in found.folders and "/usr/libexec/gcc" in found.folders
    assert "/usr/lib64/python3.12" not in found.folders
    assert set(found.hidden) == {
        "/usr/lib64/python3.9",
        "/usr/lib64/python3.12/site-packages",
    }
    assert "/usr/lib/rpm/redhat" in found.copies


def test_on_arch_all_libraries_are_one_folder(tmp_path: Path) -> None:
    found = discover(make_interpreter(), make_machine(tmp_path, ARCH))

    assert found.folders == ("/usr/include", "/usr/lib")
    assert set(found.hidden) == {
        "/usr/lib/node_modules",
        "/usr/lib/python3.12/site-packages",
    }
    assert ("/usr/lib64", "lib") in found.links


def test_on_alpine_programs_are_links_to_one_busybox(tmp_path: Path) -> None:
    found = discover(make_interpreter(), make_machine(tmp_path, ALPINE))

    programs = {program.name: program for program in found.programs}
    assert programs["busybox"].source == "/bin/busybox"
    assert {programs[name].target for name in ("sh", "ls", "awk")} == {"busybox"}
    assert {"/lib", "/usr/lib"} <= set(found.folders)


def test_without_gcc_clang_is_let_in_with_its_home(tmp_path: Path) -> None:
    files = {
        **{name: text for name, text in DEBIAN.items() if "gcc" not in name},
        "/usr/bin/clang": "-> ../lib/llvm-14/bin/clang",
        "/usr/lib/llvm-14/bin/clang": "clang",
        "/usr/bin/cc": "-> clang",
    }
    files.pop("/etc/alternatives/cc", None)

    found = discover(make_interpreter(), make_machine(tmp_path, files))

    programs = {program.name: program.target for program in found.programs}
    assert programs["clang"] == programs["cc"] == "/usr/lib/llvm-14/bin/clang"
    assert "/usr/lib/llvm-14" in found.folders


def test_beside_gcc_clang_is_left_out(tmp_path: Path) -> None:
    files = {**DEBIAN, "/usr/bin/clang": "clang", "/usr/lib/llvm-14/x": "x"}

    found = discover(make_interpreter(), make_machine(tmp_path, files))

    assert "clang" not in {program.name for program in found.programs}
    assert "/usr/lib/llvm-14" not in found.folders


def test_a_machine_without_any_compiler_is_no_error(tmp_path: Path) -> None:
    files = {name: text for name, text in DEBIAN.items() if "gcc" not in name}
    files.pop("/usr/bin/cc")

    found = discover(make_interpreter(), make_machine(tmp_path, files))

    assert "cc" not in {program.name for program in found.programs}


def test_an_interpreter_elsewhere_is_copied_to_its_own_prefix(tmp_path: Path) -> None:
    library = "/usr/local/lib/libpython3.12.so.1.0"
    files = {
        **DEBIAN,
        "/usr/local/bin/python3.12": "python",
        "/usr/local/bin/other": "other",
        "/usr/local/lib/python3.12/os.py": "os",
        "/usr/local/lib/python3.12/site-packages/pip.py": "pip",
        "/usr/local/include/python3.12/Python.h": "Python",
        library: "library",
    }
    interpreter = make_interpreter(
        "/usr/local/bin/python3.12",
        "/usr/local",
        "/usr/local/lib/python3.12",
        libraries=(library,),
    )

    found = discover(interpreter, make_machine(tmp_path, files))

    assert found.homes == ("/usr", "/usr/local")
    assert {"/usr/local/bin/python3.12", library} <= set(found.copies)
    assert "/usr/local/lib/python3.12" in found.folders
    assert "/usr/local/lib/python3.12/site-packages" in found.hidden
    # The loader's cache is not there to lead to it.
    assert ("/usr/lib/libpython3.12.so.1.0", library) in found.links


def test_links_that_go_in_circles_lead_nowhere(tmp_path: Path) -> None:
    machine = make_machine(tmp_path, {"/a": "-> b", "/b": "-> a"})

    assert machine.real("/a") is None


def test_what_else_is_installed_changes_nothing(tmp_path: Path) -> None:
    names = ("cmake", "ninja", "git", "node", "curl", "rustc")
    more = {f"/usr/bin/{name}": name for name in names}

    plain = discover(make_interpreter(), make_machine(tmp_path / "plain", DEBIAN))
    full = discover(
        make_interpreter(), make_machine(tmp_path / "full", {**DEBIAN, **more})
    )

    assert plain == full


def test_this_machine_has_a_shell_and_a_c_library() -> None:
    found: Toolchain = discover(make_interpreter(), Machine())

    assert "sh" in {program.name for program in found.programs}
    assert any("lib" in folder for folder in found.folders)


def test_no_program_is_listed_twice() -> None:
    assert len(PROGRAMS) == len(set(PROGRAMS))
