"""Where a release is fetched from, if settings have it fetched from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fromager.derivations.customisation.templates import fill
from fromager.derivations.index.releases import SDIST_SUFFIXES

if TYPE_CHECKING:
    from fromager.derivations.customisation.effects import Effects
    from fromager.derivations.customisation.rules import Assignment
    from fromager.derivations.resolution.candidate import Release


def downloaded_from(release: Release, name: str, effects: Effects) -> Release:
    """The release as settings want it fetched: from another address, by another name.

    What the index promised does not hold for another file.
    """
    if effects.download_url is None or release.prebuilt or release.locked:
        return release
    known = {"version": str(release.version), "canonicalized_name": name}

    def filled(given: Assignment) -> str:
        return fill(str(given.value), known, str(given.origin), given.setting)

    url = filled(effects.download_url)
    filename = url.partition("#")[0].partition("?")[0].rpartition("/")[2]
    if effects.download_filename is not None:
        filename = filled(effects.download_filename)
    elif not filename.endswith(SDIST_SUFFIXES):
        filename = f"{name.replace('-', '_')}-{release.version}.tar.gz"
    return replace(
        release,
        url=url.partition("#")[0],
        filename=filename,
        sha256=promised_sha256(url),
        size=None,
        provenance=None,
    )


def promised_sha256(url: str) -> str | None:
    """The sha256 that a URL's fragment promises."""
    fragment = url.partition("#")[2]
    found = dict(part.partition("=")[::2] for part in fragment.split("&"))
    return found.get("sha256")
