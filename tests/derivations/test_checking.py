"""Verdicts, bisection and variations, without builds."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import State, Variation, VariationMeans, judge, look_around
from fromager.derivations.checking.bisection import guilty
from fromager.derivations.checking.variations import (
    conditions,
    missing,
    reverse_listing,
)
from fromager.store import Realisation, StorePath, blob_digest

NAMES = tuple(variation.value for variation in Variation)
KEY = blob_digest(b"key")


def claim(output: bytes, started: int, key: bytes = b"key") -> Realisation:
    digest = blob_digest(output)
    path = StorePath.of(digest, "demo-1.0-wheel")
    drv = StorePath.of(blob_digest(b"drv"), "demo.drv")
    return Realisation(
        blob_digest(key), drv, "wheel", "demo==1.0", path, digest, started=started
    )


def test_one_claim_proves_nothing() -> None:
    used = claim(b"a", 1)

    assert judge(used, [used]).state is State.UNKNOWN
    assert judge(used, []).state is State.UNKNOWN
    assert judge(used, [used, claim(b"b", 2, key=b"other")]).state is State.UNKNOWN


def test_claims_that_agree_are_counted() -> None:
    used = claim(b"a", 1)

    verdict = judge(used, [used, claim(b"a", 2), claim(b"a", 3)])

    assert (verdict.state, verdict.reproduced_by) == (State.REPRODUCED, 2)


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_a_difference_is_never_outvoted(agrees: list[bool]) -> None:
    used = claim(b"a", 0)
    claims = [claim(b"a" if a else b"b", n) for n, a in enumerate(agrees, start=1)]

    verdict = judge(used, [used, *claims])

    assert verdict.reproduced_by == sum(agrees)
    assert len(verdict.others) == agrees.count(False)
    assert (verdict.state is State.DIFFERS) == (not all(agrees))
    json.dumps(verdict.row)


@given(st.sets(st.sampled_from(NAMES), min_size=1))
def test_bisection_finds_each_variation_that_matters_by_itself(
    culprits: set[str],
) -> None:
    asked = []

    def differs(names: tuple[str, ...]) -> bool:
        asked.append(names)
        return bool(culprits & set(names))

    assert guilty(NAMES, differs) == culprits
    assert len(asked) <= 2 * len(culprits) * len(NAMES).bit_length()


@given(st.sets(st.sampled_from(NAMES), min_size=2))
def test_bisection_never_leaves_out_what_matters_only_together(
    culprits: set[str],
) -> None:
    found = guilty(NAMES, lambda names: culprits <= set(names))

    assert culprits <= found


AROUND = VariationMeans(1, 2, Path("/memory"), Path("/elsewhere"), ("/bin/unshare",))


def test_conditions_are_those_that_were_asked_for() -> None:
    usual = conditions((), AROUND)
    varied = conditions(tuple(Variation), AROUND)

    assert usual.cores is None and usual.folder is None
    assert usual.launch is not None and usual.launch.prefix == ()
    assert varied.cores == 2
    assert varied.folder == Path("/memory")
    assert varied.launch is not None
    assert varied.launch.personality != usual.launch.personality
    assert {"TZ", "LC_ALL", "HOME"} <= varied.launch.environment.keys()
    assert any("umask 077" in word for word in varied.launch.prefix)
    assert "--boottime" in varied.launch.prefix


@pytest.mark.parametrize(
    ("variation", "poorer"),
    [
        (Variation.CORES, replace(AROUND, most_cores=1)),
        (Variation.READDIR, replace(AROUND, ordered=None)),
        (Variation.BUILD_PATH, replace(AROUND, elsewhere=None)),
        (Variation.HOSTNAME, replace(AROUND, namespaces=())),
    ],
)
def test_what_a_machine_cannot_vary_is_said(
    variation: Variation, poorer: VariationMeans
) -> None:
    assert missing(variation, AROUND) is None
    assert missing(variation, poorer)


def test_this_machine_is_looked_at(tmp_path: Path) -> None:
    around = look_around(1, tmp_path / "nothing", tmp_path)

    assert around.ordered is None
    assert around.elsewhere == tmp_path
    assert around.most_cores == len(os.sched_getaffinity(0))


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a tmpfs")
@pytest.mark.parametrize("count", [2, 3, 17])
def test_a_listing_is_turned_round_and_nothing_else(count: int) -> None:
    with TemporaryDirectory(dir="/dev/shm") as place:
        top = Path(place) / "src"
        (top / "below").mkdir(parents=True)
        for number in range(count):
            (top / "below" / f"f{number}").write_text(str(number))
        os.utime(top / "below", (1000, 1000))
        os.utime(top, (2000, 2000))
        before = os.listdir(top / "below")

        reverse_listing(top)

        after = os.listdir(top / "below")
        assert after != before
        assert sorted(after) == sorted(before)
        assert os.listdir(place) == ["src"]
        assert (top / "below").stat().st_mtime == 1000
        assert top.stat().st_mtime == 2000
        assert (top / "below" / "f1").read_text() == "1"
