"""Searches and downloads behind a proxy: both go through it, and hosts are judged before.

The kind: a proxy is the only way out, and a part of a crawl does not take it, or takes the proxy's
own answer for the host's, or lets the proxy reach what we may not. The boundary: a name is resolved
and judged here before the proxy hears of it; only one that this machine cannot resolve is left to
the proxy; whatever the proxy itself does is ``proxy-failed``, which may pass.
"""

import asyncio
import contextlib
import select
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from crawl_runs import crawl_config

from core.errors import TransientError
from core.workspace import Workspace
from scraping.config import CrawlConfig
from scraping.crawl import crawl
from scraping.download.fetcher import Fetcher, PictureFile
from scraping.download.limits import DownloadLimits
from scraping.failure_reasons import FailedError, RejectedError
from scraping.offline.corpus import Corpus, Item, portrait_corpus
from scraping.offline.raw_host import RawHost
from scraping.offline.server import OfflineEngine
from scraping.search.baidu import Baidu
from scraping.search.client import SearchClient

ROOT = Path(__file__).resolve().parents[2]
JPEG = b"\xff\xd8\xff\xe0" + bytes(500) + b"\xff\xd9"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(JPEG) + JPEG


class _Proxy(socketserver.ThreadingTCPServer):
    """A proxy for which every name is loopback: it forwards requests and CONNECT tunnels."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.requests: list[str] = []  # first lines
        self.refusal = b""  # answer to every request, in place of forwarding
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Clients leave."""


class _Forward(socketserver.BaseRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            chunk = self.request.recv(65536)
            if not chunk:
                return
            request += chunk
        first, _, rest = request.partition(b"\r\n")
        method, target, version = first.decode().split(" ")
        self.server.requests.append(f"{method} {target}")
        if self.server.refusal:
            self.request.sendall(self.server.refusal)
            return
        parts = urlsplit(target if "://" in target else f"//{target}")
        origin = socket.create_connection(("127.0.0.1", parts.port or 80))
        if method == "CONNECT":
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\nX: tunnel\r\n\r\n")
        else:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            lines = [f"{method} {path} {version}".encode(), b"Connection: close", rest]
            origin.sendall(b"\r\n".join(lines))
        _relay(self.request, origin)


def _relay(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError), other:
        while True:
            ready, _, _ = select.select([one, other], [], [], 10)
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                (other if source is one else one).sendall(data)


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Proxy]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with _Proxy() as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("http_proxy", running.url)
        monkeypatch.setenv("https_proxy", running.url)
        yield running
        running.shutdown()


def _outcome(*urls: str, **changes: object) -> list[PictureFile | str]:
    values = {"domain": "any", "phrases": ("x",), "num_tries": 1, "requests_per_s_per_host": 1e6,
              "respect_opt_out": False} | changes  # fmt: skip
    config = CrawlConfig.model_validate(values)

    async def fetch_all() -> list[PictureFile | str]:
        outcomes: list[PictureFile | str] = []
        async with Fetcher(DownloadLimits.from_config(config)) as fetcher:
            for url in urls:
                try:
                    outcomes.append(await fetcher.fetch(url))
                except (RejectedError, FailedError) as error:
                    outcomes.append(f"{type(error).__name__} {error.reason}")
        return outcomes

    return asyncio.run(fetch_all())


def test_a_download_goes_through_the_proxy(proxy: _Proxy) -> None:
    with RawHost(lambda _path, _headers: OK) as host:
        url = f"http://pictures.invalid:{host.port}/a.jpg"
        (outcome,) = _outcome(url)
    assert isinstance(outcome, PictureFile)
    assert proxy.requests == [f"GET {url}"]


def _certificate(folder: Path, name: str) -> Path:
    """A certificate of its own authority, and its key, in one file."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    key_text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key_text)
    return path


def test_https_goes_through_a_tunnel_whose_own_answer_is_not_the_hosts(
    proxy: _Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _certificate(tmp_path, "pictures.invalid")
    monkeypatch.setattr("scraping.transfer.certifi.where", lambda: str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    listening = socket.create_server(("127.0.0.1", 0))
    with RawHost(lambda _path, _headers: OK, context.wrap_socket(listening, True)) as host:
        (outcome,) = _outcome(f"https://pictures.invalid:{host.port}/a.jpg")
    assert isinstance(outcome, PictureFile)
    assert proxy.requests == [f"CONNECT pictures.invalid:{host.port}"]


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "http://0x0a010203/",
        "http://[fd00::1]/",
        "http://intranet/",
        "http://printer.local/",
        "http://db.internal/",
    ],
)
def test_the_proxy_never_hears_of_private_hosts(proxy: _Proxy, url: str) -> None:
    with RawHost(_redirect_to(url)) as host:
        direct, moved = _outcome(url, f"http://pictures.invalid:{host.port}/a.jpg")
    assert "private-address" in str(direct)
    assert "private-address" in str(moved)
    assert [line for line in proxy.requests if "pictures.invalid" not in line] == []


def _redirect_to(url: str) -> object:
    answer = f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {url}\r\n\r\n".encode()
    return lambda _path, _headers: answer


_FETCH = """
import sys
sys.path.insert(0, "tests/scraping")
from test_proxied_crawl import _outcome
print(*_outcome("http://inside.example/a.jpg"))
"""


def test_a_name_that_resolves_to_a_private_address_is_refused_before_the_proxy(
    proxy: _Proxy, tmp_path: Path
) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n10.0.0.5 inside.example\n")
    mount = f"mount --bind {tmp_path / 'hosts'} /etc/hosts"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], check=False).returncode:
        pytest.skip("this user may not give a process a hosts file of its own")
    paths = ":".join([str(ROOT), str(ROOT / "tests" / "support")])
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && exec "$0" -c "$1"', sys.executable, _FETCH],
        cwd=ROOT, env={**_environment(), "PYTHONPATH": paths}, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "FailedError private-address"
    assert proxy.requests == []


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def test_a_proxy_that_is_gone_or_refuses_may_pass(
    proxy: _Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = ("http://a.invalid/x", "https://a.invalid/x")
    proxy.refusal = b"HTTP/1.1 407 Password\r\nContent-Length: 0\r\n\r\n"
    assert _outcome(*urls) == ["FailedError http-407", "FailedError proxy-failed"]
    proxy.refusal = b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\n\r\n"
    assert _outcome(*urls) == ["FailedError http-502", "FailedError connection-failed"]
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://me:secret@127.0.0.1:9")
    assert _outcome(*urls) == ["FailedError proxy-failed"] * 2
    config = CrawlConfig(
        engine_url="http://engine.invalid", domain="any", phrases=("x",), num_tries=1
    )
    with pytest.raises(TransientError, match=r"through the proxy http://127\.0\.0\.1:9 \(proxy-"):
        SearchClient(config, Baidu(config)).search("x", 0)


class _Named(OfflineEngine):
    """An engine and hosts with names that only the proxy knows."""

    @property
    def url(self) -> str:
        return super().url.replace("127.0.0.1", "engine.invalid")

    def _address(self, item: Item, kind: str) -> str:
        return super()._address(item, kind).replace("127.0.0.1", "pictures.invalid")


@pytest.mark.slow
def test_a_whole_crawl_needs_nothing_but_the_proxy(proxy: _Proxy, tmp_path: Path) -> None:
    whole = portrait_corpus(num_good=6)
    items = tuple(replace(item, behaviour="serve") for item in whole.items["bare"][:6])
    with _Named(Corpus({"bare": items}, whole.words)) as engine:
        config = crawl_config(engine, phrases=("素颜",), allow_private_hosts=False)
        summary = crawl(config, Workspace(tmp_path))
    assert summary.num_ok == 6
    hosts = {urlsplit(line.split()[1]).hostname for line in proxy.requests}
    assert hosts == {"engine.invalid", "pictures.invalid"}


def test_loopback_is_asked_directly(proxy: _Proxy) -> None:
    with RawHost(lambda _path, _headers: OK) as host:
        outcomes = _outcome(f"{host.url}/a", allow_private_hosts=True)
        outcomes += _outcome(f"http://localhost:{host.port}/a", allow_private_hosts=True)
    assert all(isinstance(outcome, PictureFile) for outcome in outcomes)
    assert proxy.requests == []
