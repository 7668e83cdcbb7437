"""Serve a folder of sdists and wheels as an index on loopback, until interrupted.

    python tests/support/serve_index.py FOLDER --port 8080

Prints the index's address as its first line, once it answers. Files stay on disk;
their hashes are computed before the first answer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.index import LocalIndex, server_for

SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz", ".whl")


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--form", choices=("both", "json", "html"), default="both")
    parser.add_argument("--max-age", type=int, default=600, help="seconds")
    arguments = parser.parse_args()
    files = {
        path.name: path.resolve()
        for path in sorted(arguments.folder.iterdir())
        if path.name.endswith(SUFFIXES)
    }
    index = LocalIndex(
        files,
        form=arguments.form,
        cache_control=f"max-age={arguments.max_age}, public",
    )
    for name in files:
        index.sha256(name)
    with server_for(index, arguments.port) as server:
        print(index.url, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
