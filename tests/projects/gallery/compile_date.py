"""Compiles a module in which the compiler says when that was."""

import pathlib
import subprocess


def files(name):
    code = 'const char *compiled(void) { return __DATE__ " " __TIME__; }\n'
    pathlib.Path("module.c").write_text(code)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "module.so", "module.c"], check=True)
    return {f"{name}/module.so": pathlib.Path("module.so").read_bytes()}
