"""What others say of a closure: outcomes, root causes, and what is not heard."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import InputError, Outcome, agreement, challenge, prove
from fromager.derivations.sharing.failing import FailedBuild, dump_failure
from fromager.derivations.sharing.policy import Fault, Policy, parse_policy
from fromager.derivations.sharing.proving import Origin
from fromager.derivations.sharing.statement import (
    Statement,
    builder_id,
    taken_over,
)
from fromager.store import PURPOSE_CHECK
from support.sharing import TODAY, belief, builder, digest, realisation, trust

if TYPE_CHECKING:
    from fromager.derivations import Claim
    from fromager.derivations.sharing.challenging import Challenge
    from fromager.derivations.sharing.proving import Proof
    from fromager.store import Realisation

SOURCE = realisation("source", "source tree", kind="source", inputs=())
TOOL = realisation("tool", "tool tree", kind="layout", subject="tool==1", inputs=())
WHEEL = realisation(
    "wheel",
    "wheel tree",
    inputs=(("environment", TOOL.key), ("source", SOURCE.key)),
)
USER = realisation(
    "user", "user tree", subject="user==1", inputs=(("environment", WHEEL.key),)
)
STEPS = (SOURCE, TOOL, WHEEL, USER)


def said(name: str, *steps: Realisation, by: str | None = None) -> list[Claim]:
    """What a builder claims, examined by somebody who trusts a and b."""
    believed = belief("a", "b")
    return [believed.examine(builder(name).claim(step, by)) for step in steps]


def other(step: Realisation) -> Realisation:
    """The same step with another output."""
    name = f"other {step.subject}"
    output = realisation(gives=name)
    return replace(step, output=output.output, output_digest=output.output_digest)


def outcomes(found: Challenge) -> list[Outcome]:
    return [item.outcome for item in found.items]


def test_what_others_say_too_matches() -> None:
    found = challenge(STEPS, said("a", *STEPS))

    assert outcomes(found) == [Outcome.MATCH] * 4
    assert found.outcome is Outcome.MATCH
    assert found.items[0].agreeing == ("a",)


def test_what_nobody_tells_of_is_inconclusive() -> None:
    found = challenge(STEPS, said("a", *STEPS[:3]))

    assert outcomes(found) == [*[Outcome.MATCH] * 3, Outcome.INCONCLUSIVE]
    assert found.outcome is Outcome.INCONCLUSIVE


def test_a_difference_is_told_where_it_begins() -> None:
    """Others have other keys behind it: these steps cannot be compared."""
    found = challenge(STEPS, said("a", SOURCE, other(TOOL)))

    assert outcomes(found) == [
        Outcome.MATCH,
        Outcome.MISMATCH,
        Outcome.NOT_COMPARABLE,
        Outcome.NOT_COMPARABLE,
    ]
    assert found.outcome is Outcome.MISMATCH
    assert found.items[3].because == ("tool==1 (layout)",)
    assert found.items[1].other_outputs == ((other(TOOL).output, ("a",)),)


def test_of_who_differs_it_is_told_how_the_machine_differs() -> None:
    here = replace(TOOL, facts=(("host.cores", "2"), ("host.kernel", "Linux 6.1")))
    there = replace(
        other(TOOL), facts=(("host.cores", "2"), ("host.kernel", "Linux 5.4"))
    )

    (item,) = challenge([here], said("a", there)).items

    assert [(who, str(each)) for who, each in item.other_hosts] == [
        ("a", "kernel: Linux 6.1 | Linux 5.4")
    ]
    row = json.loads(json.dumps(item.row))
    assert row["others"][0]["hosts"] == [
        {
            "builder": "a",
            "name": "kernel",
            "first": "Linux 6.1",
            "second": "Linux 5.4",
        }
    ]


def test_one_who_differs_is_not_outvoted() -> None:
    found = challenge([TOOL], said("a", TOOL) + said("b", other(TOOL)))

    (item,) = found.items
    assert item.outcome is Outcome.MISMATCH
    assert item.agreeing == ("a",)


def test_a_forged_claim_is_told_whatever_others_say() -> None:
    claims = said("a", TOOL) + said("mallory", TOOL, by="b")

    found = challenge([TOOL], claims)

    assert outcomes(found) == [Outcome.UNTRUSTED]
    assert "did not sign" in found.items[0].reasons[0]


def test_a_difference_is_worse_than_a_forgery() -> None:
    claims = said("a", other(TOOL)) + said("mallory", SOURCE, by="b")

    assert challenge([SOURCE, TOOL], claims).outcome is Outcome.MISMATCH


def test_claims_of_strangers_alone_are_not_trusted() -> None:
    found = challenge([TOOL], said("stranger", TOOL))

    assert outcomes(found) == [Outcome.UNTRUSTED]


def test_strangers_beside_trusted_builders_do_no_harm() -> None:
    found = challenge([TOOL], said("a", TOOL) + said("stranger", other(TOOL)))

    assert outcomes(found) == [Outcome.MATCH]


def test_a_machine_is_not_compared_with_itself() -> None:
    found = challenge([TOOL], said("a", TOOL), own=[builder_id("a")])

    assert outcomes(found) == [Outcome.INCONCLUSIVE]


def test_what_was_taken_from_a_builder_is_not_compared_with_that_builder() -> None:
    taken = taken_over(Statement(builder_id("a"), TOOL), b"{}")

    assert outcomes(challenge([taken], said("a", TOOL))) == [Outcome.INCONCLUSIVE]
    assert outcomes(challenge([taken], said("b", TOOL))) == [Outcome.MATCH]


def test_what_checks_of_others_found_is_no_build() -> None:
    evidence = realisation(
        "tool", "other", kind="layout", facts=(("purpose", PURPOSE_CHECK),)
    )

    assert outcomes(challenge([TOOL], said("a", evidence))) == [Outcome.INCONCLUSIVE]


def test_a_failure_elsewhere_is_told_and_proves_nothing() -> None:
    failure = FailedBuild(builder_id("a"), TOOL.key, "tool==1", 1_790_000_000)
    claim = belief("a").examine(builder("a").sign(dump_failure(failure)))

    (item,) = challenge([TOOL], [claim]).items
    (beside,) = challenge([TOOL], [claim, *said("b", TOOL)]).items

    assert item.outcome is Outcome.INCONCLUSIVE
    assert item.reasons == ("its build failed at a",)
    assert beside.outcome is Outcome.MATCH


def test_a_challenge_is_told_in_json() -> None:
    found = challenge(STEPS, said("a", SOURCE, other(TOOL)))

    row = json.loads(json.dumps(found.items[1].row))

    assert row["outcome"] == "mismatch"
    assert row["others"] == [
        {"builders": ["a"], "output": str(other(TOOL).output), "hosts": []}
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["x", "y"])), max_size=8
    )
)
def test_nothing_is_accepted_that_somebody_contradicts(
    rows: list[tuple[str, str]],
) -> None:
    claims = [
        belief("a", "b").examine(builder(name).claim(realisation(gives=output)))
        for name, output in rows
    ]
    trusted = {(name, output) for name, output in rows if name in "ab"}

    found = agreement(claims, digest("key"))

    outputs = {output for _, output in trusted}
    for threshold in (1, 2, 3):
        enough = len({name for name, _ in trusted}) >= threshold
        expected = digest(outputs.pop()) if len(outputs) == 1 and enough else None
        assert found.accepted(threshold) == expected
        outputs = {output for _, output in trusted}


POLICY: dict[str, Any] = {
    "threshold": 2,
    "builder": [
        {"name": name, "public": str(builder(name).key).partition(":")[2]}
        for name in ("a", "b")
    ],
}
EXEMPTION: dict[str, Any] = {
    "subject": "tool==*",
    "allow": ["differs", "missing"],
    "reason": "upstream bug 7",
    "expires": date(2027, 1, 31),
}


def proof(
    claims: list[Claim],
    *steps: Realisation,
    origin: Origin | None = None,
    today: date = TODAY,
    own: str | None = None,
    exemptions: tuple[dict[str, Any], ...] = (),
) -> Proof:
    policy = parse_policy({**POLICY, "exemption": list(exemptions)}, "policy.toml")
    found = origin or Origin()
    return prove(steps or (TOOL,), claims, policy, lambda step: found, today, own)


def faults(found: Proof) -> set[Fault]:
    return set(found.faults)


def test_enough_builders_prove_a_step() -> None:
    found = proof(said("a", TOOL) + said("b", TOOL))

    assert not found.faults
    assert found.steps[0].builders == ("a", "b")


def test_fewer_builders_do_not() -> None:
    found = proof(said("a", TOOL) + said("a", TOOL))

    assert faults(found) == {Fault.MISSING}
    assert found.steps[0].faults == ((Fault.MISSING, "1 of 2 say so"),)


def test_what_was_built_here_counts_for_the_builder_that_this_is() -> None:
    assert not proof(said("a", TOOL), own="b").faults
    assert faults(proof(said("a", TOOL), own="a")) == {Fault.MISSING}
    assert faults(proof(said("a", TOOL), own="nobody")) == {Fault.MISSING}


def test_what_was_substituted_does_not() -> None:
    taken = taken_over(Statement(builder_id("a"), TOOL), b"{}")

    assert faults(proof(said("a", TOOL), taken, own="b")) == {Fault.MISSING}


def test_a_dissenter_is_never_outvoted() -> None:
    found = proof(said("a", TOOL) + said("b", other(TOOL)), own="a")

    assert Fault.DIFFERS in found.faults
    assert "b says" in dict(found.steps[0].faults)[Fault.DIFFERS]


def test_a_forged_claim_is_a_fault() -> None:
    claims = said("a", TOOL) + said("b", TOOL) + said("mallory", TOOL, by="a")

    assert faults(proof(claims)) == {Fault.FORGED}


def test_content_that_was_named_before_needs_no_builders() -> None:
    assert not proof([], origin=Origin(by_hash=True)).faults


def test_inputs_of_unknown_origin_are_a_fault() -> None:
    claims = said("a", TOOL) + said("b", TOOL)

    found = proof(claims, origin=Origin(untraced=("source",)))

    assert faults(found) == {Fault.UNTRACED}


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        (realisation("tool", "tool tree", level="none"), Fault.UNSANDBOXED),
        (
            realisation("tool", "tool tree", facts=(("prebuilt", "there"),)),
            Fault.PREBUILT,
        ),
    ],
)
def test_what_was_not_built_as_it_should_is_named(
    step: Realisation, fault: Fault
) -> None:
    found = proof(said("a", step) + said("b", step), step)

    assert faults(found) == {fault}


def test_exemptions_are_named_with_reason_and_day() -> None:
    claims = said("a", TOOL) + said("b", other(TOOL))

    found = proof(claims, exemptions=(EXEMPTION,))

    assert not found.faults
    fault, exemption = found.steps[0].exempted[0]
    assert (exemption.reason, exemption.expires) == (
        "upstream bug 7",
        date(2027, 1, 31),
    )
    assert found.steps[0].row["exempted"]
    assert fault is Fault.DIFFERS


def test_exemptions_expire() -> None:
    found = proof([], exemptions=(EXEMPTION,), today=date(2027, 1, 31))

    assert faults(found) == {Fault.MISSING}
    assert "expired on 2027-01-31" in found.steps[0].faults[0][1]


def test_exemptions_are_for_what_they_name_only() -> None:
    named = {**EXEMPTION, "kinds": ["wheel"]}

    assert faults(proof([], exemptions=(named,))) == {Fault.MISSING}
    assert not proof([], TOOL, exemptions=({**named, "kinds": ["layout"]},)).faults


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": None},
        {"threshold": 3},
        {"threshold": 0},
        {"builder": {}},
        {"builders": []},
        {"exemption": [{**EXEMPTION, "reason": ""}]},
        {"exemption": [{**EXEMPTION, "expires": "2027-01-31"}]},
        {"exemption": [{**EXEMPTION, "allow": ["forged"]}]},
        {"exemption": [{**EXEMPTION, "allow": []}]},
        {"exemption": [{**EXEMPTION, "kinds": "wheel"}]},
        {"exemption": [{**EXEMPTION, "until": 1}]},
        {"exemption": [4]},
    ],
)
def test_policies_that_cannot_be_heeded_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        parse_policy({**POLICY, **change}, "policy.toml")


def test_a_builder_cannot_be_named_twice() -> None:
    double = [*POLICY["builder"], POLICY["builder"][0]]

    with pytest.raises(InputError, match="twice"):
        parse_policy({**POLICY, "builder": double}, "policy.toml")


def test_all_of_all_may_be_demanded() -> None:
    policy = Policy(trust("a", "b", "c", threshold=3))
    believed = belief("a", "b", "c")
    claims = [believed.examine(builder(name).claim(TOOL)) for name in "abc"]

    found = prove([TOOL], claims, policy, lambda step: Origin(), TODAY)

    assert not found.faults
