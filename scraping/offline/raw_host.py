"""A host that answers with bytes of one's own choice, as no HTTP library would: for faults."""

from __future__ import annotations

import gzip
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

_MAX_REQUEST_BYTES = 65_536

RawAnswer = Callable[[str, Mapping[str, str]], bytes]
"""``answer(path, headers)`` is everything that the host sends; header names are in lower case."""


def _ok(body: bytes, *lines: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = ["HTTP/1.1 200 OK", "Content-Type: image/jpeg", *lines, f"Content-Length: {size}"]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body


def _hotlink(body: bytes, headers: Mapping[str, str]) -> bytes:
    referer = headers.get("referer", "")
    if referer and not referer.startswith(f"http://{headers.get('host', '')}/"):
        return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    return _ok(body)


def _cookie(body: bytes, headers: Mapping[str, str]) -> bytes:
    if "seen=1" in headers.get("cookie", ""):
        return _ok(body)
    cookie = "Set-Cookie: seen=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT; Path=/"
    return f"HTTP/1.1 302 Found\r\n{cookie}\r\nLocation: #\r\nContent-Length: 0\r\n\r\n".encode()


HOST_FAULTS: Mapping[str, Callable[[bytes, Mapping[str, str]], bytes]] = MappingProxyType(
    {
        # A browser shows these pictures.
        "odd-header": lambda body, _: _ok(body, "HTTP/2-Push: none", ": no name"),
        "no-colon": lambda body, _: _ok(body, "a line without one"),
        "early-hints": lambda body, _: b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + _ok(body),
        "gzip": lambda body, _: _ok(gzip.compress(body), "Content-Encoding: gzip"),
        "false-encoding": lambda body, _: _ok(body, "Content-Encoding: gzip"),
        "false-length": lambda body, _: _ok(body, length=len(body) + 999),
        "hotlink": _hotlink,  # 403 to pages of other hosts
        "cookie": _cookie,  # a redirect until the cookie comes back that it sets
        "status-203": lambda body, _: _ok(body).replace(b"200 OK", b"203 Not Mine", 1),
        # These hold no picture, or none that can be read.
        "endless-header": lambda body, _: _ok(body, "X: " + "x" * 500_000),
        "http-0.9": lambda body, _: body,
        "bad-chunks": lambda body, _: (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n" + body
        ),
        "bad-redirect": lambda _body, _: b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n",
        "odd-status": lambda body, _: b"HTTP/1.1 999 No\r\n\r\n" + body,
        "no-answer": lambda _body, _: b"",
    }
)
"""By name: ``fault(body, headers)`` is the answer of a host with this fault."""


class RawHost:
    """Serves ``answer`` on loopback, one request for each connection; a context manager.

    ``url`` is its address without a path, ``port`` the port in it.
    """

    def __init__(self, answer: RawAnswer, server_socket: socket.socket | None = None) -> None:
        handler = type("_Handler", (_Handler,), {"answer": staticmethod(answer)})
        self._server = _Server(("127.0.0.1", 0), handler, bind_and_activate=server_socket is None)
        if server_socket is not None:
            self._server.socket.close()
            self._server.socket = server_socket
            self._server.server_activate()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.port = int(self._server.socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        """Clients may leave in the middle of an answer."""


class _Handler(socketserver.BaseRequestHandler):
    answer: RawAnswer

    def handle(self) -> None:
        request = b""
        while b"\r\n\r\n" not in request and len(request) < _MAX_REQUEST_BYTES:
            chunk = self.request.recv(_MAX_REQUEST_BYTES)
            if not chunk:
                return
            request += chunk
        first, *lines = request.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs if name}
        words = first.split(" ")
        self.request.sendall(self.answer(words[1] if len(words) > 1 else "", headers))
        self.request.shutdown(socket.SHUT_WR)
        self.request.settimeout(1)
        while self.request.recv(_MAX_REQUEST_BYTES):  # else unread bytes would reset the connection
            pass
