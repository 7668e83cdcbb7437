"""Serve a folder as a cache on loopback, which is read and written.

    python -m support.serve_cache FOLDER

The address is printed; then how many requests there were, at each line that is read.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.cache_server import file_server


def main() -> None:
    """Serve until nothing more can be read."""
    with file_server(Path(sys.argv[1])) as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            print(len(server.requests), flush=True)


if __name__ == "__main__":
    main()
