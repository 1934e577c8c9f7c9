"""Hits, pages and outcomes for tests of the catalogue."""

import time

from scraping.catalogue.entities import Cursor, DownloadResult, DownloadTask
from scraping.catalogue.repository import Catalogue
from scraping.search.engine import Hit

ENGINE = "https://engine.example"


def hit(number: int, *urls: str) -> Hit:
    addresses = urls or (f"http://a.example/{number}.jpg",)
    candidates = tuple(("objURL", url) for url in addresses)
    return Hit(f"key-{number}", candidates, f"http://page.example/{number}", f"题 {number}", 1, 1)


def save_page(catalogue: Catalogue, phrase: str, numbers: range, crawl: str = "bare-1") -> None:
    cursor = catalogue.cursor(crawl, phrase)
    moved = Cursor(phrase, offset=cursor.offset + 30, pages=cursor.pages + 1, hits=len(numbers))
    hits = [hit(number) for number in numbers]
    catalogue.save_page(crawl, ENGINE, moved, hits, time.time())


def good(task: DownloadTask, sha256: str = "") -> DownloadResult:
    digest = sha256 or f"{task.hit:064x}"
    field, url = task.candidates[0]
    return DownloadResult(
        task.hit, task.phrase, "ok", "", url, field, time.time(), digest,
        f"originals/{digest}.jpg", 9,
    )  # fmt: skip


def bad(task: DownloadTask, status: str, reason: str) -> DownloadResult:
    field, url = task.candidates[0]
    return DownloadResult(task.hit, task.phrase, status, reason, url, field, time.time())
