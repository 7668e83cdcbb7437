"""Where keys lie: those to sign with, and the list of those that are trusted.

<folder>/keys/<name>.pem     the secret of a key made here, mode 0600
              <name>.json    what others see of it, and where its secret is
         trust.toml          whose claims are believed
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from fromager.derivations.errors import InputError
from fromager.derivations.sharing.keys import (
    ED25519,
    PublicKey,
    SigningKey,
    Trust,
    TrustedKey,
    check_key_name,
    public_key_from,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

TRUST_FILE: Final = "trust.toml"
_KEY_FIELDS: Final = {"name", "public", "keytype", "scheme", "keyval"}
_TRUST_FIELDS: Final = {*_KEY_FIELDS, "expires", "revoked"}


@dataclass(frozen=True)
class Keyring:
    """The keys in a folder; reading changes nothing there."""

    folder: Path

    @property
    def trust_file(self) -> Path:
        """The list of trust."""
        return self.folder / TRUST_FILE

    def generate(self, name: str) -> SigningKey:
        """A new key of that name."""
        from fromager.derivations.sharing.signing import generate_ed25519

        check_key_name(name)
        self._refuse_taken(name)
        key = generate_ed25519(name, self._place(name, "pem"))
        self._write(key)
        return key

    def register(self, key: SigningKey) -> None:
        """Let a key be used whose secret lies elsewhere."""
        self._refuse_taken(key.public.name)
        self._write(key)

    def signing_keys(self) -> tuple[SigningKey, ...]:
        """All keys to sign with, by name."""
        return tuple(
            self._read(path) for path in sorted((self.folder / "keys").glob("*.json"))
        )

    def signing_key(self, name: str | None) -> SigningKey:
        """The key of that name, or the only one.

        Raises:
            InputError: there is none, or several are there and none is named.
        """
        keys = self.signing_keys()
        found = [key for key in keys if name in (None, key.public.name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(key.public.name for key in keys)
        if not keys or name is not None:
            named = "" if name is None else f" named {name}"
            hint = f"There are {names}" if keys else "Make a key to sign with first"
            raise InputError(f"there is no key{named} to sign with", hint=hint)
        raise InputError(
            f"there are several keys to sign with: {names}",
            hint="Name one, in the settings or on the command line",
        )

    def trust(self) -> Trust:
        """Whose claims are believed; nobody's if there is no list.

        Raises:
            InputError: the list cannot be read.
        """
        if not self.trust_file.is_file():
            return Trust()
        return parse_trust(read_toml(self.trust_file), str(self.trust_file))

    def add_trust(self, trusted: TrustedKey) -> bool:
        """Believe a key from now on; False if it is in the list already.

        Raises:
            InputError: the list has another key of that name, or this one until another
                day or revoked, or it cannot be read.
        """
        known = self.trust()
        if trusted in known.keys:
            return False
        for each in known.keys:
            if each.key == trusted.key:
                raise InputError(
                    f"{each.key.name} is in the list of trust already, {_until(each)}",
                    hint=f"Change what {self.trust_file} says of it",
                )
        Trust((*known.keys, trusted), known.threshold)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = self.trust_file.read_text() if self.trust_file.is_file() else ""
        new = self.trust_file.with_suffix(".new")
        new.write_text(
            f"{text.rstrip()}\n\n{_toml(trusted)}".lstrip(), encoding="utf-8"
        )
        new.replace(self.trust_file)
        return True

    def _place(self, name: str, suffix: str) -> Path:
        return self.folder / "keys" / f"{name}.{suffix}"

    def _refuse_taken(self, name: str) -> None:
        if self._place(name, "json").exists():
            raise InputError(
                f"there is a key named {name} already", hint="Choose another name"
            )

    def _write(self, key: SigningKey) -> None:
        place = self._place(key.public.name, "json")
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        value = {
            "name": key.public.name,
            "keytype": key.public.keytype,
            "scheme": key.public.scheme,
            "keyval": dict(key.public.keyval),
            "signer": key.signer,
        }
        place.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")

    def _read(self, path: Path) -> SigningKey:
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            key = public_key_from(str(value["name"]), value)
            return SigningKey(key, str(value["signer"]))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{path} is no description of a key") from error


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InputError: it is not there, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: {error}") from error


def read_public_key(text: str, folder: Path) -> PublicKey:
    """The key that is written so, or lies in a file of that name: as such a line, or
    as JSON with `name`, `keytype`, `scheme` and `keyval`.

    Raises:
        InputError: neither.
    """
    path = folder / text
    if len(text) > 255 or not path.is_file():
        return PublicKey.parse(text)
    content = path.read_text(encoding="utf-8", errors="replace")
    if not content.lstrip().startswith("{"):
        return PublicKey.parse(content)
    try:
        value = json.loads(content)
        return public_key_from(str(value["name"]), value)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no description of a key") from error


def parse_trust(tables: Mapping[str, Any], origin: str) -> Trust:
    """The list of trust in the tables of a file.

    Raises:
        InputError: a table or a value that is unknown or of the wrong type.
    """
    check_fields(tables, {"threshold", "key"}, origin)
    rows = tables.get("key", [])
    if not isinstance(rows, list):
        raise InputError(f"{origin}: key must be written [[key]]")
    threshold = tables.get("threshold", 1)
    if type(threshold) is not int:
        raise InputError(f"{origin}: threshold must be a whole number")
    return parse_keys(rows, threshold, origin)


def parse_keys(rows: Iterable[object], threshold: int, origin: str) -> Trust:
    """Trust in the keys in some tables of a file.

    Raises:
        InputError: one is no key, or is there twice.
    """
    keys = tuple(parse_trusted_key(row, origin) for row in rows)
    try:
        return Trust(keys, threshold)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error


def parse_trusted_key(row: object, origin: str) -> TrustedKey:
    """One key in a list of trust.

    Raises:
        InputError: it is none.
    """
    if not isinstance(row, dict):
        raise InputError(f"{origin}: a key must be a table")
    check_fields(row, _TRUST_FIELDS, f"{origin}, [[key]]")
    name, expires, revoked = row.get("name"), row.get("expires"), row.get("revoked")
    if not isinstance(name, str):
        raise InputError(f"{origin}: a key has no name")
    if "public" in row:
        key = PublicKey.parse(f"{name}:{row['public']}")
    else:
        key = public_key_from(name, row)
    if expires is not None and type(expires) is not date:
        raise InputError(f"{origin}: expires of {name} must be a date: 2027-01-31")
    if revoked is not None and not isinstance(revoked, str):
        raise InputError(f"{origin}: revoked of {name} must say why, as text")
    return TrustedKey(key, expires, revoked)


def check_fields(table: Mapping[str, Any], known: set[str], origin: str) -> None:
    """Refuse what nobody would heed.

    Raises:
        InputError: a name that is not among the `known`.
    """
    for name in table:
        if name not in known:
            raise InputError(
                f"{origin}: unknown name {name!r}",
                hint=f"Known are {', '.join(sorted(known))}",
            )


def _toml(trusted: TrustedKey) -> str:
    key = trusted.key
    lines = ["[[key]]", f"name = {json.dumps(key.name)}"]
    if key.keytype == ED25519:
        lines.append(f"public = {json.dumps(str(key).partition(':')[2])}")
    else:
        values = ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in key.keyval)
        lines += [
            f"keytype = {json.dumps(key.keytype)}",
            f"scheme = {json.dumps(key.scheme)}",
            f"keyval = {{ {values} }}",
        ]
    if trusted.expires is not None:
        lines.append(f"expires = {trusted.expires.isoformat()}")
    return "\n".join([*lines, ""])


def _until(trusted: TrustedKey) -> str:
    if trusted.revoked is not None:
        return "as revoked"
    return "for ever" if trusted.expires is None else f"until {trusted.expires}"
