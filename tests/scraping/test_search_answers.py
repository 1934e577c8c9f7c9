"""What the engine may answer, and which refusals a setting lifts.

The kind: an engine, or a portal before it, may send anything in place of hits. Only hits, and a
page that announces no more of them, are an answer. HTML, nothing, a redirect, an anti-bot body and
a page without the hits that it announces are refusals: the crawl cools down, asks again, stops
after two phrases, and is partial, so that a later run goes on. What cannot be read is tried again
too. The boundary is held by ``scraping.search.client``, whose ``search`` returns a page or raises
one of five errors, whatever bytes arrive, and by ``scraping.search.frontier``, which counts
refusals.

Likewise a rejection holds only as long as the setting that made it: ``scraping.catalogue.retries``.
"""

import asyncio
import contextlib
import gzip
import io
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from crawl_runs import CRAWL_SCRIPT, crawl_config
from PIL import Image
from raw_answers import JSON, search_client

from core.errors import (
    BlockedError,
    EmptyPageError,
    ResponseFormatError,
    SuyanError,
    TransientError,
    UnknownHostError,
)
from core.tables import Original, read_rows
from core.workspace import Workspace
from scraping.catalogue import queries
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl, crawl_name
from scraping.offline import responses
from scraping.offline.corpus import Corpus, Item, folder_corpus, portrait_corpus
from scraping.offline.raw_host import RawHost
from scraping.offline.server import OfflineEngine, Refusal
from scraping.search import baidu
from scraping.search.baidu import Baidu
from scraping.search.client import SearchClient
from scraping.search.engine import ResultPage

ROOT = Path(__file__).resolve().parents[2]
ONE_PHRASE = ("素颜 照片",)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Few pictures, all of which are served."""
    whole = portrait_corpus(num_good=20)
    items = tuple(replace(item, behaviour="serve") for item in whole.items["bare"][:20])
    return Corpus({"bare": items}, whole.words)


def _stops(summary: CrawlSummary) -> list[str]:
    return [str(row["stopped_because"]).partition(":")[0] for row in summary.phrases]


@pytest.mark.parametrize("refusal", ["anti-bot", "captcha", "portal", "empty-pages"])
@pytest.mark.parametrize("block_after", [0, 1])
def test_a_refusal_of_any_form_leaves_the_crawl_partial(
    corpus: Corpus, tmp_path: Path, refusal: Refusal, block_after: int
) -> None:
    with OfflineEngine(corpus, block_after=block_after, refusal=refusal) as engine:
        config = crawl_config(engine, phrases=ONE_PHRASE, page_size=10)
        refused = crawl(config, Workspace(tmp_path))
    port = urlsplit(config.engine_url).port
    assert port is not None
    with OfflineEngine(corpus, port=port) as engine:
        assert engine.url == config.engine_url
        whole = crawl(config, Workspace(tmp_path))
    assert (refused.partial, _stops(refused)) == (True, ["blocked"])
    assert (refused.num_hits > 0) == (block_after > 0)
    assert (whole.partial, _stops(whole)) == (False, ["exhausted"])
    assert whole.num_hits == len(corpus.items["bare"])


@pytest.mark.parametrize("refusal", ["portal", "empty-pages"])
def test_a_refusal_that_passes_costs_a_cool_down(
    corpus: Corpus, tmp_path: Path, refusal: Refusal
) -> None:
    with OfflineEngine(corpus, block_after=1, refusal=refusal, num_refusals=1) as engine:
        config = crawl_config(engine, phrases=ONE_PHRASE, page_size=10)
        summary = crawl(config, Workspace(tmp_path))
    assert (summary.partial, _stops(summary)) == (False, ["exhausted"])
    assert summary.num_hits == len(corpus.items["bare"])


@pytest.mark.parametrize("refusal", ["portal", "empty-pages"])
def test_two_refused_phrases_are_asked_in_one_way_and_no_further_ones(
    corpus: Corpus, tmp_path: Path, refusal: Refusal
) -> None:
    phrases = tuple(f"素颜 {number}" for number in range(6))
    with OfflineEngine(corpus, block_after=0, refusal=refusal) as engine:
        config = crawl_config(engine, phrases=phrases, max_cool_downs=1)
        summary = crawl(config, Workspace(tmp_path))
        assert engine.num_searches == 2 * 2  # two phrases, each with one cool-down
    assert summary.partial
    assert sum("not asked" in str(row["stopped_because"]) for row in summary.phrases) == 4


def test_the_engines_own_end_is_no_refusal() -> None:
    assert not ResultPage((), 0).is_withheld(0, baidu.MAX_OFFSET)
    assert not ResultPage((), 31).is_withheld(60, baidu.MAX_OFFSET)
    assert not ResultPage((), 1943).is_withheld(1020, baidu.MAX_OFFSET)  # it shows 1,000 at most
    assert not ResultPage((), None).is_withheld(0, baidu.MAX_OFFSET)
    assert ResultPage((), 1900).is_withheld(30, baidu.MAX_OFFSET)
    assert baidu.parse_acjson(b'{"listNum":"1900","data":[{}]}').is_withheld(30)


class _Promising(OfflineEngine):
    """An engine that announces more hits than it ever shows."""

    def _search(self, *arguments: object) -> tuple[str, list[Item], int, int]:
        phrase, items, offset, _ = super()._search(*arguments)  # type: ignore[arg-type]
        return phrase, items[1:] if offset else items, offset, 1900


@pytest.mark.slow
def test_a_page_that_stays_empty_for_three_runs_is_the_end(corpus: Corpus, tmp_path: Path) -> None:
    with _Promising(corpus) as engine:
        config = crawl_config(engine, phrases=ONE_PHRASE, page_size=30, max_cool_downs=0)
        runs = [crawl(config, Workspace(tmp_path)) for _ in range(4)]
    assert [run.partial for run in runs] == [True, True, False, False]
    assert _stops(runs[-1]) == ["exhausted"]


def _engine_of(answer: bytes) -> RawHost:
    home = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    return RawHost(lambda path, _headers: home if path == "/" else answer)


def _http(body: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines]) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "answer",
    [
        _http(JSON, b"HTTP/2-Push: none"),
        _http(JSON, b"Content-Type: text/html; charset=no-such-charset"),
        _http(gzip.compress(JSON), b"Content-Encoding: gzip"),
        _http(JSON, b"Content-Encoding: gzip"),
        _http(JSON.decode().encode("utf-16")[2:][::2], b"Content-Encoding: binary"),
        b"HTTP/1.1 103 Hint\r\n\r\n" + _http(JSON),
    ],
    ids=["header", "charset", "gzip", "false gzip", "encoding", "interim"],
)
def test_what_a_browser_would_read_is_read(answer: bytes) -> None:
    with _engine_of(answer) as host:
        assert len(search_client(host).search("x", 0).hits) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (_http(b""), BlockedError),
        (_http(b" <html>log in</html>"), BlockedError),
        (_http(b"\xef\xbb\xbf<!DOCTYPE html>"), BlockedError),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", BlockedError),
        (b"HTTP/1.1 451 No\r\n\r\n", BlockedError),
        (_http(b'{"listNum":1900,"data":[{}]}'), EmptyPageError),
        (_http(JSON, b"Content-Length: 1, 2"), TransientError),
        (_http(JSON, b"Content-Length: 9999"), TransientError),
        (_http(b"zz\r\n" + JSON, b"Transfer-Encoding: chunked"), TransientError),
        (_http(JSON, b"X: " + b"x" * 500_000), TransientError),
        (JSON, TransientError),
        (b"", TransientError),
        (b"HTTP/1.1 407 Proxy\r\n\r\n", TransientError),
        (b"HTTP/1.1 999 No\r\n\r\n", TransientError),
        (_http(b'{"data"'), ResponseFormatError),
        (b"HTTP/1.1 404 No\r\n\r\n", ResponseFormatError),
        (
            _http(gzip.compress(gzip.compress(bytes(10**8))), b"Content-Encoding: gzip, gzip"),
            ResponseFormatError,
        ),
    ],
)
def test_any_other_answer_is_one_of_the_errors(answer: bytes, error: type[SuyanError]) -> None:
    with _engine_of(answer) as host, pytest.raises(error) as caught:
        search_client(host).search("x", 0)
    assert type(caught.value) is error


def test_a_home_page_that_redirects_once_is_a_cool_down() -> None:
    num_homes = 0

    def answer(path: str, _headers: Mapping[str, str]) -> bytes:
        nonlocal num_homes
        if path != "/":
            return _http(JSON)
        num_homes += 1
        portal = b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\n\r\n"
        return portal if num_homes == 1 else _http(b"")

    pauses: list[float] = []
    with RawHost(answer) as host:
        config = search_client(host, max_cool_downs=1, cool_down_s=8)._config
        page = SearchClient(config, Baidu(config), sleep=pauses.append).search("x", 0)
    assert len(page.hits) == 1
    assert len(pauses) == 1
    assert pauses[0] >= 6


def test_a_slow_answer_ends_with_the_time_limit() -> None:
    def drip(_path: str, _headers: Mapping[str, str]) -> bytes:
        time.sleep(2)
        return _http(JSON)

    with RawHost(drip) as host, pytest.raises(TransientError, match="timeout"):
        search_client(host, total_timeout_s=0.3).search("x", 0)


def test_a_search_under_way_ends_when_the_crawl_ends() -> None:
    async def close_early(client: SearchClient) -> None:
        search = asyncio.create_task(asyncio.to_thread(client.search, "x", 0))
        await asyncio.sleep(0.1)
        client.close()
        with pytest.raises(TransientError):
            await search

    with RawHost(lambda _path, _headers: time.sleep(3) or b"") as host:
        asyncio.run(close_early(search_client(host, total_timeout_s=60)))


_ONE_LINE = 300  # characters of standard error, at most


def test_a_name_that_does_not_resolve_ends_the_crawl_after_one_phrase_in_one_line(
    tmp_path: Path,
) -> None:
    phrases = tuple(f"素颜 {number}" for number in range(20))
    config = CrawlConfig(engine_url="http://engine.invalid", domain="bare", phrases=phrases)
    with pytest.raises(UnknownHostError, match=r"the name engine\.invalid does not resolve"):
        crawl(config, Workspace(tmp_path))
    with Catalogue(catalogue_url(Workspace(tmp_path))) as catalogue:
        stops = [str(cursor.stop) for cursor in queries.cursors(catalogue, crawl_name(config))]
    assert len(stops) == 20
    assert sum("not asked" in stop for stop in stops) == 19
    command = [sys.executable, "-c", CRAWL_SCRIPT, config.model_dump_json(), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if "resolve" in line and "raise" not in line]
    assert len(lines) == 1
    assert len(lines[0]) < _ONE_LINE


_LOOK_UP = """
import sys
from scraping.config import CrawlConfig
from scraping.search.baidu import Baidu
from scraping.search.client import SearchClient
config = CrawlConfig(
    engine_url="http://engine.example", domain="any", phrases=("x",), connect_timeout_s=0.5
)
try:
    SearchClient(config, Baidu(config)).search("x", 0)
except Exception as error:
    print(type(error).__name__)
"""


def test_a_name_server_that_keeps_silent_is_no_silent_host(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.77\n")
    mount = f"mount --bind {tmp_path / 'resolv.conf'} /etc/resolv.conf"
    with contextlib.ExitStack() as stack:
        name_server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            name_server.bind(("127.0.0.77", 53))
            subprocess.run(["unshare", "-m", "sh", "-c", mount], check=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user may not be a name server, or give a process one of its own")
        command = f'{mount} && exec "$0" -c "$1"'
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", command, sys.executable, _LOOK_UP],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        name_server.setblocking(False)
        assert name_server.recv(999)  # it was asked
    assert done.stdout.split() == ["UnknownHostError"]


def test_refused_hits_name_the_setting_and_are_tried_again_when_it_changes(
    corpus: Corpus, tmp_path: Path
) -> None:
    with OfflineEngine(corpus) as engine:
        strict = crawl_config(engine, phrases=ONE_PHRASE, allow_private_hosts=False)
        for _ in range(2):  # a finished crawl says it again
            with pytest.raises(SuyanError, match=r"private-address.*--allow-private-hosts.*false"):
                crawl(strict, Workspace(tmp_path))
        allowed = crawl(crawl_config(engine, phrases=ONE_PHRASE), Workspace(tmp_path))
    assert allowed.num_ok == len(corpus.items["bare"])


@pytest.mark.parametrize(
    ("strict", "lenient", "reason"),
    [
        ({"max_megabytes": 0.001}, {"max_megabytes": 1}, "too-large"),
        ({"max_redirects": 0}, {"max_redirects": 2}, "too-many-redirects"),
    ],
)
def test_a_larger_limit_lifts_its_rejections_and_an_equal_one_does_not(
    corpus: Corpus, tmp_path: Path, strict: dict[str, object], lenient: dict[str, object],
    reason: str,
) -> None:  # fmt: skip
    items = tuple(replace(item, behaviour="redirect") for item in corpus.items["bare"][:5])
    with _NoThumbnails(Corpus({"bare": items}, corpus.words)) as engine:
        with pytest.raises(SuyanError, match=f"{reason}.*{next(iter(strict))}"):
            crawl(crawl_config(engine, phrases=ONE_PHRASE, **strict), Workspace(tmp_path))
        num_files = engine.num_files
        with pytest.raises(SuyanError, match=reason):  # another crawl, with the same limit
            crawl(crawl_config(engine, phrases=("素颜",), **strict), Workspace(tmp_path))
        assert engine.num_files == num_files
        summary = crawl(crawl_config(engine, phrases=ONE_PHRASE, **lenient), Workspace(tmp_path))
    assert summary.num_ok == 5


class _NoThumbnails(OfflineEngine):
    def _address(self, item: Item, kind: str) -> str:
        return super()._address(item, "original" if kind else "")


@pytest.mark.slow
def test_a_hit_that_failed_in_one_crawl_is_tried_by_another(corpus: Corpus, tmp_path: Path) -> None:
    items = tuple(replace(item, behaviour="no-answer") for item in corpus.items["bare"][:3])
    with _NoThumbnails(Corpus({"bare": items}, corpus.words), port=8840) as engine:
        config = crawl_config(engine, phrases=ONE_PHRASE, num_tries=1)
        for _ in range(4):
            failed = crawl(config, Workspace(tmp_path))
    assert (failed.num_ok, failed.num_waiting) == (0, 0)  # given up
    with _NoThumbnails(
        Corpus({"bare": corpus.items["bare"][:3]}, corpus.words), port=8840
    ) as mended:
        other = crawl(crawl_config(mended, phrases=("素颜",)), Workspace(tmp_path))
    assert other.num_ok == 3


def _png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_folder_is_served_by_content_and_what_is_left_out_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files: dict[str, Callable[[], bytes] | bytes] = {
        "a.jpg": b"\xff\xd8\xff\xe0", "no_suffix": _png(9, 9), "b.download": _png(8, 8),
        "notes.txt": b"text", "page.html": b"<html>", "empty.png": b"",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)  # type: ignore[arg-type]
    corpus = folder_corpus({"cats": tmp_path})
    assert [item.title for item in corpus.items["cats"]] == [
        "a.jpg", "b.download", "empty.png", "no_suffix",
    ]  # fmt: skip
    assert "2 of 6 files are left out" in caplog.text


def test_files_that_no_thumbnail_can_be_drawn_of_are_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # a bomb has twice as many pixels
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "bomb.jpg").write_bytes(b"P5 99 99 255 " + bytes(99 * 99))  # PGM, which we don't take
    (folder / "bomb.png").write_bytes(_png(99, 99))
    (folder / "torn.png").write_bytes(_png(9, 9)[:40])
    (folder / "gone.png").write_bytes(b"")
    corpus = folder_corpus({"cats": folder})
    (folder / "gone.png").unlink()
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine, domain="cats", phrases=("cats",))
        summary = crawl(config, Workspace(tmp_path / "w"))
    assert not summary.partial
    statuses = {row.status for row in read_rows(summary.listing, Original)}
    assert summary.num_hits == 4
    assert statuses == {"ok", "rejected"}
    assert set(summary.reasons) == {"not-an-image", "empty"}


def test_the_offline_engine_answers_as_the_real_one_refuses() -> None:
    with pytest.raises(BlockedError):
        baidu.parse_acjson(responses.PORTAL.encode())
