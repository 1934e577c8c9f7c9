"""The catalogue on SQLite and on PostgreSQL."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

from catalogue_rows import ENGINE, bad, good, hit, save_page

from scraping.catalogue import queries
from scraping.catalogue.entities import Attempt, Cursor, DownloadTask
from scraping.catalogue.repository import Catalogue
from scraping.catalogue.retries import RetryRules
from scraping.config import CrawlConfig
from scraping.search.engine import Hit


def test_a_hit_is_fetched_once_however_often_it_is_seen(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(5))
    save_page(catalogue, "two", range(3, 8))
    tasks = catalogue.pending_tasks("bare-1", time.time(), 100)
    assert [task.candidates[0][1][-5] for task in tasks] == list("01234567")
    assert [task.phrase for task in tasks] == ["one"] * 5 + ["two"] * 3
    assert catalogue.save_results("bare-1", [good(task) for task in tasks]) == 8
    assert catalogue.pending_tasks("bare-1", time.time(), 100) == []
    assert catalogue.num_originals("bare-1") == 8
    assert [catalogue.cursor("bare-1", p).stored for p in ("one", "two")] == [5, 3]


def test_another_crawl_gets_what_is_stored_already(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(4))
    tasks = catalogue.pending_tasks("bare-1", time.time(), 100)
    catalogue.save_results("bare-1", [good(task) for task in tasks])
    catalogue.begin_round("makeup-1", "makeup", 100, time.time())
    save_page(catalogue, "one", range(2, 6), "makeup-1")
    assert catalogue.num_originals("makeup-1") == 2
    assert len(catalogue.pending_tasks("makeup-1", time.time(), 100)) == 2
    assert [row.domain for row in queries.listing_rows(catalogue, "makeup-1")] == ["makeup"] * 2


def test_the_same_bytes_from_two_addresses_are_one_original(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(3))
    tasks = catalogue.pending_tasks("bare-1", time.time(), 100)
    assert catalogue.save_results("bare-1", [good(e, "a" * 64) for e in tasks]) == 1
    assert catalogue.num_originals("bare-1") == 1
    assert len(list(queries.listing_rows(catalogue, "bare-1"))) == 3
    assert queries.phrase_duplicates(catalogue, "bare-1") == {"one": 2}


def test_what_failed_for_now_is_due_in_the_next_run(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(2))
    first, second = catalogue.pending_tasks("bare-1", time.time(), 100)
    began = time.time()
    failed = bad(first, "failed", "timeout")
    gone = bad(second, "rejected", "http-404")
    catalogue.save_results("bare-1", [failed, gone])
    assert catalogue.pending_tasks("bare-1", began, 100) == []
    assert [e.hit for e in catalogue.pending_tasks("bare-1", time.time() + 1, 100)] == [first.hit]
    assert queries.phrase_reasons(catalogue, "bare-1") == {"one": {"http-404": 1, "timeout": 1}}


def test_a_rejected_hit_with_other_addresses_is_tried_again(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(2))
    tasks = catalogue.pending_tasks("bare-1", time.time(), 100)
    outcomes = [
        bad(task, "rejected", reason)
        for task, reason in zip(tasks, ("http-404", "robots"), strict=True)
    ]
    catalogue.save_results("bare-1", outcomes)
    moved = [hit(number, f"http://b.example/{number}.jpg") for number in range(2)]
    catalogue.save_page("bare-1", ENGINE, Cursor("one"), moved, time.time())
    again = catalogue.pending_tasks("bare-1", time.time(), 100)
    assert [task.candidates for task in again] == [(("objURL", "http://b.example/0.jpg"),)]


def test_pages_are_told_apart(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(5))
    hits = [hit(number) for number in range(3, 7)]
    mine = catalogue.page_yield("bare-1", ENGINE, catalogue.cursor("bare-1", "one"), hits)
    other = catalogue.page_yield("bare-1", ENGINE, catalogue.cursor("bare-1", "two"), hits)
    assert (mine.num_new, mine.num_repeated) == (2, 2)
    assert (other.num_new, other.num_repeated) == (2, 0)


def test_a_new_round_begins_at_the_top_and_remembers_the_depth(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(5))
    catalogue.finish_round("bare-1", time.time())
    later = time.time() + 60
    assert catalogue.begin_round("bare-1", "bare", 200, later).number == 2
    cursor = catalogue.cursor("bare-1", "one")
    assert (cursor.offset, cursor.frontier, cursor.stop) == (0, 30, None)
    found = catalogue.page_yield("bare-1", ENGINE, cursor, [hit(0)])
    assert (found.num_new, found.num_repeated) == (0, 0)  # seen, but not in this round


def test_attempts_are_known_by_address(catalogue: Catalogue) -> None:
    def attempt(status: str, reason: str = "") -> Attempt:
        return Attempt("http://a.example/x", "a.example", time.time(), 0.1, status, reason)

    catalogue.save_attempts([attempt("failed", "timeout")])
    assert catalogue.final_attempts(["http://a.example/x"]) == {}
    catalogue.save_attempts([attempt("rejected", "http-404"), attempt("ok")])
    assert (
        catalogue.final_attempts(["http://a.example/x", "other"])["http://a.example/x"].status
        == "ok"
    )


def test_hostile_text_is_stored(catalogue: Catalogue) -> None:
    nasty = Hit("k'\"; --", (("objURL", "http://a/%00'x"),), "p'; DROP TABLE hits", "题\n😀", 0, 0)
    catalogue.save_page("bare-1", ENGINE, Cursor("'%_\\"), [nasty], time.time())
    [task] = catalogue.pending_tasks("bare-1", time.time(), 1)
    catalogue.save_results("bare-1", [good(task)])
    [row] = queries.listing_rows(catalogue, "bare-1")
    assert (row.phrase, row.title, row.page_url) == ("'%_\\", "题\n😀", "p'; DROP TABLE hits")


def test_what_one_crawl_fetches_another_that_saw_it_has_found(catalogue: Catalogue) -> None:
    catalogue.begin_round("makeup-1", "makeup", 100, time.time())
    save_page(catalogue, "one", range(4))
    save_page(catalogue, "zwei", range(2, 6), "makeup-1")
    tasks = catalogue.pending_tasks("bare-1", time.time(), 100)
    catalogue.save_results("bare-1", [good(task) for task in tasks])
    assert catalogue.num_originals("makeup-1") == 2
    assert catalogue.cursor("makeup-1", "zwei").stored == 2


def test_an_address_of_any_length_is_noted(catalogue: Catalogue) -> None:
    url = "http://a.example/" + "".join(f"{i * 7919 % 1000003:x}" for i in range(790))
    assert 3000 < len(url) < 4000
    catalogue.save_attempts([Attempt(url, "a.example", time.time(), 0.1, "ok", "")])
    assert catalogue.final_attempts([url])[url].status == "ok"


def test_two_crawls_that_find_for_each_other_do_not_block_each_other(database: str) -> None:
    """PostgreSQL ends one of two transactions that wait for each other's rows."""
    crawls = ("bare-1", "bare-2")
    num_rounds, num_hits = 25, 12

    def work(crawl: str) -> None:
        with Catalogue(database) as catalogue:
            mine = crawls.index(crawl)
            for number in range(num_rounds):
                numbers = range(number * num_hits, (number + 1) * num_hits)
                for phrase in ("one", "two")[:: 1 - 2 * mine]:
                    save_page(catalogue, phrase, numbers[:: 1 - 2 * mine], crawl)
                together.wait(timeout=60)
                tasks = catalogue.pending_tasks(crawl, time.time(), 2 * num_hits)
                together.wait(timeout=60)
                share = [good(e) for e in tasks if e.hit % 2 == mine]
                for at in range(0, len(share), 2):
                    catalogue.save_results(crawl, share[at : at + 2])

    with Catalogue(database) as catalogue:
        for crawl in crawls:
            catalogue.begin_round(crawl, "bare", 100, time.time())
        together = Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(work, crawl) for crawl in crawls]:
                done.result()
        for crawl in crawls:
            assert catalogue.num_originals(crawl) == num_rounds * num_hits
            stored = [catalogue.cursor(crawl, phrase).stored for phrase in ("one", "two")]
            assert sum(stored) == num_rounds * num_hits


def _reject(catalogue: Catalogue, task: DownloadTask, reason: str, limit: int = 0) -> None:
    url = task.candidates[0][1]
    catalogue.save_attempts(
        [Attempt(url, "h", time.time(), 0.1, "rejected", reason, num_bytes=limit)]
    )
    catalogue.save_results("bare-1", [replace(bad(task, "rejected", reason), url=url)])


def test_a_rejection_holds_as_long_as_the_setting_that_made_it(catalogue: Catalogue) -> None:
    save_page(catalogue, "one", range(5))
    tasks = catalogue.pending_tasks("bare-1", time.time(), 100)
    rejections = [
        ("private-address", 0), ("robots", 0), ("too-large", 1000), ("too-many-redirects", 3),
        ("http-404", 0),
    ]  # fmt: skip
    for task, (reason, limit) in zip(tasks, rejections, strict=True):
        _reject(catalogue, task, reason, limit)

    def retried(rules: RetryRules) -> list[str]:
        catalogue.retry_rules = rules
        pending = {task.hit for task in catalogue.pending_tasks("bare-1", time.time(), 100)}
        urls = {task.candidates[0][1]: task.hit for task in tasks}
        held = catalogue.final_attempts(urls)
        assert {urls[url] for url in held} == {task.hit for task in tasks} - pending
        return [
            reason
            for task, (reason, _) in zip(tasks, rejections, strict=True)
            if task.hit in pending
        ]

    assert retried(RetryRules()) == []
    assert retried(RetryRules(max_bytes=1000, max_redirects=3)) == []
    assert retried(RetryRules(max_bytes=999)) == []
    assert retried(RetryRules(max_bytes=1001, max_redirects=4)) == [
        "too-large", "too-many-redirects",
    ]  # fmt: skip
    config = CrawlConfig(domain="any", phrases=("x",), max_megabytes=0.001, max_redirects=3)
    lenient = config.model_copy(update={"allow_private_hosts": True})
    assert retried(RetryRules.from_config(config)) == []
    assert retried(RetryRules.from_config(lenient)) == ["private-address"]
    lenient = config.model_copy(update={"respect_opt_out": False})
    assert retried(RetryRules.from_config(lenient)) == ["robots"]
