"""Writes the default representation of an object."""

import ctypes


def files(name):
    place = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value
    return {f"{name}/repr.txt": f"<built-in function at {place:#x}>\n"}
