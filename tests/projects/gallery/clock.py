"""Writes down when it was built."""

import time


def files(name):
    return {f"{name}/built.py": f"BUILT = {time.time()!r}\n"}
