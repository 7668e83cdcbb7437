"""Ships bytecode that names the time of its source."""

import pathlib
import py_compile


def files(name):
    source = pathlib.Path("generated.py")
    source.write_text("VALUE = 1\n")
    mode = py_compile.PycInvalidationMode.TIMESTAMP
    compiled = py_compile.compile("generated.py", "generated.pyc", invalidation_mode=mode)
    return {
        f"{name}/generated.py": source.read_bytes(),
        f"{name}/generated.pyc": pathlib.Path(compiled).read_bytes(),
    }
