"""`fromager serve`: the store over HTTP, as a package index and as a cache."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from fromager.cli.bills import bill_maker
from fromager.cli.exit_codes import ExitCode
from fromager.cli.sharing import Sharing
from fromager.cli.wiring import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from fromager.cli.wiring import Wiring
    from fromager.derivations import (
        Answered,
        Attestor,
        Provenances,
        Service,
        Tls,
        Tokens,
    )
    from fromager.store import LocalStore, Realisation

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command("serve", short_help="Offer the store as a package index and a cache.")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--all", "everything", is_flag=True, help="Offer all that was built.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Where to listen; 0.0.0.0 is all addresses of this machine.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    metavar="PORT",
    help="The port; 0 is any that is free.",
)
@click.option(
    "--certificate", metavar="FILE", help="Serve HTTPS, with this certificate (PEM)."
)
@click.option("--private-key", metavar="FILE", help="The certificate's key (PEM).")
@click.option(
    "--tokens", metavar="FILE", help="Who shows one of the tokens in it may read."
)
@click.option(
    "--token-variable",
    metavar="NAME",
    help="Who shows the token in this environment variable may read.",
)
@click.option(
    "--provenance",
    metavar="FOLDER",
    help="Offer the provenance objects (PEP 740) in it, FILE.whl.provenance each.",
)
@click.option("--signing-key", metavar="NAME", help="The key to sign claims with.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_obj
def command(
    flags: Mapping[str, object],
    /,
    targets: tuple[str, ...],
    everything: bool,
    host: str,
    port: int,
    certificate: str | None,
    private_key: str | None,
    tokens: str | None,
    token_variable: str | None,
    provenance: str | None,
    as_json: bool,
    **settings: object,
) -> int:
    """Offer wheels over HTTP until Ctrl-C: each TARGET with what it needs at run time, or
    all that was built, also later.

    Prints the address of the package index, which pip and uv install from. The same
    server is a cache for other machines, at /cache. Nothing can be changed through it.

    Claims about builds are signed with a key of `fromager key generate`; without one,
    other machines have no reason to believe what the cache says.
    """
    from fromager.derivations import Provenances, listen, read_provenances

    if bool(targets) == everything:
        raise click.UsageError("Name what to offer, or write --all.")
    wiring = wire(flags, **settings)
    encrypted = _tls(wiring, certificate, private_key)
    known = _tokens(wiring, tokens, token_variable)
    attested = Provenances()
    if provenance is not None:
        attested = read_provenances(wiring.folder / provenance)
    with (
        wiring.open_store(create=False) as store,
        listen(host, port) as listener,
    ):
        attestor = _attestor(wiring, store)
        service = _service(wiring, store, attestor, targets, attested)
        service = replace(service, tokens=known, tls=encrypted)
        base = _address(listener, host, encrypted is not None)

        def started() -> None:
            urls = {"index": f"{base}/simple/", "cache": f"{base}/cache/"}
            if as_json:
                wiring.console.json({**urls, "builder": attestor.builder or None})
            else:
                wiring.console.data(urls["index"])
                wiring.console.note(f"cache: {urls['cache']}")
            wiring.console.out.flush()

        if host not in LOOPBACK:
            _warn(wiring, protected=bool(known.hashes), encrypted=encrypted is not None)
        service.run(listener, started)
    return ExitCode.DONE


def _service(
    wiring: Wiring,
    store: LocalStore,
    attestor: Attestor,
    targets: tuple[str, ...],
    attested: Provenances,
) -> Service:
    import time

    from fromager.derivations import Catalogue, Service, StoreCache, shared_steps

    chosen, steps = None, None
    if targets:
        sharing = Sharing(wiring)
        chosen, steps = sharing.closure(store, sharing.find_wheels(store, targets))

    def shared() -> tuple[Realisation, ...]:
        return shared_steps(store) if steps is None else tuple(steps)

    def answered(answer: Answered) -> None:
        parts = (answer.client, answer.method, answer.target, answer.status)
        wiring.console.say(" ".join(map(str, parts)))

    return Service(
        Catalogue(store, attestor, wiring.report, chosen, attested),
        StoreCache(store, attestor, shared, time.monotonic),
        bill_maker(wiring, store),
        wiring.report,
        answered=answered if wiring.console.verbose else None,
    )


def _attestor(wiring: Wiring, store: LocalStore) -> Attestor:
    """Signs what was built here, if there is a key."""
    from fromager.derivations import Attestor, EnvelopeSigner

    sharing = Sharing(wiring)
    signer = None
    if wiring.settings.text("signing-key") or sharing.keyring.signing_keys():
        signer = EnvelopeSigner.open(sharing.signing_key())
    else:
        wiring.console.note(
            "there is no key to sign with: other machines can install, but will not "
            "take builds from the cache (see fromager key generate)"
        )
    return Attestor(store, signer, wiring.report)


def _tls(wiring: Wiring, certificate: str | None, key: str | None) -> Tls | None:
    from fromager.derivations import Tls, check_tls

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise click.UsageError("--certificate and --private-key go together.")
    tls = Tls(wiring.folder / certificate, wiring.folder / key)
    check_tls(tls)
    return tls


def _tokens(wiring: Wiring, file: str | None, variable: str | None) -> Tokens:
    """The tokens that are accepted; none is a mistake if some were promised."""
    from fromager.derivations import InputError, Tokens, read_tokens

    found: list[str] = []
    if file is not None:
        try:
            found += read_tokens((wiring.folder / file).read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the tokens in {file} cannot be read: {error}") from error
        if not found:
            raise InputError(f"there is no token in {file}", hint="Write one a line")
    if variable is not None:
        if not wiring.environ.get(variable):
            raise InputError(f"there is no token in the variable {variable}")
        found.append(wiring.environ[variable])
    return Tokens.of(found)


def _address(listener: socket.socket, host: str, encrypted: bool) -> str:
    """The server's address as others can use it."""
    import socket

    if host in ("0.0.0.0", "::", ""):
        host = socket.gethostname()
    if ":" in host:
        host = f"[{host}]"
    scheme = "https" if encrypted else "http"
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


def _warn(wiring: Wiring, *, protected: bool, encrypted: bool) -> None:
    if not protected:
        wiring.console.warning(
            "whoever reaches this address can read what is offered (see --tokens)"
        )
    elif not encrypted:
        wiring.console.warning(
            "tokens can be read on their way, since this is not HTTPS (see "
            "--certificate)"
        )
