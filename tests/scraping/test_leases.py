"""Simultaneous crawls never fetch an address twice; on SQLite and on PostgreSQL."""

import hashlib
import subprocess
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from catalogue_rows import good, save_page
from crawl_runs import assert_whole, crawl_config, start_crawl

from core.workspace import Workspace
from scraping.catalogue import schema as db
from scraping.catalogue.leases import Leases
from scraping.catalogue.repository import Catalogue
from scraping.crawl import crawl
from scraping.offline.corpus import portrait_corpus
from scraping.offline.server import OfflineEngine


def test_an_address_has_one_holder_until_it_is_released(
    catalogue: Catalogue,
) -> None:
    save_page(catalogue, "one", range(6))
    began = time.time()
    tasks = catalogue.pending_tasks("bare-1", began, 100)
    mine, theirs = Leases(catalogue, "bare-1", 60), Leases(catalogue, "makeup-1", 60)
    assert mine.acquire(tasks[:4], began) == tasks[:4]
    assert theirs.acquire(tasks, began) == tasks[4:]
    mine.release(tasks[:1])
    assert theirs.acquire(tasks[:4], began) == tasks[:1]
    theirs.close()
    catalogue.save_results("bare-1", [good(tasks[4])])
    assert mine.acquire(tasks[4:], began) == tasks[5:]  # what is settled needs no fetching


def test_an_address_of_two_tasks_is_held_until_both_are_settled(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(1))
    task = catalogue.pending_tasks("bare-1", time.time(), 1)[0]
    mine, theirs = Leases(catalogue, "bare-1", 60), Leases(catalogue, "makeup-1", 60)
    twin = replace(task, hit=task.hit + 1)
    with catalogue.writing() as connection:
        row = {"id": twin.hit, "engine": "e", "key": "twin", "candidates": [], "failures": 0}
        texts = dict.fromkeys(("reason", "url", "served_by", "sha256"), "")
        connection.execute(db.hits.insert(), row | texts)
    assert mine.acquire([task], time.time()) == [task]
    assert mine.acquire([twin, task], time.time()) == [twin, task]
    mine.release([task])
    assert theirs.acquire([task], time.time()) == []
    mine.release([twin])
    assert theirs.acquire([task], time.time()) == [task]


def test_leases_end_in_time_and_not_before(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(3))
    began = time.time()
    tasks = catalogue.pending_tasks("bare-1", began, 100)
    dead, alive = Leases(catalogue, "bare-1", 0.5), Leases(catalogue, "makeup-1", 60)
    dead.acquire(tasks[:2], began)
    alive.acquire(tasks[2:], began)
    other = Leases(catalogue, "bare-2", 60)
    time.sleep(0.6)
    dead.renew()
    assert other.acquire(tasks, began) == []
    time.sleep(0.6)
    assert other.acquire(tasks, began) == tasks[:2]


def test_a_crawl_that_is_started_again_has_its_leases_back(
    catalogue: Catalogue,
) -> None:
    save_page(catalogue, "one", range(3))
    tasks = catalogue.pending_tasks("bare-1", time.time(), 100)
    Leases(catalogue, "bare-1", 3600).acquire(tasks, time.time())
    again = Leases(catalogue, "bare-1", 3600)
    assert again.acquire(tasks, time.time()) == tasks


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_processes_that_want_the_same_pictures_fetch_each_once(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed: bool,
) -> None:
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", database)
    corpus = portrait_corpus(num_good=16)
    stored: set[str] = set()
    with OfflineEngine(corpus) as engine:
        lease_s = 2 if killed else 60  # a busy machine may stand still for seconds
        slow = {"requests_per_s_per_host": 40, "lease_s": lease_s, "page_size": 7}
        configs = [crawl_config(engine, max_pages=most, **slow) for most in (39, 40)]
        processes = [start_crawl(config, tmp_path) for config in configs]
        if killed:
            while len(list(tmp_path.glob("originals/*/*.jpg"))) < 3:
                time.sleep(0.01)
            processes[0].kill()
            stored = {path.stem for path in tmp_path.glob("originals/*/*.jpg")}
        _finish(processes, killed=killed)
        fetched = Counter(engine.downloads)
        summaries = [crawl(config, Workspace(tmp_path)) for config in configs]
    assert max(fetched.values()) <= 1 + killed
    digests = {item.name: hashlib.sha256(item.body).hexdigest() for item in corpus.items["bare"]}
    num_addresses = Counter(digests.values())  # a copy has an address of its own to be tried
    twice = {digests[name] for name, num in fetched.items() if num > 1 and name in digests}
    assert not {digest for digest in twice if num_addresses[digest] == 1} & stored
    assert summaries[0].num_ok == summaries[1].num_ok > 10
    for summary in summaries:
        assert_whole(tmp_path, summary)


def _finish(processes: list[subprocess.Popen[bytes]], *, killed: bool) -> None:
    for number, process in enumerate(processes):
        _, errors = process.communicate(timeout=180)
        if not (killed and number == 0):
            assert process.returncode == 0, errors.decode()
