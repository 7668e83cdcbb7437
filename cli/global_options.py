"""Options of the whole program; they may stand before the command or behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def global_options() -> list[click.Option]:
    """The options, made anew: each command has its own."""
    return [
        click.Option(
            ["--store"],
            metavar="PATH",
            multiple=True,
            help="The store's folder (FROMAGER_STORE); ro:PATH is only read, and "
            "may be repeated.",
        ),
        click.Option(
            ["--index"],
            metavar="URL",
            multiple=True,
            help="Package index; repeat it in order of priority (FROMAGER_INDEX_URL).",
        ),
        click.Option(
            ["--index-for"],
            metavar="NAME=URL",
            multiple=True,
            help="The only index for a project; may be repeated.",
        ),
        click.Option(
            ["--find-links"],
            metavar="PLACE",
            multiple=True,
            help="A folder of archives or a page with links, before all indexes.",
        ),
        click.Option(["--no-index"], is_flag=True, default=None, help="Ask no index."),
        click.Option(
            ["--config"], metavar="FILE", help="Settings file instead of fromager.toml."
        ),
        click.Option(
            ["--offline"], is_flag=True, default=None, help="Make no request."
        ),
        click.Option(
            ["-v", "--verbose"],
            count=True,
            help="Show more: build logs as they come.",
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, help="Show results and errors only."
        ),
        click.Option(
            ["--no-progress"],
            is_flag=True,
            help="One line per event, nothing live.",
        ),
    ]


def with_global_options(command: click.Group) -> click.Group:
    """The program's group, with the options before what it has."""
    command.params[:0] = global_options()
    return command


def accept_global_options(command: click.Command) -> click.Command:
    """The same command, which takes the options too; those given there win.

    Its help does not repeat them.
    """
    if isinstance(command, click.Group):
        for each in command.commands.values():
            accept_global_options(each)
        return command
    taken = {name for parameter in command.params for name in parameter.opts}
    for option in global_options():
        if taken.isdisjoint(option.opts):
            option.hidden, option.expose_value = True, False
            option.callback = _override(option)
            command.params.append(option)
    return command


def _override(
    option: click.Option,
) -> Callable[[click.Context, click.Parameter, object], object]:
    def callback(ctx: click.Context, _: click.Parameter, value: object) -> object:
        if value and option.name is not None:
            ctx.obj = {**(ctx.obj or {}), option.name: value}
        return value

    return callback
