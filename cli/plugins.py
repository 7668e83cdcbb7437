"""What is installed beside this program to change what it does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fromager.derivations import Plugins


def installed_plugins(environ: Mapping[str, str]) -> Plugins | None:
    """All of it, nothing imported; None where there is nothing.

    What runs on this machine gets `environ`.
    """
    from fromager.derivations import find_entry_points

    found = find_entry_points(sys.path)
    if not found:
        return None
    from fromager.derivations import Plugins

    return Plugins(found, tuple(sys.path), environ)
