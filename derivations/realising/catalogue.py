"""What is known of projects and releases, and resolution upon it.

Resolution is a pure function that says what it misses. Here that is fetched, all of
it at once, and the function is asked again, until it has an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from fromager.derivations.errors import ResolutionError
from fromager.derivations.realising.adapters import project_releases
from fromager.derivations.realising.events import Noted, Resolved
from fromager.derivations.resolution.candidate import (
    Impossible,
    Knowledge,
    Metadata,
    Missing,
    Resolution,
)
from fromager.derivations.resolution.resolve import Resolver

if TYPE_CHECKING:
    from fromager.derivations.index.client import IndexClient
    from fromager.derivations.realising.steps import Steps
    from fromager.derivations.resolution.candidate import ProjectReleases, Request
