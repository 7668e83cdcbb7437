"""Writes the name of a temporary folder, made the usual way."""

import tempfile


def files(name):
    return {f"{name}/config.py": f"BUILD_DIR = {tempfile.mkdtemp()!r}\n"}
