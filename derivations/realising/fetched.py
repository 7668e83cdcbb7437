"""Files known by their hash, found again on an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import InvalidSdistFilename, parse_sdist_filename

if TYPE_CHECKING:
    from pathlib import Path

    from fromager.derivations.index.client import IndexClient


def fetch(client: IndexClient, filename: str, sha256: str, folder: Path) -> bool:
    """Put the file of this name and hash into a folder; False if no index names it.

    Raises:
        HashMismatch: what an index offers under that name is another file.
        NetworkError: it cannot be had.
    """
    try:
        project, _ = parse_sdist_filename(filename)
    except InvalidSdistFilename:
        return False
    page = client.lookup(project)
    for file in page.page.files if page is not None else ():
        if file.filename == filename and file.sha256 in (None, sha256):
            client.download(file.url, folder / filename, sha256=sha256, size=file.size)
            return True
    return False
