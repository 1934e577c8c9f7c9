import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scraping.config import CrawlConfig
from scraping.fetch import Fetcher, RejectedError, sniff
from scraping.records import TransientError

JPEG = b"\xff\xd8\xff\xe0" + bytes(500)


class _Host(BaseHTTPRequestHandler):
    """A host of originals with every bad habit, by path."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []  # noqa: RUF012 - one server a test

    def do_GET(self) -> None:
        self.seen.append(self.path)
        getattr(self, f"_{self.path.split('?')[0].strip('/')}", self._missing)()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _missing(self) -> None:
        self._answer(404)

    def _good(self) -> None:
        self._answer(200, JPEG, Content_Type="text/plain")

    def _html(self) -> None:
        self._answer(200, b"<html>", Content_Type="image/jpeg")

    def _empty(self) -> None:
        self._answer(200)

    def _forbidden(self) -> None:
        self._answer(403)

    def _moved(self) -> None:
        self._answer(302, Location="/good")

    def _loop(self) -> None:
        self._answer(302, Location="/loop")

    def _lost(self) -> None:
        self._answer(302)

    def _file(self) -> None:
        self._answer(302, Location="file:///etc/passwd")

    def _noai(self) -> None:
        self._answer(200, JPEG, X_Robots_Tag="NoAI, noindex")

    def _busy(self) -> None:
        if self.seen.count("/busy") > 1:
            self._good()
        else:
            self._answer(503, Retry_After="7")

    def _cut(self) -> None:
        self._answer(200, JPEG, Content_Length="9999")
        self.close_connection = True

    def _announced(self) -> None:
        self._answer(200, JPEG, Content_Length=str(10**9))
        self.close_connection = True

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        for _ in range(100):
            self.wfile.write(JPEG * 100)

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        for _ in range(100):
            self.wfile.write(b"\xff\xd8\xff")
            self.wfile.flush()
            time.sleep(0.05)


@pytest.fixture
def host() -> Iterator[str]:
    _Host.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Host) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _config(**changes: object) -> CrawlConfig:
    values = {
        "domain": "any",
        "phrases": ("x",),
        "allow_private_hosts": True,
        "requests_per_s_per_host": 1000,
        "max_megabytes": 0.1,
        "total_timeout_s": 1,
        "read_timeout_s": 1,
        "num_tries": 1,
    }
    return CrawlConfig.model_validate(values | changes)


def test_a_picture_is_known_by_its_content(host: str) -> None:
    fetched = Fetcher(_config()).fetch(f"{host}/good")
    assert fetched.body == JPEG
    assert fetched.extension == "jpg"
    assert len(fetched.sha256) == 64


def test_redirects_are_followed(host: str) -> None:
    assert Fetcher(_config()).fetch(f"{host}/moved").body == JPEG


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("html", "not-an-image"),
        ("empty", "empty"),
        ("forbidden", "http-403"),
        ("nowhere", "http-404"),
        ("loop", "too-many-redirects"),
        ("lost", "redirect-without-location"),
        ("file", "not-http"),
        ("noai", "opt-out"),
        ("announced", "too-large"),
        ("endless", "too-large"),
    ],
)
def test_what_is_no_picture_is_rejected_with_a_reason(host: str, path: str, reason: str) -> None:
    with pytest.raises(RejectedError, match=f"^{reason}$"):
        Fetcher(_config()).fetch(f"{host}/{path}")


@pytest.mark.parametrize(("path", "reason"), [("cut", "cut-short|failed"), ("drip", "too-slow")])
def test_what_may_pass_is_transient(host: str, path: str, reason: str) -> None:
    with pytest.raises(TransientError, match=reason):
        Fetcher(_config()).fetch(f"{host}/{path}")


def test_an_opt_out_can_be_overruled_knowingly(host: str) -> None:
    assert Fetcher(_config(respect_opt_out=False)).fetch(f"{host}/noai").body == JPEG


def test_retry_after_is_honoured(host: str) -> None:
    pauses: list[float] = []
    fetcher = Fetcher(_config(num_tries=2), sleep=pauses.append)
    assert fetcher.fetch(f"{host}/busy").body == JPEG
    assert 7.0 in pauses


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "http://localhost/",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://0.0.0.0/",
        "http://2130706433/",
        "http://224.0.0.1/",
    ],
)
def test_private_addresses_are_refused(url: str) -> None:
    with pytest.raises(RejectedError, match=r"^(private-address|host-unknown)$"):
        Fetcher(_config(allow_private_hosts=False)).fetch(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://a.example/x", "not-http"),
        ("javascript:alert(1)", "not-http"),
        ("http://", "bad-address"),
        ("http://a:port/", "bad-address"),
        ("http://[::1", "bad-address"),
        ("http://a..b/", "bad-address"),
    ],
)
def test_odd_addresses_are_refused(url: str, reason: str) -> None:
    with pytest.raises(RejectedError, match=f"^{reason}$"):
        Fetcher(_config()).fetch(url)


def test_a_host_that_keeps_failing_is_left_alone() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        fetcher = Fetcher(_config())
        for _ in range(5):
            with pytest.raises(TransientError):
                fetcher.fetch(url)
        with pytest.raises(RejectedError, match="host-failing"):
            fetcher.fetch(url)


def test_a_host_that_says_nonsense_is_transient() -> None:
    class Nonsense(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)
            self.request.sendall(b"\x00\x01 nonsense\r\n\r\n" * 50)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Nonsense) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TransientError):
            Fetcher(_config()).fetch(f"http://127.0.0.1:{server.server_address[1]}/x")
        server.shutdown()


def test_hosts_are_asked_at_their_pace(host: str) -> None:
    pauses: list[float] = []
    fetcher = Fetcher(_config(requests_per_s_per_host=10), sleep=pauses.append)
    for _ in range(4):
        fetcher.fetch(f"{host}/good")
    assert len(pauses) == 3
    assert max(pauses) > 0.15


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (b"\xff\xd8\xff\xdb", "jpg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF89a", "gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"\x00\x00\x00\x1cftypavif", "avif"),
        (b"<svg", None),
        (b"", None),
    ],
)
def test_sniffing(head: bytes, extension: str | None) -> None:
    assert sniff(head) == extension
