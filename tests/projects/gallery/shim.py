"""Builds in a folder with a random name, chosen by itself."""

import pathlib
import secrets


def files(name):
    folder = pathlib.Path(f".tmp-shim-pep517-{secrets.token_hex(4)}").absolute()
    folder.mkdir()
    return {f"{name}/config.py": f"SOURCE = {str(folder / 'src' / 'module.c')!r}\n"}
