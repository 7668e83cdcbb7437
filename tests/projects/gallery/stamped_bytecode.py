"""Ships bytecode that names the time of its source."""

import os
import pathlib
import py_compile
import time


def files(name):
    source = pathlib.Path("generated.py")
    source.write_text("VALUE = 1\n")
    # Stamps are whole seconds, and two builds may be in one: this clock runs faster.
    now = time.time_ns() // 1_000_000 % 2**31
    os.utime(source, (now, now))
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    compiled = py_compile.compile("generated.py", "generated.pyc", invalidation_mode=mode)
    return {
        f"{name}/generated.py": source.read_bytes(),
        f"{name}/generated.pyc": pathlib.Path(compiled).read_bytes(),
    }
