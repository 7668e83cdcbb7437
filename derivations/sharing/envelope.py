"""Envelopes: bytes with signatures over them (DSSE, protocol 1.0).

The payload is carried as the bytes that were signed, so that nobody has to write
JSON in the same way to verify it.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Final

from fromager.store import NOT_A_RECORD, InvalidRecord

LARGEST: Final = 1 << 20
"""Bytes that an envelope may have."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature, and a hint at the key that made it; the hint proves nothing."""

    keyid: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload of a type, with signatures over both."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def signed(self) -> bytes:
        """What the signatures are over; see `signed_bytes`."""
        return signed_bytes(self.payload_type, self.payload)


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding (DSSE, "PAE") of a payload and its type."""
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def dump_envelope(envelope: Envelope) -> bytes:
    """The envelope as one line of JSON: keys sorted, no blanks."""
    return json.dumps(
        {
            "payload": _text(envelope.payload),
            "payloadType": envelope.payload_type,
            "signatures": [
                {"keyid": each.keyid, "sig": _text(each.value)}
                for each in envelope.signatures
            ],
        },
        sort_keys=True,
        separators=(",", ":"),
    ).encode("ascii")


def load_envelope(content: bytes) -> Envelope:
    """The envelope in JSON of any spelling; what DSSE does not know is left out.

    Raises:
        InvalidRecord: it is none, has no signature, or is larger than a mebibyte.
    """
    if len(content) > LARGEST:
        raise InvalidRecord("envelope", f"it has {len(content)} bytes")
    try:
        value = json.loads(content)
        payload_type = value["payloadType"]
        signatures = tuple(
            Signature(str(each.get("keyid") or ""), _bytes(each["sig"]))
            for each in value["signatures"]
        )
        payload = _bytes(value["payload"])
    except NOT_A_RECORD as error:
        raise InvalidRecord("envelope", f"it cannot be read: {error}") from error
    if not isinstance(payload_type, str) or not signatures:
        raise InvalidRecord("envelope", "it has no type, or no signature")
    return Envelope(payload_type, payload, signatures)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: object) -> bytes:
    """Of either alphabet of RFC 4648, as DSSE lets writers choose."""
    if not isinstance(text, str):
        raise TypeError(f"{text!r:.60} is no base64")
    try:
        standard = text.replace("-", "+").replace("_", "/")
        return base64.b64decode(standard, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{text!r:.60} is no base64") from error
