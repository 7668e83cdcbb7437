"""Statements, envelopes and keys: exact forms, and what is believed of them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fromager.derivations import (
    InputError,
    KeyVerifier,
    PublicKey,
    Standing,
    Trust,
    TrustedKey,
    agreement,
    examine,
)
from fromager.derivations.sharing.envelope import (
    Envelope,
    Signature,
    dump_envelope,
    load_envelope,
    signed_bytes,
)
from fromager.derivations.sharing.failing import (
    FailedBuild,
    dump_failure,
    load_failure,
)
from fromager.derivations.sharing.keyring import Keyring, parse_trust
from fromager.derivations.sharing.statement import (
    Statement,
    builder_id,
    dump_statement,
    load_statement,
    state,
    taken_over,
)
from fromager.store import PURPOSE_CHECK, InvalidRecord
from support.golden import check_golden
from support.sharing import TODAY, belief, builder, claims, digest, realisation, trust

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATEMENT = Statement(
    builder_id("farm"),
    realisation(
        facts=(
            ("filename", "demo-1.0-py3-none-any.whl"),
            ("host.cores", "2"),
            ("host.kernel", "Linux 6.1.0"),
            ("host.processor", "A processor"),
            ("log_sha256", "ef" * 32),
            ("raw_sha256", "ab" * 32),
            ("sha256", "cd" * 32),
            ("version.bubblewrap", "0.11.0"),
            ("version.fromager", "0.1.0"),
        )
    ),
    (("environment", digest("env tree")), ("source", digest("src tree"))),
)
VALUE: dict[str, Any] = json.loads(dump_statement(STATEMENT))


def test_the_form_of_statements_is_fixed() -> None:
    check_golden("sharing/statement.json", VALUE)


def test_the_form_of_envelopes_is_fixed() -> None:
    content = builder("farm").sign(dump_statement(STATEMENT))

    check_golden("sharing/envelope.json", json.loads(content))


def test_a_statement_is_read_as_it_was_made() -> None:
    assert load_statement(dump_statement(STATEMENT)) == STATEMENT


@given(
    duration=st.integers(0, 10**9),
    started=st.integers(0, 10**10),
    facts=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    subject=st.text(max_size=20),
)
def test_every_statement_is_read_as_it_was_made(
    duration: int, started: int, facts: dict[str, str], subject: str
) -> None:
    made = Statement(
        builder_id("farm"),
        realisation(
            started=started,
            duration=duration / 1000,
            facts=tuple(sorted(facts.items())),
            subject=subject,
        ),
    )

    assert load_statement(dump_statement(made)).realisation.facts == tuple(
        pair for pair in sorted(facts.items()) if pair[0] not in LOCAL
    )
    read = load_statement(dump_statement(made)).realisation
    assert (read.started, read.subject) == (started, subject)
    assert abs(read.duration - duration / 1000) < 0.0015


LOCAL = ("builder", "envelope", "origin")


FAILURE = FailedBuild(builder_id("farm"), digest("key"), "demo==1.0", 1_790_000_000)


def test_the_form_of_failures_is_fixed() -> None:
    check_golden("sharing/failure.json", json.loads(dump_failure(FAILURE)))


def test_a_failure_is_read_as_it_was_made() -> None:
    assert load_failure(dump_failure(FAILURE)) == FAILURE


@pytest.mark.parametrize(
    "change", [{"subject": []}, {"predicate": {}}, {"_type": "x"}, {"predicateType": 1}]
)
def test_what_is_no_failure_is_refused(change: dict[str, object]) -> None:
    value = {**json.loads(dump_failure(FAILURE)), **change}

    with pytest.raises(InvalidRecord):
        load_failure(json.dumps(value).encode())


def test_a_failure_is_believed_like_any_claim_and_stands_for_no_build() -> None:
    signed = builder("farm").sign(dump_failure(FAILURE))
    forged = builder("mallory").sign(dump_failure(FAILURE))

    claim = belief("farm").examine(signed)

    assert (claim.standing, claim.key) == (Standing.TRUSTED, digest("key"))
    assert claim.output is None
    assert agreement([claim], digest("key")).outputs == ()
    assert belief("farm").examine(forged).standing is Standing.FORGED


def test_honest_builders_define_the_build_alike() -> None:
    theirs = replace(
        STATEMENT,
        builder=builder_id("other"),
        realisation=realisation(
            started=5, duration=9.0, inputs=(("source", digest("x")),)
        ),
    )

    ours, others = (json.loads(dump_statement(each)) for each in (STATEMENT, theirs))

    assert (
        ours["predicate"]["buildDefinition"] == others["predicate"]["buildDefinition"]
    )


def test_what_was_substituted_is_not_attested_as_built() -> None:
    taken = taken_over(STATEMENT, b"{}")

    with pytest.raises(InvalidRecord, match="not built here"):
        state(taken, (), "farm")


def test_members_that_nobody_knows_are_left_out() -> None:
    value = json.loads(json.dumps(VALUE))
    value["predicate"]["runDetails"]["more"] = {"x": 1}
    value["more"] = []

    assert load_statement(json.dumps(value).encode()) == STATEMENT


def broken(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(json.dumps(VALUE))
    change(value)
    return json.dumps(value).encode()


def _external(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["predicate"]["buildDefinition"]["externalParameters"]
    return found


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b"1" * 10_000,
        broken(lambda value: value.pop("subject")),
        broken(lambda value: value.update(subject=[])),
        broken(lambda value: value.update(subject=value["subject"] * 2)),
        broken(lambda value: value.update(_type="https://in-toto.io/Statement/v0.1")),
        broken(lambda value: value.update(predicateType="https://other.test/v1")),
        broken(lambda value: _external(value).update(more=1)),
        broken(lambda value: _external(value).clear()),
        broken(lambda value: value["subject"][0]["digest"].update(fromagerObject="ab")),
        broken(
            lambda value: value["subject"][0]["digest"].update(fromagerObject="ab" * 32)
        ),
        broken(
            lambda value: value["predicate"]["buildDefinition"].update(buildType="x")
        ),
        broken(
            lambda value: value["predicate"]["runDetails"]["metadata"].update(
                startedOn="yesterday"
            )
        ),
    ],
)
def test_what_is_no_statement_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRecord):
        load_statement(content)


def test_what_is_signed_is_the_encoding_of_the_specification() -> None:
    encoded = signed_bytes("http://example.com/HelloWorld", b"hello world")

    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(
    payload=st.binary(max_size=40), values=st.lists(st.binary(max_size=8), min_size=1)
)
def test_an_envelope_is_read_as_it_was_made(
    payload: bytes, values: list[bytes]
) -> None:
    made = Envelope("type", payload, tuple(Signature("id", each) for each in values))

    assert load_envelope(dump_envelope(made)) == made


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b'{"payload":"","payloadType":"t","signatures":[]}',
        b'{"payload":"?","payloadType":"t","signatures":[{"sig":""}]}',
        b'{"payload":"","payloadType":3,"signatures":[{"sig":""}]}',
        b'{"payload":"","payloadType":"t","signatures":[{"sig":4}]}',
        b'{"payload":"","payloadType":"t","signatures":{"a":1}}',
        b"[" * 5000,
        b" " * (2 << 20),
    ],
)
def test_what_is_no_envelope_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRecord):
        load_envelope(content)


def test_an_envelope_in_the_other_alphabet_is_read() -> None:
    made = Envelope("type", b"\xfb\xff\xfe", (Signature("", b"\xff" * 64),))
    value = json.loads(dump_envelope(made))
    value["payload"] = base64.urlsafe_b64encode(made.payload).decode()

    assert load_envelope(json.dumps(value).encode()).payload == made.payload


def test_a_claim_of_a_trusted_builder_is_trusted() -> None:
    (content,) = claims(["farm"])

    claim = belief("farm").examine(content)

    assert (claim.standing, claim.signer) == (Standing.TRUSTED, "farm")
    assert claim.output == digest("output")


def test_a_claim_of_somebody_else_is_not() -> None:
    (content,) = claims(["somebody"])

    assert belief("farm").examine(content).standing is Standing.UNKNOWN


def test_one_builder_cannot_speak_for_another() -> None:
    content = builder("mallory").claim(realisation(), builder="farm")

    both = belief("farm", "mallory").examine(content)

    assert both.standing is Standing.FORGED
    assert belief("farm").examine(content).standing is Standing.FORGED
    assert "mallory" in both.reason


@pytest.mark.parametrize("member", ["payload", "payloadType", "signatures"])
def test_nothing_in_an_envelope_can_be_changed(member: str) -> None:
    value = json.loads(claims(["farm"])[0])
    other = json.loads(claims(["farm"], gives="other")[0])
    value[member] = "text/plain" if member == "payloadType" else other[member]

    claim = belief("farm").examine(json.dumps(value).encode())

    assert claim.standing in (Standing.FORGED, Standing.UNREADABLE)


def test_the_name_of_the_key_in_an_envelope_is_not_believed() -> None:
    value = json.loads(builder("mallory").claim(realisation(), builder="farm"))
    value["signatures"][0]["keyid"] = builder("farm").key.keyid

    forged = belief("farm").examine(json.dumps(value).encode())

    assert forged.standing is Standing.FORGED


def test_a_wrong_name_of_the_key_does_no_harm() -> None:
    value = json.loads(claims(["farm"])[0])
    value["signatures"][0]["keyid"] = "nonsense"

    claim = belief("farm").examine(json.dumps(value).encode())

    assert claim.standing is Standing.TRUSTED


@pytest.mark.parametrize(
    ("expires", "revoked", "standing"),
    [
        (date(2026, 12, 2), None, Standing.TRUSTED),
        (date(2026, 12, 1), None, Standing.LAPSED),
        (None, "stolen", Standing.LAPSED),
    ],
)
def test_keys_are_believed_until_they_expire_or_are_revoked(
    expires: date | None, revoked: str | None, standing: Standing
) -> None:
    trusted = Trust((TrustedKey(builder("farm").key, expires, revoked),))

    claim = examine(claims(["farm"])[0], trusted, KeyVerifier(), TODAY)

    assert claim.standing is standing


def test_times_of_others_decide_nothing() -> None:
    content = builder("farm").claim(realisation(started=40_000_000_000))

    assert belief("farm").examine(content).standing is Standing.TRUSTED


def test_a_builder_counts_once() -> None:
    said = [belief("a").examine(each) for each in claims(["a", "a"]) * 2]

    found = agreement(said, digest("key"))

    assert found.accepted(1) == digest("output")
    assert found.accepted(2) is None


def test_enough_builders_must_agree() -> None:
    believed = belief("a", "b", "c")
    said = [believed.examine(each) for each in claims(["a", "b", "c"])]

    assert agreement(said, digest("key")).accepted(3) == digest("output")
    assert agreement(said[:2], digest("key")).accepted(3) is None


def test_a_dissenting_builder_is_never_outvoted() -> None:
    believed = belief("a", "b", "c")
    contents = claims(["a", "b"]) + claims(["c"], gives="other")

    found = agreement([believed.examine(each) for each in contents], digest("key"))

    assert not found.unanimous
    assert found.accepted(1) is None
    assert found.outputs[0] == (digest("output"), ("a", "b"))


def test_who_says_two_things_is_not_believed() -> None:
    contents = claims(["a"]) + claims(["a"], gives="other")

    found = agreement([belief("a").examine(e) for e in contents], digest("key"))

    assert found.equivocating == ("a",)
    assert found.accepted(1) is None


def test_what_is_said_of_another_key_is_not_heard() -> None:
    said = [belief("a").examine(each) for each in claims(["a"], key="other")]

    assert agreement(said, digest("key")).outputs == ()


def test_what_a_check_found_stands_for_no_build() -> None:
    facts = (("purpose", PURPOSE_CHECK),)
    content = builder("a").claim(realisation(gives="other", facts=facts))

    claim = belief("a").examine(content)

    assert claim.is_evidence
    assert agreement([claim], digest("key")).outputs == ()


def test_a_public_key_is_read_as_it_is_written() -> None:
    key = builder("farm").key

    assert PublicKey.parse(str(key)) == key
    assert str(key).startswith("farm:ed25519:")


@pytest.mark.parametrize(
    "text",
    ["", "farm", "farm:ed25519:", "farm:ed25519:AAAA", "farm:rsa:AAAA", "a b:ed25519:"],
)
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        PublicKey.parse(text)


def test_one_key_or_name_cannot_be_trusted_twice() -> None:
    farm = builder("farm").key
    for other in (replace(farm, name="other"), replace(builder("x").key, name="farm")):
        with pytest.raises(InputError):
            Trust((TrustedKey(farm), TrustedKey(other)))


def test_a_list_of_trust_is_written_and_read(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "config")
    first = TrustedKey(builder("farm").key, date(2027, 1, 31))

    assert keyring.trust() == Trust()
    assert not keyring.folder.exists()
    assert keyring.add_trust(first)
    assert keyring.add_trust(TrustedKey(builder("other").key))
    assert not keyring.add_trust(first)
    for other in (TrustedKey(first.key), replace(first, expires=date(2026, 1, 1))):
        with pytest.raises(InputError, match="until 2027-01-31") as caught:
            keyring.add_trust(other)
        assert str(keyring.trust_file) in (caught.value.hint or "")

    assert keyring.trust() == Trust((first, TrustedKey(builder("other").key)))


def test_what_else_stands_in_a_list_of_trust_stays(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.trust_file.write_text("# ours\nthreshold = 2\n")

    keyring.add_trust(TrustedKey(builder("farm").key))

    assert keyring.trust_file.read_text().startswith("# ours\nthreshold = 2\n")
    assert keyring.trust().threshold == 2


@pytest.mark.parametrize(
    "tables",
    [
        {"threshold": 0},
        {"threshold": "2"},
        {"keys": []},
        {"key": {}},
        {"key": [1]},
        {"key": [{"public": "ed25519:AAAA"}]},
        {"key": [{"name": "a", "public": "ed25519:AAAA"}]},
        {"key": [{"name": "a", "keytype": "ed25519", "scheme": "ed25519"}]},
        {"key": [{"name": "a", "public": "ed25519:AAAA", "expire": 1}]},
    ],
)
def test_a_list_of_trust_that_cannot_be_heeded_is_refused(
    tables: dict[str, Any],
) -> None:
    with pytest.raises(InputError):
        parse_trust(tables, "trust.toml")


def test_a_secret_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    key = Keyring(tmp_path).generate("farm")

    place = tmp_path / "keys" / "farm.pem"
    assert place.stat().st_mode & 0o777 == 0o600
    assert key.public.name == "farm"
    assert Keyring(tmp_path).signing_key(None) == key


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.generate("farm")

    with pytest.raises(InputError, match="already"):
        keyring.generate("farm")


def test_of_several_keys_one_must_be_named(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    with pytest.raises(InputError, match="no key"):
        keyring.signing_key(None)
    for name in ("a", "b"):
        keyring.generate(name)

    assert keyring.signing_key("b").public.name == "b"
    with pytest.raises(InputError, match="several"):
        keyring.signing_key(None)
    with pytest.raises(InputError, match="named c"):
        keyring.signing_key("c")


def test_trust_of_nobody_believes_nobody() -> None:
    claim = examine(claims(["farm"])[0], trust(), KeyVerifier(), TODAY)

    assert claim.standing is Standing.UNKNOWN
