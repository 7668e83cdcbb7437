"""Making and verifying signatures, by securesystemslib; imported only then.

Its signers are found by URI, so that a key may lie in a file, in a hardware module
or with a service.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

from fromager.derivations.errors import InputError, SigningError
from fromager.derivations.sharing.envelope import Envelope, Signature, signed_bytes
from fromager.derivations.sharing.keys import PublicKey, SigningKey

if TYPE_CHECKING:
    from pathlib import Path

    from securesystemslib.signer._key import Key
    from securesystemslib.signer._signer import Signer

FILE_SCHEME: Final = "file2"


class Verifier(Protocol):
    """Tells whether a key signed an envelope."""

    def verifies(self, key: PublicKey, envelope: Envelope) -> bool:
        """Whether one of the envelope's signatures is by this key."""
        ...


@dataclass
class KeyVerifier:
    """The `Verifier` that does mathematics."""

    _keys: dict[PublicKey, Key] = field(default_factory=dict)

    def verifies(self, key: PublicKey, envelope: Envelope) -> bool:
        """Whether one of the envelope's signatures is by this key.

        Names of keys in envelopes are hints, and none is believed.
        """
        known = self._keys.get(key)
        if known is None:
            known = self._keys[key] = _open_key(key)
        from securesystemslib.exceptions import UnverifiedSignatureError

        made = _library().Signature
        for signature in envelope.signatures:
            try:
                signed = made(known.keyid, signature.value.hex())
                known.verify_signature(signed, envelope.signed)
            except UnverifiedSignatureError:
                continue
            return True
        return False


@dataclass(frozen=True)
class EnvelopeSigner:
    """Signs payloads with one key."""

    key: PublicKey
    _signer: Signer

    @classmethod
    def open(cls, signing: SigningKey) -> EnvelopeSigner:
        """A signer for a key.

        Raises:
            SigningError: its secret cannot be used.
        """
        signers = _library()
        try:
            signer = signers.Signer.from_priv_key_uri(
                signing.signer, _open_key(signing.public)
            )
        # Each kind of signer has errors of its own.
        except Exception as error:
            raise SigningError(signing.public.name, str(error)) from error
        return cls(signing.public, signer)

    def sign(self, payload_type: str, payload: bytes) -> Envelope:
        """The payload in an envelope with this key's signature.

        Raises:
            SigningError: the key cannot be used.
        """
        try:
            made = self._signer.sign(signed_bytes(payload_type, payload))
        except Exception as error:
            raise SigningError(self.key.name, str(error)) from error
        signature = Signature(self.key.keyid, bytes.fromhex(made.signature))
        return Envelope(payload_type, payload, (signature,))


def generate_ed25519(name: str, file: Path) -> SigningKey:
    """A new Ed25519 key, its secret in a new file that only its owner can read.

    Raises:
        InputError: the file is there already.
    """
    signer = _library().CryptoSigner.generate_ed25519()
    raw = bytes.fromhex(signer.public_key.keyval["public"])
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(
            f"there is a key named {name} already", hint="Choose another name"
        ) from error
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, 0o600)
        stream.write(signer.private_bytes)
        stream.flush()
        os.fsync(descriptor)
    return SigningKey(PublicKey.ed25519(name, raw), f"{FILE_SCHEME}:{file}")


def _open_key(key: PublicKey) -> Key:
    value = {
        "keytype": key.keytype,
        "scheme": key.scheme,
        "keyval": dict(key.keyval),
    }
    try:
        found: Key = _library().Key.from_dict(key.keyid, value)
    except (KeyError, ValueError) as error:
        raise InputError(f"the key {key.name} cannot be used: {error}") from error
    return found


def _library() -> Any:
    try:
        import_module("cryptography")
        return import_module("securesystemslib.signer")
    except ImportError as error:
        raise SigningError(
            "claims",
            f"{error.name} is not installed",
            hint="Install fromager with its extra: fromager[signing]",
        ) from error
