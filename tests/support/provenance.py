"""Provenance objects (PEP 740) as an authority's clients make them, but for the
signatures, which nobody here could verify."""

from __future__ import annotations

import base64
import json
from typing import Any


def provenance_of(filename: str, sha256: str) -> dict[str, Any]:
    """A provenance object about a file."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": filename, "digest": {"sha256": sha256}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": None,
    }
    attestation = {
        "version": 1,
        "verification_material": {
            "certificate": _text(b"a certificate"),
            "transparency_entries": [{"logIndex": "1"}],
        },
        "envelope": {
            "statement": _text(json.dumps(statement).encode()),
            "signature": _text(b"a signature"),
        },
    }
    publisher = {"kind": "GitHub", "repository": "farm/wheels", "workflow": "build.yml"}
    return {
        "version": 1,
        "attestation_bundles": [
            {"publisher": publisher, "attestations": [attestation]}
        ],
    }


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
