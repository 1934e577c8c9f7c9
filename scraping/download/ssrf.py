"""Untrusted addresses: how they are parsed, and the check against private networks.

A socket that we open ourselves is checked by the address that it connects to. Through a proxy the
proxy opens it, so the name is resolved and checked before the request (``HostCheck``). Where this
machine cannot resolve the name, only the proxy can, and the proxy's own rules judge.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs, quote, urlsplit

from core.proxies import is_loopback, literal_ip
from scraping.failure_reasons import Reason, RejectedError

_NUM_CACHED_URLS = 8192  # each address is parsed several times
_NUM_CACHED_HOSTS = 4096
_LOOK_UP_VALID_S = 60.0
_PORTS = {"http": 80, "https": 443}
_LOCAL_DOMAINS = (".local", ".localhost", ".internal", ".home.arpa")  # no public host has one


@dataclass(frozen=True)
class Address:
    """An http(s) address in pieces: ASCII host, port, and percent-encoded request target."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def site(self) -> str:
        """Scheme, host and port: addresses of one site share a pace and a robots.txt."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == _PORTS[self.scheme]
        return f"{self.scheme}://{name}{'' if default else f':{self.port}'}"

    @property
    def url(self) -> str:
        """The address as text again."""
        return f"{self.site}{self.target}"


@lru_cache(_NUM_CACHED_URLS)
def split_url(url: str) -> Address:
    """The pieces of ``url``. Raises ``RejectedError``: ``bad-address`` or ``not-http``."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise RejectedError(Reason.BAD_ADDRESS) from None
    if parts.scheme not in _PORTS:
        raise RejectedError(Reason.NOT_HTTP)
    if not parts.hostname:
        raise RejectedError(Reason.BAD_ADDRESS)
    safe = "/%:@!$&'()*+,;=~-._"
    try:
        host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
        # bytes of a redirect that are not UTF-8 are surrogates here, and are sent unchanged
        target = quote(parts.path or "/", safe=safe, errors="surrogateescape")
        if parts.query:
            target += "?" + quote(parts.query, safe=safe + "?", errors="surrogateescape")
    except UnicodeError:
        raise RejectedError(Reason.BAD_ADDRESS) from None
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], target)


def refuse_private(ip: str) -> None:
    """Raise ``RejectedError`` (``private-address``) unless ``ip`` is a public unicast address.

    Loopback, private, link-local, carrier and metadata ranges are not public. An IPv4 address
    inside an IPv6 one (mapped, 6to4, NAT64, Teredo) must be public too.
    """
    address = ipaddress.ip_address(ip.split("%", maxsplit=1)[0])
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        addresses += filter(None, [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())])
        if address in ipaddress.ip_network("64:ff9b::/96"):
            addresses.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if any(not address.is_global or address.is_multicast for address in addresses):
        raise RejectedError(Reason.PRIVATE_ADDRESS)


class HostCheck:
    """The check of a host before a request through a proxy, which resolves the name itself."""

    def __init__(self, check_ip: Callable[[str], None], timeout_s: float) -> None:
        self._check_ip, self._timeout_s = check_ip, timeout_s
        self._look_ups: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()  # time, addresses

    async def check(self, host: str) -> None:
        """Raise what ``check_ip`` raises for any of the host's IP addresses.

        A name that this machine cannot resolve passes, as only the proxy can tell its addresses.
        Names without a dot and of local domains are judged as if they were loopback.
        """
        ip = literal_ip(host)
        if ip is not None:
            self._check_ip(str(ip))
            return
        name = host.rstrip(".")
        if "." not in name or name.endswith(_LOCAL_DOMAINS):
            self._check_ip("127.0.0.1")
        for address in await self._resolve(name):
            self._check_ip(address)

    async def _resolve(self, name: str) -> list[str]:
        looked_up_s, addresses = self._look_ups.get(name, (-math.inf, []))
        if time.monotonic() < looked_up_s + _LOOK_UP_VALID_S:
            return addresses
        look_up = asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        try:
            entries = await asyncio.wait_for(look_up, self._timeout_s)
        except (OSError, UnicodeError, TimeoutError):
            return []
        if len(self._look_ups) >= _NUM_CACHED_HOSTS:
            self._look_ups.popitem(last=False)
        addresses = [str(entry[4][0]) for entry in entries]
        self._look_ups[name] = time.monotonic(), addresses
        return addresses


def is_fixed(host: str) -> bool:
    """Whether the host is an IP address or means this machine: it never gets another address."""
    return literal_ip(host) is not None or is_loopback(host)


def original_url(url: str) -> str:
    """The address of the original for a ``url`` in the engine's own cache (``gimg2.baidu.com``).

    Any other ``url`` is returned unchanged.
    """
    if "/image_search/" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if (parts.hostname or "").endswith(".baidu.com") and parts.path.startswith("/image_search/"):
        # the path holds src=… there, without a question mark
        path_query = parts.path.removeprefix("/image_search/") + (
            "&" + parts.query if parts.query else ""
        )
        source = parse_qs(path_query).get("src", [""])[0]
        if source:
            return source if "://" in source else f"http://{source.lstrip('/')}"
    return url


@lru_cache(_NUM_CACHED_URLS)
def host_of(url: str) -> str:
    """The host of ``url``, in lower case and ASCII; "" when it has none."""
    try:
        return split_url(url).host
    except RejectedError:
        return ""
