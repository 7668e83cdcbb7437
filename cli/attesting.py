"""What commands that compare found, signed: written to a file, and brought to caches."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fromager.cli.sharing import Sharing
    from fromager.derivations import EnvelopeSigner
    from fromager.store import Realisation

    Command = TypeVar("Command", bound=Callable[..., object])
else:
    Command = TypeVar("Command")


def attest_options(command: Command) -> Command:
    """A command that can sign what it found."""
    command = click.option(
        "--signing-key", metavar="NAME", help="The key to sign with."
    )(command)
    return click.option(
        "--attest",
        metavar="FILE",
        help="Sign what was found, and write it there: in-toto statements (SVR), one a "
        "line.",
    )(command)


def open_signer(sharing: Sharing, file: str | None) -> EnvelopeSigner | None:
    """What signs, if something is to be signed: known before work begins.

    Raises:
        InputError, SigningError: there is no key that can be used, or no place to write.
    """
    from fromager.derivations import EnvelopeSigner, InputError

    if file is None:
        return None
    path = sharing.wiring.folder / file
    if path.is_dir() or not path.parent.is_dir():
        raise InputError(f"{path} is no place for a file")
    return EnvelopeSigner.open(sharing.signing_key())


def write_results(
    sharing: Sharing,
    signer: EnvelopeSigner | None,
    file: str | None,
    found: Iterable[tuple[Realisation, tuple[str, ...]]],
    policies: tuple[tuple[str, str], ...] = (),
) -> None:
    """Write what was found to a file, if that was asked for.

    Raises:
        InputError: the file cannot be written.
    """
    import time

    from fromager.derivations import InputError, sign_result

    if file is None or signer is None:
        return
    now = int(time.time())
    lines = [
        sign_result(signer, realisation, properties, now, policies)
        for realisation, properties in found
    ]
    path = sharing.wiring.folder / file
    try:
        path.write_bytes(b"".join(b"%b\n" % line for line in lines))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    results = "1 result" if len(lines) == 1 else f"{len(lines)} results"
    sharing.wiring.console.note(f"signed {results} in {path}")


def read_results(
    sharing: Sharing, files: Sequence[str], steps: Iterable[Realisation]
) -> list[bytes]:
    """The envelopes in files that `write_results` wrote, as far as they are about steps.

    Raises:
        InputError: a file cannot be read, or holds something else.
    """
    from fromager.derivations import InputError, result_in
    from fromager.store import InvalidRecord

    keys = {step.key for step in steps}
    found: dict[bytes, None] = {}
    for file in files:
        try:
            lines = (sharing.wiring.folder / file).read_bytes().splitlines()
            about = {line: result_in(line).key for line in lines}
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}") from error
        except InvalidRecord as error:
            raise InputError(
                f"{file} holds something else than results: {error}",
                hint="Take a file that a check, a challenge or a verification wrote",
            ) from error
        found.update((line, None) for line, key in about.items() if key in keys)
        if left := sum(key not in keys for key in about.values()):
            text = f"{left} of {len(about)} results are about other builds: left out"
            sharing.wiring.console.warning(f"{file}: {text}")
    return list(found)
