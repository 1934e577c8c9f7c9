"""The crawl against the offline engine: a real server with real junk."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scraping.client import SearchClient
from scraping.config import CrawlConfig
from scraping.crawl import crawl
from scraping.offline.corpus import Corpus, portraits
from scraping.offline.server import OfflineEngine
from scraping.records import BlockedError, Original, read_rows

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return portraits(num_good=16)


def _config(engine: OfflineEngine, **changes: object) -> CrawlConfig:
    values = {
        "engine_url": engine.url,
        "domain": "bare",
        "phrases": ("素颜 照片", "素颜 女生"),
        "num_images": 1000,
        "allow_private_hosts": True,
        "search_interval_s": 0,
        "cool_down_s": 0.01,
        "requests_per_s_per_host": 500,
    }
    return CrawlConfig.model_validate(values | changes)


def test_every_hit_has_a_row_and_every_original_a_file(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus, slow_s=0.05) as engine:
        summary = crawl(_config(engine), tmp_path)
        searches = engine.num_searches
        again = crawl(_config(engine, num_workers=2), tmp_path)
        assert engine.num_searches == searches  # a complete crawl asks for nothing
    assert again == summary
    rows = read_rows(summary.listing, Original)
    assert len(rows) == summary.num_hits == len(corpus.items["bare"])
    for row in rows:
        assert (row.status == "ok") == bool(row.path)
        if row.status == "ok":
            body = (tmp_path / row.path).read_bytes()
            assert hashlib.sha256(body).hexdigest() == row.sha256
            assert len(body) == row.num_bytes
            assert row.served_by == "objURL"
        assert row.page_url.startswith("http://www.example.com/")
    assert {"http-403", "http-404", "not-an-image"} <= set(summary.reasons)
    assert not summary.partial
    assert {entry["stopped_because"] for entry in summary.phrases} <= {"exhausted", "nothing-new"}


def test_enough_is_enough(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        summary = crawl(_config(engine, num_images=5, page_size=10), tmp_path)
    assert 5 <= summary.num_ok <= 10
    assert summary.phrases[-1]["stopped_because"] == "enough"


def test_unknown_phrases_are_exhausted(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        summary = crawl(_config(engine, phrases=("cat",)), tmp_path)
    assert summary.num_hits == 0
    assert summary.phrases[0]["stopped_because"] == "exhausted"


@pytest.mark.parametrize("captcha", [False, True])
def test_a_block_is_reported_and_what_was_found_is_kept(
    corpus: Corpus, tmp_path: Path, captcha: bool
) -> None:
    with OfflineEngine(corpus, block_after=1, captcha=captcha) as engine:
        summary = crawl(_config(engine, page_size=10), tmp_path)
    assert summary.partial
    assert summary.num_ok > 0
    assert all(entry["stopped_because"].startswith("blocked") for entry in summary.phrases)


def test_cool_downs_grow_and_end(corpus: Corpus) -> None:
    pauses: list[float] = []
    with OfflineEngine(corpus, block_after=0) as engine:
        config = _config(engine, cool_down_s=10, max_cool_downs=3)
        client = SearchClient(config, sleep=pauses.append)
        with pytest.raises(BlockedError):
            client.search("素颜", 0)
    assert len(pauses) == 3
    assert 7.5 <= pauses[0] <= 12.5
    assert 30 <= pauses[2] <= 50


def test_garbled_json_falls_back_to_the_pages(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus, garble=True) as engine:
        answer = SearchClient(_config(engine)).search("素颜", 0)
    assert len(answer.hits) > 0
    assert answer.hits[0].candidates[0][1].startswith("http://127.0.0.1")


_SCRIPT = """
import sys
from pathlib import Path
from scraping.config import CrawlConfig
from scraping.crawl import crawl
crawl(CrawlConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_crawl_goes_on(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        config = _config(engine, requests_per_s_per_host=6, num_workers=2)
        command = [sys.executable, "-c", _SCRIPT, config.model_dump_json(), str(tmp_path)]
        process = subprocess.Popen(command, cwd=ROOT)
        while len(list(tmp_path.glob("originals/*/*"))) < 4:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        before = engine.num_files
        summary = crawl(_config(engine), tmp_path)
        first, second = before, engine.num_files - before
        whole = crawl(_config(engine), tmp_path / "other")
        third = engine.num_files - first - second
    assert summary.num_ok == whole.num_ok
    assert summary.num_rejected == whole.num_rejected
    assert first + second <= third + 2 * 4  # only what was in flight was fetched twice
    assert not list(tmp_path.glob("originals/*/*.tmp"))
