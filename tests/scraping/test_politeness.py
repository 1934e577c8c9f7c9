"""Politeness: robots.txt, pace, pauses, circuit breaker; and the check of addresses before use."""

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import TransientError
from scraping import backoff
from scraping.download.politeness import RateLimiter, RateLimiters, RobotsRules
from scraping.download.ssrf import original_url, split_url
from scraping.failure_reasons import RejectedError


def _check(status: int, body: str, url: str) -> tuple[RateLimiters, int]:
    asked = []

    async def get(address: object) -> tuple[int, bytes]:
        asked.append(address)
        if status >= 500:
            raise TransientError(f"http-{status}")
        return status, body.encode()

    async def both() -> None:
        robots = RobotsRules(get, limiters)
        await asyncio.gather(robots.check(split_url(url)), robots.check(split_url(url)))

    limiters = RateLimiters(10)
    asyncio.run(both())
    return limiters, len(asked)


def test_what_robots_txt_allows_is_allowed_and_asked_once() -> None:
    _, num_asked = _check(200, "User-agent: *\nDisallow: /private", "http://a.example/x.jpg")
    assert num_asked == 1


@pytest.mark.parametrize("agent", ["*", "Suyan", "suyan"])
def test_what_robots_txt_forbids_is_refused(agent: str) -> None:
    with pytest.raises(RejectedError, match=r"^robots$"):
        _check(200, f"User-agent: {agent}\nDisallow: /a", "http://a.example/a/x.jpg")


def test_rules_for_other_robots_do_not_bind() -> None:
    _check(200, "User-agent: GPTBot\nDisallow: /", "http://a.example/x.jpg")


def test_no_robots_txt_allows_everything() -> None:
    _check(404, "User-agent: *\nDisallow: /", "http://a.example/x.jpg")


def test_a_robots_txt_that_fails_allows_nothing_for_now() -> None:
    with pytest.raises(TransientError, match=r"^robots-unreachable$"):
        _check(503, "", "http://a.example/x.jpg")


def test_a_crawl_delay_slows_the_host_down() -> None:
    limiters, _ = _check(200, "User-agent: *\nCrawl-delay: 7", "http://a.example/x.jpg")
    assert limiters.of_site("http://a.example").interval_s == 7
    assert limiters.of_site("http://b.example").interval_s == 0.1


def test_a_hosts_wish_to_wait_holds_for_every_request() -> None:
    pauses = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    limiter = RateLimiter(0.001)
    limiter.release(failed=True, pause_s=60)
    asyncio.run(limiter.acquire(pause))
    assert 59 < pauses[0] <= 60


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5), ("-3", 0), ("1e9", 600), ("nan", None), ("soon", None), ("", None), (None, None)],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert backoff.retry_after_s(value) == seconds


@settings(max_examples=300)
@given(st.text(max_size=40) | st.text("0123456789.-+:eE GMTJanSu,", max_size=40))
def test_any_retry_after_is_a_number_or_none(value: str) -> None:
    seconds = backoff.retry_after_s(value)
    assert seconds is None or 0 <= seconds <= 600


def test_retry_after_as_a_date() -> None:
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    assert 28 <= (backoff.retry_after_s(later) or 0) <= 31


def test_pauses_grow_are_jittered_and_capped() -> None:
    pauses = [backoff.pause_s(None, num, 1, 20) for num in range(1, 12)]
    assert 0.75 <= pauses[0] <= 1.25
    assert 6 <= pauses[3] <= 10
    assert max(pauses) <= 25


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        (
            "https://gimg2.baidu.com/image_search/src=http%3A%2F%2Fa.example%2Fx.jpg&refer=b?sec=1",
            "http://a.example/x.jpg",
        ),
        ("https://gimg2.baidu.com/image_search/nothing", "https://gimg2.baidu.com/image_search/nothing"),
        ("http://a.example/image_search/src=x", "http://a.example/image_search/src=x"),
        ("http://[::1/image_search/", "http://[::1/image_search/"),
    ],
)  # fmt: skip
def test_the_origin_behind_the_engines_cache(url: str, wanted: str) -> None:
    assert original_url(url) == wanted
