"""Bills of materials as SPDX 2.3 JSON (the format of ISO/IEC 5962, with its successor's
purposes and checksums)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fromager.derivations.sbom.contents import purl

if TYPE_CHECKING:
    from fromager.derivations.sbom.contents import SbomContents, SbomPart, SbomSource

NAMESPACE: Final = "https://spdx.org/spdxdocs/fromager-{}"
NOTHING_SAID: Final = "NOASSERTION"
DOCUMENT: Final = "SPDXRef-DOCUMENT"
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9.-]+")


def spdx(contents: SbomContents, tool: tuple[str, str]) -> dict[str, object]:
    """The document without its namespace; `tool` is who made it, and its version."""
    moment = datetime.fromtimestamp(contents.moment, UTC)
    everything = (*contents.parts, *contents.tools)
    ids = {part.reference: _id(part.reference) for part in everything}
    packages = [_package(part, ids[part.reference]) for part in everything]
    relations = [
        _relation(DOCUMENT, "DESCRIBES", ids[reference]) for reference in contents.roots
    ]
    for part in everything:
        own = ids[part.reference]
        # Of tools only what they were made with is part of the closure's making.
        relations += [
            _relation(own, "DEPENDS_ON", ids[each])
            for each in part.needs
            if each in ids
        ]
        relations += [_relation(ids[each], "BUILD_TOOL_OF", own) for each in part.tools]
        for number, fetched in enumerate(_sources(part)):
            name = f"{own}-source-{number}"
            packages.append(_source(part, fetched, name, main=fetched is part.source))
            relations.append(_relation(own, "GENERATED_FROM", name))
        for number, patch in enumerate(part.patches):
            name = f"{own}-patch-{number}"
            packages.append(_patch(patch.name, name))
            relations.append(_relation(name, "PATCH_FOR", f"{own}-source-0"))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": contents.title,
        "creationInfo": {
            "created": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: {tool[0]}-{tool[1]}"],
        },
        **_missing(contents),
        "packages": packages,
        "relationships": relations,
    }


def with_namespace(document: dict[str, object], serial: str) -> dict[str, object]:
    """The document with the namespace that makes it the only one of its kind."""
    return {**document, "documentNamespace": NAMESPACE.format(serial)}


def _missing(contents: SbomContents) -> dict[str, object]:
    if not contents.missing:
        return {}
    return {"comment": f"nothing here meets {', '.join(contents.missing)}"}


def _sources(part: SbomPart) -> list[SbomSource]:
    return [*([part.source] if part.source is not None else []), *part.extras]


def _package(part: SbomPart, own: str) -> dict[str, object]:
    said = "; ".join(part.licence_texts)
    found = {
        "SPDXID": own,
        "name": part.name,
        "versionInfo": part.version,
        "packageFileName": part.filename,
        "downloadLocation": NOTHING_SAID,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "LIBRARY",
        "licenseConcluded": NOTHING_SAID,
        "licenseDeclared": part.licence or NOTHING_SAID,
        "copyrightText": NOTHING_SAID,
        # The format knows BLAKE3, but its own tools refuse digests of 256 bits.
        "checksums": [{"algorithm": "SHA256", "checksumValue": part.sha256}],
        "externalRefs": [_purl(part.purl)],
        "comment": f"{'prebuilt' if part.prebuilt else 'built from source'}, "
        f"sandbox {part.level}, key blake3:{part.key}, content blake3:{part.blake3}",
    }
    if part.summary:
        found["summary"] = part.summary
    if part.licence is None and said:
        found["licenseComments"] = f"The package says: {said}"
    return found


def _source(
    part: SbomPart, source: SbomSource, own: str, *, main: bool
) -> dict[str, object]:
    found: dict[str, object] = {
        "SPDXID": own,
        "name": part.name if main else source.name,
        "downloadLocation": NOTHING_SAID,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "SOURCE",
        "licenseConcluded": NOTHING_SAID,
        "licenseDeclared": NOTHING_SAID,
        "copyrightText": NOTHING_SAID,
        "packageFileName": source.name,
    }
    if main:
        found["versionInfo"] = part.version
    if source.sha256 is not None:
        found["checksums"] = [{"algorithm": "SHA256", "checksumValue": source.sha256}]
        if main and not part.prebuilt:
            place = purl(part.name, part.version, source.name)
            found["externalRefs"] = [_purl(place)]
    if source.tree is not None:
        found["comment"] = f"a folder, tree blake3:{source.tree}"
    if source.commit is not None:
        found["comment"] = f"git commit {source.commit}"
    return found


def _patch(name: str, own: str) -> dict[str, object]:
    return {
        "SPDXID": own,
        "name": name,
        "downloadLocation": NOTHING_SAID,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "SOURCE",
        "licenseConcluded": NOTHING_SAID,
        "licenseDeclared": NOTHING_SAID,
        "copyrightText": NOTHING_SAID,
    }


def _purl(locator: str) -> dict[str, str]:
    return {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": locator,
    }


def _relation(one: str, kind: str, other: str) -> dict[str, str]:
    return {
        "spdxElementId": one,
        "relationshipType": kind,
        "relatedSpdxElement": other,
    }


def _id(reference: str) -> str:
    return f"SPDXRef-{_NOT_IN_IDS.sub('-', reference)}"
