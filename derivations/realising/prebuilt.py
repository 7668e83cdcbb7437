"""Wheels that are taken as an index has them, where settings ask for that by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fromager.derivations.building.wheel import inspect_wheel
from fromager.derivations.errors import SourceError, WheelRefused
from fromager.derivations.realising import instantiate
from fromager.derivations.realising.events import Noted
from fromager.derivations.realising.steps import Made, Step, Steps
from fromager.derivations.resolution.candidate import ProjectReleases, Release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.version import Version

    from fromager.derivations.customisation.customisation import Customisation
    from fromager.derivations.derivation import ResolvedDerivation
    from fromager.derivations.index.page import ProjectFile, ProjectPage
    from fromager.derivations.realising.target import BuildPolicy
    from fromager.store import Transaction

FACT: Final = "prebuilt"
"""The fact of a realisation that says where its wheel came from."""


def with_prebuilt(
    project: ProjectReleases,
    page: ProjectPage,
    customisation: Customisation,
    tags: Sequence[str],
) -> ProjectReleases:
    """The releases with a wheel in place of the sdist wherever settings ask for it.

    Of several wheels the one that fits the interpreter best is taken; `tags` are what
    fits, best first. Without one that fits, the version cannot be had.
    """
    rules = customisation.rules(project.name)
    if not any(a.setting == "prebuilt" for rule in rules for a in rule.assignments):
        return project
    wheels = best_wheels(page, platform_ranks(tags))
    return replace(
        project,
        releases=tuple(
            _prebuilt(release, wheels.get(release.version))
            or replace(release, no_wheel=_asking(customisation, project.name, release))
            if customisation.effects(project.name, release.version).prebuilt
            else release
            for release in project.releases
        ),
    )


def _asking(customisation: Customisation, name: str, release: Release) -> str:
    """Who asks for the wheel of a release."""
    found = customisation.assignments(name, release.version)
    return str([a.origin for a in found if a.setting == "prebuilt"][-1])


def _prebuilt(release: Release, wheel: ProjectFile | None) -> Release | None:
    if wheel is None:
        return None
    return Release(
        release.version,
        wheel.filename,
        wheel.url,
        sha256=wheel.sha256,
        requires_python=wheel.requires_python,
        yanked=wheel.yanked,
        upload_time=wheel.upload_time,
        size=wheel.size,
        prebuilt=True,
    )


def platform_ranks(tags: Sequence[str]) -> dict[str, int]:
    """How well what is for a platform fits; `tags` are what fits, best first."""
    return {tag: rank for rank, tag in enumerate(tags)}


def best_wheels(
    page: ProjectPage, ranks: dict[str, int] | None
) -> dict[Version, ProjectFile]:
    """Of each version the wheel that fits best; any one without `ranks`."""
    found: dict[Version, tuple[tuple[bool, int, tuple[object, ...]], ProjectFile]] = {}
    for file in page.files:
        if not file.filename.endswith(".whl"):
            continue
        try:
            _, version, build, tags = parse_wheel_filename(file.filename)
        except InvalidWheelFilename:
            continue
        fitting = [0] if ranks is None else [ranks[t] for t in map(str, tags) if t in ranks]  # fmt: skip
        if not fitting:
            continue
        # Of equal ones the highest build number counts, as with pip.
        number = (-build[0], build[1]) if build else (0, "")
        rank = (file.yanked is not None, min(fitting), number)
        if version not in found or rank < found[version][0]:
            found[version] = rank, file
    return {version: file for version, (_, file) in found.items()}


@dataclass
class Prebuilt:
    """Makes realisations of wheels out of files that were fetched, in one run."""

    steps: Steps
    policy: BuildPolicy

    def __post_init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, subject: str, release: Release) -> None:
        """Say once that a release is not built. What is refused is not taken either."""
        if subject not in self._told and not self.policy.only_from_source:
            self._told.add(subject)
            place = release.url.partition("#")[0]
            self.steps.report(Noted(subject, f"not built, but taken from {place}"))

    async def wheel(
        self, name: str, version: Version, release: Release, file: Step
    ) -> Step:
        """The wheel of a release as the index has it, checked and recorded.

        Raises:
            WheelRefused: it is not a wheel of that release.
        """
        subject = f"{name}=={version}"
        derivation = instantiate.prebuilt(subject, file.derivation, release.filename)

        def make(transaction: Transaction, resolved: ResolvedDerivation) -> Made:
            store = self.steps.store
            packed = store.place(file.output) / release.filename
            try:
                inspect_wheel(packed, name=name, version=version)
            except WheelRefused as error:
                raise SourceError(
                    f"{subject}: the prebuilt wheel {release.filename} is refused: "
                    f"{error.reason}"
                ) from error
            sha256 = str(dict(file.derivation.options)["sha256"])
            label = instantiate.object_name(f"{name}-{version}-wheel")
            output = transaction.add_directory(packed.parent, label)
            facts = (
                (FACT, release.url.partition("#")[0]),
                ("filename", release.filename),
                ("raw_sha256", sha256),
                ("sha256", sha256),
            )
            return Made(output, facts)

        return await self.steps.step(derivation, (file,), make)
