"""Writes down the permissions that its files get."""

import pathlib


def files(name):
    path = pathlib.Path("data.bin")
    path.write_bytes(b"data")
    return {f"{name}/mode.txt": f"mode: {path.stat().st_mode:o}\n"}
