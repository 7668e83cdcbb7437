"""Errors as people see them: the only place where they are rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fromager.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from fromager.cli.console import Console


def exit_code(error: BaseException) -> ExitCode:
    """The exit status for an error of the store or of the derivations."""
    from fromager.derivations import (
        BuildError,
        InputError,
        ResolutionError,
        Untrusted,
    )
    from fromager.store import (
        DatabaseTooNew,
        DatabaseUnusable,
        InvalidName,
        InvalidRecord,
        ObjectDamaged,
        ObjectWithheld,
    )

    match error:
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case DatabaseTooNew():
            return ExitCode.FAILED
        case BuildError():
            return ExitCode.BUILD_FAILED
        case Untrusted():
            return ExitCode.UNTRUSTED
        case ResolutionError():
            return ExitCode.IMPOSSIBLE
        case ObjectDamaged() | ObjectWithheld() | InvalidRecord() | DatabaseUnusable():
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
    if command := _command(error):
        console.hint(command)


def _command(error: BaseException) -> str | None:
    """The command line that carries the hint out."""
    from fromager.store import DatabaseUnusable, ObjectDamaged, ObjectWithheld

    match error:
        case ObjectDamaged():
            return "fromager store verify; fromager store repair"
        case ObjectWithheld(wanted=path):
            return f"fromager store repair {path}"
        case DatabaseUnusable():
            return "fromager store rebuild-db"
    return None
