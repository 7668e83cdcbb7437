"""Public keys, and who stands behind them; values only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fromager.derivations.errors import InputError
from fromager.derivations.sharing.statement import builder_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

ED25519: Final = "ed25519"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ED25519_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are verified with, and the builder that it stands for.

    Ed25519 keys are written `name:ed25519:<base64>`; `keyval` is what securesystemslib
    knows a key by, of whatever type.
    """

    name: str
    keytype: str
    scheme: str
    keyval: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        check_key_name(self.name)

    @classmethod
    def ed25519(cls, name: str, raw: bytes) -> PublicKey:
        """The Ed25519 key (RFC 8032) with these 32 bytes."""
        return cls(name, ED25519, ED25519, (("public", raw.hex()),))

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """The key written as `name:ed25519:<base64>`.

        Raises:
            InputError: anything else.
        """
        name, _, rest = text.strip().partition(":")
        scheme, _, encoded = rest.partition(":")
        try:
            raw = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if scheme != ED25519 or len(raw) != _ED25519_BYTES:
            raise InputError(
                f"{text[:100]!r} is no public key",
                hint="A public key is written name:ed25519:<base64>",
            )
        return cls.ed25519(name, raw)

    @property
    def keyid(self) -> str:
        """Names the key in envelopes: the SHA-256 of an Ed25519 key's bytes, or of
        what another key is made of."""
        value = dict(self.keyval)
        if self.keytype == ED25519:
            content = bytes.fromhex(value["public"])
        else:
            rows = [self.keytype, self.scheme, *(f"{k}={v}" for k, v in self.keyval)]
            content = "\n".join(rows).encode()
        return hashlib.sha256(content).hexdigest()

    @property
    def builder(self) -> str:
        """The identity of the builder."""
        return builder_id(self.name)

    def __str__(self) -> str:
        if self.keytype != ED25519:
            return f"{self.name}:{self.scheme}:{self.keyid}"
        raw = bytes.fromhex(dict(self.keyval)["public"])
        return f"{self.name}:{ED25519}:{base64.b64encode(raw).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A key whose claims are believed, for as long as they are."""

    key: PublicKey
    expires: date | None = None
    """From this day on its claims are not believed any more."""
    revoked: str | None = None
    """Why none of its claims is believed any more."""

    def why_not(self, today: date) -> str | None:
        """Why its claims are not believed on a day; None if they are."""
        if self.revoked is not None:
            return f"the key {self.key.name} was revoked: {self.revoked}"
        if self.expires is not None and today >= self.expires:
            return f"the key {self.key.name} has expired on {self.expires}"
        return None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose claims are believed, and how many must agree."""

    keys: tuple[TrustedKey, ...] = ()
    threshold: int = 1
    """So many different builders must say the same."""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for trusted in self.keys:
            name, keyid = trusted.key.name, trusted.key.keyid
            if {name, keyid} & seen:
                raise InputError(f"{name}: a builder's name or key is named twice")
            seen |= {name, keyid}
        if self.threshold < 1:
            raise InputError(f"the threshold is {self.threshold}, it must be 1 or more")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key to sign with: what others see of it, and where its secret is."""

    public: PublicKey
    signer: str = field(repr=False)
    """An URI that securesystemslib opens: `file2:<path>`, `gcpkms:…`, `hsm:…`."""


def check_key_name(name: str) -> str:
    """The same name, if a builder may have it.

    Raises:
        InputError: it may not.
    """
    if _NAME.fullmatch(name) is None:
        raise InputError(
            f"{name[:100]!r} cannot name a builder",
            hint="Use letters, digits, dots, dashes and underscores, 64 at most",
        )
    return name


def public_key_from(name: str, value: Mapping[str, object]) -> PublicKey:
    """The key in a table with `keytype`, `scheme` and `keyval`, as TUF writes keys.

    Raises:
        InputError: it is no such table.
    """
    keyval = value.get("keyval")
    texts = [value.get("keytype"), value.get("scheme")]
    if not isinstance(keyval, dict) or not all(isinstance(t, str) for t in texts):
        raise InputError(f"{name}: a key needs keytype, scheme and keyval")
    pairs = tuple(sorted((str(k), str(v)) for k, v in keyval.items()))
    key = PublicKey(name, str(texts[0]), str(texts[1]), pairs)
    if key.keytype == ED25519:
        try:
            fits = len(bytes.fromhex(dict(pairs)["public"])) == _ED25519_BYTES
        except (KeyError, ValueError):
            fits = False
        if not fits:
            raise InputError(f"{name}: no Ed25519 key has this value")
    return key
