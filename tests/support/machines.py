"""File systems of other machines, made in a folder, and interpreters on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.derivations.building.toolchain import Machine
from fromager.derivations.interpreter import Interpreter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_machine(folder: Path, files: Mapping[str, str]) -> Machine:
    """A machine with these files; `-> target` makes a link, a trailing `/` a folder."""
    for path, content in files.items():
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            place.mkdir(exist_ok=True)
        elif content.startswith("-> "):
            place.symlink_to(content.removeprefix("-> "))
        else:
            place.write_text(content)
    return Machine(str(folder))


def make_interpreter(
    executable: str = "/usr/bin/python3.12",
    prefix: str = "/usr",
    library: str = "/usr/lib/python3.12",
    **others: tuple[str, ...],
) -> Interpreter:
    """CPython 3.12.1, at a place."""
    return Interpreter(
        executable=executable,
        prefix=prefix,
        version="3.12.1",
        implementation="cpython",
        stdlib=library,
        platstdlib=library,
        include=others.get("include", (f"{prefix}/include/python3.12",)),
        libraries=others.get("libraries", ()),
        purelib_name="lib/python3.12/site-packages",
        platlib_name="lib/python3.12/site-packages",
        ext_suffix=".cpython-312-x86_64-linux-gnu.so",
        soabi="cpython-312-x86_64-linux-gnu",
        platform_tag="linux_x86_64",
        cache_tag="cpython-312",
        tags=("cp312-cp312-linux_x86_64",),
        markers=(("python_version", "3.12"),),
    )


DEBIAN = {
    "/bin": "-> usr/bin",
    "/lib": "-> usr/lib",
    "/lib64": "-> usr/lib64",
    "/usr/lib64/ld-linux-x86-64.so.2": "-> ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "/usr/lib/x86_64-linux-gnu/libc.so.6": "libc",
    "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "loader",
    "/usr/lib/x86_64-linux-gnu/libblas.so": "-> /etc/alternatives/libblas.so-x86",
    "/etc/alternatives/libblas.so-x86": "-> /usr/lib/x86_64-linux-gnu/blas/libblas.so",
    "/usr/lib/i386-linux-gnu/libc.so.6": "narrow",
    "/usr/lib/gcc/x86_64-linux-gnu/12/cc1": "cc1",
    "/usr/lib/python3.12/os.py": "os",
    "/usr/lib/python3/dist-packages/apt.py": "apt",
    "/usr/lib/node_modules/npm.js": "npm",
    "/usr/include/stdio.h": "stdio",
    "/usr/include/python3.12/Python.h": "Python",
    "/usr/share/perl/5.36/strict.pm": "strict",
    "/usr/share/doc/README": "doc",
    "/usr/bin/dash": "dash",
    "/usr/bin/sh": "-> dash",
    "/usr/bin/cc": "-> /etc/alternatives/cc",
    "/etc/alternatives/cc": "-> /usr/bin/gcc",
    "/usr/bin/gcc": "-> gcc-12",
    "/usr/bin/gcc-12": "-> x86_64-linux-gnu-gcc-12",
    "/usr/bin/x86_64-linux-gnu-gcc-12": "gcc",
    "/usr/bin/x86_64-linux-gnu-gcc": "-> gcc-12",
    "/usr/bin/ld": "-> x86_64-linux-gnu-ld",
    "/usr/bin/x86_64-linux-gnu-ld": "-> x86_64-linux-gnu-ld.bfd",
    "/usr/bin/x86_64-linux-gnu-ld.bfd": "ld",
    "/usr/bin/cmake": "cmake",
    "/usr/bin/git": "git",
    "/usr/bin/python3": "-> python3.12",
    "/usr/bin/python3.12": "python",
}
FEDORA = {
    "/bin": "-> usr/bin",
    "/lib": "-> usr/lib",
    "/lib64": "-> usr/lib64",
    **{f"/usr/lib64/lib{number}.so.1": "library" for number in range(12)},
    "/usr/lib64/libc.so.6": "libc",
    "/usr/lib64/python3.12/os.py": "os",
    "/usr/lib64/python3.12/site-packages/rpm.py": "rpm",
    "/usr/lib64/python3.9/os.py": "other",
    "/usr/lib/gcc/x86_64-redhat-linux/14/cc1": "cc1",
    "/usr/libexec/gcc/x86_64-redhat-linux/14/cc1": "cc1",
    "/usr/lib/rpm/redhat/redhat-hardened-cc1": "specs",
    "/usr/include/python3.12/Python.h": "Python",
    "/usr/bin/bash": "bash",
    "/usr/bin/sh": "-> bash",
    "/usr/bin/gcc": "gcc",
    "/usr/bin/python3.12": "python",
}
ARCH = {
    "/bin": "-> usr/bin",
    "/lib": "-> usr/lib",
    "/lib64": "-> usr/lib",
    "/usr/lib64": "-> lib",
    "/usr/lib/libc.so.6": "libc",
    "/usr/lib/gcc/x86_64-pc-linux-gnu/15/cc1": "cc1",
    "/usr/lib/python3.12/os.py": "os",
    "/usr/lib/python3.12/site-packages/x.py": "x",
    "/usr/lib/node_modules/npm.js": "npm",
    "/usr/include/stdio.h": "stdio",
    "/usr/bin/bash": "bash",
    "/usr/bin/sh": "-> bash",
    "/usr/bin/gcc": "gcc",
    "/usr/bin/python3.12": "python",
}
ALPINE = {
    "/bin/busybox": "busybox",
    "/bin/sh": "-> /bin/busybox",
    "/bin/ls": "-> /bin/busybox",
    "/usr/bin/awk": "-> /bin/busybox",
    "/lib/ld-musl-x86_64.so.1": "loader",
    "/lib/libc.musl-x86_64.so.1": "-> ld-musl-x86_64.so.1",
    "/usr/lib/libz.so": "z",
    "/usr/lib/libc.musl-x86_64.so.1": "c",
    "/usr/lib/python3.12/os.py": "os",
    "/usr/bin/python3.12": "python",
}
