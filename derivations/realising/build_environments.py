"""Environments to build in: what a source requires, with all that this needs."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fromager.derivations.errors import BuildCycle, BuildError, DependencyFailed
from fromager.derivations.realising.preferences import NO_TOOL_VERSIONS
from fromager.derivations.resolution.request import GivenRequirement, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping, Sequence

    from packaging.version import Version

    from fromager.derivations.realising.environments import Environments
    from fromager.derivations.realising.preferences import ToolVersions
    from fromager.derivations.realising.resolutions import Resolutions
    from fromager.derivations.realising.steps import Step
    from fromager.derivations.realising.target import BuildPolicy, Target
    from fromager.derivations.resolution.candidate import Metadata, Release
    from fromager.derivations.resolution.outcome import Pin, Resolved

T = TypeVar("T")


class Tool(Protocol):
    """A wheel that is built with."""

    @property
    def step(self) -> Step:
        """What made it."""
        ...

    @property
    def filename(self) -> str:
        """The wheel's."""
        ...


class Toolmaker(Protocol):
    """What builds wheels; `Packages` does."""

    async def wheel(
        self, name: str, version: Version, release: Release, needed_by: str | None
    ) -> Tool:
        """The wheel of a release that `needed_by` cannot be built without."""
        ...

    async def metadata(
        self, name: str, version: Version, release: Release, needed_by: str | None
    ) -> Metadata:
        """What a release needs at run time."""
        ...


@dataclass(frozen=True, slots=True)
class BuildEnvironment:
    """An environment and the versions in it."""

    step: Step
    versions: Mapping[str, Version]


@dataclass(frozen=True)
class BuildEnvironments:
    """Makes environments for builds."""

    environments: Environments
    resolutions: Resolutions
    target: Target
    policy: BuildPolicy
    tools: Toolmaker
    chosen: ToolVersions = NO_TOOL_VERSIONS

    def request(self, subject: str, requirements: Sequence[str]) -> Request:
        """What an environment must hold."""
        origin = f"build of {subject}"
        return Request(
            tuple(
                GivenRequirement(parsed(text, subject), origin) for text in requirements
            ),
            self.target.interpreter.marker_environment,
            constraints=(
                *self.policy.build_constraints,
                *self.chosen.required.get(subject, ()),
            ),
            preferences=self.chosen.preferred(subject),
        )

    async def resolution(self, subject: str, requirements: Sequence[str]) -> Resolved:
        """The versions for an environment; nothing is built but what must be asked."""

        async def ask(name: str, version: Version, release: Release) -> Metadata:
            with _needed_by(subject, f"{name}=={version}"):
                return await self.tools.metadata(name, version, release, subject)

        request = self.request(subject, requirements)
        return await self.resolutions.of_environment(subject, request, ask)

    async def environment(
        self, subject: str, requirements: Sequence[str]
    ) -> BuildEnvironment:
        """An environment in which all the requirements hold, and what they need.

        Raises:
            DependencyFailed: something of it cannot be built.
            BuildCycle: something of it needs what is to be built in it.
        """
        resolution = await self.resolution(subject, requirements)
        pins = resolution.pins
        self.policy.check_prebuilt({f"{p.name}=={p.version}": p.release for p in pins})
        layouts = await _all([self._layout(pin, subject) for pin in pins])
        step = await self.environments.environment(dict(layouts))
        versions = {pin.name: pin.version for pin in pins}
        return BuildEnvironment(step, versions)

    def has(
        self, environment: BuildEnvironment, answer: Sequence[str], subject: str
    ) -> bool:
        """Whether an environment already holds everything that a backend asks for."""
        markers = self.target.interpreter.marker_environment
        for text in answer:
            requirement = parsed(text, subject)
            if requirement.marker and not requirement.marker.evaluate(dict(markers)):
                continue
            version = environment.versions.get(canonicalize_name(requirement.name))
            # An extra may need more than the package: let resolution decide on that.
            if version is None or requirement.extras:
                return False
            if not requirement.specifier.contains(version, prereleases=True):
                return False
        return True

    async def _layout(self, pin: Pin, needed_by: str) -> tuple[str, Step]:
        subject = f"{pin.name}=={pin.version}"
        with _needed_by(needed_by, subject):
            built = await self.tools.wheel(
                pin.name, pin.version, pin.release, needed_by
            )
        return subject, await self.environments.layout(
            subject, built.step, built.filename
        )


def parsed(text: str, subject: str) -> Requirement:
    """A build requirement.

    Raises:
        BuildError: it cannot be read.
    """
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise BuildError(
            subject,
            f"its build requirement {text!r} cannot be read: {error}",
            hint="Correct it with a patch to pyproject.toml",
        ) from error


async def _all(work: Sequence[Awaitable[T]]) -> list[T]:
    """The results of all, begun together; the first error once all have ended."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]


@contextmanager
def _needed_by(subject: str, needed: str) -> Iterator[None]:
    """A failure of `needed` is a reason why `subject` is not built."""
    try:
        yield
    except BuildCycle:
        raise
    except BuildError as error:
        raise DependencyFailed(subject, needed) from error
