"""One HTTP transfer with libcurl: the request, and what a host may answer.

Hosts may send any bytes as status line, headers and body. A transfer ends with a response or with
one of the errors of ``failure_reasons``, never with another one.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import certifi
import pycurl

from scraping.failure_reasons import FailedError, Reason, RejectedError

BodyLimit = Callable[[int, Mapping[str, str]], int]
"""``body_limit(status, headers)`` is the largest number of bytes of the body that are read."""

MAX_HEADER_BYTES = 262_144
"""Most bytes before the body, of a response with its interim responses."""

_BUFFER_BYTES = 262_144
_KEEP_ALIVE_S = 15
_STATUS_LINE = re.compile(rb"HTTP/[\d.]+ +(\d{3})", re.IGNORECASE)
_SUPPRESS_CONNECT_HEADERS = 265  # an option of libcurl that pycurl has no name for
_E_PROXY = 97  # an error of libcurl that pycurl has no name for: a SOCKS proxy refused
_E_TOO_LARGE = 100  # likewise: the headers are too long, or too many
_TLS_ERRORS = {
    pycurl.E_SSL_CONNECT_ERROR, pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CERTPROBLEM,
    pycurl.E_SSL_CIPHER, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_SSL_INVALIDCERTSTATUS,
}  # fmt: skip
_REASONS = {
    pycurl.E_COULDNT_RESOLVE_HOST: Reason.HOST_UNKNOWN,
    pycurl.E_COULDNT_RESOLVE_PROXY: Reason.PROXY_FAILED,
    _E_PROXY: Reason.PROXY_FAILED,
    pycurl.E_OPERATION_TIMEDOUT: Reason.TIMEOUT,
    pycurl.E_PARTIAL_FILE: Reason.CUT_SHORT,
    pycurl.E_UNSUPPORTED_PROTOCOL: Reason.BAD_RESPONSE,  # another than HTTP, e.g. HTTP/0.9
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Reason.BAD_RESPONSE,
    pycurl.E_BAD_CONTENT_ENCODING: Reason.BAD_RESPONSE,
    pycurl.E_WRITE_ERROR: Reason.BAD_RESPONSE,  # the headers exceeded our limit
    _E_TOO_LARGE: Reason.BAD_RESPONSE,
    **dict.fromkeys(_TLS_ERRORS, Reason.TLS_FAILED),
}
_HOST_NOT_REACHED = range(500, 600)  # statuses by which a proxy says so


@dataclass(frozen=True)
class HttpResponse:
    """What a host answered.

    ``is_whole`` is false when its body was longer than the limit. ``failure`` is the error that cut
    a body short.
    """

    status: int
    headers: Mapping[str, str]  # by name in lower case; values of a repeated one joined by commas
    body: bytes
    is_whole: bool = True
    failure: FailedError | None = None


@dataclass
class _ResponseBuffer:
    """The part of a response that a transfer has received so far."""

    body_limit: BodyLimit = lambda _status, _headers: 0
    room: int = 0  # bytes of the body that may still come
    header_room: int = MAX_HEADER_BYTES
    chunks: list[bytes] = field(default_factory=list)
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    is_in_head: bool = False
    is_head_over: bool = False  # of the final response: further lines are trailers


class Transfer:
    """A libcurl handle, which one transfer after another uses.

    It follows no redirect and decompresses nothing. ``check_ip`` raises ``RejectedError`` for an IP
    address that must not be connected to; a proxy's own address is not checked.
    """

    def __init__(
        self,
        options: Sequence[tuple[int, Any]],
        check_ip: Callable[[str], None] = lambda _ip: None,
    ) -> None:
        self._check_ip = check_ip
        self._proxy = ""
        self._sockets: list[socket.socket] = []
        self._buffer = _ResponseBuffer()
        self._is_whole = True
        self._has_opened = False  # a socket, for which the name must have been resolved
        self._refusal: RejectedError | None = None
        self.curl = pycurl.Curl()
        for option, value in (
            *options,
            (pycurl.NOSIGNAL, 1),
            # libcurl must not change the path, for which robots.txt was checked
            (pycurl.PATH_AS_IS, 1),
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
            (pycurl.CAINFO, certifi.where()),
            (pycurl.MAXAGE_CONN, _KEEP_ALIVE_S),
            (pycurl.BUFFERSIZE, _BUFFER_BYTES),
            (_SUPPRESS_CONNECT_HEADERS, 1),
            (pycurl.NOPROXY, ""),  # core.proxies decides
            (pycurl.OPENSOCKETFUNCTION, self._open),
            (pycurl.HEADERFUNCTION, self._read_header),
            (pycurl.WRITEFUNCTION, self._write),
        ):
            self.curl.setopt(option, value)

    def begin(
        self,
        url: str,
        headers: Sequence[str],
        body_limit: BodyLimit,
        timeout_s: float,
        proxy: str = "",
    ) -> None:
        """Prepare the handle for a GET of ``url``, which must be ASCII; "" stands for no proxy.

        Raises ``RejectedError`` (``bad-address``) for an address that libcurl refuses.
        """
        self._close_sockets()
        self._proxy = proxy
        self._buffer = _ResponseBuffer(body_limit)
        self._is_whole = True
        self._has_opened = False
        self._refusal = None
        try:
            self.curl.setopt(pycurl.URL, url)
            self.curl.setopt(pycurl.PROXY, proxy)
            self.curl.setopt(pycurl.HTTPHEADER, headers)
        except (pycurl.error, UnicodeError):
            raise RejectedError(Reason.BAD_ADDRESS) from None
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, round(1000 * timeout_s)))

    def perform(self) -> HttpResponse:
        """The response to the request that ``begin`` prepared; raises as ``end`` does."""
        code = 0
        try:
            self.curl.perform()
        except pycurl.error as error:
            code = int(error.args[0])
        return self.end(code)

    def end(self, code: int) -> HttpResponse:
        """The response that the transfer has received; ``code`` is libcurl's error, or 0.

        Raises ``RejectedError`` for a malformed address and for what ``check_ip`` refuses,
        ``FailedError`` where no response came.
        """
        self._close_sockets()
        buffer, self._buffer = self._buffer, _ResponseBuffer()
        if code and self._refusal is not None:
            raise self._refusal from None
        response = HttpResponse(
            buffer.status, buffer.headers, b"".join(buffer.chunks), self._is_whole
        )
        if not self._is_whole:
            return response
        if code:
            error = self._error(code)
            if buffer.is_head_over and response.body and isinstance(error, FailedError):
                return replace(response, failure=error)
            raise error
        if not buffer.is_head_over and buffer.status != 101:
            raise FailedError(Reason.CUT_SHORT)
        return response

    def _error(self, code: int) -> FailedError | RejectedError:
        if code == pycurl.E_URL_MALFORMAT:
            return RejectedError(Reason.BAD_ADDRESS)
        reason = _REASONS.get(code, Reason.CONNECTION_FAILED)
        is_resolved = self._has_opened or bool(self.curl.getinfo(pycurl.PRIMARY_IP))
        if reason is Reason.TIMEOUT and not is_resolved:  # the name server kept silent
            reason = Reason.PROXY_FAILED if self._proxy else Reason.HOST_UNKNOWN
        if self._proxy and reason in {Reason.CONNECTION_FAILED, Reason.HOST_UNKNOWN}:
            status = self.curl.getinfo(pycurl.HTTP_CONNECTCODE)
            is_unreached = not status and code == pycurl.E_COULDNT_CONNECT
            if is_unreached or (status >= 300 and status not in _HOST_NOT_REACHED):
                reason = Reason.PROXY_FAILED
        return FailedError(reason)

    def _close_sockets(self) -> None:
        while self._sockets:  # pycurl keeps duplicates of its own
            self._sockets.pop().close()

    def _open(self, _purpose: int, address: Any) -> socket.socket | int:
        self._has_opened = True
        if not self._proxy:
            try:
                self._check_ip(address.addr[0])
            except RejectedError as error:
                self._refusal = error
                return pycurl.SOCKET_BAD
        new_socket = socket.socket(address.family, address.socktype, address.protocol)
        self._sockets.append(new_socket)
        return new_socket

    def _read_header(self, line: bytes) -> int | None:
        """Read a line before the body; the final response overwrites interim ones."""
        buffer = self._buffer
        buffer.header_room -= len(line)
        if buffer.header_room < 0:
            return 0  # libcurl aborts the transfer
        if buffer.is_head_over:
            return None
        if not buffer.is_in_head:
            match = _STATUS_LINE.match(line)
            buffer.status, buffer.headers = int(match[1]) if match else 0, {}
            buffer.is_in_head = True
        elif not line.strip(b"\r\n"):
            buffer.is_in_head = False
            buffer.is_head_over = buffer.status >= 200
        else:
            name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
            name, value = name.strip().lower(), value.strip()
            before = buffer.headers.get(name)
            buffer.headers[name] = value if before is None else f"{before}, {value}"
        return None

    def _write(self, chunk: bytes) -> int | None:
        buffer = self._buffer
        if not buffer.chunks:
            buffer.room = buffer.body_limit(buffer.status, buffer.headers)
        buffer.room -= len(chunk)
        if buffer.room < 0:
            self._is_whole = False
            return 0  # libcurl aborts the transfer
        buffer.chunks.append(chunk)
        return None
