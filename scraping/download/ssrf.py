"""Addresses that strangers chose: taken apart, and judged before anyone connects to them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, quote, urlsplit

from core.errors import SuyanError

_MANY = 8192  # addresses whose pieces are remembered: each is taken apart several times
_PORTS = {"http": 80, "https": 443}


class RejectedError(SuyanError):
    """An address gives no picture, and will not; the message is the reason for its row."""


@dataclass(frozen=True)
class Address:
    """An http(s) address in pieces: ASCII host, port, and percent-encoded request target."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def site(self) -> str:
        """Scheme, host and port: what shares a pace and a robots.txt."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == _PORTS[self.scheme]
        return f"{self.scheme}://{name}{'' if default else f':{self.port}'}"

    @property
    def url(self) -> str:
        """The address as text again."""
        return f"{self.site}{self.target}"


@lru_cache(_MANY)
def split(url: str) -> Address:
    """The pieces of ``url``. Raises ``RejectedError``: ``bad-address`` or ``not-http``."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise RejectedError("bad-address") from None
    if parts.scheme not in _PORTS:
        raise RejectedError("not-http")
    if not parts.hostname:
        raise RejectedError("bad-address")
    safe = "/%:@!$&'()*+,;=~-._"
    try:
        host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
        # bytes of a redirect that are not UTF-8 are surrogates here, and go back as they came
        target = quote(parts.path or "/", safe=safe, errors="surrogateescape")
        if parts.query:
            target += "?" + quote(parts.query, safe=safe + "?", errors="surrogateescape")
    except UnicodeError:
        raise RejectedError("bad-address") from None
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], target)


def refuse_private(ip: str) -> None:
    """Raise ``RejectedError("private-address")`` unless ``ip`` is a public unicast address.

    Loopback, private, link-local, carrier and metadata ranges are all not global; an IPv4 address
    that IPv6 wraps (mapped, 6to4, NAT64, Teredo) is judged by what it wraps.
    """
    address = ipaddress.ip_address(ip.split("%", maxsplit=1)[0])
    wrapped: list[ipaddress.IPv4Address] = []
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = [
            *filter(None, [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]),
        ]
        if address in ipaddress.ip_network("64:ff9b::/96"):
            wrapped.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    for one in (address, *wrapped):
        if not one.is_global or one.is_multicast:
            raise RejectedError("private-address")


def origin(url: str) -> str:
    """The address that the engine's own cache (``gimg2.baidu.com``) wraps, or ``url`` itself."""
    if "/image_search/" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if (parts.hostname or "").endswith(".baidu.com") and parts.path.startswith("/image_search/"):
        # src=… stands in the path there, not behind a question mark
        packed = parts.path.removeprefix("/image_search/") + (
            "&" + parts.query if parts.query else ""
        )
        source = parse_qs(packed).get("src", [""])[0]
        if source:
            return source if "://" in source else f"http://{source.lstrip('/')}"
    return url


@lru_cache(_MANY)
def host_of(url: str) -> str:
    """The host of ``url``, in lower case and ASCII; "" when it has none."""
    try:
        return split(url).host
    except RejectedError:
        return ""
