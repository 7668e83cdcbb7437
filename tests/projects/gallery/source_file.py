"""Compiles a module in which the path of its own source stands."""

import pathlib
import subprocess


def files(name):
    source = pathlib.Path("module.c").absolute()
    source.write_text("const char *source(void) { return __FILE__; }\n")
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", "module.so", str(source)], check=True
    )
    return {f"{name}/module.so": pathlib.Path("module.so").read_bytes()}
