"""`fromager lint`: settings, patches and plugins that are wrong, or of no use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.wiring import Wiring, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.requirements import Requirement
    from packaging.version import Version


@click.command("lint", short_help="Check settings, patches and plugins.")
@click.argument("requirements", nargs=-1, metavar="REQUIREMENT...")
@click.option(
    "-r",
    "--requirement",
    "files",
    multiple=True,
    metavar="FILE",
    help="All packages there are, as a requirements file; may be repeated.",
)
@click.option("--overrides", metavar="FOLDER", help="Settings and patches of packages.")
@click.option("--patches", metavar="FOLDER", help="Patches, by <name>-<version>.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    requirements: tuple[str, ...],
    files: tuple[str, ...],
    as_json: bool,
    **settings: object,
) -> int:
    """Read all settings and patches, load all plugins, and print what is wrong.

    Given the packages that there are, with versions such as click==8.1.7 where they
    are settled, it prints also what is about none of them, and patches that match no
    version.

    Exit status 1 if anything is found.
    """
    from fromager.derivations import lint

    wiring = wire(flags, **settings)
    known = _known(wiring, requirements, files)
    customisation = wiring.customisation(None)
    found = lint(customisation, known)
    if customisation.plugins is not None:
        from fromager.derivations import PluginLint, StopSignal

        plugins = PluginLint(customisation.plugins, wiring.environ, StopSignal())
        found = (*found, *plugins.remarks(known))
    if as_json:
        rows = [{"place": f.place, "text": f.text, "error": f.is_error} for f in found]
        wiring.console.json({"findings": rows})
    else:
        for each in found:
            kind = "error" if each.is_error else "warning"
            wiring.console.data(f"{each.place}: {kind}: {each.text}")
    return ExitCode.FAILED if found else ExitCode.DONE


def _known(
    wiring: Wiring, requirements: Sequence[str], files: Sequence[str]
) -> dict[str, Version | None]:
    from packaging.utils import canonicalize_name

    from fromager.derivations import parse_requirement, read_requirements

    given = [parse_requirement(text) for text in requirements]
    for file in files:
        read = read_requirements(file, wiring.environ)
        given += [each.requirement for each in (*read.requirements, *read.constraints)]
    return {canonicalize_name(each.name): _version(each) for each in given}


def _version(requirement: Requirement) -> Version | None:
    """The one version that a requirement allows, if it names one."""
    from packaging.version import Version

    for each in requirement.specifier:
        if each.operator in ("==", "===") and not each.version.endswith(".*"):
            return Version(each.version)
    return None
