"""The reference page of the command line, made from the commands themselves."""

from collections.abc import Iterator

import click


def render(group: click.Group, name: str) -> str:
    """The page in Markdown: global options, then each command with its options."""
    context = click.Context(group, info_name=name)
    parts = [
        "# Command line",
        "This page is made from the commands' own help.",
        "Exit codes are [the same for all](exit-codes.md), and so is what a [TARGET](targets.md) may be.",
        "## Global options",
        "They stand before the command.",
        _options(group, context),
    ]
    for command, inner in _commands(group, context):
        parts += [
            f"## {' '.join(inner.command_path.split()[1:])}",
            _code(command.collect_usage_pieces(inner), inner.command_path),
            _prose(command.help or ""),
            _options(command, inner),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _commands(
    group: click.Group, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
        else:
            yield command, inner


def _options(command: click.Command, context: click.Context) -> str:
    records = [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts
        if (record := parameter.get_help_record(context)) is not None
    ]
    if not records:
        return ""
    rows = "\n".join(f"| `{name}` | {_cell(text)} |" for name, text in records)
    return f"| option | meaning |\n|---|---|\n{rows}"


def _code(pieces: list[str], path: str) -> str:
    return "```text\n" + " ".join([path, *pieces]) + "\n```"


def _prose(text: str) -> str:
    paragraphs = text.replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(each.split()) for each in paragraphs)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
