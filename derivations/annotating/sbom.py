"""An SBOM of one component: CycloneDX 1.6 as JSON, the same for the same component.

It has no time and no random number: its serial number follows from what it is about.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from fromager.derivations.annotating.annotation import Origin, SbomWish

MEDIA_NAME: Final = "fromager.cdx.json"
"""What it is called in the folder `sboms` (PEP 770)."""


@dataclass(frozen=True, slots=True)
class Component:
    """A wheel, as an SBOM tells of it."""

    name: str
    """Normalised."""
    version: str
    licence: str | None
    """An SPDX expression (PEP 639), where the wheel has one."""
    sha256: str
    """Of the wheel before it was annotated."""
    origin: Origin | None


def cyclonedx(component: Component, wish: SbomWish) -> bytes:
    """The document, in UTF-8, with keys in order."""
    parts = dict(wish.purl)
    purl = package_url(
        parts.get("type", "pypi"),
        parts.get("name", component.name),
        parts.get("version", component.version),
        namespace=parts.get("namespace", ""),
        repository_url=parts.get("repository-url", ""),
    )
    about: dict[str, object] = {
        "type": "library",
        "bom-ref": purl,
        "name": component.name,
        "version": component.version,
        "purl": purl,
        "pedigree": {"ancestors": [_ancestor(component, parts.get("upstream"))]},
    }
    if component.licence:
        about["licenses"] = [{"expression": component.licence}]
    metadata: dict[str, object] = {
        "component": about,
        "tools": {"components": [{"type": "application", "name": "fromager"}]},
    }
    if wish.supplier:
        about["supplier"] = metadata["supplier"] = {"name": wish.supplier}
    if wish.creators:
        metadata["authors"] = [{"name": name} for name in wish.creators]
    seed = f"{wish.namespace.rstrip('/')}/{purl}#{component.sha256}"
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, seed)}",
        "version": 1,
        "metadata": metadata,
        "components": [],
        "dependencies": [{"ref": purl}],
    }
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
    return f"{text}\n".encode()


def package_url(
    type_: str, name: str, version: str, *, namespace: str, repository_url: str
) -> str:
    """A package URL in its canonical form: `pkg:pypi/click@8.1.7`."""
    space = "".join(f"{_encoded(part)}/" for part in namespace.split("/") if part)
    url = f"pkg:{type_.lower()}/{space}{_encoded(name)}@{_encoded(version)}"
    if repository_url:
        url += f"?repository_url={quote(repository_url, safe=':/')}"
    return url


def _ancestor(component: Component, upstream: str | None) -> dict[str, object]:
    """What it was built from."""
    plain = package_url(
        "pypi", component.name, component.version, namespace="", repository_url=""
    )
    found: dict[str, object] = {
        "type": "library",
        "name": component.name,
        "version": component.version,
        "purl": upstream or plain,
    }
    if component.origin is not None:
        found["description"] = component.origin.filename
        found["hashes"] = [{"alg": "SHA-256", "content": component.origin.sha256}]
    return found


def _encoded(text: str) -> str:
    return quote(text, safe=":")
