"""Store paths: the name under which an object lies in a store's root folder.

`<32 characters>-<name>`; the characters are base32 (RFC 4648, lower case, without
padding) of the first 160 bits of a digest over the object's digest and its name.
The folder of the store is not part of it: objects move between stores unchanged.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fromager.store.digest import PATH_CONTEXT, Digest, derived_digest
from fromager.store.errors import InvalidName

if TYPE_CHECKING:
    from pathlib import Path

HASH_LENGTH: Final = 32
NAME_LIMIT: Final = 211
"""The longest name, so that hash, dash, name and a suffix fit 255 bytes."""

PATH_PATTERN: Final = re.compile(r"[a-z2-7]{32}-[A-Za-z0-9+_=][A-Za-z0-9+._=-]{0,210}")
_NAME: Final = re.compile(r"[A-Za-z0-9+_=][A-Za-z0-9+._=-]*")
_HASH: Final = re.compile(r"[a-z2-7]{32}")


def check_name(name: str) -> str:
    """The same name, if a store object may have it.

    Raises:
        InvalidName: empty, too long, a leading dot or dash, or a character outside
            `A-Z a-z 0-9 + . _ = -`.
    """
    if not name:
        raise InvalidName(name, "it is empty")
    if len(name) > NAME_LIMIT:
        raise InvalidName(name, f"it has {len(name)} characters, {NAME_LIMIT} may be")
    if _NAME.fullmatch(name) is None:
        raise InvalidName(name, "only A-Z a-z 0-9 + . _ = - may be in it")
    return name


def check_path(text: str) -> str:
    """The same text, if it is a store path; as `StorePath.parse`, and many times faster.

    Raises:
        InvalidName: not a store path.
    """
    if PATH_PATTERN.fullmatch(text) is None:
        # That says what is wrong with it.
        return str(StorePath.parse(text))
    return text


@dataclass(frozen=True, slots=True, order=True)
class StorePath:
    """The base name of an object in any store; it holds no folder."""

    hash: str
    """32 characters of base32."""
    name: str
    """What people see; see `check_name`."""

    def __post_init__(self) -> None:
        if _HASH.fullmatch(self.hash) is None:
            raise InvalidName(f"{self.hash}-{self.name}", "no store path hash")
        check_name(self.name)

    @classmethod
    def of(cls, digest: Digest, name: str) -> StorePath:
        """The path of the object with this digest and name."""
        content = b"\0".join((digest.raw, check_name(name).encode()))
        raw = derived_digest(PATH_CONTEXT, content).raw[:20]
        return cls(base64.b32encode(raw).decode().lower(), name)

    @classmethod
    def parse(cls, text: str) -> StorePath:
        """The path with this base name.

        Raises:
            InvalidName: not a store path.
        """
        if PATH_PATTERN.fullmatch(text) is not None:
            # There may be very many: what was looked at as a whole is right in parts.
            path = object.__new__(cls)
            object.__setattr__(path, "hash", text[:HASH_LENGTH])
            object.__setattr__(path, "name", text[HASH_LENGTH + 1 :])
            return path
        if len(text) < HASH_LENGTH + 2 or text[HASH_LENGTH] != "-":
            raise InvalidName(text, "a store path is <32 characters>-<name>")
        return cls(text[:HASH_LENGTH], text[HASH_LENGTH + 1 :])

    def below(self, root: Path) -> Path:
        """Where it lies in the store whose root folder is `root`."""
        return root / str(self)

    def __str__(self) -> str:
        return f"{self.hash}-{self.name}"
