"""The crawl against the offline engine: a real server with real junk."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from crawl_runs import CRAWL_SCRIPT, assert_whole, crawl_config, start_crawl

from core.errors import BlockedError, SuyanError, TransientError
from core.tables import Original, read_rows
from core.workspace import Workspace
from scraping.catalogue import schema as db
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.crawl import crawl
from scraping.forget import find_target, forget
from scraping.offline.corpus import Corpus, Item, portrait_corpus
from scraping.offline.server import OfflineEngine
from scraping.search.baidu import Baidu
from scraping.search.client import SearchClient

ROOT = Path(__file__).resolve().parents[2]


def _client(engine: OfflineEngine) -> SearchClient:
    config = crawl_config(engine)
    return SearchClient(config, Baidu(config))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return portrait_corpus(num_good=16)


def test_every_hit_has_a_row_and_every_original_a_file(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus, slow_s=0.05) as engine:
        summary = crawl(crawl_config(engine), Workspace(tmp_path))
        searches = engine.num_searches
        again = crawl(crawl_config(engine, num_workers=2), Workspace(tmp_path))
        assert engine.num_searches == searches  # a complete crawl asks for nothing
    assert again == replace(summary, num_added=0)
    rows = read_rows(summary.listing, Original)
    assert len(rows) == summary.num_hits == len(corpus.items["bare"])
    for row in rows:
        assert (row.status == "ok") == bool(row.path)
        if row.status == "ok":
            body = (tmp_path / row.path).read_bytes()
            assert hashlib.sha256(body).hexdigest() == row.sha256
            assert len(body) == row.num_bytes
            assert row.served_by == "objURL"
        assert row.page_url.startswith("http://drawings.example/")
    assert {"http-403", "http-404", "not-an-image"} <= set(summary.reasons)
    assert not summary.partial
    assert {entry["stopped_because"] for entry in summary.phrases} <= {"exhausted", "nothing-new"}


def test_enough_is_enough(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        summary = crawl(crawl_config(engine, num_images=5, page_size=10), Workspace(tmp_path))
    assert 5 <= summary.num_ok <= 10
    assert summary.phrases[-1]["stopped_because"] == "enough"


def test_unknown_phrases_are_exhausted(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        summary = crawl(crawl_config(engine, phrases=("cat",)), Workspace(tmp_path))
    assert summary.num_hits == 0
    assert summary.phrases[0]["stopped_because"] == "exhausted"


@pytest.mark.parametrize("captcha", [False, True])
def test_a_block_is_reported_and_what_was_found_is_kept(
    corpus: Corpus, tmp_path: Path, captcha: bool
) -> None:
    with OfflineEngine(corpus, block_after=1, captcha=captcha) as engine:
        summary = crawl(crawl_config(engine, page_size=10), Workspace(tmp_path))
    assert summary.partial
    assert summary.num_ok > 0
    assert all(entry["stopped_because"].startswith("blocked") for entry in summary.phrases)


def test_cool_downs_grow_and_end(corpus: Corpus) -> None:
    pauses: list[float] = []
    with OfflineEngine(corpus, block_after=0) as engine:
        config = crawl_config(engine, cool_down_s=10, max_cool_downs=3)
        client = SearchClient(config, Baidu(config), sleep=pauses.append)
        with pytest.raises(BlockedError):
            client.search("素颜", 0)
    assert len(pauses) == 3
    assert 7.5 <= pauses[0] <= 12.5
    assert 30 <= pauses[2] <= 50


def test_garbled_json_falls_back_to_the_pages(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus, garble=True) as engine:
        answer = _client(engine).search("素颜", 0)
    assert len(answer.hits) > 0
    assert answer.hits[0].candidates[0][1].startswith("http://127.0.0.1")


def test_garbled_json_falls_back_to_the_front_end_of_2025(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus, garble=True, front_2025=True) as engine:
        pages: list[str] = []
        client = _client(engine)
        get = client._get
        client._get = lambda url: pages.append(url) or get(url)  # type: ignore[method-assign]
        answer = client.search("素颜", 0)
        summary = crawl(crawl_config(engine), Workspace(tmp_path))
    assert "tn=resulttagjson" in pages[-1]
    assert answer.hits[0].candidates[0][0] == "objURL"
    assert summary.num_ok > 10
    assert_whole(tmp_path, summary)


@pytest.mark.slow
@pytest.mark.remedy("the downloading process ended unexpectedly (")
@pytest.mark.parametrize("whose", ["a stranger's", "ours"])
def test_a_downloading_process_that_dies_costs_nothing(
    corpus: Corpus, tmp_path: Path, whose: str
) -> None:
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine, phrases=ONE_PHRASE, requests_per_s_per_host=15)
        with start_crawl(config, tmp_path) as process:
            _wait_for_files(process, tmp_path, 3)
            (child,) = _children(process.pid)
            if whose == "ours":
                process.kill()
            else:
                os.kill(child, signal.SIGKILL)
            process.wait(30)
            errors = process.stderr.read().decode() if process.stderr else ""
        deadline = time.monotonic() + 10
        while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)  # it ends when its parent closes the pipe
        assert not Path(f"/proc/{child}").exists()
        assert (whose == "ours") != ("SIGKILL: out of memory?" in errors)
        summary = crawl(crawl_config(engine, phrases=ONE_PHRASE), Workspace(tmp_path))
    assert summary.num_hits == len(corpus.items["bare"])
    assert_whole(tmp_path, summary)


def _children(pid: int) -> list[int]:
    """Processes that ``pid`` started, as Linux lists them."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


# either of two crawls may stop early, because the other one has the originals
ONE_PHRASE = ("素颜 照片",)


@pytest.mark.slow
def test_a_killed_crawl_goes_on(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine, requests_per_s_per_host=6, num_workers=2)
        command = [sys.executable, "-c", CRAWL_SCRIPT, config.model_dump_json(), str(tmp_path)]
        process = subprocess.Popen(command, cwd=ROOT)
        while len(list(tmp_path.glob("originals/*/*"))) < 4:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        before = engine.num_files
        summary = crawl(crawl_config(engine), Workspace(tmp_path))
        first, second = before, engine.num_files - before
        whole = crawl(crawl_config(engine), Workspace(tmp_path / "other"))
        third = engine.num_files - first - second
    assert summary.num_ok == whole.num_ok
    assert summary.num_rejected == whole.num_rejected
    assert first + second <= third + 2 * 4  # only what was in flight was fetched twice
    assert not list(tmp_path.glob("originals/*/*.tmp"))


def test_an_unchanged_search_costs_no_download(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        first = crawl(crawl_config(engine), Workspace(tmp_path))
        searches, before = engine.num_searches, engine.downloads.total()
        again = crawl(crawl_config(engine, refresh_after_h=0), Workspace(tmp_path))
        assert engine.num_searches > searches
        assert engine.downloads.total() == before
        later = crawl(crawl_config(engine, refresh_after_h=1), Workspace(tmp_path))
    assert (again.num_added, again.num_ok) == (0, first.num_ok)
    assert later.num_added == 0
    assert {row["stopped_because"] for row in again.phrases} <= {"nothing-new", "exhausted"}


def test_a_refresh_fetches_what_is_new_up_to_its_limit(corpus: Corpus, tmp_path: Path) -> None:
    few = Corpus({"bare": corpus.items["bare"][:6]}, corpus.words)
    with OfflineEngine(few, port=8790) as engine:
        config = crawl_config(engine, num_new_images=4, page_size=5)
        first = crawl(config, Workspace(tmp_path))
        assert first.num_ok == 6
    with OfflineEngine(corpus, port=8790) as engine:
        assert engine.url == config.engine_url
        more = crawl(config.model_copy(update={"refresh_after_h": 0.0}), Workspace(tmp_path))
        assert more.num_added == 4
        assert more.num_ok == 10
        assert engine.downloads.total() <= 4 + 5  # rejected ones and duplicates cost one too
    assert_whole(tmp_path, more)


def test_a_phrase_stops_at_its_quota(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine, max_images_per_phrase=5, page_size=5, num_images=30)
        summary = crawl(config, Workspace(tmp_path))
    assert {row["stopped_because"] for row in summary.phrases} <= {"quota", "exhausted"}
    assert all(row["stored"] <= 10 for row in summary.phrases)
    assert sum(row["stored"] for row in summary.phrases) == summary.num_ok


def test_a_phrase_stops_at_its_page_limit(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        summary = crawl(crawl_config(engine, max_pages=2, page_size=5), Workspace(tmp_path))
    assert {row["stopped_because"] for row in summary.phrases} == {"page-limit"}
    assert {row["pages"] for row in summary.phrases} == {2}


class _Repeating(Corpus):
    """Every page holds the same pictures: the end of results, as some engines show it."""

    def search(self, phrase: str) -> tuple[Item, ...]:  # noqa: ARG002
        return self.items["bare"][:3] * 40


def test_deep_pages_that_repeat_end_a_phrase(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(_Repeating(corpus.items, corpus.words)) as engine:
        summary = crawl(crawl_config(engine, page_size=10), Workspace(tmp_path))
    assert {row["stopped_because"] for row in summary.phrases} == {"repeats"}
    assert max(row["pages"] for row in summary.phrases) <= 3


def test_after_refused_phrases_the_others_are_not_asked(corpus: Corpus, tmp_path: Path) -> None:
    phrases = tuple(f"素颜 {number}" for number in range(6))
    with OfflineEngine(corpus, block_after=0) as engine:
        summary = crawl(
            crawl_config(engine, phrases=phrases, max_cool_downs=1), Workspace(tmp_path)
        )
        asked = engine.num_searches
    assert summary.partial
    assert asked == 2 * 2  # two phrases, each with one cool-down
    assert sum("not asked" in row["stopped_because"] for row in summary.phrases) == 4


def test_a_refused_crawl_is_tried_further(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus, port=8795, block_after=1) as engine:
        config = crawl_config(engine, phrases=ONE_PHRASE, page_size=10)
        partial = crawl(config, Workspace(tmp_path))
    with OfflineEngine(corpus, port=8795) as engine:
        whole = crawl(config, Workspace(tmp_path))
    assert partial.partial
    assert not whole.partial
    assert whole.num_hits == len(corpus.items["bare"])
    assert_whole(tmp_path, whole)


def test_robots_txt_is_obeyed_and_not_gone_round(corpus: Corpus, tmp_path: Path) -> None:
    robots = "User-agent: *\nDisallow: /original/"
    with OfflineEngine(corpus, robots=robots) as engine:
        with pytest.raises(SuyanError, match=r"refused, as robots.*crawl_a\.respect_opt_out"):
            crawl(crawl_config(engine), Workspace(tmp_path))
        assert engine.downloads.total() == 0  # not even the engine's own thumbnails
        anyway = crawl(crawl_config(engine, respect_opt_out=False), Workspace(tmp_path))
    assert anyway.num_ok > 20  # the setting was changed knowingly, and lifts its refusals
    assert "robots" not in anyway.reasons


def test_the_thumbnail_serves_where_the_original_does_not(corpus: Corpus, tmp_path: Path) -> None:
    spoilt = tuple(replace(item, behaviour="gone") for item in corpus.items["bare"][:5])
    with OfflineEngine(Corpus({"bare": spoilt}, corpus.words)) as engine:
        rows = read_rows(crawl(crawl_config(engine), Workspace(tmp_path)).listing, Original)
    assert {row.served_by for row in rows} == {"middleURL"}
    assert {row.status for row in rows} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["url", "sha256", "host"])
def test_a_forgotten_picture_never_returns(corpus: Corpus, tmp_path: Path, kind: str) -> None:
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine)
        summary = crawl(config, Workspace(tmp_path))
        row = next(r for r in read_rows(summary.listing, Original) if r.status == "ok")
        what = {"url": row.url, "sha256": row.sha256, "host": "127.0.0.1"}[kind]
        preview = summary.preview.read_bytes()
        gone = forget(what, Workspace(tmp_path))
        assert gone.kind == kind
        assert gone.num_originals == (summary.num_ok if kind == "host" else 1)
        assert not (tmp_path / row.path).exists()
        again = crawl(config.model_copy(update={"refresh_after_h": 0.0}), Workspace(tmp_path))
        other = crawl(crawl_config(engine, phrases=("素颜 新",)), Workspace(tmp_path))
        forget(what, Workspace(tmp_path))  # once more is no error
    for later in (again, other):
        rows = read_rows(later.listing, Original)
        assert row.sha256 not in {r.sha256 for r in rows if r.status == "ok"}
        assert "forgotten" in later.reasons
        assert all(bool(r.sha256) == (r.status == "ok") for r in rows)
    assert not (tmp_path / row.path).exists()
    assert not again.preview.exists() or again.preview.read_bytes() != preview


@pytest.mark.parametrize(
    "what", ["", "picture", "ftp://a.example/x", "a" * 7, "a" * 65, "/etc/passwd"]
)
def test_what_cannot_be_forgotten_is_said(tmp_path: Path, what: str) -> None:
    with pytest.raises(ValueError, match="needed an address"):
        forget(what, Workspace(tmp_path))


@pytest.mark.remedy("; needed more digits")
def test_first_digits_are_enough_and_must_name_one_original(
    catalogue: Catalogue, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", database)
    first, second, other = (digits.ljust(64, "0") for digits in ("abcdef01a", "abcdef01b", "12"))
    rows = [
        {"sha256": name, "path": name, "num_bytes": 1, "stored_at": 1.0} for name in (first, second)
    ]
    with catalogue.writing() as connection:
        connection.execute(sa.insert(db.originals), rows)
    workspace = Workspace(tmp_path)
    assert find_target("ABCDEF01A", workspace).digests == {first}
    assert find_target(other[:8], workspace, further=[other]).digests == {other}
    assert find_target("f" * 64, workspace).digests == {"f" * 64}
    with pytest.raises(ValueError, match=f"2 originals: {first}, {second}; needed more digits"):
        find_target("abcdef01", workspace)
    with pytest.raises(ValueError, match="dddddddd, which begins the sha256 of no original"):
        find_target("dddddddd", workspace)


@pytest.mark.slow
def test_a_host_that_nobody_knows_is_an_error_with_similar_ones(
    corpus: Corpus, tmp_path: Path
) -> None:
    with OfflineEngine(corpus) as engine:
        crawl(crawl_config(engine, num_images=2), Workspace(tmp_path))
    with pytest.raises(ValueError, match=r"127\.0\.0\.2, from .*\(similar: 127\.0\.0\.1\)"):
        find_target("127.0.0.2", Workspace(tmp_path))
    assert find_target("127.0.0.1", Workspace(tmp_path)).digests


def _wait_for_files(process: subprocess.Popen[bytes], workspace: Path, num: int) -> None:
    while len(list(workspace.glob("originals/*/*.jpg"))) < num:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        time.sleep(0.01)


@pytest.mark.slow
def test_kills_at_any_moment_lose_nothing_and_repeat_nothing(
    corpus: Corpus, tmp_path: Path
) -> None:
    stored: set[str] = set()
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine, phrases=ONE_PHRASE, requests_per_s_per_host=15, page_size=7)
        for num in (3, 9, 14, 20):
            with start_crawl(config, tmp_path) as process:
                _wait_for_files(process, tmp_path, num)
                process.kill()
            engine.downloads.clear()
            stored |= {path.stem for path in tmp_path.glob("originals/*/*.jpg")}
        quick = crawl_config(engine, phrases=ONE_PHRASE, page_size=7)
        summary = crawl(quick, Workspace(tmp_path))
        second = set(engine.downloads)
        whole = crawl(quick, Workspace(tmp_path / "uninterrupted"))
        digests = {
            item.name: hashlib.sha256(item.body).hexdigest() for item in corpus.items["bare"]
        }
    assert summary.num_hits == whole.num_hits
    assert summary.num_ok == whole.num_ok
    assert_whole(tmp_path, summary)
    num_addresses = Counter(digests.values())  # a copy has an address of its own to be tried
    assert not {d for d in map(digests.get, second) if num_addresses[d] == 1} & stored


@pytest.mark.slow
def test_two_crawls_at_once_share_one_workspace(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        same = [
            start_crawl(crawl_config(engine, requests_per_s_per_host=30), tmp_path)
            for _ in range(2)
        ]
        other = start_crawl(crawl_config(engine, domain="makeup", phrases=("化妆",)), tmp_path)
        for process in (*same, other):
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors.decode()
        assert max(engine.downloads.values()) == 1
        for config in (
            crawl_config(engine),
            crawl_config(engine, domain="makeup", phrases=("化妆",)),
        ):
            assert_whole(tmp_path, crawl(config, Workspace(tmp_path)))


@pytest.mark.slow
@pytest.mark.remedy(
    ": is the network down? Everything stored so far is kept; run the same command again "
)
def test_a_dropped_network_ends_the_run_and_the_next_one_goes_on(
    corpus: Corpus, tmp_path: Path
) -> None:
    with OfflineEngine(corpus, port=8800) as engine:
        config = crawl_config(
            engine,
            phrases=ONE_PHRASE,
            page_size=10,
            requests_per_s_per_host=20,
            num_tries=1,
            connect_timeout_s=1,
        )
        process = start_crawl(config, tmp_path)
        _wait_for_files(process, tmp_path, 8)
    _, errors = process.communicate(timeout=120)
    assert process.returncode in {0, 1}
    if process.returncode:
        assert "network" in errors.decode()
    with OfflineEngine(corpus, port=8800) as engine:
        summary = crawl(config, Workspace(tmp_path))
    assert not summary.partial
    assert summary.num_hits == len(corpus.items["bare"])
    assert not set(summary.reasons) & {"connection-failed", "timeout", "host-failing"}
    assert_whole(tmp_path, summary)


def test_an_engine_that_is_not_there_is_said(tmp_path: Path) -> None:
    config = CrawlConfig(
        engine_url="http://127.0.0.1:9", domain="bare", phrases=("素颜",), num_tries=1
    )
    with pytest.raises(TransientError, match=r"answered none of 1 searches.*is the network down"):
        crawl(config, Workspace(tmp_path))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small tmpfs to fill")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.remedy(" is full. Everything stored so far is kept: free some space ")
def test_a_full_disk_is_said_and_freed_space_is_enough(corpus: Corpus, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_300_000))
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine, phrases=ONE_PHRASE, page_size=10)
        with pytest.raises(SuyanError, match=r"the disk of .* is full\. Everything stored"):
            crawl(config, Workspace(small_disk))
        for path in small_disk.glob("originals/*/*"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        summary = crawl(config, Workspace(small_disk))
    assert summary.num_hits == len(corpus.items["bare"])
    assert_whole(small_disk, summary)
