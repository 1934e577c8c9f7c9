"""The tasks that a crawl takes up again, and crawls with several downloading processes."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core.picture_grid import GAP_PX
from core.progress import silent
from core.tables import Original, read_rows
from core.workspace import Workspace
from scraping.catalogue.entities import Cursor, DownloadResult
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl
from scraping.download.client import DownloadProcess, DownloadSettings
from scraping.download.pool import DownloaderPool
from scraping.download.sharding import HostShard, shard_of_url
from scraping.download.ssrf import split_url
from scraping.offline.corpus import Corpus, portrait_corpus
from scraping.offline.server import OfflineEngine
from scraping.preview import write_contact_sheet
from scraping.scheduler import CrawlScheduler
from scraping.search.engine import Hit


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Some originals are gone: their thumbnails, on the engine's own host, serve."""
    made = portrait_corpus(num_good=16).items["bare"]
    spoilt = tuple(replace(item, behaviour="gone") for item in made[:4])
    return Corpus({"bare": (*spoilt, *made[4:])}, portrait_corpus(num_good=1).words)


@pytest.fixture
def engine(corpus: Corpus) -> Iterator[OfflineEngine]:
    with OfflineEngine(corpus) as running:
        yield running


def _config(engine: OfflineEngine, **changes: object) -> CrawlConfig:
    values = {
        "engine_url": engine.url,
        "domain": "bare",
        "phrases": ("素颜 照片",),
        "num_images": 1000,
        "allow_private_hosts": True,
        "search_interval_s": 0,
        "requests_per_s_per_host": 500,
    }
    return CrawlConfig.model_validate(values | changes)


def test_what_is_settled_is_not_looked_through_again(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CrawlConfig(engine_url="http://engine", domain="bare", phrases=("素颜",))
    scheduler = CrawlScheduler(config, "bare-1", Workspace(tmp_path), catalogue, silent)
    looks: list[int] = []
    tasks = catalogue.pending_tasks

    def spied(*args: Any, after: int = 0, **options: Any) -> Any:
        looks.append(after)
        return tasks(*args, after=after, **options)

    monkeypatch.setattr(catalogue, "pending_tasks", spied)
    for first in range(0, 50, 10):
        hits = [_hit(number) for number in range(first, first + 10)]
        catalogue.save_page("bare-1", "http://engine", Cursor("素颜"), hits, time.time())
        found = scheduler._next_tasks(100)
        assert [task.hit for task in found] == list(range(first + 1, first + 11))
        bad = [
            DownloadResult(e.hit, e.phrase, "rejected", "http-404", "", "", time.time())
            for e in found
        ]
        catalogue.save_results("bare-1", bad)
        assert scheduler._next_tasks(100) == []
        assert looks[-1] == first  # where this page begins, and not at 0
    others = [_hit(3), _hit(60)]  # the first one has another address now, and may be tried again
    others[0] = replace(others[0], candidates=(("objURL", "http://other/3.jpg"),))
    lowest = catalogue.save_page("bare-1", "http://engine", Cursor("素颜"), others, time.time())
    assert lowest == 4
    scheduler.revisit_from(lowest)
    new, again = scheduler._next_tasks(100)
    assert new.hit > 50
    assert again.hit == 4


def _hit(number: int) -> Hit:
    return Hit(f"{number}", (("objURL", f"http://h/{number}.jpg"),), "http://p/", "", 10, 10)


def _rows(summary: CrawlSummary) -> set[Original]:
    return {replace(row, fetched_at="") for row in read_rows(summary.listing, Original)}


@pytest.mark.slow
def test_several_downloading_processes_fetch_what_one_fetches(
    engine: OfflineEngine, tmp_path: Path
) -> None:
    alone = crawl(_config(engine), Workspace(tmp_path / "one"))
    asked = engine.downloads.copy()
    engine.downloads.clear()

    def pool(settings: DownloadSettings) -> DownloaderPool:
        return DownloaderPool(
            [DownloadProcess(replace(settings, shard=HostShard(k, 3))) for k in range(3)]
        )

    together = crawl(_config(engine), Workspace(tmp_path / "three"), build_downloader=pool)
    assert _rows(together) == _rows(alone)
    assert {row.served_by for row in _rows(together)} >= {"objURL", "middleURL"}  # handed on
    assert engine.downloads == asked
    assert not list((tmp_path / "three").glob("originals/*/.*.tmp"))


def test_a_host_has_one_process_and_the_others_together_a_tenth_of_its_pace() -> None:
    shares = [HostShard(number, 4) for number in range(4)]
    for host in ("a.example", "b.example:8080", "图.example"):
        (owner,) = [share for share in shares if share.owns(f"http://{host}/x.jpg")]
        assert owner.index == shard_of_url(f"http://{host}/other?y=1", 4)

        site = split_url(f"http://{host}/").site
        assert sum(share.rate_share(site) for share in shares) == pytest.approx(1)
        assert owner.rate_share(site) == pytest.approx(0.9)
    assert all(share.owns("ftp://a/") for share in shares)
    assert HostShard().rate_share("http://a.example") == 1


def test_a_contact_sheet_has_no_gaps_where_files_are_broken(tmp_path: Path) -> None:
    for number, broken in enumerate((True, False, True, False)):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", (64, 64), "red").save(path)
        if broken:
            path.write_bytes(path.read_bytes()[:60])
    write_contact_sheet(sorted(tmp_path.glob("*.png")), tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (2 * 128 + 3 * GAP_PX, 128 + 2 * GAP_PX)
        assert min(sheet.getpixel((x, 64))[0] for x in (64, 192)) > 200  # type: ignore[index]
        assert max(sheet.getpixel((x, 64))[1] for x in (64, 192)) < 60  # type: ignore[index]
