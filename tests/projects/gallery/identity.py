"""Gives itself a random number."""

import uuid


def files(name):
    return {f"{name}/instance.txt": f"id: {uuid.uuid4()}\n"}
