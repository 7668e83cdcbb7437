"""The hook before each effect on the disk, through which tests stop or fail a store."""


def no_effect(name: str) -> None:
    """What is called before each effect, unless a test wants to know."""
