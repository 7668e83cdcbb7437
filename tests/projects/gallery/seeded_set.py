"""Writes a set; the seed of hashes decides on the order."""


def files(name):
    words = {f"word{number}" for number in range(20)}
    return {f"{name}/words.txt": "\n".join(words) + "\n"}
