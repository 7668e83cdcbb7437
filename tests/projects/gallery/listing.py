"""Joins files in the order in which the folder lists them."""

import os


def files(name):
    found = os.listdir("parts")
    text = "".join(f"from . import {each}\n" for each in found)
    return {
        f"{name}/__init__.py": text.replace(".py\n", "\n"),
        **{f"{name}/{each}": "\n" for each in sorted(found)},
    }
