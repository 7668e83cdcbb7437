"""Bills of materials as CycloneDX 1.6 JSON (ECMA-424).

Patches stand in the pedigree of a component, beside the source as its ancestor; what
it was built with is the formulation, one workflow for each wheel.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fromager.derivations.sbom.contents import purl

if TYPE_CHECKING:
    from fromager.derivations.sbom.contents import (
        SbomContents,
        SbomPart,
        SbomPatch,
        SbomSource,
    )

SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
SPEC: Final = "1.6"


def cyclonedx(contents: SbomContents, tool: tuple[str, str]) -> dict[str, object]:
    """The document without its serial number; `tool` is who made it, and its version."""
    moment = datetime.fromtimestamp(contents.moment, UTC)
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "post-build"}],
            "tools": {"components": [_tool(*tool)]},
            "component": {
                "type": "application",
                "bom-ref": "closure",
                "name": contents.title,
                **_missing(contents),
            },
        },
        "components": [_component(part) for part in contents.parts],
        "dependencies": [
            {"ref": "closure", "dependsOn": list(contents.roots)},
            *(
                {"ref": part.reference, "dependsOn": list(part.needs)}
                for part in contents.parts
            ),
        ],
        "compositions": [
            {
                "aggregate": "incomplete" if contents.missing else "complete",
                "assemblies": [part.reference for part in contents.parts],
            }
        ],
        "formulation": [
            {
                "bom-ref": "formulation",
                "components": [_component(part) for part in contents.tools],
                "workflows": [_workflow(part) for part in _built(contents)],
            }
        ],
    }


def with_serial(document: dict[str, object], serial: str) -> dict[str, object]:
    """The document with its serial number, a UUID."""
    return {**document, "serialNumber": f"urn:uuid:{serial}"}


def _missing(contents: SbomContents) -> dict[str, object]:
    rows = [{"name": "fromager:missing", "value": each} for each in contents.missing]
    return {"properties": rows} if rows else {}


def _built(contents: SbomContents) -> list[SbomPart]:
    return [p for p in (*contents.parts, *contents.tools) if not p.prebuilt]


def _tool(name: str, version: str) -> dict[str, object]:
    return {"type": "application", "name": name, "version": version}


def _component(part: SbomPart) -> dict[str, object]:
    found: dict[str, object] = {
        "type": "library",
        "bom-ref": part.reference,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
        "hashes": [
            {"alg": "SHA-256", "content": part.sha256},
            {"alg": "BLAKE3", "content": part.blake3},
        ],
        "properties": [
            {"name": f"fromager:{name}", "value": value}
            for name, value in (
                ("filename", part.filename),
                ("key", f"blake3:{part.key}"),
                ("origin", "prebuilt" if part.prebuilt else "built from source"),
                ("sandbox", part.level),
            )
        ],
    }
    if part.summary:
        found["description"] = part.summary
    if licences := _licences(part):
        found["licenses"] = licences
    if pedigree := _pedigree(part):
        found["pedigree"] = pedigree
    if part.extras:
        found["components"] = [_fetched(each) for each in part.extras]
    return found


def _licences(part: SbomPart) -> list[dict[str, object]]:
    if part.licence is not None:
        return [{"expression": part.licence, "acknowledgement": "declared"}]
    return [
        {"license": {"name": text, "acknowledgement": "declared"}}
        for text in part.licence_texts
    ]


def _pedigree(part: SbomPart) -> dict[str, object]:
    found: dict[str, object] = {}
    if part.source is not None:
        found["ancestors"] = [_ancestor(part, part.source)]
    if part.patches:
        found["patches"] = [_patch(each) for each in part.patches]
        names = ", ".join(each.name for each in part.patches)
        found["notes"] = f"patched: {names}"
    if part.edited:
        known = f"{found['notes']}; " if "notes" in found else ""
        found["notes"] = f"{known}edited as settings demand"
    return found


def _ancestor(part: SbomPart, source: SbomSource) -> dict[str, object]:
    found = _fetched(source)
    found |= {"type": "library", "name": part.name, "version": part.version}
    if source.sha256 is not None and not part.prebuilt:
        found["purl"] = purl(part.name, part.version, source.name)
    return found


def _fetched(source: SbomSource) -> dict[str, object]:
    found: dict[str, object] = {"type": "file", "name": source.name}
    if source.sha256 is not None:
        found["hashes"] = [{"alg": "SHA-256", "content": source.sha256}]
    elif source.tree is not None:
        found["hashes"] = [{"alg": "BLAKE3", "content": source.tree}]
    rows = [("filename", source.name), ("commit", source.commit)]
    found["properties"] = [
        {"name": f"fromager:{name}", "value": value} for name, value in rows if value
    ]
    return found


def _patch(patch: SbomPatch) -> dict[str, object]:
    text: dict[str, object] = {"contentType": "text/x-patch"}
    try:
        text["content"] = patch.content.decode("utf-8")
    except UnicodeDecodeError:
        text["encoding"] = "base64"
        text["content"] = base64.b64encode(patch.content).decode("ascii")
    return {"type": "unofficial", "diff": {"text": text}}


def _workflow(part: SbomPart) -> dict[str, object]:
    """How a wheel was built: with these tools, to this file."""
    found: dict[str, object] = {
        "bom-ref": f"build of {part.reference}",
        "uid": f"blake3:{part.key}",
        "name": f"build {part.name} {part.version}",
        "taskTypes": ["build"],
        "outputs": [{"type": "artifact", "resource": {"ref": part.reference}}],
    }
    if part.tools:
        found["inputs"] = [{"resource": {"ref": each}} for each in part.tools]
    return found
