"""What a command's exit status says; the table of `docs/reference/exit-codes.md`."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses of all commands."""

    DONE = 0
    FAILED = 1
    """Something failed that none of the others says, such as a download."""
    USAGE = 2
    """The command line, a requirement or a settings file cannot be read."""
    DIFFERENT = 2
    """Builds of one thing, or two things that were compared, are not the same."""
    UNTRUSTED = 3
    """Somebody's claim is not trusted."""
    IMPOSSIBLE = 4
    """No set of versions fits the request."""
    BUILD_FAILED = 5
    """A build ran, and failed."""
    DAMAGED = 6
    """The store holds something that is not what it should be."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C."""
