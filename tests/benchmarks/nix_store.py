"""Nix's store beside ours: installed where it is missing, without a daemon."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.installation import run

PACKAGE: Final = "nix-bin"


def nix_store() -> str:
    """The command `nix-store`; Debian's package is installed if there is none."""
    found = shutil.which("nix-store")
    if found is None:
        print(f"installing {PACKAGE}", file=sys.stderr)
        run("apt-get", "update")
        run("apt-get", "install", "--yes", "--no-install-recommends", PACKAGE)
        found = shutil.which("nix-store")
    if found is None:
        sys.exit(f"{PACKAGE} was installed, but nix-store is not on PATH")
    return found


def nix_variables(root: Path) -> Mapping[str, str]:
    """What lets Nix work on a store below a folder of this user."""
    return {
        "NIX_STORE_DIR": str(root / "store"),
        "NIX_STATE_DIR": str(root / "var"),
        "NIX_LOG_DIR": str(root / "log"),
        "NIX_CONF_DIR": str(root / "etc"),
        "NIX_CONFIG": "build-users-group =\nsubstituters =\n",
    }
