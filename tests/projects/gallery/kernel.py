"""Writes down the kernel's release."""

import os


def files(name):
    return {f"{name}/config.py": f"KERNEL = {os.uname().release!r}\n"}
