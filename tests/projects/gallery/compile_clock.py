"""Compiles a module with the time in a macro, which no variable holds still."""

import pathlib
import subprocess
from datetime import datetime, timezone


def files(name):
    now = datetime.now(timezone.utc).isoformat()
    pathlib.Path("module.c").write_text("const char *built(void) { return BUILT; }\n")
    subprocess.run(
        ["cc", "-shared", "-fPIC", f'-DBUILT="{now}"', "-o", "module.so", "module.c"],
        check=True,
    )
    return {f"{name}/module.so": pathlib.Path("module.so").read_bytes()}
