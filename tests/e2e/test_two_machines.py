"""Two machines that have nothing in common but a cache: what they built is compared.

Each has a mount, a user and a UTS namespace of its own, and another user, host name,
store path, umask, time zone and locale. They exchange claims over HTTP on loopback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from fromager.derivations import (
    Belief,
    Cache,
    EnvelopeSigner,
    Keyring,
    KeyVerifier,
    Retries,
    Standing,
    Trust,
    TrustedKey,
    build_steps,
)
from fromager.derivations.index.transport import HttpSettings
from fromager.derivations.sharing.envelope import dump_envelope, load_envelope
from fromager.derivations.sharing.layout import (
    dump_claims,
    dump_segment,
    load_claims,
    load_segment,
)
from fromager.derivations.sharing.places import PlaceMeans, open_place
from fromager.derivations.sharing.statement import PAYLOAD_TYPE
from fromager.store import open_store
from support.cache_server import FileServer, file_server
from support.command_line import Outcome, Place
from support.index import LocalIndex, local_index
from support.projects import sdist
from support.sharing import TODAY, impostor, pusher_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fromager.derivations.sharing.results import Result
    from fromager.store import Realisation


@dataclass(frozen=True, eq=False)
class Machine:
    """A machine that is made of namespaces, for as long as a command runs."""

    name: str
    folder: Path
    """Where its disk lies, as this process sees it."""
    mounted: str
    """Where it is seen by the machine."""
    user: int
    umask: str
    variables: dict[str, str]

    def run(self, *words: str) -> Outcome:
        """Run a command on it."""
        inside = (
            f'hostname {self.name} && mount --bind "$1" {self.mounted} && shift && '
            f"umask {self.umask} && cd {self.mounted}/work && "
            f"exec unshare --user --map-user={self.user} --map-group={self.user} "
            '-- "$@"'
        )
        place = Place(self.folder, self.folder, "", self.variables)
        spaces = ("unshare", "--user", "--map-root-user", "--mount", "--uts", "--")
        shell = ("sh", "-c", inside, "sh", str(self.folder))
        return place.call(*words, wrapper=(*spaces, *shell))

    def done(self, *words: str) -> Outcome:
        """Run a command on it that must succeed."""
        outcome = self.run(*words)
        assert outcome.code == 0, outcome.err
        return outcome

    @property
    def store(self) -> Path:
        """Its store, as this process sees it."""
        return self.folder / self.variables["FROMAGER_STORE"].removeprefix(
            f"{self.mounted}/"
        )


def machine(
    folder: Path, name: str, mounted: str, store: str, index: str, **variables: str
) -> Machine:
    home = folder / "home" / name
    home.mkdir(parents=True)
    (folder / "work").mkdir()
    given = {
        "HOME": f"{mounted}/home/{name}",
        "TMPDIR": f"{mounted}/work",
        "USER": name,
        "FROMAGER_STORE": f"{mounted}/{store}",
        "FROMAGER_INDEX_URL": index,
        **variables,
    }
    number = 1000 + sum(map(ord, name))
    umask = "077" if name == "bob" else "002"
    return Machine(name, folder, mounted, number, umask, given)


@pytest.fixture(scope="module")
def index() -> Iterator[LocalIndex]:
    projects = [
        sdist("tool", "1.0"),
        sdist("demo", "1.0", requires=["tool"], dependencies=["extra"]),
        sdist("extra", "2.0", requires=["tool"]),
        sdist("alone", "1.0", requires=["tool"]),
    ]
    with local_index(dict(projects), cache_control="max-age=600") as index:
        yield index


@pytest.fixture(scope="module")
def server(quick_folder: Path) -> Iterator[FileServer]:
    with file_server(quick_folder / "served") as server:
        yield server


@pytest.fixture(scope="module")
def alice(quick_folder: Path, index: LocalIndex) -> Machine:
    return machine(
        quick_folder / "alice", "alice", "/srv", "store", index.url, TZ="Asia/Kolkata"
    )


@pytest.fixture(scope="module")
def bob(quick_folder: Path, index: LocalIndex) -> Machine:
    return machine(
        quick_folder / "bob",
        "bob",
        "/mnt",
        "a/much/deeper/place",
        index.url,
        TZ="America/St_Johns",
        LANG="C",
        LC_ALL="POSIX",
    )


@pytest.fixture(scope="module")
def built(alice: Machine, bob: Machine, server: FileServer) -> str:
    """Both build the same, and push it to one cache, each with a key of its own."""
    probe = ("unshare", "--user", "--map-root-user", "--mount", "--uts", "true")
    if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("namespaces cannot be made here")
    keys = {each: each.done("key", "generate", each.name).out for each in (alice, bob)}
    for each, theirs in ((alice, bob), (bob, alice)):
        each.done("key", "trust", keys[theirs].strip())
        each.done("realise", "demo")
        each.done("push", "demo", "--to", server.url)
    alice.done("realise", "alone")
    lines = [
        f'name = "{m.name}"\npublic = "{_public(key)}"\n' for m, key in keys.items()
    ]
    policy = "threshold = 2\n" + "".join(f"[[builder]]\n{each}" for each in lines)
    for each in (alice, bob):
        (each.folder / "work" / "policy.toml").write_text(policy)
    return server.url


def _public(key: str) -> str:
    return key.strip().partition(":")[2]


def test_each_machine_built_for_itself(
    alice: Machine, bob: Machine, built: str
) -> None:
    claims: list[Realisation] = []
    for each in (alice, bob):
        with open_store(each.store, create=False) as store:
            claims += store.history("wheel", "demo==1.0")

    assert len(claims) == 2
    assert not any(claim.is_substituted for claim in claims)
    assert claims[0].key == claims[1].key
    assert claims[0] != claims[1]


def test_what_two_machines_built_is_identical(
    alice: Machine, bob: Machine, built: str
) -> None:
    for each, theirs in ((alice, "bob"), (bob, "alice")):
        outcome = each.run("challenge", "demo", "--against", built, "--json")

        assert outcome.code == 0, (outcome.out, outcome.err)
        items = outcome.json["items"]
        subjects = {item["subject"] for item in items if item["kind"] == "wheel"}
        assert subjects == {"demo==1.0", "extra==2.0", "tool==1.0"}
        assert all(item["agreeing"] == [theirs] for item in items)


def test_two_of_two_verify_the_closure(alice: Machine, built: str) -> None:
    outcome = alice.run("verify", "demo", "--policy", "policy.toml", "--against", built)

    assert outcome.code == 0, (outcome.out, outcome.err)
    assert outcome.out.startswith("verified: of ")
    assert "by 2 of 2 builders" in outcome.out


def test_a_side_that_is_missing_is_inconclusive(alice: Machine, built: str) -> None:
    challenge = alice.run("challenge", "alone", "--against", built)
    verify = alice.run("verify", "alone", "--policy", "policy.toml", "--against", built)

    assert challenge.code == 1
    assert "alone==1.0 (wheel): inconclusive" in challenge.out
    assert verify.code == 1
    assert "alone==1.0 (wheel): missing: 1 of 2 say so" in verify.out


@pytest.fixture
def other_cache(quick_folder: Path, built: str) -> Iterator[FileServer]:
    """A copy of the cache, for those who do something to it."""
    folder = quick_folder / f"served-{os.urandom(4).hex()}"
    shutil.copytree(quick_folder / "served", folder)
    with file_server(folder) as server:
        yield server


@pytest.fixture
def other_bob(bob: Machine, built: str) -> Machine:
    """A copy of what bob has, for those who do something to it."""
    folder = bob.folder.with_name(f"bob-{os.urandom(4).hex()}")
    subprocess.run(["cp", "-a", bob.folder, folder], check=True)
    return replace(bob, folder=folder)


def push_as(bob: Machine, server: FileServer, claim: Realisation, name: str) -> None:
    """Push something of bob's store, signed with his key or by somebody else."""
    means = PlaceMeans(bob.folder, HttpSettings, Retries())
    cache = Cache(open_place(server.url, means))
    with open_store(bob.store) as store:
        if name == "bob":
            found = pusher_of(bob.folder / "home" / "bob", store, cache)
        else:
            found = impostor(store, cache, name, "bob")
        found.push([claim], build_steps(store, [claim]))
    cache.close()


KERNEL = "Linux 5.4.0-of-bob"


def tampered(bob: Machine, folder: Path) -> Realisation:
    """A claim of bob about a wheel in which one byte is another one."""
    with open_store(bob.store) as store:
        true = store.history("wheel", "demo==1.0")[0]
        (wheel,) = store.place(true.output).iterdir()
        folder.mkdir()
        with (
            zipfile.ZipFile(wheel) as old,
            zipfile.ZipFile(folder / wheel.name, "w") as new,
        ):
            for info in old.infolist():
                content = old.read(info)
                if info.filename == "demo/__init__.py":
                    content = content.replace(b"1.0", b"1.1")
                new.writestr(info, content)
        with store.transaction() as transaction:
            evil = transaction.add_directory(folder, true.output.name)
            claim = replace(
                true,
                output=evil.path,
                output_digest=evil.digest,
                started=true.started + 1,
                facts=tuple(
                    sorted({**dict(true.facts), "host.kernel": KERNEL}.items())
                ),
            )
            transaction.register(claim)
    return claim


def test_a_byte_that_differs_is_found_and_its_file_named(
    alice: Machine, other_bob: Machine, other_cache: FileServer, tmp_path: Path
) -> None:
    claim = tampered(other_bob, tmp_path / "tampered")
    push_as(other_bob, other_cache, claim, "bob")

    challenge = alice.run("challenge", "demo", "--against", other_cache.url)
    verify = alice.run(
        "verify", "demo", "--policy", "policy.toml", "--against", other_cache.url
    )

    assert challenge.code == 2, (challenge.out, challenge.err)
    assert "demo==1.0 (wheel): differs" in challenge.out
    assert "demo/__init__.py" in challenge.out
    assert f"bob: {claim.output}" in challenge.out
    assert f"here, {KERNEL} at bob" in challenge.out
    assert f"to see whether it is so here: fromager check {claim.key}" in challenge.out
    assert verify.code == 2
    assert "demo==1.0 (wheel): differs: bob says" in verify.out
    assert "demo/__init__.py" in verify.out


def test_a_builder_who_is_forged_is_not_believed(
    alice: Machine, bob: Machine, other_cache: FileServer
) -> None:
    with open_store(bob.store, create=False) as store:
        true = store.history("wheel", "demo==1.0")[-1]
    push_as(bob, other_cache, true, "mallory")

    challenge = alice.run("challenge", "demo", "--against", other_cache.url)
    verify = alice.run(
        "verify", "demo", "--policy", "policy.toml", "--against", other_cache.url
    )

    assert challenge.code == 3, (challenge.out, challenge.err)
    assert "did not sign it" in challenge.out
    assert verify.code == 3
    assert "forged" in verify.out


def results(machine: Machine, file: str = "found.jsonl") -> dict[str, Result]:
    """What was attested of wheels, by the name of the file."""
    lines = (machine.folder / "work" / file).read_bytes().splitlines()
    found = [belief_in(machine).examine(line) for line in lines]
    assert {claim.standing for claim in found} == {Standing.TRUSTED}
    return {
        claim.result.name: claim.result
        for claim in found
        if claim.result is not None and claim.result.name.endswith(".whl")
    }


def belief_in(machine: Machine) -> Belief:
    keyring = Keyring(machine.folder / "home" / machine.name / ".config" / "fromager")
    (own,) = keyring.signing_keys()
    return Belief(Trust((TrustedKey(own.public),)), KeyVerifier(), TODAY)


WHEEL = "demo-1.0-py3-none-any.whl"
AGAINST = ("demo", "--attest", "found.jsonl", "--against")


def test_what_was_verified_is_attested(alice: Machine, built: str) -> None:
    outcome = alice.run("verify", *AGAINST, built, "--policy", "policy.toml")

    assert outcome.code == 0, outcome.err
    result = results(alice)[WHEEL]
    with open_store(alice.store, create=False) as store:
        claim = store.history("wheel", "demo==1.0")[0]
        (wheel,) = store.place(claim.output).iterdir()
        assert dict(result.digests)["sha256"] == sha256(wheel.read_bytes()).hexdigest()
    assert result.key == claim.key
    assert result.builder == "urn:fromager:builder:alice"
    assert result.properties == (
        "FROMAGER_BUILDERS_2_OF_2",
        "FROMAGER_REPRODUCED_BIT",
        "FROMAGER_VERIFIED",
    )
    policy = (alice.folder / "work" / "policy.toml").read_bytes()
    assert result.policies == (("policy.toml", sha256(policy).hexdigest()),)


def test_a_disagreement_is_attested_too(
    alice: Machine, other_bob: Machine, other_cache: FileServer, tmp_path: Path
) -> None:
    claim = tampered(other_bob, tmp_path / "tampered")
    push_as(other_bob, other_cache, claim, "bob")

    verify = alice.run("verify", *AGAINST, other_cache.url, "--policy", "policy.toml")
    verified = results(alice)[WHEEL].properties
    challenge = alice.run("challenge", *AGAINST, other_cache.url, "--no-diff")
    challenged = results(alice)[WHEEL].properties

    assert (verify.code, challenge.code) == (2, 2), verify.err + challenge.err
    assert {"FROMAGER_DIFFERS", "FROMAGER_NOT_VERIFIED"} <= set(verified)
    assert "FROMAGER_REPRODUCED_BIT" not in verified
    assert challenged == ("FROMAGER_BUILDERS_1_OF_2", "FROMAGER_DIFFERS")


def test_a_result_is_shared_and_never_counted_as_a_build(
    alice: Machine, bob: Machine, other_cache: FileServer
) -> None:
    """Alice alone built it: that she verified it, too, is no second build."""
    url = other_cache.url
    check = alice.run("check", "alone", "--attest", "found.jsonl")
    assert check.code == 0, check.err
    (result,) = results(alice).values()
    assert result.properties == ("FROMAGER_BUILDS_2_OF_2", "FROMAGER_REPRODUCED_BIT")
    alice.done("push", "alone", "--to", url, "--results", "found.jsonl")
    bob.done("pull", "alone", "--from", url)

    challenge = bob.run("challenge", "alone", "--against", url, "--json")
    verify = bob.run("verify", "alone", "--against", url, "--policy", "policy.toml")

    (item,) = (
        each
        for each in challenge.json["items"]
        if (each["kind"], each["subject"]) == ("wheel", "alone==1.0")
    )
    assert item["outcome"] == "inconclusive"
    assert item["results"] == [
        {"verifier": "alice", "properties": list(result.properties)}
    ]
    told = "alone==1.0 (wheel): alice found FROMAGER_BUILDS_2_OF_2"
    assert told in bob.run("challenge", "alone", "--against", url).out
    assert verify.code == 1
    assert "alone==1.0 (wheel): missing: 1 of 2 say so" in verify.out


def respeak(
    bob: Machine,
    server: FileServer,
    change: Callable[[dict[str, Any]], object],
    payload_type: str = PAYLOAD_TYPE,
) -> None:
    """Let bob say something else, signed with his key, in what he pushed."""
    folder = server.folder
    keyring = Keyring(bob.folder / "home" / "bob" / ".config" / "fromager")
    signing = keyring.signing_key(None)
    (secret,) = (bob.folder / "home").rglob("bob.pem")
    signer = EnvelopeSigner.open(replace(signing, signer=f"file2:{secret}"))

    def said_anew(line: bytes) -> bytes:
        value = json.loads(load_envelope(line).payload)
        change(value)
        payload = value.get("raw") or json.dumps(value)
        return dump_envelope(signer.sign(payload_type, payload.encode()))

    index = json.loads((folder / "index.json").read_text())
    for row in index["segments"]:
        pushes = []
        for push in load_segment((folder / "segments" / row["digest"]).read_bytes()):
            if push.by.endswith(":bob"):
                lines = load_claims((folder / "claims" / push.claims.hex).read_bytes())
                part = dump_claims(said_anew(line) for line in lines)
                (folder / part.name).write_bytes(part.content)
                push = replace(push, claims=part.digest)
            pushes.append(push)
        segment = dump_segment(pushes)
        (folder / segment.name).write_bytes(segment.content)
        row["digest"] = segment.digest.hex
    (folder / "index.json").write_text(json.dumps(index))


def _unknown_members(value: dict[str, Any]) -> None:
    value["predicate"]["news"] = {"a": [1]}
    value["predicate"]["runDetails"]["news"] = None


def _other_times(value: dict[str, Any]) -> None:
    metadata = value["predicate"]["runDetails"]["metadata"]
    metadata.update(startedOn="0001-01-01T00:00:00Z", finishedOn="9999-12-31T23:59:59Z")


def _more_parameters(value: dict[str, Any]) -> None:
    value["predicate"]["buildDefinition"]["externalParameters"]["more"] = 1


def _another_predicate(value: dict[str, Any]) -> None:
    value["predicateType"] = "https://other.test/v1"


def _deep(value: dict[str, Any]) -> None:
    value["raw"] = "[" * 100_000


def _giant(value: dict[str, Any]) -> None:
    value["predicate"]["more"] = "x" * (2 << 20)


def _nothing(value: dict[str, Any]) -> None:
    value.clear()
    value["raw"] = "null"


@pytest.mark.parametrize("change", [_unknown_members, _other_times])
def test_what_a_claim_says_beside_the_point_does_no_harm(
    alice: Machine,
    bob: Machine,
    other_cache: FileServer,
    change: Callable[[dict[str, Any]], object],
) -> None:
    respeak(bob, other_cache, change)
    url = other_cache.url

    challenge = alice.run("challenge", "demo", "--against", url)
    verify = alice.run("verify", "demo", "--policy", "policy.toml", "--against", url)

    assert (challenge.code, verify.code) == (0, 0), challenge.out + verify.out


@pytest.mark.parametrize(
    ("change", "payload_type"),
    [
        (_more_parameters, PAYLOAD_TYPE),
        (_another_predicate, PAYLOAD_TYPE),
        (_deep, PAYLOAD_TYPE),
        (_giant, PAYLOAD_TYPE),
        (_nothing, PAYLOAD_TYPE),
        (_unknown_members, "application/json"),
    ],
)
def test_what_is_no_claim_verifies_nothing(
    alice: Machine,
    bob: Machine,
    other_cache: FileServer,
    change: Callable[[dict[str, Any]], object],
    payload_type: str,
) -> None:
    respeak(bob, other_cache, change, payload_type)
    url = other_cache.url

    challenge = alice.run("challenge", "demo", "--against", url)
    verify = alice.run("verify", "demo", "--policy", "policy.toml", "--against", url)

    assert (challenge.code, verify.code) == (1, 1), challenge.out + verify.out
    assert "demo==1.0 (wheel): missing: 1 of 2 say so" in verify.out
    assert "verified: of" in verify.out
    assert not verify.out.startswith("verified")
    assert challenge.errors == verify.errors == []


def _other_inputs(value: dict[str, Any]) -> None:
    for each in value["predicate"]["buildDefinition"]["resolvedDependencies"]:
        if each["name"] == "input source":
            each["digest"]["fromagerObject"] = "ab" * 32


def test_a_claim_about_other_inputs_than_its_key_has_is_refused(
    alice: Machine, bob: Machine, other_cache: FileServer
) -> None:
    respeak(bob, other_cache, _other_inputs)
    url = other_cache.url

    challenge = alice.run("challenge", "demo", "--against", url)
    verify = alice.run("verify", "demo", "--policy", "policy.toml", "--against", url)

    reason = "bob says that something else went in than its key does"
    assert (challenge.code, verify.code) == (3, 3), challenge.out + verify.out
    assert reason in challenge.out
    assert f"demo==1.0 (wheel): forged: {reason}" in verify.out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("expires = 2020-01-01", "has expired on 2020-01-01"),
        ('revoked = "stolen"', "was revoked: stolen"),
    ],
)
@pytest.mark.parametrize("name", ["alice", "bob"])
def test_who_is_not_trusted_any_more_does_not_count(
    alice: Machine, built: str, name: str, line: str, reason: str
) -> None:
    """Not even this machine itself."""
    work = alice.folder / "work"
    policy = (work / "policy.toml").read_text()
    lapsed = policy.replace(f'name = "{name}"\n', f'name = "{name}"\n{line}\n')
    (work / "lapsed.toml").write_text(lapsed)

    verify = alice.run("verify", "demo", "--policy", "lapsed.toml", "--against", built)

    assert verify.code == 1, verify.out
    told = f"demo==1.0 (wheel): missing: 1 of 2 say so; the key {name} {reason}"
    assert told in verify.out


def test_who_cannot_be_asked_may_say_something_else(
    alice: Machine, built: str, other_cache: FileServer
) -> None:
    other_cache.fail("index.json", status=403)
    against = ("--against", other_cache.url, "--against", built)

    verify = alice.run("verify", *AGAINST[:3], *against, "--policy", "policy.toml")
    properties = results(alice)[WHEEL].properties
    challenge = alice.run("challenge", "demo", *against, "--json")

    assert (verify.code, challenge.code) == (1, 1), verify.err + challenge.err
    assert verify.out.startswith("not verified: of ")
    assert "by 2 of 2 builders" in verify.out
    assert "what it has is not known" in verify.err
    assert verify.errors == []
    assert {"FROMAGER_NOT_VERIFIED", "FROMAGER_FAULT_UNHEARD"} <= set(properties)
    assert challenge.json["outcome"] == "match"
    assert challenge.json["silent"] == [other_cache.url.rstrip("/")]
    alone = alice.run("challenge", "demo", "--against", other_cache.url)
    assert alone.code == 1
    assert "answered 403" in alone.error


def test_nobody_is_named_twice(alice: Machine, built: str) -> None:
    work = alice.folder / "work"
    policy = (work / "policy.toml").read_text()
    key = policy.split('name = "alice"\npublic = ')[1].split("\n")[0]
    other = policy.split('name = "bob"\npublic = ')[1].split("\n")[0]
    for name, public in (("alice2", key), ("alice", other)):
        row = f'name = "{name}"\npublic = {public}'
        (work / "twice.toml").write_text(f"{policy}[[builder]]\n{row}\n")

        verify = alice.run(
            "verify", "demo", "--policy", "twice.toml", "--against", built
        )

        assert verify.code == 2
        assert "twice.toml: " in verify.error
        assert "named twice" in verify.error


def test_results_are_signed_before_work_begins_or_not_at_all(
    alice: Machine, built: str
) -> None:
    words = ("verify", *AGAINST, built, "--policy", "policy.toml")
    (alice.folder / "work" / "claim.jsonl").write_bytes(b'{"payload":""}\n')

    nobody = alice.run(*words, "--signing-key", "nobody")
    nowhere = alice.run("check", "alone", "--attest", "no/such/folder")
    other = alice.run("push", "demo", "--to", built, "--results", "claim.jsonl")

    assert nobody.code == nowhere.code == other.code == 2
    assert "no key named nobody" in nobody.error
    assert "no/such/folder is no place for a file" in nowhere.error
    assert "claim.jsonl holds something else than results" in other.error


def test_differences_are_not_fetched_if_nobody_asks(
    alice: Machine, other_bob: Machine, other_cache: FileServer, tmp_path: Path
) -> None:
    claim = tampered(other_bob, tmp_path / "tampered")
    push_as(other_bob, other_cache, claim, "bob")
    other_cache.requests.clear()

    outcome = alice.run("challenge", "demo", "--against", other_cache.url, "--no-diff")

    assert outcome.code == 2
    assert other_cache.count("packs/") == 0
    assert len(other_cache.requests) <= 10
