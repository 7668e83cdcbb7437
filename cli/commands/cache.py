"""`fromager cache`: look into caches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.sharing import Sharing
from fromager.cli.targets import find_realisations
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group("cache", short_help="Look into caches.")
def command() -> None:
    """Look into caches."""


@command.command("info")
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def info(flags: Mapping[str, object], /, url: str, as_json: bool) -> int:
    """Say what was brought to the cache at URL, by whom and when.

    It says what the cache says of itself: nothing of it is verified.
    """
    from fromager.derivations import Cache, open_place

    wiring = wire(flags)
    cache = Cache(open_place(url, Sharing(wiring).means))
    try:
        pushes = cache.pushes()
    finally:
        cache.close()
    keys = {key for push in pushes for key in push.keys}
    wheels = sorted(
        {
            subject
            for push in pushes
            for kind, subject, _ in push.roots
            if kind == "wheel"
        }
    )
    if as_json:
        wiring.console.json(
            {
                "url": cache.url,
                "keys": len(keys),
                "wheels": wheels,
                "pushes": [
                    {
                        "by": push.by,
                        "time": push.time,
                        "keys": len(push.keys),
                        "manifest": str(push.manifest),
                    }
                    for push in pushes
                ],
            }
        )
        return ExitCode.DONE
    wiring.console.data(f"{cache.url}: {len(keys)} keys, {len(wheels)} wheels")
    for push in pushes:
        when = datetime.fromtimestamp(push.time, UTC).isoformat(" ", "seconds")
        wiring.console.data(f"  {when[:19]}  {len(push.keys)} keys by {push.by}")
    return ExitCode.DONE


@command.command("missing")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option("--from", "url", required=True, metavar="URL", help="The cache.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def missing(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    url: str,
    as_json: bool,
) -> int:
    """List the steps of the closure of each TARGET that nobody brought to a cache.

    Exit status 1 if there are some.
    """
    wiring = wire(flags)
    sharing = Sharing(wiring)
    with wiring.open_store(create=False) as store:
        named = find_realisations(store, targets)
        _, steps = sharing.closure(store, named)
        cache = sharing.cache(store, url)
        try:
            there = {key for push in cache.pushes() for key in push.keys}
        finally:
            cache.close()
    absent = [step for step in steps if step.key not in there]
    if as_json:
        rows = [
            {"kind": each.kind, "subject": each.subject, "key": str(each.key)}
            for each in absent
        ]
        wiring.console.json({"url": cache.url, "missing": rows})
    else:
        for each in absent:
            wiring.console.data(f"{each.subject} ({each.kind})")
    return ExitCode.FAILED if absent else ExitCode.DONE
