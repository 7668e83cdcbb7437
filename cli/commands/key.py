"""`fromager key`: keys to sign with, and whose claims are believed."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from fromager.cli.exit_codes import ExitCode
from fromager.cli.sharing import Sharing
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group("key", short_help="Keys, and whose claims are believed.")
def command() -> None:
    """Make keys, and say whose claims are believed.

    A builder signs what it says about its builds. What it says is believed by those who
    trust its key, for as long as they do.
    """


@command.command("generate")
@click.argument("name")
@click.option(
    "--signer",
    metavar="URI",
    help="Make none: the secret is already there, in a file, a hardware module or with "
    "a service (file2:…, hsm:…, gcpkms:…, awskms:…, azurekms:…).",
)
@click.option(
    "--public-key", metavar="FILE", help="The public key of the one at --signer."
)
@click.pass_obj
def generate(
    flags: Mapping[str, object],
    /,
    name: str,
    signer: str | None,
    public_key: str | None,
) -> int:
    """Make a key for the builder NAME, and print what others need to trust it.

    It is an Ed25519 key. Its secret is in a file that only you can read.
    """
    from fromager.derivations import InputError, SigningKey, read_public_key

    wiring = wire(flags)
    keyring = Sharing(wiring).keyring
    if signer is None and public_key is None:
        key = keyring.generate(name)
    elif signer is None or public_key is None:
        raise InputError("--signer and --public-key are of use together only")
    else:
        key = SigningKey(read_public_key(public_key, wiring.folder), signer)
        if key.public.name != name:
            raise InputError(f"the key in {public_key} is named {key.public.name}")
        keyring.register(key)
    wiring.console.data(str(key.public))
    return ExitCode.DONE


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def list_keys(flags: Mapping[str, object], /, as_json: bool) -> int:
    """List the keys to sign with, and those whose claims are believed."""
    wiring = wire(flags)
    sharing = Sharing(wiring)
    own, trust = sharing.keyring.signing_keys(), sharing.belief.trust
    if as_json:
        wiring.console.json(
            {
                "own": [
                    {"name": k.public.name, "public": str(k.public), "signer": k.signer}
                    for k in own
                ],
                "trusted": [
                    {
                        "name": each.key.name,
                        "public": str(each.key),
                        "builder": each.key.builder,
                        "expires": each.expires and each.expires.isoformat(),
                        "refused": each.why_not(sharing.belief.today),
                    }
                    for each in trust.keys
                ],
                "threshold": trust.threshold,
            }
        )
        return ExitCode.DONE
    for signing in own:
        wiring.console.data(f"own      {signing.public}")
    for each in trust.keys:
        reason = each.why_not(sharing.belief.today)
        wiring.console.data(f"trusted  {each.key}{f'  ({reason})' if reason else ''}")
    return ExitCode.DONE


@command.command("trust")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option(
    "--expires", metavar="DATE", help="Believe its claims until the day before DATE."
)
@click.pass_obj
def trust_keys(
    flags: Mapping[str, object], /, keys: tuple[str, ...], expires: str | None
) -> int:
    """Believe what is signed with each KEY: its text, or a file that holds it.

    To take that back, edit the list of trust, whose place is printed.
    """
    from fromager.derivations import InputError, TrustedKey, read_public_key

    wiring = wire(flags)
    keyring = Sharing(wiring).keyring
    try:
        until = None if expires is None else date.fromisoformat(expires)
    except ValueError as error:
        hint = "Write it as 2027-01-31"
        raise InputError(f"{expires!r} is no date", hint=hint) from error
    for text in keys:
        key = read_public_key(text, wiring.folder)
        new = keyring.add_trust(TrustedKey(key, until))
        state = "is trusted now" if new else "was trusted already"
        wiring.console.note(f"{key.name} {state}")
    wiring.console.data(str(keyring.trust_file))
    return ExitCode.DONE
