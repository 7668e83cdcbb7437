"""`fromager store`: look into the store, and keep it sound."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from fromager.cli.commands.store_add import add
from fromager.cli.commands.store_du import du
from fromager.cli.commands.store_rebuild_db import rebuild_db
from fromager.cli.commands.store_repair import repair
from fromager.cli.commands.store_verify import verify
from fromager.cli.exit_codes import ExitCode
from fromager.cli.quantities import count, show_duration, show_size
from fromager.cli.targets import find_object, find_paths, find_realisations, member_of
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fromager.store import LocalStore, ObjectInfo, RootUse, StorePath


@click.group("store", short_help="Look into the store, add to it, keep it sound.")
def command() -> None:
    """Look into the store, add to it, and keep it sound."""


for each in (add, du, verify, repair, rebuild_db):
    command.add_command(each)


@command.command("ls", short_help="List objects, or what one holds.")
@click.argument("target", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def ls(flags: Mapping[str, object], target: str | None, as_json: bool) -> int:
    """List all objects; with a target, the files that it holds."""
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        if target is None:
            rows = [_info_row(store, info) for info in store.objects()]
            if as_json:
                wiring.console.json({"objects": rows})
            else:
                for info in store.objects():
                    wiring.console.data(str(info.path))
            return ExitCode.DONE
        members = list(_members(store, find_object(store, target)))
        if as_json:
            wiring.console.json({"members": members})
        else:
            for member in members:
                wiring.console.data(f"{member['kind']} {member['path']}")
    return ExitCode.DONE


@command.command("info", short_help="Say what an object is.")
@click.argument("target")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def info(flags: Mapping[str, object], target: str, as_json: bool) -> int:
    """Say what an object is, and which builds gave it."""
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        found = find_object(store, target)
        row = _info_row(store, found)
        if as_json:
            wiring.console.json({"object": row})
            return ExitCode.DONE
        for name, value in row.items():
            if isinstance(value, list):
                for each in value:
                    wiring.console.data(f"{name}: {_flat(each)}")
            else:
                wiring.console.data(f"{name}: {value}")
    return ExitCode.DONE


@command.command("cat", short_help="Print a file of an object.")
@click.argument("target")
@click.argument("member", required=False)
@click.pass_obj
def cat(flags: Mapping[str, object], target: str, member: str | None) -> int:
    """Print a blob, or the file at MEMBER in a tree; TARGET may be the whole path."""
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        name, inside = member_of(store, target)
        found = find_object(store, name)
        wiring.console.bytes(store.read_file(found.path, member or inside))
    return ExitCode.DONE


@command.command("closure", short_help="List what an object needs.")
@click.argument("targets", nargs=-1, required=True)
@click.option(
    "--build", is_flag=True, help="What it took to build it, down to the sources."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def closure(
    flags: Mapping[str, object], targets: tuple[str, ...], build: bool, as_json: bool
) -> int:
    """List the objects that these reference, transitively, and they themselves."""
    from fromager.derivations import build_closure

    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        paths: Iterable[StorePath]
        if build:
            roots = find_realisations(store, targets)
            paths = build_closure(store, roots)
        else:
            paths = store.closure(find_paths(store, targets))
        if as_json:
            wiring.console.json({"closure": [str(path) for path in paths]})
        else:
            for path in paths:
                wiring.console.data(str(path))
    return ExitCode.DONE


@command.command("roots", short_help="List what keeps objects alive.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def roots(flags: Mapping[str, object], as_json: bool) -> int:
    """List all roots: named ones, links, running processes; for each its age, how many
    objects it keeps, and what would be freed if it alone were gone.
    """
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        uses = store.accounts().roots()
    if as_json:
        wiring.console.json({"roots": [_root_row(use) for use in uses]})
    else:
        for use in uses:
            wiring.console.data(_root_line(use))
    return ExitCode.DONE


def _root_line(use: RootUse) -> str:
    root = use.roots[-1]
    parts = [f"{root.kind.value} {root.name}"]
    if root.generation is not None:
        current = [each.generation for each in use.roots if each.current]
        named = count(len(use.roots), "generation")
        parts.append(f"{named}, number {current[0]} current")
    if not root.certain:
        parts.append("cannot be read")
    if root.since is not None:
        parts.append(f"{show_duration(time.time() - root.since)} old")
    parts.append(count(use.objects, "object"))
    parts.append(f"{show_size(use.freed.bytes)} exclusive")
    return ", ".join([f"{parts[0]}: {parts[1]}", *parts[2:]])


def _root_row(use: RootUse) -> dict[str, object]:
    root = use.roots[-1]
    made = root.since and datetime.fromtimestamp(root.since, UTC).isoformat()
    return {
        "kind": root.kind.value,
        "name": root.name,
        "certain": root.certain,
        "made": made,
        "generations": [
            {"number": each.generation, "current": each.current}
            for each in use.roots
            if each.generation is not None
        ],
        "paths": sorted({str(m.path) for each in use.roots for m in each.members}),
        "objects": use.objects,
        "exclusive_objects": use.exclusive,
        "exclusive_bytes": use.freed.bytes,
    }


@command.command("referrers", short_help="List what needs an object.")
@click.argument("targets", nargs=-1, required=True)
@click.option("--recursive", is_flag=True, help="Also what needs those, and so on.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def referrers(
    flags: Mapping[str, object],
    targets: tuple[str, ...],
    recursive: bool,
    as_json: bool,
) -> int:
    """List the objects that reference these."""
    wiring = wire(flags)
    with wiring.open_store(create=False) as store:
        paths = store.referrers(find_paths(store, targets), recursive=recursive)
        if as_json:
            wiring.console.json({"referrers": [str(path) for path in paths]})
        else:
            for path in paths:
                wiring.console.data(str(path))
    return ExitCode.DONE


def _members(store: LocalStore, info: ObjectInfo) -> Iterable[dict[str, object]]:
    from fromager.store import Directory, Link

    node = store.tree(info.path)
    if not isinstance(node, Directory):
        yield {"kind": "f", "path": info.path.name, "digest": str(node.digest)}
        return
    for path, each in node.walk():
        if isinstance(each, Link):
            yield {"kind": "l", "path": f"{path} -> {each.target}"}
        else:
            kind = "x" if each.executable else "f"
            yield {"kind": kind, "path": path, "digest": str(each.digest)}


def _info_row(store: LocalStore, info: ObjectInfo) -> dict[str, object]:
    return {
        "path": str(store.place(info.path)),
        "digest": str(info.digest),
        "kind": info.kind,
        "bytes": info.size,
        "registered": datetime.fromtimestamp(info.registered, UTC).isoformat(),
        "references": [str(path) for path in info.references],
        "built": [
            {
                "kind": each.kind,
                "subject": each.subject,
                "key": str(each.key),
                "derivation": str(each.derivation),
                "level": each.level,
                "seconds": each.duration,
                **dict(each.facts),
            }
            for each in store.producers(info.path)
        ],
    }


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)
