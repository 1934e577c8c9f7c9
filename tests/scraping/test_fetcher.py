import asyncio
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.errors import TransientError
from scraping.config import CrawlConfig
from scraping.download.fetcher import Fetcher, PictureFile
from scraping.download.limits import DownloadLimits
from scraping.failure_reasons import RejectedError

JPEG = b"\xff\xd8\xff\xe0" + bytes(500)


class _Host(BaseHTTPRequestHandler):
    """A host of originals whose paths show every kind of misbehaviour."""

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

    def _gbk(self) -> None:
        self._answer(302, Location="/good?\xc4\xe3")  # as bytes: 你 in GBK

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


def _fetch(config: CrawlConfig, *urls: str, pauses: list[float] | None = None) -> list[PictureFile]:
    """Fetch one address after the other with one fetcher; pauses are recorded instead of made."""

    async def pause(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    async def all_of_them() -> list[PictureFile]:
        async with Fetcher(DownloadLimits.from_config(config), sleep=pause) as fetcher:
            return [await fetcher.fetch(url) for url in urls]

    return asyncio.run(all_of_them())


def test_a_picture_is_known_by_its_content(host: str) -> None:
    fetched = _fetch(_config(), f"{host}/good")[0]
    assert fetched.body == JPEG
    assert fetched.extension == "jpg"
    assert len(fetched.sha256) == 64


def test_redirects_are_followed(host: str) -> None:
    assert _fetch(_config(), f"{host}/moved")[0].body == JPEG


def test_a_redirect_may_name_its_target_in_any_encoding(host: str) -> None:
    assert _fetch(_config(), f"{host}/gbk")[0].body == JPEG
    assert _Host.seen[-1] == "/good?%C4%E3"


def test_no_proxy_stands_between_us_and_what_was_checked(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert _fetch(_config(), f"{host}/good")[0].body == JPEG


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
        _fetch(_config(), f"{host}/{path}")[0]


@pytest.mark.parametrize(("path", "reason"), [("cut", "cut-short|failed"), ("drip", "too-slow")])
def test_what_may_pass_is_transient(host: str, path: str, reason: str) -> None:
    with pytest.raises(TransientError, match=reason):
        _fetch(_config(), f"{host}/{path}")[0]


def test_an_opt_out_can_be_overruled_knowingly(host: str) -> None:
    assert _fetch(_config(respect_opt_out=False), f"{host}/noai")[0].body == JPEG


def test_retry_after_is_honoured(host: str) -> None:
    pauses: list[float] = []
    [fetched] = _fetch(_config(num_tries=2), f"{host}/busy", pauses=pauses)
    assert fetched.body == JPEG
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
        "http://0x7f000001/",
        "http://127.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://①②⑦.0.0.1/",
        "http://224.0.0.1/",
    ],
)
def test_private_addresses_are_refused(url: str) -> None:
    with pytest.raises(RejectedError, match=r"^(private-address|host-unknown|bad-address)$"):
        _fetch(_config(allow_private_hosts=False), url)[0]


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
        _fetch(_config(), url)[0]


def test_a_host_that_keeps_failing_is_left_alone() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        reasons = asyncio.run(_reasons(_config(respect_opt_out=False), url, 6))
    assert reasons == ["connection-failed"] * 5 + ["host-failing"]


async def _reasons(config: CrawlConfig, url: str, num: int) -> list[str]:
    reasons = []
    async with Fetcher(DownloadLimits.from_config(config)) as fetcher:
        for _ in range(num):
            with pytest.raises(TransientError) as caught:
                await fetcher.fetch(url)
            reasons.append(caught.value.reason)
    return reasons


def test_a_host_that_says_nonsense_is_transient() -> None:
    class Nonsense(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1000)
            self.request.sendall(b"\x00\x01 nonsense\r\n\r\n" * 50)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Nonsense) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TransientError):
            _fetch(_config(), f"http://127.0.0.1:{server.server_address[1]}/x")[0]
        server.shutdown()


def test_hosts_are_asked_at_their_pace(host: str) -> None:
    pauses: list[float] = []
    config = _config(requests_per_s_per_host=10, respect_opt_out=False)
    _fetch(config, *[f"{host}/good"] * 4, pauses=pauses)
    assert len(pauses) == 3
    assert max(pauses) > 0.15
