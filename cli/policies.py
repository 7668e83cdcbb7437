"""Options that say which files of an index may be used, for commands that resolve."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fromager.cli.settings import Settings
    from fromager.derivations import Cutoffs, GivenRequirement

    Command = TypeVar("Command", bound=Callable[..., object])
    Limit = TypeVar("Limit")
else:
    Command = TypeVar("Command")
    Limit = TypeVar("Limit")

NO_LIMIT: Final = "none"

_OPTIONS: Final = (
    click.option(
        "--exclude-newer",
        metavar="DATE",
        help="Use nothing that was uploaded after this day or moment (UTC).",
    ),
    click.option(
        "--exclude-newer-package",
        multiple=True,
        metavar="NAME=DATE",
        help="Another date for one project, or none; may be repeated.",
    ),
    click.option(
        "--min-age",
        type=int,
        metavar="DAYS",
        help="Use nothing younger, but what is asked for exactly (name==1.0).",
    ),
    click.option(
        "--min-age-package",
        multiple=True,
        metavar="NAME=DAYS",
        help="Another age for one project; may be repeated.",
    ),
    click.option(
        "--undated-index",
        multiple=True,
        metavar="URL",
        help="An index whose files may lack upload times; may be repeated.",
    ),
)


def policy_options(command: Command) -> Command:
    """A command with these options; each is a setting of the same name."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def find_cutoffs(
    settings: Settings, requirements: Iterable[GivenRequirement], now: datetime
) -> Cutoffs:
    """How new files may be; what is asked for exactly may have any age.

    Ages are counted from the beginning of the day `now`, so that a day's answers are
    the same.

    Raises:
        InputError: a value that is no date, no number, or for no project.
    """
    from fromager.derivations import Cutoffs, exact_pins

    newest = settings.text("exclude-newer")
    return Cutoffs(
        None if newest is None else _moment(newest, "exclude-newer"),
        _by_project(settings, "exclude-newer-package", _moment),
        settings.number("min-age") or 0,
        _by_project(settings, "min-age-package", _days),
        datetime.combine(now.astimezone(UTC).date(), time(), UTC),
        exact_pins(given.requirement for given in requirements),
        frozenset(settings.texts("undated-index")),
    )


def _by_project(
    settings: Settings, setting: str, parse: Callable[[str, str], Limit]
) -> dict[str, Limit]:
    from packaging.utils import canonicalize_name

    from fromager.derivations import InputError

    found: dict[str, Limit] = {}
    for text in settings.texts(setting):
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            hint = "Write the project's name, =, and the value"
            raise InputError(f"{setting}: {text!r} is for no project", hint=hint)
        found[canonicalize_name(name.strip())] = parse(value.strip(), setting)
    return found


def _moment(text: str, setting: str) -> datetime | None:
    """The last moment that a date or a time means; `none` is no limit."""
    from fromager.derivations import InputError

    if text == NO_LIMIT:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{setting}: {text!r} is no date", hint="Write it as 2026-01-31"
        ) from error
    if len(text) <= len("2026-01-31"):
        moment += timedelta(days=1) - timedelta(microseconds=1)
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def _days(text: str, setting: str) -> int:
    from fromager.derivations import InputError

    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{setting}: {text!r} is no number of days")
    return int(text)
