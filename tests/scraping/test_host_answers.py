"""What a host may do costs one row, and what may pass is tried again.

The kind: a host of pictures decides about its status line, its headers, its encodings, its
redirects, its bodies, and about time. None of these may end a crawl, or be taken for final without
being so. The boundary is held in three places:

- ``scraping.transfer`` reads an answer. It parses lines by their place and never by their look,
  limits bytes and time, and raises two errors only.
- ``scraping.download.fetcher`` gives each outcome a ``Reason``. What a browser would show is taken:
  odd headers, interim responses, an encoding nobody asked for, a false length, hotlink rules.
- ``scraping.download.task_runner`` turns any other error, a bug of ours, into a row too.

``scraping.failure_reasons`` argues which reasons are final: the text of the address, a whole answer
without a picture, a decision. All others may pass, and a later run tries them again.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from crawl_runs import CRAWL_SCRIPT, crawl_config
from raw_answers import JPEG, download, download_config, downloaded

from core.tables import Original, read_rows
from core.workspace import Workspace
from scraping.catalogue import schema as db
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.crawl import crawl
from scraping.download.fetcher import Fetcher, PictureFile
from scraping.download.limits import DownloadLimits
from scraping.download.task_runner import TaskRunner
from scraping.failure_reasons import MAY_PASS, Reason, RejectedError, may_pass
from scraping.offline.corpus import (
    Behaviour,
    Corpus,
    Item,
    host_faults,
    portrait_corpus,
    with_faults,
)
from scraping.offline.raw_host import HOST_FAULTS, RawHost
from scraping.offline.server import OfflineEngine

ROOT = Path(__file__).resolve().parents[2]
SHOWN = {
    "odd-header", "no-colon", "early-hints", "gzip", "false-encoding", "false-length", "hotlink",
    "cookie", "status-203",
}  # fmt: skip


@pytest.mark.parametrize("fault", HOST_FAULTS)
def test_a_fault_of_a_host_costs_one_row_at_most(fault: str) -> None:
    def answer(path: str, headers: Mapping[str, str]) -> bytes:
        return HOST_FAULTS[fault](JPEG, headers)

    with RawHost(answer) as host:
        outcome = asyncio.run(download(f"{host.url}/x.jpg", "http://page.example/"))
    if fault in SHOWN:
        assert isinstance(outcome, PictureFile)
        assert outcome.body == JPEG
    else:
        assert isinstance(outcome, str)


_LENGTH = b"Content-Length: %d\r\n" % len(JPEG)


@pytest.mark.parametrize(
    ("head", "is_taken"),
    [
        (b"HTTP/1.1 200\r\n" + _LENGTH, True),
        (b"HTTP/2 200\r\n" + _LENGTH, True),
        (b"HTTP/1.1 2000 OK\r\n" + _LENGTH, True),
        (b"HTTP/1.1 200 OK\nX: a\nContent-Length: %d\n" % len(JPEG), True),
        (b"HTTP/1.1 200 OK\r\n folded: first\r\n" + _LENGTH, True),
        (b"HTTP/1.1 200 OK\r\nHTTP/1.1 404: no\r\n" + _LENGTH, True),
        (b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff\xfe=;;\x01\r\n" + _LENGTH, True),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: none\r\n" + _LENGTH, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9" + b"9" * 30 + b"\r\n", False),  # too-large
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n", True),
        (b"HTTP/1.1 200 OK\r\nX: a\0b\r\n" + _LENGTH, True),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n" + _LENGTH, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n", True),
        (b"HTTP/1.1 200 OK\r\n" + _LENGTH + b"Content-Length: 7\r\n", True),
        (b"HTTP/1.1  200 OK\r\n" + _LENGTH, True),
        (b"\r\nHTTP/1.2 200 OK\r\n" + _LENGTH, True),
        (b"HTTP/1.1 103 Hint\nno colon\n\nHTTP/1.1 200 OK\n" + _LENGTH, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: none\r\n", True),
        (b"HTTP/1.1 000 OK\r\n" + _LENGTH, False),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n", False),
        (b"HTTP/1.1 206 Part\r\n" + _LENGTH, False),
        (b"HTTP/1.1 204 None\r\n", False),
        (b"ICY 200 OK\r\n" + _LENGTH, True),
        (b"HTTP/1.1 103 Hint\r\nA: b\r\n\r\n" * 20_000 + b"HTTP/1.1 200 OK\r\n", False),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 60_000, False),
    ],
)
def test_heads_of_any_look_are_read_or_refused(head: bytes, is_taken: bool) -> None:
    outcome = downloaded(head + b"\r\n" + JPEG)
    assert isinstance(outcome, PictureFile) == is_taken, outcome


@pytest.mark.parametrize(
    "body",
    [
        b"1fa ;x=y\r\n" + JPEG + b"\r\n0\r\nHTTP/9: trailer\r\nHTTP/1.1 500 x: y\r\n\r\n",
        b"1fa\n" + JPEG + b"\n0\n\n",
        b"1fa\r\n" + JPEG + b"\r\n",  # without the last chunk
        b"1fa\r\n" + JPEG + b"\r\nzz\r\n",
    ],
    ids=["trailers", "line feeds", "no end", "a bad chunk after all"],
)
def test_odd_chunks_with_a_whole_picture_are_taken(body: bytes) -> None:
    assert len(JPEG) == 0x1FA
    outcome = downloaded(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert isinstance(outcome, PictureFile)
    assert outcome.body == JPEG


def test_the_lenient_reading_keeps_every_rule() -> None:
    odd = b"HTTP/1.1 200 OK\r\nno colon\r\n"
    assert downloaded(odd + b"X-Robots-Tag: noai\r\n\r\n" + JPEG, respect_opt_out=True) == (
        "RejectedError opt-out"
    )
    assert downloaded(odd + b"\r\n" + bytes(200_000)) == "RejectedError too-large"
    assert downloaded(odd + b"A: " + b"a" * 300_000) == "FailedError bad-response"
    chunked = odd + b"Transfer-Encoding: chunked\r\n\r\n1fa\r\n" + JPEG + b"\r\n0\r\n\r\n"
    outcome = downloaded(chunked)
    assert isinstance(outcome, PictureFile)
    assert outcome.body == JPEG
    private = asyncio.run(_refused_leniently())
    assert private == "private-address"


async def _refused_leniently() -> str:
    from scraping.download.lenient_http import get_leniently
    from scraping.download.ssrf import refuse_private, split_url

    address = split_url("http://127.0.0.1:9/x")
    with pytest.raises(RejectedError) as caught:
        await get_leniently(
            address, [], check_ip=refuse_private, body_limit=lambda *_: 9, timeout_s=1
        )
    return str(caught.value)


def test_a_picture_without_its_end_is_cut_short() -> None:
    assert downloaded(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + JPEG[:-2]) == (
        "FailedError cut-short"
    )
    assert downloaded(b"HTTP/1.1 200 OK\r\nContent-Le") == "FailedError cut-short"


def test_a_bomb_is_too_large() -> None:
    import gzip

    layers = gzip.compress(gzip.compress(bytes(100_000_000)))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\n\r\n"
    assert downloaded(head + layers) == "RejectedError too-large"


@pytest.mark.parametrize(
    ("location", "outcome"),
    [
        (b"http://[", "RejectedError bad-address"),
        (b"http://a\xff\xfe..b/", "RejectedError bad-address"),
        (b"//", "RejectedError too-many-redirects"),
        (b"", "RejectedError redirect-without-location"),
        (b"gopher://h/x", "RejectedError not-http"),
        (b"data:image/jpeg;base64,AAAA", "RejectedError not-http"),
        (b"http://x.invalid/y", "FailedError host-unknown"),
        (b"?" + b"x" * 5000, "RejectedError too-many-redirects"),
    ],
)
def test_a_redirect_to_anywhere_is_andownload(location: bytes, outcome: str) -> None:
    answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    assert downloaded(answer) == outcome


def test_a_page_of_another_host_may_be_a_portal_and_is_not_final() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"
    with RawHost(lambda _path, _headers: page) as portal:
        away = f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {portal.url}/\r\n\r\n"
        elsewhere = away.replace("127.0.0.1", "localhost").encode()
        assert downloaded(elsewhere) == "FailedError not-an-image"
    assert downloaded(page) == "RejectedError not-an-image"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *(
            (status, "FailedError")
            for status in (202, 304, 407, 408, 420, 425, 429, 430, 499, 503, 999)
        ),
        *((status, "RejectedError") for status in (400, 401, 403, 404, 410, 451)),
    ],
)
def test_only_what_a_host_says_of_the_picture_is_final(status: int, kind: str) -> None:
    answer = b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status
    assert downloaded(answer) == f"{kind} http-{status}"


def test_a_challenge_to_robots_is_not_the_pictures_end() -> None:
    answer = b"HTTP/1.1 403 x\r\nCF-Mitigated: challenge\r\nContent-Length: 6\r\n\r\n<html>"
    assert downloaded(answer) == "FailedError http-403"


def test_cookies_go_to_the_site_that_set_them_alone() -> None:
    seen: list[tuple[str, str | None]] = []

    def answer(path: str, headers: Mapping[str, str]) -> bytes:
        seen.append((headers["host"].partition(":")[0], headers.get("cookie")))
        port = headers["host"].rpartition(":")[2]
        places = {"/x": f"http://localhost:{port}/y", "/y": f"http://127.0.0.1:{port}/z"}
        if path not in places:
            return b"HTTP/1.1 200 OK\r\n\r\n" + JPEG
        cookies = f"Set-Cookie: at={path[1]}\r\nSet-Cookie: bad name; x\r\n"
        return f"HTTP/1.1 302 x\r\n{cookies}Location: {places[path]}\r\n\r\n".encode()

    with RawHost(answer) as host:
        outcome = asyncio.run(download(f"{host.url}/x"))
    assert isinstance(outcome, PictureFile)
    assert seen == [("127.0.0.1", None), ("localhost", None), ("127.0.0.1", "at=x")]


def test_every_reason_is_final_or_may_pass() -> None:
    final = {reason for reason in Reason if not may_pass(reason)}
    assert final == {
        "no-address", "bad-address", "not-http",  # the text
        "too-many-redirects", "redirect-without-location", "empty", "not-an-image",  # the answer
        "opt-out", "robots", "forgotten", "too-large", "private-address",  # a decision
        "encrypted", "nested-archive", "broken-archive", "archive-bomb", "link", "gone",  # a file
    }  # fmt: skip
    assert {"timeout", "host-unknown", "tls-failed", "http-429"} <= MAY_PASS


def test_hotlink_rules_are_met_before_any_thumbnail(tmp_path: Path) -> None:
    faulty = with_faults(_portraits("serve"), ["hotlink"])
    with OfflineEngine(faulty) as engine:
        summary = crawl(crawl_config(engine), Workspace(tmp_path))
        referers = engine.downloads
    rows = read_rows(summary.listing, Original)
    assert {row.served_by for row in rows} == {"objURL"}
    assert summary.num_ok == len(rows)
    assert max(referers.values()) <= 2  # the page's referer, then the host's own origin


def test_what_a_site_served_before_is_sent_first() -> None:
    requests: list[str] = []

    def answer(path: str, headers: Mapping[str, str]) -> bytes:
        requests.append(headers.get("referer", ""))
        return HOST_FAULTS["hotlink"](JPEG, headers)

    async def three(url: str) -> None:
        async with Fetcher(DownloadLimits.from_config(download_config())) as fetcher:
            for number in range(3):
                await fetcher.fetch(f"{url}/{number}.jpg", "http://page.example/")

    with RawHost(answer) as host:
        asyncio.run(three(host.url))
    assert requests == ["http://page.example/", *[f"{host.url}/"] * 3]


def test_a_host_that_forbids_everybody_is_asked_three_times() -> None:
    requests: list[str] = []

    def answer(path: str, headers: Mapping[str, str]) -> bytes:
        requests.append(headers.get("referer", "none"))
        return b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"

    with RawHost(answer) as host:
        outcome = asyncio.run(download(f"{host.url}/x", "http://page.example/"))
    assert outcome == "RejectedError http-403"
    assert requests == ["http://page.example/", f"{host.url}/", "none"]


@pytest.mark.parametrize("robots", [b"\xff" * 99, b"Crawl-delay: nan", b"Crawl-delay: 1e999", b"*"])
def test_any_robots_txt_leaves_the_host_usable(robots: bytes) -> None:
    def answer(path: str, headers: Mapping[str, str]) -> bytes:
        body = b"User-agent: *\n" + robots if path == "/robots.txt" else JPEG
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    with RawHost(answer) as host:
        outcome = asyncio.run(download(f"{host.url}/x", respect_opt_out=True))
    assert isinstance(outcome, PictureFile)


@pytest.mark.slow
def test_a_crawl_outlives_every_fault_of_its_hosts(tmp_path: Path) -> None:
    corpus = with_faults(_portraits("serve", num=36), host_faults(["all"]))
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine, num_tries=1, read_timeout_s=1)
        summary = crawl(config, Workspace(tmp_path))
    rows = read_rows(summary.listing, Original)
    assert len(rows) == len(corpus.items["bare"])
    assert summary.num_ok > 27
    assert {row.status for row in rows if row.served_by == "objURL"} >= {"ok"}


def _portraits(behaviour: Behaviour, num: int = 12) -> Corpus:
    corpus = portrait_corpus(num_good=num)
    bare = tuple(replace(item, behaviour=behaviour) for item in corpus.items["bare"][:num])
    return Corpus({"bare": bare}, corpus.words)


class _NamedHosts(OfflineEngine):
    """An engine whose originals lie on a host with a name, and which has no thumbnails."""

    def _address(self, item: Item, kind: str) -> str:
        address = super()._address(item, kind)
        if kind == "thumbnail":
            return address.replace("/thumbnail/", "/nowhere/")
        return address.replace("127.0.0.1", "pictures.invalid")


def _crawl_with_names(config: CrawlConfig, workspace: Path, hosts: str) -> None:
    """Crawl in a process whose only source of names is a hosts file with this text."""
    for name, text in (("hosts", hosts), ("resolv.conf", "")):
        (workspace / name).write_text(text)
    mounts = " && ".join(
        f"mount --bind {workspace / name} /etc/{name}" for name in ("hosts", "resolv.conf")
    )
    if subprocess.run(["unshare", "-m", "sh", "-c", mounts], check=False).returncode:
        pytest.skip("this user may not give a process a hosts file of its own")
    subprocess.run(
        [
            *("unshare", "-m", "sh", "-c", f'{mounts} && exec "$0" -c "$1" "$2" "$3"'),
            *(sys.executable, CRAWL_SCRIPT, config.model_dump_json(), str(workspace / "w")),
        ],
        cwd=ROOT,
        check=True,
    )


def test_a_name_server_that_failed_and_was_mended_costs_nothing(tmp_path: Path) -> None:
    with _NamedHosts(_portraits("serve", num=6)) as engine:
        config = crawl_config(engine, phrases=("素颜",))
        _crawl_with_names(config, tmp_path, "127.0.0.1 localhost\n")
        broken = crawl_folder_summary(tmp_path / "w")
        _crawl_with_names(config, tmp_path, "127.0.0.1 localhost pictures.invalid\n")
        mended = crawl_folder_summary(tmp_path / "w")
    assert broken["reasons"] == {"host-unknown": 6}
    assert broken["partial"]
    assert mended["num_ok"] == 6
    assert not mended["partial"]


def crawl_folder_summary(workspace: Path) -> dict[str, object]:
    import json

    (path,) = workspace.glob("crawls/*/summary.json")
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_what_an_earlier_version_rejected_though_it_may_pass_is_tried_again(
    tmp_path: Path,
) -> None:
    with OfflineEngine(_portraits("serve", num=4)) as engine:
        config = crawl_config(engine, phrases=("素颜",))
        first = crawl(config, Workspace(tmp_path))
        (row, *_) = read_rows(first.listing, Original)
        with Catalogue(catalogue_url(Workspace(tmp_path))) as catalogue:
            stale = {"status": "rejected", "reason": "host-unknown", "sha256": ""}
            with catalogue.writing() as connection:
                connection.execute(db.hits.update().where(db.hits.c.url == row.url).values(stale))
                values = {key: stale[key] for key in ("status", "reason")}
                connection.execute(
                    db.attempts.update().where(db.attempts.c.url == row.url).values(values)
                )
                connection.execute(sa.delete(db.finds).where(db.finds.c.sha256 == row.sha256))
        again = crawl(config, Workspace(tmp_path))
    assert (again.num_added, again.num_ok) == (1, first.num_ok)


def test_an_error_of_ours_costs_one_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from scraping.catalogue.entities import DownloadTask
    from scraping.download.task_runner import Tombstones
    from scraping.originals import Drafts

    class Broken:
        async def fetch(self, *_: object, **__: object) -> PictureFile:
            raise ZeroDivisionError

    runner = TaskRunner(Broken(), Tombstones(set()), Drafts(Workspace(tmp_path)))  # type: ignore[arg-type]
    task = DownloadTask(1, "x", "", (("objURL", "http://a.example/x"),))
    result = asyncio.run(runner.run(task))
    assert (result.status, result.reason) == ("failed", "unexpected")
    assert "ZeroDivisionError" in caplog.text


def test_a_host_that_drips_ends_with_the_time_limit() -> None:
    def answer(path: str, headers: Mapping[str, str]) -> bytes:
        time.sleep(1)
        return JPEG

    with RawHost(answer) as host:
        outcome = asyncio.run(download(f"{host.url}/x", total_timeout_s=0.2))
    assert outcome == "FailedError too-slow"
