"""What is installed beside this program to change what it does, or to add to it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

    from fromager.derivations import EntryPoint, Plugins


def installed_plugins() -> Plugins | None:
    """All of it, nothing imported; None where there is nothing."""
    from fromager.derivations import find_entry_points

    found = find_entry_points(sys.path)
    if not found:
        return None
    from fromager.derivations import Plugins

    return Plugins(found, tuple(sys.path))


def plugin_commands() -> dict[str, EntryPoint]:
    """The commands that plugins add, by name; nothing is imported."""
    from fromager.derivations import COMMAND_GROUP, find_entry_points

    found = find_entry_points(sys.path)
    return {entry.name: entry for entry in found if entry.group == COMMAND_GROUP}


def plugin_command(name: str) -> click.Command | None:
    """The command of a plugin, loaded; None if no plugin has one of that name.

    Raises:
        PluginBroken: it cannot be loaded, or is no command.
    """
    entry = plugin_commands().get(name)
    if entry is None:
        return None
    import click

    from fromager.derivations import PluginBroken

    if entry.problem or not entry.attribute:
        raise PluginBroken(str(entry), entry.problem or "it names no command")
    try:
        found = _load(entry)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise PluginBroken(str(entry), reason) from error
    if not isinstance(found, click.Command):
        raise PluginBroken(str(entry), f"it is a {type(found).__name__}, no command")
    return found


def _load(entry: EntryPoint) -> object:
    from importlib import import_module

    found: object = import_module(entry.module)
    for part in entry.attribute.split("."):
        found = getattr(found, part)
    return found
