"""The `fromager` command: global options, and commands loaded when they are used."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.global_options import accept_global_options, with_global_options
from fromager.cli.recording import META

if TYPE_CHECKING:
    from fromager.cli.console import Console
    from fromager.cli.recording import Recording

COMMANDS: Final = {
    "realise": ("realise", "Build requirements from source, and print store paths."),
    "lock": ("lock", "Pin versions and what builds them, in a file."),
    "lock diff": ("lock_diff", "Say what changed between two locks."),
    "log": ("log", "Print the log of a build."),
    "why-rebuilt": ("why_rebuilt", "Say which inputs changed since the last build."),
    "check": ("check", "Build again what was built, and compare."),
    "diff": ("diff", "Say what differs between two outputs, and why."),
    "export": ("export", "Copy an object out of the store."),
    "challenge": ("challenge", "Compare with what other machines recorded."),
    "verify": ("verify", "Hold a closure against a policy."),
    "push": ("push", "Bring what was built to a cache, with all it was made from."),
    "pull": ("pull", "Take what others built out of a cache."),
    "serve": ("serve", "Offer the store as a package index and a cache."),
    "sbom": (
        "sbom",
        "Print a bill of materials: what is in a closure, and how it came.",
    ),
    "key": ("key", "Keys to sign with, and whose claims are believed."),
    "cache": ("cache", "Look into caches."),
    "why-alive": ("why_alive", "Name the root that keeps an object from gc."),
    "gc": ("gc", "Delete what no root needs."),
    "root": ("root", "Look at named roots and their generations, and change them."),
    "store": ("store", "Look into the store, add to it, and keep it sound."),
    "derivation": ("derivation", "Look at derivations, and compare them."),
    "patch": ("patch", "Make patches, and try them on other versions."),
    "list-overrides": (
        "list_overrides",
        "List packages with settings, patches or plugins.",
    ),
    "lint": ("lint", "Check settings, patches and plugins."),
    "config": ("config", "Show the settings in force, and where they come from."),
}
ALIASES: Final = {"realize": "realise"}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run, so that help is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, most used first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, its module imported."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            from fromager.cli.plugins import plugin_command

            return plugin_command(cmd_name)
        module = import_module(f"fromager.cli.commands.{COMMANDS[name][0]}")
        command: click.Command = module.command
        return accept_global_options(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names, or the first two; or an error that
        guesses what was meant."""
        two = " ".join(args[:2])
        if len(args) > 1 and two in COMMANDS:
            return two, self.get_command(ctx, two), args[2:]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            from fromager.cli.plugins import plugin_commands

            names = [*COMMANDS, *ALIASES, *plugin_commands()]
            close = get_close_matches(args[0], names, n=1)
            if not close:
                raise
            text = f"No such command {args[0]!r}. Did you mean {close[0]!r}?"
            raise click.UsageError(text, ctx) from error

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """The list of commands, from the table: no module is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])
        from fromager.cli.plugins import plugin_commands

        if found := plugin_commands():
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(n, str(e)) for n, e in sorted(found.items())])


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"fromager {version('fromager')}")
    ctx.exit()


@with_global_options
@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.pass_context
def main_group(ctx: click.Context, /, **flags: object) -> None:
    """Rebuild Python packages from source, in a sandbox, on a content-addressed store.

    The options below may also stand behind the command.
    """
    ctx.meta[META] = ctx.obj
    ctx.obj = flags


def main(arguments: list[str] | None = None, recording: Recording | None = None) -> int:
    """Run the command line; gives the exit status and leaves no traceback.

    The command tells `recording` what its answer rests on.
    """
    try:
        result = main_group.main(
            args=arguments,
            prog_name="fromager",
            standalone_mode=False,
            obj=recording,
        )
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else ExitCode.DONE
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader went away, as `head` does: nothing more can be said, nothing failed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except _expected() as error:
        return _failed(error)


def _expected() -> tuple[type[Exception], ...]:
    """What goes wrong with the world; anything else is a fault of this program.

    It is looked up only when something was raised.
    """
    from fromager.derivations import DerivationError
    from fromager.store import StoreError

    return (DerivationError, StoreError, OSError, ExceptionGroup)


def _failed(error: Exception) -> int:
    from fromager.cli.console import standard_console
    from fromager.cli.failures import exit_code, show

    console = standard_console(
        no_colour="NO_COLOR" in os.environ, quiet=False, verbose=0
    )
    errors = error.exceptions if isinstance(error, ExceptionGroup) else (error,)
    errors = tuple(_cause(each, console) for each in errors)
    for each in errors:
        show(console, each)
    return max(exit_code(each) for each in errors)


def _cause(error: Exception, console: Console) -> Exception:
    """What kept something from being built; what it was is told."""
    from fromager.derivations import DependencyFailed

    while isinstance(error, DependencyFailed) and isinstance(
        error.__cause__, Exception
    ):
        console.say(str(error))
        error = error.__cause__
    return error
