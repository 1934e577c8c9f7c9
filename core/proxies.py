"""The proxies of the environment: ``http_proxy``, ``https_proxy``, ``all_proxy``, ``no_proxy``.

Loopback is never asked through a proxy. Our own clients ask ``Proxies``; those of libraries
(Prefect, object storage, web pages) read ``no_proxy``, which ``loopback_exemption`` completes for
this process and its children.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Proxies:
    """The proxy of each scheme, and the hosts that are asked without one."""

    by_scheme: Mapping[str, str]  # address by "http", "https", "all"
    exempt: tuple[str, ...] = ()  # entries of no_proxy

    @classmethod
    def from_environment(cls) -> Self:
        """The proxies of this process; names of variables in lower case take precedence."""
        proxies = urllib.request.getproxies_environment()
        entries = proxies.pop("no", "").lower().replace(",", " ").split()
        return cls(proxies, tuple(entries))

    def of(self, scheme: str, host: str, port: int) -> str:
        """The address of the proxy for this host, with a scheme; "" for none."""
        proxy = self.by_scheme.get(scheme) or self.by_scheme.get("all", "")
        if not proxy or is_loopback(host):
            return ""
        if any(_covers(entry, host.lower().rstrip("."), port) for entry in self.exempt):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"

    def of_url(self, url: str) -> str:
        """The proxy for an http(s) address; "" for none."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return self.of(parts.scheme, parts.hostname or "", port)


def loopback_exemption(environment: Mapping[str, str], *hosts: str) -> dict[str, str]:
    """Variables by which this process and its children ask loopback and ``hosts`` without a proxy.

    An empty mapping where ``environment`` names no proxy, or exempts every host already.
    """
    names = {name.lower() for name, value in environment.items() if value}
    if not names & {"http_proxy", "https_proxy", "all_proxy"}:
        return {}
    text = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    entries = [entry for entry in text.replace(" ", ",").split(",") if entry]
    if "*" in entries:
        return {}
    entries += [host for host in (*LOOPBACK_HOSTS, *hosts) if host not in entries]
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(entries))


def without_password(proxy: str) -> str:
    """A proxy's address for messages: without user and password."""
    scheme, separator, rest = proxy.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def is_loopback(host: str) -> bool:
    """Whether a name or a written-out IP address means this machine, without a look-up."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    ip = literal_ip(name)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip is not None and (ip.is_loopback or ip.is_unspecified)


def literal_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that ``host`` writes out, also as ``127.1`` or ``0x7f000001``; else None."""
    text = host.partition("%")[0]
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(text)
    with contextlib.suppress(OSError, UnicodeError):
        if text[:1].isdecimal():
            return ipaddress.IPv4Address(socket.inet_aton(text))
    return None


def _covers(entry: str, host: str, port: int) -> bool:
    """Whether an entry of no_proxy covers the host: a name with its subdomains, an IP address or
    network, each perhaps with a port; ``*`` covers all.
    """
    if entry == "*":
        return True
    ip = literal_ip(host)
    if "/" in entry:
        with contextlib.suppress(ValueError):
            return ip is not None and ip in ipaddress.ip_network(entry, strict=False)
        return False
    name, _, entry_port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
    if entry_port and entry_port != str(port):
        return False
    name = name.strip("[]").removeprefix("*").removeprefix(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))
