"""Writes down where it was built."""

import os


def files(name):
    return {f"{name}/config.py": f"SOURCE_DIR = {os.getcwd()!r}\n"}
