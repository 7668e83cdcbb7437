"""Where requirement files are: on this machine, or at an address on a network."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote, urljoin, urlsplit

from fromager.derivations.index.address import redact
from fromager.derivations.requirement_lines import Misunderstood, decode_text, read_text
from fromager.derivations.sources.direct import DirectRequirement, FolderSource

if TYPE_CHECKING:
    from fromager.derivations.resolution.request import GivenRequirement

FetchDocument: TypeAlias = Callable[[str], bytes]
"""What an address gives; it may hold user and password."""

_SCHEME: Final = re.compile(r"(https?|file):", re.IGNORECASE)
_FOREIGN: Final = "{} names a place of this machine"
_FOREIGN_HINT: Final = (
    "A file that comes over a network can only name addresses; download it, and name "
    "the copy"
)


@dataclass(frozen=True, slots=True)
class FilePlace:
    """Where a requirement file is."""

    path: Path
    """On this machine; for an address, what stands for the folder of its file."""
    url: str | None = None
    """As it was given, with all that it holds; None for a file of this machine."""

    @classmethod
    def parse(cls, text: str | Path) -> FilePlace:
        """A path, or an address with http, https or file.

        Raises:
            Misunderstood: an address of another kind.
        """
        if isinstance(text, Path):
            return cls(text)
        found = _SCHEME.match(text)
        if found is None:
            if "://" in text:
                raise Misunderstood(
                    f"{redact(text)} is not the address of a file",
                    "It begins with https://, http:// or file://",
                )
            return cls(Path(text))
        if found[1].lower() != "file":
            return cls(Path("/"), text)
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise Misunderstood(f"{text} lies on another machine")
        return cls(Path(unquote(parts.path)))

    def __str__(self) -> str:
        """Its name for people, without user and password."""
        return str(self.path) if self.url is None else redact(self.url)

    @property
    def identity(self) -> str:
        """The same for two names of one file."""
        return str(self.path.resolve()) if self.url is None else self.url

    def included(self, text: str) -> FilePlace:
        """What a line of this file means by the name of another one, as pip joins them.

        Raises:
            Misunderstood: no address, or one of this machine in a file from another.
        """
        if self.url is None:
            return FilePlace.parse(text if _SCHEME.match(text) else self._beside(text))
        found = FilePlace.parse(urljoin(self.url, text))
        if found.url is None:
            raise _is_foreign(text)
        return found

    def _beside(self, text: str) -> str | Path:
        return text if "://" in text else self.path.parent / text

    def text(self, fetch: FetchDocument | None) -> str:
        """What the file holds.

        Raises:
            Misunderstood: it cannot be read, or is no text.
            NetworkError: its server does not give it.
        """
        if self.url is None:
            return read_text(self.path)
        if fetch is None:
            raise Misunderstood(
                f"{self} is an address, and only files are read here",
                "Download it, and name the copy",
            )
        return decode_text(fetch(self.url), str(self))

    def check(self, given: GivenRequirement | DirectRequirement) -> None:
        """A file from another machine names nothing of this one.

        Raises:
            Misunderstood: it does.
        """
        if self.url is None or not isinstance(given, DirectRequirement):
            return
        source = given.source
        if isinstance(source, FolderSource) or source.url.startswith("file:"):
            raise _is_foreign(str(source))

    def links(self, text: str) -> str:
        """A folder or page with links, which a line of this file names.

        Raises:
            Misunderstood: see `check`.
        """
        if self.url is not None:
            if not text.lower().startswith(("https://", "http://")):
                raise _is_foreign(text)
            return text
        if "://" in text or text.startswith("file:"):
            return text
        return str((self.path.parent / text).absolute())

    def index(self, text: str) -> str:
        """An index, which a line of this file names.

        Raises:
            Misunderstood: see `check`.
        """
        return text if self.url is None else self.links(text)


def _is_foreign(text: str) -> Misunderstood:
    return Misunderstood(_FOREIGN.format(redact(text)), _FOREIGN_HINT)
