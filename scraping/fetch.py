"""Fetching pictures from addresses that strangers chose: nothing about them is trusted.

Only http(s); a name is resolved once, the address is checked, and that very address is connected
to, at each redirect anew. Redirects, bytes and times are limited; the content decides what it is.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urljoin, urlsplit

import tenacity
import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from scraping.config import CrawlConfig
from scraping.records import SuyanError, TransientError

_USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"
_CHUNK = 65536
_MAX_POOLS = 256
_BREAKER_FAILURES = 5  # in a row, before a host is left alone
_BREAKER_PAUSE_S = 60.0
_MAX_RETRY_AFTER_S = 60.0
_MAGIC = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tif"),
    (b"MM\x00*", "tif"),
)


class RejectedError(SuyanError):
    """An address gives no picture, and will not; the message is the reason for its row."""


@dataclass(frozen=True)
class Fetched:
    """The bytes of a picture file, with what they are."""

    body: bytes
    sha256: str
    extension: str  # by content: jpg png gif webp bmp tif avif


class Fetcher:
    """Fetches pictures; safe for use by many threads. ``sleep`` is given to be observed."""

    def __init__(self, config: CrawlConfig, sleep: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._sleep = sleep
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str, int, str], urllib3.HTTPConnectionPool] = {}
        self._hosts: dict[str, _Host] = {}

    def fetch(self, url: str, referer: str = "") -> Fetched:
        """The picture at ``url``.

        Raises ``RejectedError`` when there is none to be had (its text is the reason, e.g.
        ``http-404``), ``TransientError`` when all tries failed for reasons that may pass.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=_wait,
            stop=tenacity.stop_after_attempt(self._config.num_tries),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._fetch_once, url, referer)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def _fetch_once(self, url: str, referer: str) -> Fetched:
        deadline = time.monotonic() + self._config.total_timeout_s
        for _ in range(self._config.max_redirects + 1):
            outcome = self._hop(url, referer, deadline)
            if isinstance(outcome, Fetched):
                return outcome
            url = urljoin(url, outcome)
        raise RejectedError("too-many-redirects")

    def _hop(self, url: str, referer: str, deadline: float) -> Fetched | str:
        """The picture, or the address that this one redirects to."""
        scheme, host, port, target = _split(url)
        address = _checked_address(host, port, private=self._config.allow_private_hosts)
        policy = self._host(f"{host}:{port}")
        policy.enter(self._sleep)
        try:
            outcome = self._request(scheme, host, port, address, target, referer, deadline)
        except TransientError:
            policy.leave(failed=True)
            raise
        except (HTTPError, OSError) as error:
            policy.leave(failed=True)
            raise TransientError(_network_reason(error)) from error
        except RejectedError:
            policy.leave(failed=False)
            raise
        policy.leave(failed=False)
        return outcome

    def _request(
        self,
        scheme: str,
        host: str,
        port: int,
        address: str,
        target: str,
        referer: str,
        deadline: float,
    ) -> Fetched | str:
        config = self._config
        name = f"[{host}]" if ":" in host else host
        default = port == (443 if scheme == "https" else 80)
        headers = {
            "Host": name if default else f"{name}:{port}",
            "User-Agent": _USER_AGENT,
            "Accept": "image/*,*/*;q=0.8",
            "Accept-Encoding": "identity",
        }
        if referer.isascii() and referer.startswith(("http://", "https://")):
            headers["Referer"] = referer.splitlines()[0]
        answer = self._pool(scheme, host, port, address).urlopen(
            "GET",
            target,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(connect=config.connect_timeout_s, read=config.read_timeout_s),
        )
        try:
            return self._judge(answer, deadline)
        except BaseException:
            answer.close()  # the rest of a refused body is not read
            raise
        finally:
            answer.release_conn()

    def _judge(self, answer: urllib3.BaseHTTPResponse, deadline: float) -> Fetched | str:
        config, status = self._config, answer.status
        if status in {301, 302, 303, 307, 308}:
            location = answer.headers.get("Location")
            answer.close()
            if not location:
                raise RejectedError("redirect-without-location")
            return location
        if status == 429 or status >= 500:
            raise TransientError(f"http-{status}", _retry_after(answer.headers.get("Retry-After")))
        if status != 200:
            raise RejectedError(f"http-{status}")
        robots = answer.headers.get("X-Robots-Tag", "").lower()
        if config.respect_opt_out and ("noai" in robots or "noimageai" in robots):
            raise RejectedError("opt-out")
        body = _read(answer, int(config.max_megabytes * 1e6), deadline)
        extension = sniff(body)
        if extension is None:
            raise RejectedError("empty" if not body else "not-an-image")
        return Fetched(body, hashlib.sha256(body).hexdigest(), extension)

    def _pool(self, scheme: str, host: str, port: int, address: str) -> urllib3.HTTPConnectionPool:
        key = (scheme, host, port, address)
        with self._lock:
            if key not in self._pools:
                if len(self._pools) >= _MAX_POOLS:
                    self._pools.pop(next(iter(self._pools))).close()
                size = self._config.num_workers
                self._pools[key] = (
                    urllib3.HTTPSConnectionPool(
                        address, port, maxsize=size, assert_hostname=host, server_hostname=host
                    )
                    if scheme == "https"
                    else urllib3.HTTPConnectionPool(address, port, maxsize=size)
                )
            return self._pools[key]

    def _host(self, name: str) -> _Host:
        with self._lock:
            interval = 1 / self._config.requests_per_s_per_host
            return self._hosts.setdefault(name, _Host(interval))


class _Host:
    """The pace at which one host is asked, and whether it is left alone for a while."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._next = 0.0
        self._failures = 0
        self._closed_until = 0.0

    def enter(self, sleep: Callable[[float], None]) -> None:
        with self._lock:
            now = time.monotonic()
            if now < self._closed_until:
                raise RejectedError("host-failing")
            turn = max(now, self._next)
            self._next = turn + self._interval_s
        if turn > now:
            sleep(turn - now)

    def leave(self, *, failed: bool) -> None:
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            if self._failures >= _BREAKER_FAILURES:
                self._closed_until = time.monotonic() + _BREAKER_PAUSE_S
                self._failures = 0


def sniff(body: bytes) -> str | None:
    """The picture format that the first bytes announce, as a file extension; ``None``: not one."""
    for magic, extension in _MAGIC:
        if body.startswith(magic):
            return extension
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "webp"
    if body[4:12] in {b"ftypavif", b"ftypavis"}:
        return "avif"
    return None


def _split(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and request target of an http(s) address."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise RejectedError("bad-address") from None
    if parts.scheme not in {"http", "https"}:
        raise RejectedError("not-http")
    if not parts.hostname:
        raise RejectedError("bad-address")
    try:
        host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
    except UnicodeError:
        raise RejectedError("bad-address") from None
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target


def _checked_address(host: str, port: int, *, private: bool) -> str:
    """The address to connect to. All addresses of a name must be public, unless ``private``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RejectedError("host-unknown") from None
    addresses = [str(entry[4][0]) for entry in found]
    for text in addresses:
        address = ipaddress.ip_address(text.split("%")[0])
        if not private and (not address.is_global or address.is_multicast):
            raise RejectedError("private-address")
    return addresses[0]


def _read(answer: urllib3.BaseHTTPResponse, max_bytes: int, deadline: float) -> bytes:
    """The body, as long as it is short enough and quick enough."""
    announced = answer.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise RejectedError("too-large")
    body = bytearray()
    while chunk := answer.read1(_CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise RejectedError("too-large")
        if time.monotonic() > deadline:
            raise TransientError("too-slow")
    if announced.isdecimal() and len(body) < int(announced[:20]):
        raise TransientError("cut-short")
    return bytes(body)


def _retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header (a number or a date) asks for, at most a minute."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TransientError) and error.retry_after_s is not None:
        return error.retry_after_s
    return float(tenacity.wait_exponential_jitter(multiplier=0.5, max=20)(state))


def _network_reason(error: Exception) -> str:
    name = type(error).__name__.lower()
    return "timeout" if "timeout" in name else "connection-failed"
