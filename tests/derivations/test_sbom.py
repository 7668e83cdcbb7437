"""Bills of materials: valid, complete, and the same wherever the same was built."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from fromager.derivations import (
    Kind,
    SbomContents,
    SbomForm,
    SbomPart,
    SbomPatch,
    SbomSource,
    build_steps,
    runtime_closure,
    sbom_contents,
    sbom_of,
)
from fromager.store import LocalStore, open_store
from support.golden import check_golden
from support.sharing import build
from support.wheels import WheelMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.store import Realisation

MARKERS = {"python_version": "3.12", "sys_platform": "linux"}
TOOL = SbomPart(
    "hatchling",
    "1.27.0",
    "hatchling-1.27.0-py3-none-any.whl",
    "1" * 64,
    "2" * 64,
    "3" * 64,
    b"Metadata-Version: 2.4\nName: hatchling\nVersion: 1.27.0\n",
    "full",
    source=SbomSource("hatchling-1.27.0.tar.gz", "4" * 64),
)
BASE = SbomPart(
    "base",
    "2.0+local.1",
    "base-2.0+local.1-py3-none-any.whl",
    "5" * 64,
    "6" * 64,
    "7" * 64,
    b"Metadata-Version: 2.1\nName: base\nVersion: 2.0+local.1\nLicense: UNKNOWN\n"
    b"Classifier: License :: OSI Approved :: BSD License\n",
    "none-needed",
    prebuilt=True,
    source=SbomSource("base-2.0+local.1-py3-none-any.whl", "5" * 64),
)
DEMO = SbomPart(
    "demo",
    "1.0",
    "demo-1.0-py3-none-any.whl",
    "8" * 64,
    "9" * 64,
    "a" * 64,
    b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nSummary: For trials\n"
    b"License-Expression: mit OR Apache-2.0\nRequires-Dist: base\n",
    "full",
    epoch=1_700_000_000,
    needs=(BASE.reference,),
    tools=(TOOL.reference,),
    source=SbomSource("demo-1.0.tar.gz", "b" * 64),
    extras=(SbomSource("data.zip", "c" * 64), SbomSource("x@abc", commit="d" * 40)),
    patches=(SbomPatch("0001-fix.patch", b"--- a\n+++ b\n@@ -1 +1 @@\n-1\n+2\n"),),
    edited=True,
)
CONTENTS = SbomContents((DEMO.reference,), (BASE, DEMO), (TOOL,))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with open_store(tmp_path / "store") as opened:
        yield opened


def cyclonedx_of(contents: SbomContents) -> Any:
    """The bill in CycloneDX, which the official schema accepts."""
    content = sbom_of(contents, version="1.0").decode("ascii")
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(content)
    assert fault is None, fault
    return json.loads(content)


def spdx_of(contents: SbomContents, folder: Path) -> Any:
    """The bill in SPDX, which the format's own tools accept."""
    file = folder / "bill.spdx.json"
    file.write_bytes(sbom_of(contents, SbomForm.SPDX, version="1.0"))
    faults = validate_full_spdx_document(parse_file(str(file)))
    assert [fault.validation_message for fault in faults] == []
    return json.loads(file.read_bytes())


def component(bill: Any, name: str) -> Any:
    return next(each for each in bill["components"] if each["name"] == name)


@pytest.mark.parametrize("form", list(SbomForm))
def test_the_form_is_fixed(form: SbomForm) -> None:
    content = json.loads(sbom_of(CONTENTS, form, version="1.0"))

    check_golden(f"sbom/demo.{form.value}.json", content)


def test_licences_are_as_the_packages_tell() -> None:
    bill = cyclonedx_of(CONTENTS)

    assert component(bill, "demo")["licenses"] == [
        {"expression": "MIT OR Apache-2.0", "acknowledgement": "declared"}
    ]
    assert component(bill, "base")["licenses"] == [
        {"license": {"name": "BSD License", "acknowledgement": "declared"}}
    ]


def test_patches_are_the_pedigree() -> None:
    pedigree = component(cyclonedx_of(CONTENTS), "demo")["pedigree"]

    (patch,) = pedigree["patches"]
    assert patch["diff"]["text"]["content"].startswith("--- a")
    (ancestor,) = pedigree["ancestors"]
    assert ancestor["purl"] == "pkg:pypi/demo@1.0?file_name=demo-1.0.tar.gz"
    assert ancestor["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    assert pedigree["notes"] == "patched: 0001-fix.patch; edited as settings demand"


def test_build_tools_are_the_formulation() -> None:
    (formula,) = cyclonedx_of(CONTENTS)["formulation"]

    assert [each["name"] for each in formula["components"]] == ["hatchling"]
    demo = next(w for w in formula["workflows"] if w["uid"] == f"blake3:{'a' * 64}")
    assert demo["inputs"] == [{"resource": {"ref": TOOL.reference}}]
    assert demo["outputs"][0]["resource"] == {"ref": DEMO.reference}
    # What was taken as it is was not built.
    assert not any("base" in each["name"] for each in formula["workflows"])


def test_what_is_needed_is_told() -> None:
    bill = cyclonedx_of(CONTENTS)

    edges = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert edges["closure"] == [DEMO.reference]
    assert edges[DEMO.reference] == [BASE.reference]
    assert bill["compositions"][0]["aggregate"] == "complete"


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    lacking = replace(CONTENTS, missing=("other>=2",))

    assert cyclonedx_of(lacking)["compositions"][0]["aggregate"] == "incomplete"
    assert "other>=2" in spdx_of(lacking, tmp_path)["comment"]


def test_a_local_version_is_escaped_in_a_package_url() -> None:
    purl = component(cyclonedx_of(CONTENTS), "base")["purl"]

    assert purl.startswith("pkg:pypi/base@2.0%2Blocal.1?file_name=base-2.0%2Blocal.1-")


def test_the_time_is_that_of_the_newest_source(tmp_path: Path) -> None:
    bare = replace(CONTENTS, parts=(BASE, replace(DEMO, epoch=None)))

    assert cyclonedx_of(CONTENTS)["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert cyclonedx_of(bare)["metadata"]["timestamp"] == "1980-01-01T00:00:00Z"
    created = spdx_of(CONTENTS, tmp_path)["creationInfo"]["created"]
    assert created == "2023-11-14T22:13:20Z"


def test_the_serial_follows_from_what_is_told() -> None:
    one = cyclonedx_of(CONTENTS)
    patched = replace(DEMO, patches=())
    other = cyclonedx_of(replace(CONTENTS, parts=(BASE, patched)))

    assert one["serialNumber"] == cyclonedx_of(CONTENTS)["serialNumber"]
    assert one["serialNumber"] != other["serialNumber"]


def test_both_formats_name_the_same_packages(tmp_path: Path) -> None:
    bill = spdx_of(CONTENTS, tmp_path)

    kinds = {each["relationshipType"] for each in bill["relationships"]}
    assert kinds == {
        *("DESCRIBES", "DEPENDS_ON", "BUILD_TOOL_OF"),
        *("GENERATED_FROM", "PATCH_FOR"),
    }
    files = {each.get("packageFileName") for each in bill["packages"]}
    assert {DEMO.filename, BASE.filename, TOOL.filename, "demo-1.0.tar.gz"} <= files


texts = st.text(max_size=30)


@given(
    st.lists(st.binary(max_size=40), max_size=2),
    st.tuples(texts, texts, texts),
    st.one_of(st.none(), st.integers(0, 1 << 35)),
)
@settings(max_examples=40, deadline=None)
def test_a_bill_is_valid_whatever_packages_say(
    patches: list[bytes], said: tuple[str, str, str], epoch: int | None
) -> None:
    names = ("Summary", "License", "License-Expression")
    lines = [f"{name}: {text}" for name, text in zip(names, said, strict=True)]
    lines += [f"Classifier: License :: {said[1]}"]
    part = replace(
        DEMO,
        metadata="\n".join(lines).encode("utf-8", "replace"),
        patches=tuple(SbomPatch(str(n), each) for n, each in enumerate(patches)),
        epoch=epoch,
    )

    cyclonedx_of(replace(CONTENTS, parts=(BASE, part)))


# Read from a store.


def wheel(store: LocalStore, name: str, *headers: str, **more: Any) -> Realisation:
    """Have the store hold a wheel."""
    about = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *headers]
    maker = WheelMaker(
        name, files={f"{name}/x.py": b"x\n"}, metadata="\n".join(about).encode()
    )
    content = maker.build()
    more["sha256"] = hashlib.sha256(content).hexdigest()
    return build(store, f"{name}==1.0", {maker.filename: content}, **more)


def contents_of(store: LocalStore, *roots: Realisation) -> SbomContents:
    wheels, _ = runtime_closure(store, roots, MARKERS)
    return sbom_contents(store, roots, wheels, build_steps(store, wheels), MARKERS)


def closure(store: LocalStore) -> Realisation:
    """A wheel that needs another one, and was patched and built with a tool."""
    tool = wheel(store, "tool")
    layout = build(store, "tool==1.0", kind=Kind.LAYOUT, inputs={"wheel": tool})
    environment = build(
        store, "tool==1.0", kind=Kind.ENVIRONMENT, inputs={"layout:tool": layout}
    )
    patches = build(
        store, "demo==1.0", {"0001-a.patch": b"--- a\n"}, kind=Kind.PATCH_SET
    )
    source = build(
        store,
        "demo==1.0",
        {"demo.py": b"x\n"},
        kind=Kind.SOURCE,
        inputs={"patches": patches},
        epoch="1700000000",
    )
    wheel(store, "base")
    return wheel(
        store,
        "demo",
        "Requires-Dist: base[more]; python_version > '3'",
        "Requires-Dist: never; sys_platform == 'win32'",
        inputs={"environment": environment, "source": source},
    )


def test_what_a_store_knows_is_told(store: LocalStore) -> None:
    contents = contents_of(store, closure(store))

    base, demo = contents.parts
    (tool,) = contents.tools
    assert (base.name, demo.name, tool.name) == ("base", "demo", "tool")
    assert demo.needs == (base.reference,)
    assert demo.tools == (tool.reference,)
    assert [patch.content for patch in demo.patches] == [b"--- a\n"]
    assert (demo.epoch, contents.missing) == (1_700_000_000, ())
    cyclonedx_of(contents)


def test_a_requirement_that_nothing_meets_is_told(store: LocalStore) -> None:
    root = wheel(store, "demo", "Requires-Dist: nothing>=2")

    assert contents_of(store, root).missing == ("nothing>=2",)


def test_two_stores_with_the_same_builds_give_the_same_bytes(
    store: LocalStore, tmp_path: Path
) -> None:
    with open_store(tmp_path / "other") as other:
        bills = [
            sbom_of(contents_of(each, closure(each)), form, version="1")
            for each in (store, other)
            for form in SbomForm
        ]

    assert bills[:2] == bills[2:]
