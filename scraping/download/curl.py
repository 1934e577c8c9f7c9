"""An asyncio HTTP client for untrusted hosts, on libcurl's multi interface.

libcurl names the sockets and the timeout that asyncio's event loop has to watch, and is called when
one of them is due. An IP address is checked right before its socket opens, after the name was
resolved: the address that was checked is the one that is connected to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import certifi
import pycurl

from scraping.failure_reasons import FailedError, Reason, RejectedError

_BUFFER_BYTES = 262_144
_KEEP_ALIVE_S = 15
_TLS_ERRORS = {
    pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_SSL_INVALIDCERTSTATUS,
}  # fmt: skip


@dataclass(frozen=True)
class HttpResponse:
    """What a host answered; ``is_whole`` is false when its body was longer than the limit."""

    status: int
    headers: Mapping[str, str]  # by name in lower case; values of a repeated one joined by commas
    body: bytes
    is_whole: bool


BodyLimit = Callable[[int, Mapping[str, str]], int]
"""``body_limit(status, headers)`` is the largest number of bytes of the body that are read."""


class CurlClient:
    """GET requests of one event loop; an asynchronous context manager, built inside the loop.

    ``check_ip`` raises ``RejectedError`` for an IP address that must not be connected to. The
    client follows no redirect, keeps no cookie, uses no proxy and decompresses nothing.
    """

    def __init__(
        self,
        check_ip: Callable[[str], None],
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
    ) -> None:
        self._check_ip = check_ip
        self._options: list[tuple[int, Any]] = [
            (pycurl.CONNECTTIMEOUT_MS, max(1, round(1000 * connect_timeout_s))),
            (pycurl.LOW_SPEED_LIMIT, 1),  # B/s, for …
            (pycurl.LOW_SPEED_TIME, max(1, round(read_timeout_s))),
        ]
        self._loop = asyncio.get_running_loop()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._waiters: dict[pycurl.Curl, asyncio.Future[None]] = {}
        self._idle: list[_Transfer] = []
        self._events_by_socket: dict[int, int] = {}  # file descriptor → events
        self._due: float | None = None  # when libcurl must be called, by the loop's clock
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for curl in list(self._waiters):
            self._finish(curl, FailedError(Reason.CLOSED))
        self._idle.clear()
        self._multi.close()
        for descriptor in list(self._events_by_socket):
            self._watch(pycurl.POLL_REMOVE, descriptor, None, None)
        if self._timer is not None:
            self._timer.cancel()

    async def get(
        self, url: str, headers: Sequence[str], *, body_limit: BodyLimit, timeout_s: float
    ) -> HttpResponse:
        """The response to a GET of ``url``, which must be ASCII, with ``headers``, ``Name: value``.

        Raises ``RejectedError`` for an unknown host and for what ``check_ip`` refuses,
        ``FailedError`` for everything else that went wrong.
        """
        transfer = self._idle.pop() if self._idle else _Transfer(self._check_ip, self._options)
        try:
            transfer.begin(url, headers, body_limit, timeout_s)
        except (pycurl.error, UnicodeError):
            raise RejectedError(Reason.BAD_ADDRESS) from None
        done = self._loop.create_future()
        self._waiters[transfer.curl] = done
        self._multi.add_handle(transfer.curl)
        try:
            await done
        except FailedError:
            if transfer.refusal is not None:
                raise transfer.refusal from None
            if transfer.is_whole:
                raise
        finally:
            self._finish(transfer.curl)
            response = transfer.end()
            self._idle.append(transfer)
        return response

    def _watch(self, events: int, descriptor: int, _multi: object, _data: object) -> None:
        """Called by libcurl, which from now on waits for these events of a socket."""
        if events == pycurl.POLL_REMOVE:
            events = 0
        before = self._events_by_socket.pop(descriptor, 0)
        for bit, event, add, remove in (
            (pycurl.POLL_IN, pycurl.CSELECT_IN, self._loop.add_reader, self._loop.remove_reader),
            (pycurl.POLL_OUT, pycurl.CSELECT_OUT, self._loop.add_writer, self._loop.remove_writer),
        ):
            if events & bit and not before & bit:
                add(descriptor, self._run_transfers, descriptor, event)
            elif before & bit and not events & bit:
                remove(descriptor)
        if events:
            self._events_by_socket[descriptor] = events

    def _set_timer(self, milliseconds: int) -> None:
        """Called by libcurl to be called back after this time; a negative one means never."""
        self._due = None if milliseconds < 0 else self._loop.time() + milliseconds / 1000
        if self._due is None or (self._timer is not None and self._timer.when() <= self._due):
            return  # libcurl sets it with every transfer: a timer that rings early is set again
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._due > self._loop.time():
            self._timer = self._loop.call_at(self._due, self._on_timer)
        else:
            self._run_transfers(pycurl.SOCKET_TIMEOUT, 0)

    def _run_transfers(self, descriptor: int, event: int) -> None:
        self._multi.socket_action(descriptor, event)
        while True:
            num_queued, finished, failed = self._multi.info_read()
            for curl in finished:
                self._finish(curl)
            for curl, code, _message in failed:
                self._finish(curl, _error(code))
            if not num_queued:
                return

    def _finish(self, curl: pycurl.Curl, error: Exception | None = None) -> None:
        """Remove a transfer from libcurl, ended or not, and wake the task that waits for it."""
        done = self._waiters.pop(curl, None)
        if done is None:
            return
        self._multi.remove_handle(curl)
        if done.done():  # the task that waited was cancelled
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


@dataclass
class _ResponseBuffer:
    """The part of a response that a transfer has received so far."""

    body_limit: BodyLimit = lambda _status, _headers: 0
    room: int = 0  # bytes of the body that may still come
    chunks: list[bytes] = field(default_factory=list)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class _Transfer:
    """A libcurl handle, which one transfer after another uses."""

    def __init__(self, check_ip: Callable[[str], None], options: Sequence[tuple[int, Any]]) -> None:
        self._check_ip = check_ip
        self._sockets: list[socket.socket] = []
        self._header_lines: list[bytes] = []
        self._buffer = _ResponseBuffer()
        self.is_whole = True
        self.refusal: RejectedError | None = None
        self.curl = pycurl.Curl()
        for option, value in (
            *options,
            (pycurl.NOSIGNAL, 1),
            (pycurl.PROXY, ""),
            (
                pycurl.PATH_AS_IS,
                1,
            ),  # libcurl must not change the path, for which robots.txt was checked
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.CAINFO, certifi.where()),
            (pycurl.MAXAGE_CONN, _KEEP_ALIVE_S),
            (pycurl.BUFFERSIZE, _BUFFER_BYTES),
            (pycurl.OPENSOCKETFUNCTION, self._open),
            (pycurl.HEADERFUNCTION, self._header_lines.append),
            (pycurl.WRITEFUNCTION, self._write),
        ):
            self.curl.setopt(option, value)

    def begin(
        self, url: str, headers: Sequence[str], body_limit: BodyLimit, timeout_s: float
    ) -> None:
        """Prepare the handle for a transfer."""
        self.curl.setopt(pycurl.URL, url)
        self.curl.setopt(pycurl.HTTPHEADER, headers)
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, round(1000 * timeout_s)))
        self._header_lines.clear()
        self._buffer = _ResponseBuffer(body_limit)
        self.is_whole = True
        self.refusal = None

    def end(self) -> HttpResponse:
        """The response that the transfer has received."""
        self._parse_headers()
        buffer, self._buffer = self._buffer, _ResponseBuffer()
        while self._sockets:  # pycurl keeps duplicates of its own
            self._sockets.pop().close()
        chunks = buffer.chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return HttpResponse(buffer.status, buffer.headers, body, self.is_whole)

    def _open(self, _purpose: int, address: Any) -> socket.socket | int:
        try:
            self._check_ip(address.addr[0])
        except RejectedError as error:
            self.refusal = error
            return pycurl.SOCKET_BAD
        new_socket = socket.socket(address.family, address.socktype, address.protocol)
        self._sockets.append(new_socket)
        return new_socket

    def _write(self, chunk: bytes) -> int | None:
        buffer = self._buffer
        if not buffer.chunks:
            self._parse_headers()
            buffer.room = buffer.body_limit(buffer.status, buffer.headers)
        buffer.room -= len(chunk)
        if buffer.room < 0:
            self.is_whole = False
            return 0  # libcurl aborts the transfer
        buffer.chunks.append(chunk)
        return None

    def _parse_headers(self) -> None:
        """Read status and headers; those of interim responses are overwritten by the final ones."""
        buffer = self._buffer
        for line in self._header_lines:
            if line.startswith(b"HTTP/"):
                buffer.status, buffer.headers = int(line.split(None, 2)[1]), {}
                continue
            name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
            name, value = name.strip().lower(), value.strip()
            before = buffer.headers.get(name)
            buffer.headers[name] = value if before is None else f"{before}, {value}"
        self._header_lines.clear()


def _error(code: int) -> FailedError | RejectedError:
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return RejectedError(Reason.HOST_UNKNOWN)
    if code == pycurl.E_URL_MALFORMAT:
        return RejectedError(Reason.BAD_ADDRESS)
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return FailedError(Reason.TIMEOUT)
    if code == pycurl.E_PARTIAL_FILE:
        return FailedError(Reason.CUT_SHORT)
    if code in _TLS_ERRORS:
        return FailedError(Reason.TLS_FAILED)
    return FailedError(Reason.CONNECTION_FAILED)
