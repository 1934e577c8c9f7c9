"""Which proxy a request goes through, and that none stands before loopback, for any client.

The kind: of several clients in one process one goes through the proxy and another one does not, or
one of them asks this machine's own server through it. The boundary: ``core.proxies`` alone reads
the variables; our clients ask ``Proxies.of_url``, which knows loopback in any notation, and those
of libraries read the ``no_proxy`` that ``loopback_exemption`` completes before they start.
``tests/scraping/test_proxied_crawl.py`` has the crawl behind a real proxy.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.proxies import (
    Proxies,
    is_loopback,
    literal_ip,
    loopback_exemption,
    without_password,
)
from scraping.offline.raw_host import RawHost

ROOT = Path(__file__).resolve().parents[2]
DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://h.example/", "http://p:1"),
        ("https://h.example/", "http://s:2"),
        ("https://sub.direct.example/", ""),
        ("https://direct.example:444/", ""),
        ("https://indirect.example/", "http://s:2"),
        ("https://10.1.2.3/", ""),
        ("https://11.1.2.3/", "http://s:2"),
        ("https://port.example:8443/", ""),
        ("https://port.example/", "http://s:2"),
        ("http://127.0.0.1:4200/", ""),
        ("http://127.1/", ""),
        ("http://localhost/", ""),
        ("http://a.localhost/", ""),
        ("http://[::1]:5/", ""),
        ("http://[::ffff:127.0.0.1]/", ""),
        ("http://0.0.0.0/", ""),
    ],
)
def test_a_request_goes_through_the_proxy_of_its_scheme(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", "p:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://s:2")
    monkeypatch.setenv("NO_PROXY", ".direct.example, 10.0.0.0/8,port.example:8443,not/a/network")
    assert Proxies.from_environment().of_url(url) == proxy


def test_one_proxy_may_stand_for_all_and_a_star_exempts_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Proxies.from_environment().of_url("http://h.example/") == ""
    monkeypatch.setenv("ALL_PROXY", "socks5h://p:1")
    assert Proxies.from_environment().of_url("https://h.example/") == "socks5h://p:1"
    monkeypatch.setenv("no_proxy", "*")
    assert Proxies.from_environment().of_url("https://h.example/") == ""


def test_the_exemption_adds_to_what_is_set() -> None:
    assert loopback_exemption({}) == {}
    assert loopback_exemption({"http_proxy": DEAD, "NO_PROXY": "*"}) == {}
    both = loopback_exemption({"HTTPS_PROXY": DEAD, "NO_PROXY": "a.example, b"}, "10.0.0.9")
    assert both["no_proxy"] == both["NO_PROXY"] == "a.example,b,localhost,127.0.0.1,::1,10.0.0.9"
    assert loopback_exemption({"all_proxy": DEAD, **both}, "10.0.0.9") == both


def test_messages_hold_no_password() -> None:
    assert without_password("http://me:secret@p:1") == "http://p:1"
    assert without_password("me:se@cret@p:1") == "p:1"


def test_addresses_in_any_notation_are_known() -> None:
    assert str(literal_ip("0x7f000001")) == "127.0.0.1"
    assert str(literal_ip("fe80::1%eth0")) == "fe80::1"
    assert literal_ip("a.example") is None
    assert literal_ip("1.example") is None
    assert is_loopback("LOCALHOST.")
    assert not is_loopback("localhost.example")


_CLIENTS = """
import os, sys
from core.proxies import loopback_exemption
os.environ.update(loopback_exemption(os.environ))
import httpx, requests, urllib.request
from flows.server.prefect_server import open_directly
url = sys.argv[1]
print(requests.get(url, timeout=5).status_code, httpx.get(url, timeout=5).status_code)
print(urllib.request.urlopen(url, timeout=5).status, open_directly(url, 5))
"""


def test_no_client_asks_loopback_through_a_proxy() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"), DEAD)
    with RawHost(lambda _path, _headers: answer) as host:
        done = subprocess.run(
            [sys.executable, "-c", _CLIENTS, f"{host.url}/"],
            cwd=ROOT, env={**os.environ, **proxies}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout.split() == ["200"] * 4


_BUCKET = """
import os
from core.proxies import loopback_exemption
os.environ.update(loopback_exemption(os.environ))
from storage.remote import bucket_of, open_workspace
print(bucket_of(open_workspace(os.environ["SUYAN_HOME"])).probe() > 0)
"""


def test_object_storage_on_loopback_is_asked_without_a_proxy(shared_home: str) -> None:
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"), DEAD)
    environment = {**os.environ, **proxies, "SUYAN_HOME": shared_home}
    done = subprocess.run(
        [sys.executable, "-c", _BUCKET],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True"]
