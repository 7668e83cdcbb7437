"""Lists of links: a folder of archives, or one page with links to many projects' files.

The folder is looked at each time, as files in it come and go; what they hold is hashed
when their project is asked for.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from fromager.derivations.errors import NetworkError
from fromager.derivations.index.page_cache import CachedPage, CacheHeader, PageCache
from fromager.store import blob_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fromager.derivations.index.address import IndexUrl
    from fromager.derivations.index.page import ProjectPage

ALL: Final = "*"
"""In place of a project's name: a page with files of many."""


class LinkLists:
    """Looks projects up in lists of links; used by many threads at once."""

    def __init__(
        self, cache: PageCache, fetch: Callable[[IndexUrl], CachedPage | None]
    ) -> None:
        """`fetch` gives the whole page of a list that is none of this machine's folders."""
        self._cache, self._fetch = cache, fetch
        self._pages: dict[str, CachedPage] = {}
        self._lock = threading.Lock()

    def look_up(self, index: IndexUrl, project: str) -> CachedPage | None:
        """What a list has of a project; None if it is nothing.

        Raises:
            NetworkError: there is no such page or folder, or it cannot be read.
        """
        if index.is_folder:
            state = folder_state(index.url, project)
            page = folder_page(index.url, project)
            header = CacheHeader(None, 0.0, state, None, index.url)
            return self._keep(index, project, header, page)
        with self._lock:
            # A page is fetched once in a run, whatever is looked for in it.
            whole = self._pages.get(index.name) or self._fetch(index)
            if whole is None:
                raise NetworkError(index.url, "there is no such page")
            self._pages[index.name] = whole
        header = CacheHeader(None, whole.fresh_until, None, None, whole.url)
        return self._keep(index, project, header, of_project(whole.page, project))

    def _keep(
        self, index: IndexUrl, project: str, header: CacheHeader, page: ProjectPage
    ) -> CachedPage | None:
        from fromager.derivations.index.page import dump_page, page_digest

        if not page.files:
            self._cache.save(index.name, project, header, b"")
            return None
        digest, written = page_digest(page), dump_page(page)
        header = replace(header, digest=digest, stamp=blob_digest(written).hex)
        self._cache.save(index.name, project, header, written)
        return CachedPage(page, digest, header.fresh_until, header.url)


def of_project(page: ProjectPage, project: str) -> ProjectPage:
    """What a page with many projects' files says of one."""
    files = (file for file in page.files if _belongs(file.filename, project))
    return replace(page, project=project, files=tuple(files))


def folder_page(url: str, project: str) -> ProjectPage:
    """A project's archives in the folder at a `file:` URL, sorted by name.

    Raises:
        NetworkError: there is no such folder, or a file of it cannot be read.
    """
    from fromager.derivations.index.page import ProjectFile, ProjectPage

    files = []
    for entry in _entries(url, project):
        try:
            with Path(entry.path).open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise NetworkError(entry.path, error.strerror or str(error)) from error
        place = Path(entry.path).absolute().as_uri()
        size = entry.stat().st_size
        files.append(
            ProjectFile(entry.name, place, sha256, None, None, None, size, False, None)
        )
    return ProjectPage(project, tuple(files))


def folder_state(url: str, project: str) -> str:
    """Changes whenever a project's files in a folder do."""
    rows = []
    for entry in _entries(url, project):
        state = entry.stat()
        rows.append(f"{entry.name} {state.st_size} {state.st_mtime_ns} {state.st_ino}")
    return blob_digest("\n".join(rows).encode("utf-8", "surrogateescape")).hex[:32]


def _entries(url: str, project: str) -> Iterator[os.DirEntry[str]]:
    folder = unquote(urlsplit(url).path)
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        reason = f"the folder of links cannot be read: {error.strerror or error}"
        hint = "Check its path: one that is relative is meant from where it is written"
        raise NetworkError(url, reason, hint=hint) from error
    for entry in entries:
        if _belongs(entry.name, project) and entry.is_file():
            yield entry


def _belongs(filename: str, project: str) -> bool:
    from packaging.utils import canonicalize_name

    from fromager.derivations.index.releases import SDIST_SUFFIXES, sdist_version

    if filename.endswith(".whl"):
        return canonicalize_name(filename.partition("-")[0]) == project
    if not filename.endswith(SDIST_SUFFIXES):
        return False
    return sdist_version(filename, project) is not None
