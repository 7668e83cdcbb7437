"""Which proxy a request goes through."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def proxy_for(
    url: str, proxies: Mapping[str, str], no_proxy: Sequence[str]
) -> str | None:
    """The proxy for a URL; None if it is to be reached directly.

    An entry of `no_proxy` is a host, a domain with all below it, either with a port,
    a network (`10.0.0.0/8`), or `*`.
    """
    parts = urlsplit(url)
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    host = (parts.hostname or "").lower()
    if not proxy or any(_matches(e, host, parts.port) for e in no_proxy):
        return None
    return proxy


def _matches(entry: str, host: str, port: int | None) -> bool:
    entry = entry.strip().lower()
    if entry == "*":
        return True
    if not entry:
        return False
    if _in_network(entry, host):
        return True
    domain, colon, digits = entry.rpartition(":")
    if colon and digits.isdigit():
        if port is not None and int(digits) != port:
            return False
        entry = domain
    entry = entry.removeprefix("*").removeprefix(".")
    return host == entry or host.endswith(f".{entry}")


def _in_network(entry: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
