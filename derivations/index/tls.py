"""Certificates: which servers are believed, and what they are shown."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import certifi

from fromager.derivations.errors import AccessDenied, InputError, NetworkError
from fromager.derivations.index.transport import Transient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fromager.derivations.index.transport import HttpSettings

_AUTHORITY_HINT: Final = (
    "If the server's certificate is signed by an authority of your own, name its bundle "
    "of certificates in SSL_CERT_FILE"
)
_NAME_HINT: Final = (
    "Check the address: the certificate of the server that answers is for another name"
)
_TIME_HINT: Final = "Check the clock of this machine; if it is right, the server needs a new certificate"
_CLIENT_HINT: Final = (
    "If the server wants to see a certificate of yours, name the file with it and its "
    "key in SSL_CLIENT_CERT"
)
_OTHER_CLIENT_HINT: Final = (
    "Check that the client certificate is one that this server knows, and still valid"
)
_CLIENT_MARKS: Final = ("certificate_required", "bad_certificate", "handshake_failure")
_REFUSAL_MARKS: Final = (
    *(*_CLIENT_MARKS, "unknown_ca", "access_denied", "unsupported_certificate"),
    *("certificate_expired", "certificate_revoked", "certificate_unknown"),
)
"""Parts of what alerts (RFC 8446, section 6.2) are called, by which a server says that
it does not like what it was shown, or that it was shown nothing."""
_NAME_CODES: Final = frozenset({62, 63, 64})
_TIME_CODES: Final = frozenset({9, 10})
"""Of OpenSSL's verification (`X509_V_ERR_*`)."""


def tls_context(settings: HttpSettings) -> ssl.SSLContext:
    """What connections are secured with.

    Raises:
        InputError: a bundle or certificate that cannot be used.
    """
    bundle = settings.ca_bundle
    try:
        if bundle is not None and bundle.is_dir():
            context = ssl.create_default_context(capath=str(bundle))
        else:
            context = ssl.create_default_context(cafile=bundle and str(bundle))
    except OSError as error:
        reason = f"cannot be read as a bundle of certificates: {_said(error)}"
        raise InputError(f"{bundle} {reason}") from error
    if bundle is None and context.cert_store_stats()["x509_ca"] == 0:
        context.load_verify_locations(certifi.where())
    if settings.client_certificate is not None:
        _show(context, settings.client_certificate)
    return context


def _show(context: ssl.SSLContext, certificate: Path) -> None:
    def refuse() -> str:
        # Otherwise OpenSSL would ask at the terminal.
        raise InputError(
            f"{certificate}: its key is encrypted",
            hint="Write the key without a passphrase, into a file that only you can read",
        )

    try:
        context.load_cert_chain(str(certificate), password=refuse)
    except OSError as error:
        raise InputError(
            f"{certificate} cannot be read as a client certificate: {_said(error)}",
            hint="It is one file in PEM form, with the certificate and its private key",
        ) from error


def tls_failure(
    url: str, error: ssl.SSLError | None, reason: str, settings: HttpSettings
) -> Exception:
    """What a connection that could not be secured means; `reason` is said of it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = _verification_hint(error.verify_code)
        return NetworkError(url, f"TLS: {reason}", hint=hint)
    alert = (getattr(error, "reason", None) or "").lower()
    if "alert" in alert and any(mark in alert for mark in _REFUSAL_MARKS):
        if settings.client_certificate is not None:
            hint = _OTHER_CLIENT_HINT
        else:
            hint = _CLIENT_HINT
        return AccessDenied(url, f"TLS: the server refused: {reason}", hint=hint)
    return Transient(f"TLS: {reason}", hint=_AUTHORITY_HINT)


def wants_certificate(status: int, body: Iterator[bytes]) -> bool:
    """Whether an answer is what proxies give to who shows no certificate, or a wrong
    one: they let the connection be made, and say it in words."""
    return status in {400, 496} and b"SSL certificate" in next(body, b"")


def certificate_denied(url: str, answer: str, settings: HttpSettings) -> AccessDenied:
    """The error for that."""
    shown = settings.client_certificate is not None
    hint = _OTHER_CLIENT_HINT if shown else _CLIENT_HINT
    return AccessDenied(url, f"the server answered {answer}", hint=hint)


def _verification_hint(code: int) -> str:
    if code in _NAME_CODES:
        return _NAME_HINT
    return _TIME_HINT if code in _TIME_CODES else _AUTHORITY_HINT


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).removeprefix("[SSL] ")
