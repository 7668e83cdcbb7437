"""What verifiers find: the exact form, and that it is never taken for a build."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import (
    Claim,
    Round,
    Standing,
    agreement,
    challenge,
    found_by_challenge,
    found_by_check,
    found_by_proof,
    judge,
    prove,
    result_in,
)
from fromager.derivations.sharing.policy import Fault, Policy, parse_policy
from fromager.derivations.sharing.proving import Origin
from fromager.derivations.sharing.results import (
    Result,
    dump_result,
    load_result,
    result_about,
)
from fromager.derivations.sharing.statement import builder_id
from fromager.store import PURPOSE_CHECK, InvalidRecord
from support.golden import check_golden
from support.sharing import TODAY, belief, builder, realisation

if TYPE_CHECKING:
    from collections.abc import Callable

    from fromager.store import Realisation

STEP = realisation(
    facts=(("filename", "demo-1.0-py3-none-any.whl"), ("sha256", "cd" * 32))
)
USER = realisation(
    "user", "user tree", subject="user==1", inputs=(("environment", STEP.key),)
)
RESULT = result_about(
    STEP,
    builder_id("carol"),
    ("FROMAGER_BUILDERS_2_OF_3", "FROMAGER_REPRODUCED_BIT"),
    1_790_000_000,
    (("policy.toml", "ab" * 32),),
)
VALUE: dict[str, Any] = json.loads(dump_result(RESULT))


def found(name: str, result: Result = RESULT, by: str | None = None) -> Claim:
    """What somebody says to have found, examined by who trusts a, b and carol."""
    said = replace(result, builder=builder_id(by or name))
    return belief("a", "b", "carol").examine(builder(name).sign(dump_result(said)))


def said(name: str, step: Realisation = STEP) -> Claim:
    return belief("a", "b", "carol").examine(builder(name).claim(step))


def other(step: Realisation) -> Realisation:
    changed = realisation(gives=f"other {step.subject}")
    return replace(step, output=changed.output, output_digest=changed.output_digest)


def test_the_form_of_results_is_fixed() -> None:
    check_golden("sharing/result.json", VALUE)


@given(
    properties=st.lists(st.text(max_size=20), max_size=4).map(tuple),
    time=st.integers(0, 10**10),
    policies=st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=3),
)
def test_a_result_is_read_as_it_was_made(
    properties: tuple[str, ...], time: int, policies: list[tuple[str, str]]
) -> None:
    made = result_about(STEP, "urn:x", properties, time, tuple(policies))

    assert load_result(dump_result(made)) == made


def broken(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(json.dumps(VALUE))
    change(value)
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        broken(lambda value: value.update(predicateType="https://other.test/v1")),
        broken(lambda value: value.update(subject=[])),
        broken(lambda value: value.update(subject=value["subject"] * 2)),
        broken(lambda value: value["subject"][0]["annotations"].clear()),
        broken(lambda value: value["subject"][0].update(digest=[])),
        broken(lambda value: value["predicate"].update(properties="FROMAGER_VERIFIED")),
        broken(lambda value: value["predicate"].update(timeCreated="today")),
        broken(lambda value: value["predicate"].update(verifier={})),
        broken(lambda value: value["predicate"]["verifier"].update(policies=[1])),
    ],
)
def test_what_is_no_result_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRecord):
        load_result(content)
    assert belief("a").examine(builder("a").sign(content)).standing is (
        Standing.UNREADABLE
    )


def test_members_that_nobody_knows_are_left_out() -> None:
    content = broken(lambda value: value["predicate"].update(more={"x": [1]}))

    assert load_result(content) == RESULT


def test_a_result_is_believed_of_who_signed_it_only() -> None:
    assert found("carol").standing is Standing.TRUSTED
    assert found("mallory").standing is Standing.UNKNOWN
    assert found("mallory", by="carol").standing is Standing.FORGED


def test_a_claim_about_a_build_is_no_result() -> None:
    with pytest.raises(InvalidRecord, match="claim about a build"):
        result_in(builder("a").claim(STEP))
    assert result_in(builder("carol").sign(dump_result(RESULT))) == RESULT


def _policy(threshold: int = 2) -> Policy:
    rows = [
        {"name": name, "public": str(builder(name).key).partition(":")[2]}
        for name in ("a", "b", "carol")
    ]
    return parse_policy({"threshold": threshold, "builder": rows}, "policy.toml")


@given(
    verifiers=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "carol", "stranger"]),
            st.sampled_from(["FROMAGER_REPRODUCED_BIT", "FROMAGER_DIFFERS"]),
        ),
        max_size=4,
    ),
    builders=st.sets(st.sampled_from(["a", "b"])),
)
def test_results_never_count_as_builds(
    verifiers: list[tuple[str, str]], builders: set[str]
) -> None:
    claims = [said(name) for name in sorted(builders)]
    results = [found(n, replace(RESULT, properties=(what,))) for n, what in verifiers]

    for threshold in (1, 2, 3):
        alone, beside = (
            prove([STEP], each, _policy(threshold), lambda step: Origin(), TODAY)
            for each in (claims, claims + results)
        )
        assert beside == alone
    assert agreement(claims + results, STEP.key) == agreement(claims, STEP.key)
    before, after = challenge([STEP], claims), challenge([STEP], claims + results)
    assert after.outcome is before.outcome
    assert after.items[0].agreeing == before.items[0].agreeing


def test_a_forged_result_is_told() -> None:
    (item,) = challenge([STEP], [said("a"), found("mallory", by="b")]).items

    assert item.outcome.value == "untrusted"


def test_what_others_found_of_the_same_output_is_told() -> None:
    elsewhere = result_about(other(STEP), "urn:x", ("FROMAGER_DIFFERS",), 0)

    (item,) = challenge([STEP], [found("carol"), found("a", elsewhere)]).items
    (own,) = challenge([STEP], [found("carol")], [builder_id("carol")]).items

    assert item.results == (("carol", RESULT.properties),)
    assert not item.is_contested
    assert own.results == ()
    differs = found("carol", replace(RESULT, properties=("FROMAGER_DIFFERS",)))
    assert challenge([STEP], [said("a"), differs]).items[0].is_contested


def test_a_check_tells_how_many_builds_were_the_same() -> None:
    round_ = replace(STEP, started=1, facts=(("purpose", PURPOSE_CHECK),))
    failed = Round((), None, None, same=False, duration=0.0, failure=ValueError())

    same = found_by_check([judge(STEP, [STEP, round_])])
    differs = found_by_check([judge(STEP, [STEP, round_, other(round_)])])
    nothing = found_by_check([judge(STEP, [STEP]).after((failed,), ())])

    assert same == ((STEP, ("FROMAGER_BUILDS_2_OF_2", "FROMAGER_REPRODUCED_BIT")),)
    assert differs == ((STEP, ("FROMAGER_BUILDS_2_OF_3", "FROMAGER_DIFFERS")),)
    assert nothing == ()


def test_a_challenge_tells_how_many_builders_agree() -> None:
    def properties(*claims: Claim) -> tuple[str, ...] | None:
        rows = found_by_challenge(challenge([STEP], claims).items)
        return rows[0][1] if rows else None

    same, dissenting = "FROMAGER_REPRODUCED_BIT", said("b", other(STEP))
    assert properties(said("a")) == ("FROMAGER_BUILDERS_2_OF_2", same)
    assert properties(said("a"), said("b")) == ("FROMAGER_BUILDERS_3_OF_3", same)
    assert properties(said("a"), dissenting) == (
        "FROMAGER_BUILDERS_2_OF_3",
        "FROMAGER_DIFFERS",
    )
    assert properties(said("b"), dissenting) == (
        "FROMAGER_BUILDERS_1_OF_2",
        "FROMAGER_DIFFERS",
    )
    assert properties() is None
    assert properties(said("stranger")) is None


def test_a_verification_tells_of_all_that_went_in() -> None:
    def properties(*claims: Claim, exempt: bool = False) -> list[tuple[str, ...]]:
        policy = _policy()
        if exempt:
            row = {
                "subject": "demo==*",
                "allow": [Fault.DIFFERS.value, Fault.MISSING.value],
                "reason": "known",
                "expires": TODAY.replace(year=TODAY.year + 1),
            }
            policy = replace(
                policy, exemptions=parse_policy(_with(row), "p").exemptions
            )
        proof = prove([STEP, USER], claims, policy, lambda step: Origin(), TODAY)
        return [names for _, names in found_by_proof(proof, 3)]

    def _with(row: dict[str, Any]) -> dict[str, Any]:
        key = {"name": "a", "public": str(builder("a").key).partition(":")[2]}
        return {"threshold": 1, "builder": [key], "exemption": [row]}

    users = (said("a", USER), said("b", USER))
    assert properties(said("a"), said("b"), *users)[1] == (
        "FROMAGER_BUILDERS_2_OF_3",
        "FROMAGER_REPRODUCED_BIT",
        "FROMAGER_VERIFIED",
    )
    below, above = properties(said("a"), *users)
    assert below == (
        "FROMAGER_BUILDERS_1_OF_3",
        "FROMAGER_FAULT_MISSING",
        "FROMAGER_NOT_VERIFIED",
    )
    assert {"FROMAGER_FAULT_MISSING", "FROMAGER_NOT_VERIFIED"} < set(above)
    below, above = properties(said("a"), said("b", other(STEP)), *users, exempt=True)
    assert {"FROMAGER_DIFFERS", "FROMAGER_VERIFIED"} <= set(below)
    assert "FROMAGER_REPRODUCED_BIT" not in below
    assert {"FROMAGER_EXEMPTED_DIFFERS", "FROMAGER_VERIFIED"} <= set(above)
