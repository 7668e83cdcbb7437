"""`fromager verify`: hold a closure against a policy."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from fromager.cli.attesting import attest_options, open_signer, write_results
from fromager.cli.exit_codes import ExitCode
from fromager.cli.others import explain
from fromager.cli.sharing import Sharing
from fromager.cli.targets import find_realisations
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fromager.cli.wiring import Wiring
    from fromager.derivations import Belief, Claim, Policy, Proof, Proven, Report
    from fromager.store import Realisation


@click.command("verify", short_help="Hold a closure against a policy.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@click.option(
    "--policy",
    "file",
    required=True,
    metavar="FILE",
    help="Which builders must agree, and what is excepted.",
)
@click.option(
    "--against",
    "urls",
    multiple=True,
    metavar="URL",
    help="A cache with claims; may be repeated.  [default: the setting substituters, "
    "and what the store has]",
)
@attest_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    file: str,
    urls: tuple[str, ...],
    attest: str | None,
    as_json: bool,
    **settings: object,
) -> int:
    """Say whether everything that each TARGET was made from, and what it needs, is what
    enough builders of the policy say, step by step, down to sources whose hashes were
    known before.

    What was prebuilt, built without the sandbox or excepted is named. Exit status 0 if
    all is verified, 1 if builders are missing, something is not from source or one of
    the caches could not be asked, 2 if a builder says something else, 3 if a claim is
    forged.
    """
    from fromager.derivations import (
        Tracer,
        found_by_proof,
        held_against_keys,
        prove,
        read_policy,
    )

    wiring = wire(flags, **settings)
    sharing = Sharing(wiring)
    path = wiring.folder / file
    policy = read_policy(path)
    held = ((quote(path.name), sha256(path.read_bytes()).hexdigest()),)
    signer = open_signer(sharing, attest)
    belief = _belief(sharing, policy)
    with wiring.open_store(create=False) as store:
        named = find_realisations(store, targets)
        _, steps = sharing.closure(store, named)
        wanted = urls or wiring.settings.texts("substituters")
        caches = sharing.caches(store, wanted) if wanted else []
        try:
            claims, silent = sharing.claims(caches, steps, belief)
            claims += [belief.examine(each) for each in _held(steps)]
            proof = prove(
                steps,
                held_against_keys(store, steps, _once(claims)),
                policy,
                Tracer(store, steps).origin,
                belief.today,
                _own(sharing, policy),
            )
            heard = [cache for cache in caches if cache.url not in silent]
            found = found_by_proof(proof, len(policy.trust.keys), whole=not silent)
            write_results(sharing, signer, attest, found, held)
            reports = explain(wiring, store, heard, _differing(proof))
        finally:
            for cache in caches:
                cache.close()
    if as_json:
        verified = not proof.faults and not silent
        rows = {"silent": silent, "steps": _rows(proof)}
        wiring.console.json({"verified": verified, **rows})
    else:
        _print(wiring, policy, proof, silent, reports)
    code = _exit_code(proof)
    # Who was not heard may say something else.
    return ExitCode.FAILED if silent and code is ExitCode.DONE else code


def _belief(sharing: Sharing, policy: Policy) -> Belief:
    """The policy decides whose claims count; the user's own list does not."""
    from fromager.derivations import Belief

    return Belief(policy.trust, sharing.belief.verifier, sharing.belief.today)


def _own(sharing: Sharing, policy: Policy) -> str | None:
    """The builder of the policy that this machine is, by the key that it holds."""
    own = {key.public.keyid for key in sharing.keyring.signing_keys()}
    for trusted in policy.trust.keys:
        lapsed = trusted.why_not(sharing.belief.today) is not None
        if trusted.key.keyid in own and not lapsed:
            return trusted.key.name
    return None


def _held(steps: Sequence[Realisation]) -> list[bytes]:
    """The envelopes that came with what was substituted."""
    found = [step.fact("envelope") for step in steps if step.is_substituted]
    return [envelope.encode("ascii") for envelope in found if envelope]


def _once(claims: Sequence[Claim]) -> list[Claim]:
    return list({claim.content: claim for claim in claims}.values())


def _differing(proof: Proof) -> list[tuple[Realisation, Sequence[Claim]]]:
    return [(step.recorded, step.others) for step in proof.steps if step.others]


def _rows(proof: Proof) -> list[dict[str, object]]:
    return [step.row for step in proof.steps]


def _print(
    wiring: Wiring,
    policy: Policy,
    proof: Proof,
    silent: Sequence[str],
    reports: Mapping[str, Sequence[Report]],
) -> None:
    from fromager.derivations import summary

    console = wiring.console
    for step in proof.steps:
        for fault, detail in step.faults:
            console.data(f"{_name(step)}: {fault.value}: {detail}")
        for fault, exemption in step.exempted:
            console.data(
                f"{_name(step)}: {fault.value}, excepted until {exemption.expires}: "
                f"{exemption.reason}"
            )
        for report in reports.get(str(step.recorded.key), ()):
            for line in summary(report):
                console.data(f"  {line}".rstrip())
    by_hash = sum(step.by_hash for step in proof.steps)
    agreed = sum(
        not step.by_hash and len(step.builders) >= policy.trust.threshold
        for step in proof.steps
    )
    verdict = "not verified" if proof.faults or silent else "verified"
    console.data(
        f"{verdict}: of {len(proof.steps)} steps, {agreed} by {policy.trust.threshold} "
        f"of {len(policy.trust.keys)} builders, {by_hash} by hash"
    )


def _name(step: Proven) -> str:
    return f"{step.recorded.subject} ({step.recorded.kind})"


def _exit_code(proof: Proof) -> ExitCode:
    from fromager.derivations import Fault

    if Fault.DIFFERS in proof.faults:
        return ExitCode.DIFFERENT
    if Fault.FORGED in proof.faults:
        return ExitCode.UNTRUSTED
    return ExitCode.FAILED if proof.faults else ExitCode.DONE
