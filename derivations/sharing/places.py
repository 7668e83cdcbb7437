"""Finding the place that an address means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from fromager.derivations.errors import InputError, NetworkError
from fromager.derivations.index.address import IndexUrl, redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.derivations.index.retries import Retries
    from fromager.derivations.index.transport import HttpSettings
    from fromager.derivations.sharing.place import CachePlace


@dataclass(frozen=True)
class PlaceMeans:
    """What places are reached with."""

    folder: Path
    """From where relative paths are meant."""
    settings: Callable[[], HttpSettings]
    """Called before the first request over HTTP."""
    retries: Retries
    patience: float = 60.0
    """Seconds that a server may take for an answer, beside those that its size
    justifies."""
    offline: bool = False
    """Nothing but folders is used."""


def open_place(text: str, means: PlaceMeans) -> CachePlace:
    """The place with this address: a folder, or a URL with file, http, https or s3.

    Raises:
        InputError: it is neither, or what it takes is not installed.
        NetworkError: nothing may be asked over a network.
    """
    scheme = urlsplit(text).scheme if "://" in text or text[:5] == "file:" else ""
    if scheme in ("", "file"):
        from fromager.derivations.sharing.folder_place import FolderPlace

        path = unquote(urlsplit(text).path) if scheme else text
        if not path:
            raise InputError(f"{text!r} names no folder")
        # However it is written, it is one cache.
        return FolderPlace((means.folder / Path(path).expanduser()).resolve())
    if scheme not in ("http", "https", "s3"):
        raise InputError(
            f"{redact(text)!r} is not the address of a cache",
            hint="Give a folder, or a URL with http://, https:// or s3://",
        )
    if means.offline:
        raise NetworkError(redact(text), "not asked, since offline")
    if scheme == "s3":
        from fromager.derivations.sharing.bucket_place import BucketPlace

        return BucketPlace(text.rstrip("/"), means.retries)
    from fromager.derivations.sharing.http_place import HttpPlace

    address = IndexUrl.parse(text, "address of a cache", means.folder)
    return HttpPlace(address, means.settings(), means.retries, means.patience)
