"""Errors as people see them: the only place where they are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from fromager.cli.console import Console


def exit_code(error: BaseException) -> ExitCode:
    """The exit status for an error of the store or of the derivations."""
    from fromager.derivations import BuildError, InputError, ResolutionError
    from fromager.store import InvalidName, InvalidRecord, ObjectDamaged

    match error:
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case BuildError():
            return ExitCode.BUILD_FAILED
        case ResolutionError():
            return ExitCode.IMPOSSIBLE
        case ObjectDamaged() | InvalidRecord():
            return ExitCode.DAMAGED
        case InputError() | InvalidName():
            return ExitCode.USAGE
    return ExitCode.FAILED


def show(console: Console, error: BaseException) -> None:
    """Print the cause last: the log's end, where to find all of it, then the error."""
    for line in getattr(error, "log_tail", ()):
        console.say(f"  {line}")
    if subject := getattr(error, "log_of", None):
        console.say(f"The whole log: fromager log {subject}")
    if kept := getattr(error, "kept", None):
        console.say(f"The build folder was kept: {kept}")
    for title, text in (
        ("The hunk:", getattr(error, "hunk", "")),
        ("The file has there:", getattr(error, "found", "")),
    ):
        if text:
            console.say(title)
            for line in text.splitlines():
                console.say(f"  {line}")
    for note in getattr(error, "__notes__", ()):
        console.say(note)
    console.error(str(error))
    if hint := getattr(error, "hint", None):
        console.hint(hint)
