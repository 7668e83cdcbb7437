"""Options of all commands that resolve requirements and build for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from fromager.cli.policies import policy_options

Command = TypeVar("Command", bound=Callable[..., Any])


def requirement_options(verb: str) -> Callable[[Command], Command]:
    """Where requirements come from; `verb` says what is done with them."""
    return _all(
        click.option(
            "-r",
            "--requirement",
            "files",
            multiple=True,
            metavar="FILE",
            help=f"{verb} what a requirements file names, which may be at an address; "
            "may be repeated.",
        ),
        click.option(
            "-c",
            "--constraint",
            "constraints",
            multiple=True,
            metavar="FILE",
            help="Narrow versions as a constraints file says; may be repeated.",
        ),
        click.option(
            "-b",
            "--build-constraint",
            "build_constraints",
            multiple=True,
            metavar="FILE",
            help="Narrow the versions of build requirements; may be repeated.",
        ),
        click.option(
            "--extra",
            "extras",
            multiple=True,
            metavar="NAME",
            help="With -r pyproject.toml, an extra of the project too; may be repeated.",
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            metavar="[FILE:]NAME",
            help=f"{verb} a dependency group of pyproject.toml; may be repeated.",
        ),
        click.option("--pre", is_flag=True, help="Allow pre-releases."),
    )


def build_options(verb: str) -> Callable[[Command], Command]:
    """How is built, and by which rules; each is a setting of the same name."""
    return _all(
        click.option("--jobs", type=int, metavar="N", help="Builds that run at once."),
        click.option(
            "--cores", type=int, metavar="N", help="Cores that each build may use."
        ),
        click.option(
            "--timeout", type=int, metavar="SECONDS", help="Time for one build."
        ),
        click.option(
            "--variant",
            metavar="NAME",
            help=f"{verb} this variant, with its settings and patches.",
        ),
        click.option(
            "--overrides", metavar="FOLDER", help="Settings and patches of packages."
        ),
        click.option(
            "--patches", metavar="FOLDER", help="Patches, by <name>-<version>."
        ),
        click.option(
            "--only-from-source",
            is_flag=True,
            default=None,
            help="Refuse prebuilt wheels, and list them.",
        ),
        click.option(
            "--sandbox",
            metavar="LEVEL",
            help="full, or none: no isolation; another key, never used in place of full.",
        ),
        policy_options,
        click.option("--refresh", is_flag=True, help="Ask the indexes anew."),
    )


def _all(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
