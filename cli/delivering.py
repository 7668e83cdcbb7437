"""What was realised, handed over: printed, linked to, kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.cli.targets import BESIDE

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.cli.wiring import Wiring
    from fromager.derivations import Collect, Realised, RealisedWheel, RealiseRequest
    from fromager.store import LocalStore


def find_collect(
    request: RealiseRequest,
    *,
    listed: bool,
    wanted: bool | None,
    several: bool,
) -> Collect:
    """What becomes of the wheels of a request.

    `listed`: files or groups name what is asked for. `wanted`: whether a collection
    was asked for by name, or refused. `several`: requirements stand on their own.

    Raises:
        InputError: what was asked for cannot be had together.
    """
    from fromager.derivations import Collect, InputError

    if several:
        for other, there in (
            ("--no-collection", wanted is False),
            ("--no-deps", not request.dependencies),
            ("--lock", request.lock is not None),
        ):
            if there:
                raise InputError(f"--allow-multiple and {other} exclude each other")
        return Collect.SEVERAL
    if wanted and not request.dependencies:
        raise InputError(
            "a collection holds all that its wheels need, so --collection and "
            "--no-deps exclude each other"
        )
    asked = len(request.requirements) + len(request.direct)
    if wanted is None:
        wanted = request.dependencies and (listed or asked > 1)
    return Collect.SINGLE if wanted else Collect.NOTHING


@dataclass(frozen=True)
class Delivery:
    """Something realised, on its way to who asked for it."""

    wiring: Wiring
    store: LocalStore
    realised: Realised

    @property
    def paths(self) -> tuple[Path, ...]:
        """The collection; where there is none, the wheels that were asked for."""
        collection = self.realised.collection
        if collection is not None:
            return (self.store.place(collection.output),)
        wheels = self.realised.wheels
        return tuple(self._path(wheel) for wheel in wheels if wheel.requested)

    def show(self, *, as_json: bool) -> None:
        """Print the paths, or as JSON everything."""
        console = self.wiring.console
        if as_json:
            console.json(self._value())
            return
        for wheel in self.realised.wheels:
            if (url := wheel.realisation.fact("prebuilt")) is not None:
                console.note(
                    f"{wheel.subject} is not built from source, but from {url}"
                )
        for path in self.paths:
            console.data(str(path))

    def link(self, place: str) -> None:
        """Make a link to each path: PLACE, PLACE-2, …"""
        for number, path in enumerate(self.paths, start=1):
            link = self.wiring.folder / (place if number == 1 else f"{place}-{number}")
            self.store.link_root(link, path)

    def keep(self, root: str) -> None:
        """Make the set the next generation of a root; a part of it is none."""
        from fromager.store import Member

        console, realised = self.wiring.console, self.realised
        if realised.failures:
            console.warning(f"root {root}: no generation, since something failed")
            return
        members = [
            Member(wheel.subject, wheel.realisation.output, wheel.realisation.key)
            for wheel in realised.wheels
        ]
        members += [
            Member(f"{wheel.subject}{BESIDE}", wheel.sdist.output, wheel.sdist.key)
            for wheel in realised.wheels
            if wheel.sdist is not None
        ]
        whole = realised.collection
        if whole is not None:
            members.append(Member("collection", whole.output, whole.key))
        made = self.store.add_generation(root, members)
        console.note(f"root {root}: generation {made.number}")

    def _path(self, wheel: RealisedWheel) -> Path:
        return self.store.place(wheel.realisation.output) / wheel.filename

    def _value(self) -> dict[str, object]:
        collection = self.realised.collection
        return {
            "store": str(self.store.root),
            "wheels": [self._row(wheel) for wheel in self.realised.wheels],
            "collection": None
            if collection is None
            else {
                "path": str(self.store.place(collection.output)),
                "store_path": str(collection.output),
                "key": str(collection.key),
                "digest": str(collection.output_digest),
                "derivation": str(collection.derivation),
            },
            "failures": [str(failure) for failure in self.realised.failures],
        }

    def _row(self, wheel: RealisedWheel) -> dict[str, object]:
        from fromager.derivations import as_built

        realisation = wheel.realisation
        return {
            "name": wheel.name,
            "version": wheel.version_text,
            "requested": wheel.requested,
            "dependencies": list(wheel.dependencies),
            "path": str(self._path(wheel)),
            "store_path": str(realisation.output),
            "key": str(realisation.key),
            "digest": str(realisation.output_digest),
            "sha256": realisation.fact("sha256"),
            "raw_sha256": realisation.fact("raw_sha256"),
            "level": as_built(self.store, realisation).level,
            "prebuilt": realisation.fact("prebuilt"),
            "derivation": str(realisation.derivation),
        }
