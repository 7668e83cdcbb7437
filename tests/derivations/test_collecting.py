"""Collections as values: what they are made from, what is in them, and what fits."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.version import Version

from fromager.derivations import (
    CollectionGraph,
    InputError,
    LockedPlatform,
    Misfit,
    collection_changes,
    decode,
    encode,
    read_graph,
    rebuilt_wheels,
)
from fromager.derivations.collecting.files import WheelFacts, collection_files
from fromager.derivations.collecting.fitting import FittingWheel, check_fit
from fromager.derivations.collecting.overlaps import Overlap, installed, overlaps
from fromager.derivations.collecting.pages import IndexedWheel, index_pages
from fromager.derivations.collecting.plan import (
    CollectedSet,
    CollectedWheel,
    CollectionPlan,
    SetMember,
    read_plan,
)
from fromager.derivations.derivation import Derivation, Kind, resolve_inputs
from fromager.derivations.errors import InvalidDerivation
from fromager.derivations.index.simple import parse_page
from fromager.derivations.realising.instantiate import collection
from fromager.derivations.resolution.candidate import Metadata
from fromager.store import blob_digest
from support.golden import check_golden

if TYPE_CHECKING:
    from pathlib import Path

PLATFORM = LockedPlatform(
    "cpython-312-linux-x86_64",
    "3.12",
    (
        ("implementation_name", "cpython"),
        ("platform_machine", "x86_64"),
        ("python_version", "3.12"),
        ("sys_platform", "linux"),
    ),
)
MARKERS = {"python_full_version": "3.12.1", "python_version": "3.12"}
TAGS = ("cp312-cp312-linux_x86_64", "py3-none-any")


def wheel(name: str, version: str = "1.0", *, prebuilt: bool = False) -> CollectedWheel:
    return CollectedWheel(name, version, f"{name}-{version}-py3-none-any.whl", prebuilt)


def single() -> CollectionPlan:
    wheels = (wheel("needed", "2!1.0+local.1", prebuilt=True), wheel("top"))
    needed, top = (each.subject for each in wheels)
    return CollectionPlan(
        PLATFORM,
        wheels,
        (
            CollectedSet(
                (top,), (SetMember(needed), SetMember(top, ("fast",), (needed,)))
            ),
        ),
    )


def several() -> CollectionPlan:
    wheels = (wheel("shared"), wheel("top", "1.0"), wheel("top", "2.0"))
    shared, *tops = (each.subject for each in wheels)
    return CollectionPlan(
        PLATFORM,
        wheels,
        tuple(
            CollectedSet((top,), (SetMember(shared), SetMember(top, (), (shared,))))
            for top in tops
        ),
        several=True,
    )


def facts(plan: CollectionPlan) -> dict[str, WheelFacts]:
    return {
        each.subject: WheelFacts(
            hashlib.sha256(each.subject.encode()).hexdigest(),
            120,
            f"Name: {each.name}\nVersion: {each.version}\nRequires-Python: >=3.9\n".encode(),
            {"tests/__init__.py": (number, 1), f"{each.name}.py": (1, 1)},
        )
        for number, each in enumerate(plan.wheels)
    }


def derivation(plan: CollectionPlan) -> Derivation:
    steps = {
        each.subject: Derivation(Kind.WHEEL, each.subject, "wheel/1")
        for each in plan.wheels
    }
    return collection(plan, steps)


@pytest.mark.parametrize("plan", [single(), several()], ids=["single", "several"])
def test_derivations_and_files_are_those_that_were_agreed_upon(
    plan: CollectionPlan,
) -> None:
    outputs = {
        step.digest: blob_digest(step.subject.encode())
        for _, step in derivation(plan).inputs
        if isinstance(step, Derivation)
    }
    resolved = resolve_inputs(derivation(plan), outputs)
    kind = "several" if plan.several else "single"

    check_golden(
        f"collections/{kind}.json",
        {
            "derivation": encode(resolved).decode("ascii"),
            "key": str(resolved.key),
            "files": {
                path: content.decode()
                for path, content in collection_files(plan, facts(plan)).items()
            },
        },
    )
    assert read_plan(dict(decode(encode(resolved)).options)) == plan


def test_the_lock_is_what_the_specification_says() -> None:
    for plan in (single(), several()):
        locks = [
            content
            for path, content in collection_files(plan, facts(plan)).items()
            if path.endswith("pylock.toml")
        ]

        assert len(locks) == len(plan.sets)
        for content in locks:
            Pylock.from_dict(tomllib.loads(content.decode())).validate()


def test_what_is_prebuilt_is_told_with_the_way_to_it() -> None:
    files = collection_files(single(), facts(single()))

    [row] = json.loads(files["graph.json"])["prebuilt"]

    assert row["ways"] == [["top==1.0", "needed==2!1.0+local.1"]]
    assert b"prebuilt = true" in files["pylock.toml"]


def test_no_file_of_several_sets_has_two_versions_of_a_project() -> None:
    files = collection_files(several(), facts(several()))

    constraints = {p: c for p, c in files.items() if p.endswith("constraints.txt")}

    assert constraints == {
        "sets/top-1.0/constraints.txt": b"shared==1.0\ntop==1.0\n",
        "sets/top-2.0/constraints.txt": b"shared==1.0\ntop==2.0\n",
    }


def test_sets_that_were_asked_for_alike_have_names_of_their_own() -> None:
    plain = several().sets[0]
    extra = CollectedSet(
        plain.requested, (plain.members[0], replace(plain.members[1], extras=("x",)))
    )
    third = replace(
        extra, members=(plain.members[0], replace(plain.members[1], extras=("y",)))
    )

    plan = replace(several(), sets=(plain, extra, third))

    assert plan.labels == ("top-1.0", "top-1.0~2", "top-1.0~3")


@pytest.mark.parametrize(
    "broken",
    [
        replace(wheel("top"), version="9"),
        wheel("other"),
    ],
)
def test_a_set_that_is_not_closed_is_refused(broken: CollectedWheel) -> None:
    plan = single()

    with pytest.raises(InvalidDerivation):
        replace(plan, wheels=(plan.wheels[0], broken))


def graph_of(plan: CollectionPlan, folder: Path, **others: str) -> CollectionGraph:
    """The graph that a plan gives; wheels named in `others` have other bytes."""
    known = facts(plan)
    for subject, letter in others.items():
        name = next(each for each in known if each.startswith(f"{subject}=="))
        known[name] = replace(known[name], sha256=letter * 64)
    files = collection_files(plan, known)
    folder.mkdir()
    (folder / "graph.json").write_bytes(files["graph.json"])
    found = read_graph(folder)
    assert found is not None
    return found


def test_what_changed_between_two_collections_is_told_in_words(tmp_path: Path) -> None:
    plan = single()
    needed, top = plan.wheels
    newer = replace(top, version="1.1", filename="top-1.1-py3-none-any.whl")
    asked = CollectedSet(
        (needed.subject, newer.subject),
        (SetMember(needed.subject), SetMember(newer.subject)),
    )
    other = CollectionPlan(PLATFORM, (replace(needed, prebuilt=False), newer), (asked,))

    before = graph_of(plan, tmp_path / "1")
    after = graph_of(other, tmp_path / "2", needed="c")
    changes = collection_changes(before, after)

    assert [str(change) for change in changes] == [
        "top is 1.1, it was 1.0",
        "needed==2!1.0+local.1 is built from source, it was prebuilt",
        (
            f"the wheel of needed==2!1.0+local.1 is another one: sha256 {'c' * 64}, "
            f"it was {before.wheels[needed.subject].sha256}"
        ),
        "needed is asked for",
    ]
    assert collection_changes(before, before) == ()
    assert rebuilt_wheels(before, after) == (needed.filename,)
    assert rebuilt_wheels(before, before) == ()
    assert changes[0].row == {
        "aspect": "version",
        "subject": "top",
        "before": "1.0",
        "after": "1.1",
        "text": "top is 1.1, it was 1.0",
    }


def test_sets_that_came_and_went_are_told(tmp_path: Path) -> None:
    before, whole = single(), several()
    changes = collection_changes(
        graph_of(before, tmp_path / "1"), graph_of(whole, tmp_path / "2")
    )

    told = [str(change) for change in changes]
    assert told[0] == "there is a set for each requirement, there was one set"
    assert "the set top-2.0 is new" in told
    assert "top is 1.0 and 2.0, it was 1.0" in told


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 2}', '{"version": 1}'])
def test_what_is_no_graph_is_one_kind_of_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "graph.json").write_text(text)

    assert read_graph(tmp_path / "nowhere") is None
    with pytest.raises(InputError):
        read_graph(tmp_path)


def test_what_two_wheels_install_at_one_place_is_found() -> None:
    files = {
        "a==1": {
            "x.py": (1, 1),
            "tests/a.py": (1, 1),
            installed("a-1.data/purelib/y.py"): (1, 1),
        },
        "b==1": {"x.py": (1, 1), "tests/a.py": (2, 1), "y.py": (1, 2)},
        "c==1": {installed("c-1.data/scripts/y.py"): (3, 3), "tests/a.py": (2, 1)},
    }

    found = overlaps([("b==1", "a==1"), ("c==1",)], files)

    assert found == (Overlap("a==1", "b==1", ("tests/a.py", "y.py")),)
    assert "both install tests/a.py, y.py, with other contents" in str(found[0])
    assert [(each.first, each.second) for each in overlaps([tuple(files)], files)] == [
        ("a==1", "b==1"),
        ("a==1", "c==1"),
    ]
    assert overlaps([("a==1",), ("b==1",)], files) == ()


names = st.sampled_from(("a", "b-c", "d"))
versions = st.sampled_from(("1.0", "2!1.0rc1", "1.0+local.1"))
indexed = st.builds(
    lambda name, version, python: IndexedWheel(
        name,
        version,
        f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        hashlib.sha256(name.encode()).hexdigest(),
        len(name),
        python,
        hashlib.sha256(version.encode()).hexdigest(),
    ),
    names,
    versions,
    st.none() | st.sampled_from((">=3.9", "<4,!=3.0.*")),
)


@given(st.lists(indexed, unique_by=lambda each: each.filename), st.randoms())
@settings(max_examples=60, deadline=None)
def test_pages_are_read_as_they_were_meant_in_any_order(
    wheels: list[IndexedWheel], random: object
) -> None:
    pages = index_pages(wheels, "../wheels")
    base = "https://index.test/simple"

    assert index_pages(wheels[::-1], "../wheels") == pages
    for name in {each.name for each in wheels}:
        own = {each.filename: each for each in wheels if each.name == name}
        for suffix, kind in (
            ("html", "text/html"),
            ("json", "application/vnd.pypi.simple.v1+json"),
        ):
            content = pages[f"{name}/index.{suffix}"]
            page = parse_page(content, kind, f"{base}/{name}/", name)
            assert {file.filename for file in page.files} == set(own)
            for file in page.files:
                meant = own[file.filename]
                assert file.sha256 == meant.sha256
                assert file.requires_python == meant.requires_python
                assert file.metadata_sha256 == meant.metadata_sha256
                assert file.url.startswith("https://index.test/wheels/")


def fitting(
    name: str, *requires: str, version: str = "1.0", **more: object
) -> FittingWheel:
    python, extra = more.get("python"), more.get("provides", ())
    assert python is None or isinstance(python, str)
    assert isinstance(extra, tuple)
    metadata = Metadata.from_fields(requires, python, extra)
    extras = more.get("extras", ())
    assert isinstance(extras, tuple)
    tag = more.get("tag", "py3-none-any")
    filename = f"{name}-{version}-{tag}.whl"
    return FittingWheel(name, Version(version), filename, metadata, extras)


@pytest.mark.parametrize(
    ("wheels", "conflict"),
    [
        ([fitting("a", "b")], "a==1.0 requires b, which is not in the set"),
        (
            [fitting("a", "B>=2"), fitting("b")],
            "a==1.0 requires B>=2, and b==1.0 is in the set",
        ),
        (
            [fitting("a", "b; extra == 'x'", extras=("x",))],
            "a==1.0 requires b, which is not in the set",
        ),
        (
            [fitting("a", "b[y]"), fitting("b", provides=("y",))],
            "a==1.0 requires b[y], and b==1.0 is in the set without y",
        ),
        (
            [fitting("a", python="<3.12")],
            "a==1.0 requires Python <3.12, and this is 3.12.1",
        ),
        (
            [fitting("a", tag="cp313-cp313-linux_x86_64")],
            "a==1.0 is not for this interpreter (a-1.0-cp313-cp313-linux_x86_64.whl)",
        ),
        (
            [fitting("a"), fitting("a", version="2")],
            "a==1.0 and a==2 are both in the set",
        ),
        ([fitting("a", "b (")], "a==1.0 has invalid metadata: "),
    ],
)
def test_conflicts_are_named(wheels: list[FittingWheel], conflict: str) -> None:
    with pytest.raises(Misfit) as error:
        check_fit(wheels, MARKERS, TAGS)

    [found] = error.value.conflicts
    assert found.startswith(conflict)
    assert error.value.hint


@pytest.mark.parametrize(
    "wheels",
    [
        [],
        [fitting("a", "b>=1"), fitting("b", "a")],
        [fitting("a", "b; extra == 'x'")],
        [fitting("a", "b; python_version < '3'")],
        [fitting("a", "b"), fitting("b", version="1.0rc1")],
        [fitting("a", "b @ https://host.test/b-1.tar.gz"), fitting("b")],
        [fitting("a", "b[unknown]"), fitting("b")],
        [fitting("a", tag="cp312-cp312-linux_x86_64", python=">=3.9")],
    ],
)
def test_what_can_be_installed_together_fits(wheels: list[FittingWheel]) -> None:
    check_fit(wheels, MARKERS, TAGS)
