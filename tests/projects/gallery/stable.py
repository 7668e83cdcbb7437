"""Nothing that varies."""


def files(name):
    return {f"{name}/__init__.py": "VALUE = 1\n"}
