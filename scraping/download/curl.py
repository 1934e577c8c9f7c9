"""HTTP requests to hosts that nobody vouches for: libcurl's transfers as awaitables.

libcurl is an asyncio event loop's guest here: it names the sockets and the time to wait for, and is
told what happened. An address is judged when its socket is about to be opened, after every name is
resolved, so that what was judged is what is connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import certifi
import pycurl

from scraping.download.ssrf import RejectedError

_CHUNK = 262_144
_KEEP_ALIVE_S = 15
_TLS_ERRORS = {
    pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_SSL_INVALIDCERTSTATUS,
}  # fmt: skip


class TransferError(Exception):
    """A transfer failed; the message is the reason in short, ``is_timeout`` that time ran out."""

    def __init__(self, reason: str, *, is_timeout: bool = False) -> None:
        super().__init__(reason)
        self.is_timeout = is_timeout


@dataclass(frozen=True)
class Answer:
    """What a host answered; ``is_whole`` is false when its body had more than was wanted."""

    status: int
    headers: Mapping[str, str]  # by name in lower case; what stood several times, behind commas
    body: bytes
    is_whole: bool


Wanted = Callable[[int, Mapping[str, str]], int]
"""``wanted(status, headers)``: how many bytes of the body are read at most."""


class Transfers:
    """GETs of one event loop; an asynchronous context manager.

    ``judge`` raises ``RejectedError`` for an IP address that must not be connected to. No redirect
    is followed, no cookie kept, no proxy of the environment used, nothing decompressed.
    """

    def __init__(
        self,
        judge: Callable[[str], None],
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        self._judge = judge
        self._options: list[tuple[int, Any]] = [
            (pycurl.CONNECTTIMEOUT_MS, max(1, round(1000 * connect_timeout_s))),
            (pycurl.LOW_SPEED_LIMIT, 1),  # B/s, during …
            (pycurl.LOW_SPEED_TIME, max(1, round(read_timeout_s))),
        ]
        self._running: dict[pycurl.Curl, asyncio.Future[None]] = {}
        self._idle: list[_Handle] = []
        self._watched: dict[int, int] = {}
        self._due: float | None = None  # when libcurl wants to be called, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._wait)
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for curl in list(self._running):
            self._finish(curl, TransferError("closed"))
        self._idle.clear()
        self._multi.close()
        for descriptor in list(self._watched):
            self._watch(pycurl.POLL_REMOVE, descriptor, None, None)
        if self._timer is not None:
            self._timer.cancel()

    async def get(
        self, url: str, headers: Sequence[str], *, wanted: Wanted, timeout_s: float
    ) -> Answer:
        """The answer to a GET of ``url``, which must be ASCII, with ``headers`` (``Name: value``).

        Raises ``RejectedError`` for what ``judge`` refuses and for an unknown host, else
        ``TransferError``.
        """
        handle = self._idle.pop() if self._idle else _Handle(self._judge, self._options)
        try:
            handle.begin(url, headers, wanted, timeout_s)
        except (pycurl.error, UnicodeError):
            raise RejectedError("bad-address") from None
        done = self._loop.create_future()
        self._running[handle.curl] = done
        self._multi.add_handle(handle.curl)
        try:
            await done
        except TransferError:
            if handle.refusal is not None:
                raise handle.refusal from None
            if handle.is_whole:
                raise
        finally:
            self._finish(handle.curl)
            answer = handle.end()
            self._idle.append(handle)
        return answer

    def _watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        """Libcurl waits for these events of a socket from now on."""
        if what == pycurl.POLL_REMOVE:
            what = 0
        before = self._watched.pop(descriptor, 0)
        for bit, event, add, remove in (
            (pycurl.POLL_IN, pycurl.CSELECT_IN, self._loop.add_reader, self._loop.remove_reader),
            (pycurl.POLL_OUT, pycurl.CSELECT_OUT, self._loop.add_writer, self._loop.remove_writer),
        ):
            if what & bit and not before & bit:
                add(descriptor, self._act, descriptor, event)
            elif before & bit and not what & bit:
                remove(descriptor)
        if what:
            self._watched[descriptor] = what

    def _wait(self, milliseconds: int) -> None:
        """Libcurl wants to be called after this time, or not for time's sake (negative)."""
        self._due = None if milliseconds < 0 else self._loop.time() + milliseconds / 1000
        if self._due is None or (self._timer is not None and self._timer.when() <= self._due):
            return  # libcurl changes its mind with every transfer: a timer that comes early asks
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._timer = self._loop.call_at(self._due, self._ring)
        else:
            self._act(pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, descriptor: int, event: int) -> None:
        self._multi.socket_action(descriptor, event)
        while True:
            left, good, bad = self._multi.info_read()
            for curl in good:
                self._finish(curl)
            for curl, code, _message in bad:
                self._finish(curl, _error(code))
            if not left:
                return

    def _finish(self, curl: pycurl.Curl, error: Exception | None = None) -> None:
        """Take a transfer from libcurl, at its end or before it."""
        done = self._running.pop(curl, None)
        if done is None:
            return
        self._multi.remove_handle(curl)
        if done.done():  # whoever waited was cancelled
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


class _Handle:
    """A libcurl handle, used again and again, and what its present transfer has brought."""

    def __init__(self, judge: Callable[[str], None], options: Sequence[tuple[int, Any]]) -> None:
        self._judge = judge
        self._sockets: list[socket.socket] = []
        self._lines: list[bytes] = []
        self.curl = pycurl.Curl()
        for option, value in (
            *options,
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROXY, ""),
            (pycurl.PATH_AS_IS, 1),  # robots.txt was asked about this very path
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.CAINFO, certifi.where()),
            (pycurl.MAXAGE_CONN, _KEEP_ALIVE_S),
            (pycurl.BUFFERSIZE, _CHUNK),
            (pycurl.OPENSOCKETFUNCTION, self._open),
            (pycurl.HEADERFUNCTION, self._lines.append),
            (pycurl.WRITEFUNCTION, self._write),
        ):
            self.curl.setopt(option, value)

    def begin(self, url: str, headers: Sequence[str], wanted: Wanted, timeout_s: float) -> None:
        """Make the handle ready for a transfer."""
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.HTTPHEADER, headers)
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, round(1000 * timeout_s)))
        self._wanted = wanted
        self._chunks: list[bytes] = []
        self._lines.clear()
        self._known = 0, dict[str, str]()
        self._room = 0
        self.is_whole = True
        self.refusal: RejectedError | None = None

    def end(self) -> Answer:
        """What the transfer has brought."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        while self._sockets:  # pycurl has duplicates of its own
            self._sockets.pop().close()
        return Answer(*self._head(), body, self.is_whole)

    def _open(self, _purpose: int, address: Any) -> socket.socket | int:
        try:
            self._judge(address.addr[0])
        except RejectedError as error:
            self.refusal = error
            return pycurl.SOCKET_BAD
        opened = socket.socket(address.family, address.socktype, address.protocol)
        self._sockets.append(opened)
        return opened

    def _write(self, chunk: bytes) -> int | None:
        if not self._chunks:
            self._room = self._wanted(*self._head())
        self._room -= len(chunk)
        if self._room < 0:
            self.is_whole = False
            return 0  # libcurl ends the transfer
        self._chunks.append(chunk)
        return None

    def _head(self) -> tuple[int, dict[str, str]]:
        """Status and headers, of the last answer where interim ones came before it."""
        if not self._lines:
            return self._known
        status, headers = self._known
        for line in self._lines:
            if line.startswith(b"HTTP/"):
                status, headers = int(line.split(None, 2)[1]), {}
                continue
            name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._known = status, headers
        self._lines.clear()
        return self._known


def _error(code: int) -> TransferError | RejectedError:
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return RejectedError("host-unknown")
    if code == pycurl.E_URL_MALFORMAT:
        return RejectedError("bad-address")
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return TransferError("timeout", is_timeout=True)
    if code == pycurl.E_PARTIAL_FILE:
        return TransferError("cut-short")
    if code in _TLS_ERRORS:
        return TransferError("tls-failed")
    return TransferError("connection-failed")
