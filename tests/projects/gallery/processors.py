"""Writes down how many processors there were."""

import os


def files(name):
    return {f"{name}/config.py": f"CPU_COUNT = {len(os.sched_getaffinity(0))}\n"}
