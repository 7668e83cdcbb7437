"""What a release is made from: a file, the source that it gives, an environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromager.derivations.derivation import Derivation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.version import Version

    from fromager.derivations.realising.steps import Step
    from fromager.derivations.resolution.candidate import Release
    from fromager.store import Digest


@dataclass(frozen=True, slots=True)
class Plan:
    """What a release is made from."""

    name: str
    release: Release
    file: Derivation | None
    """Fetches its file; None for what is no file, such as a folder."""
    source: Digest | None = None
    """Of the prepared source; None for a wheel that is taken as it is."""
    environment: tuple[str, ...] = ()
    """What it is built with, as `name==version`, sorted."""
    content: Digest | None = None
    """Of what it is taken from, where that is no file: a folder, a commit."""

    @classmethod
    def of_source(
        cls,
        name: str,
        release: Release,
        source: Step,
        versions: Mapping[str, Version],
        content: Digest | None,
    ) -> Plan:
        """The plan for a release whose source was prepared."""
        archive = dict(source.derivation.inputs).get("archive")
        file = archive if isinstance(archive, Derivation) else None
        subjects = (f"{name}=={version}" for name, version in versions.items())
        digest = source.realisation.output_digest
        return cls(name, release, file, digest, tuple(sorted(subjects)), content)
