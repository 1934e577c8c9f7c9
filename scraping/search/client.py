"""The search client: limits its pace, pauses after refusals, and tries four kinds of response."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import requests
import tenacity

from core.errors import BlockedError, ResponseFormatError, TransientError
from scraping import backoff
from scraping.config import CrawlConfig
from scraping.search import baidu

_logger = logging.getLogger(__name__)
_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0 Safari/537.36"
)
_MAX_BODY_BYTES = 20_000_000
_MAX_PAUSE_S = 600.0


class SearchClient:
    """One HTTP session with the engine; not thread-safe.

    ``sleep`` makes every pause; tests pass their own.
    """

    def __init__(
        self,
        config: CrawlConfig,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers.update(
            {
                "User-Agent": _USER_AGENT,
                "Accept-Language": f"{config.language};q=0.9,en;q=0.8",
                "Referer": f"{config.engine_url}/",
            }
        )
        self._has_cookie = False
        self._last_request_s = float("-inf")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def search(self, phrase: str, offset: int) -> baidu.ResultPage:
        """The hits of ``phrase`` from ``offset`` on.

        They come from the first of four kinds of answer that can be read: JSON, the JSON of the
        2025 front end, the ``flip`` page, the ``index`` page.

        Raises ``BlockedError`` when the engine still refuses after the last cool-down,
        ``TransientError`` when it does not answer, ``ResponseFormatError`` when none of the four
        can be read.
        """
        config = self._config
        for num_pauses in range(config.max_cool_downs + 1):
            try:
                return self._search_once(phrase, offset)
            except BlockedError:
                if num_pauses == config.max_cool_downs:
                    raise
                pause_s = backoff.pause_s(None, num_pauses + 1, config.cool_down_s, _MAX_PAUSE_S)
                _logger.warning("the engine refuses %r; cooling down for %.0f s", phrase, pause_s)
                self._sleep(pause_s)
                self._has_cookie = False
        raise AssertionError("the loop returns or raises")

    def _search_once(self, phrase: str, offset: int) -> baidu.ResultPage:
        config = self._config
        self._get_cookie()
        query = (config.engine_url, phrase, offset, config.page_size, config.filters)
        endpoints: list[tuple[str, str, Callable[[bytes], baidu.ResultPage]]] = [
            ("acjson", baidu.acjson_url(*query), baidu.parse_acjson),
            ("tag", baidu.tag_url(*query), baidu.parse_acjson),
        ]
        for kind in ("flip", "index"):
            url = baidu.page_url(config.engine_url, kind, phrase, offset)
            endpoints.append((kind, url, baidu.parse_page))
        errors = []
        for name, url, parse in endpoints:
            try:
                return parse(self._get(url))
            except ResponseFormatError as error:
                _logger.warning("%r at %d: %s answer: %s", phrase, offset, name, error)
                errors.append(error)
        raise errors[0]

    def _get_cookie(self) -> None:
        """Fetch the home page once: it sets the cookie that searches need."""
        if not self._has_cookie:
            self._get(f"{self._config.engine_url}/")
            self._has_cookie = True

    def _get(self, url: str) -> bytes:
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=backoff.wait(1, 30),
            stop=tenacity.stop_after_attempt(self._config.num_tries),
            sleep=self._sleep,
            reraise=True,
        )
        return retry(self._get_once, url)

    def _get_once(self, url: str) -> bytes:
        pause_s = self._last_request_s + self._config.search_interval_s - time.monotonic()
        if pause_s > 0:
            self._sleep(pause_s)
        self._last_request_s = time.monotonic()
        timeout = (self._config.connect_timeout_s, self._config.read_timeout_s)
        try:
            with self._session.get(
                url, timeout=timeout, allow_redirects=False, stream=True
            ) as response:
                return _body(response, self._config.total_timeout_s)
        except requests.RequestException as error:
            raise TransientError(f"{self._config.engine_url} did not answer: {error}") from error


def _body(response: requests.Response, total_timeout_s: float) -> bytes:
    location = response.headers.get("Location", "")
    if response.is_redirect and "captcha" in location:
        raise BlockedError(f"redirected to a captcha: {location[:200]}")
    if response.status_code in {403, 418}:
        raise BlockedError(f"the search engine answered status {response.status_code}")
    if response.status_code == 429 or response.status_code >= 500:
        retry_after_s = backoff.retry_after_s(response.headers.get("Retry-After"))
        raise TransientError(
            f"the search engine answered status {response.status_code}", retry_after_s
        )
    if response.status_code != 200:
        raise ResponseFormatError(
            f"needed status 200, got {response.status_code} ({location[:200]})"
        )
    deadline = time.monotonic() + total_timeout_s
    body = bytearray()
    for chunk in response.iter_content(65536):
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise ResponseFormatError(
                f"got an answer of more than {_MAX_BODY_BYTES} bytes, needed a shorter one"
            )
        if time.monotonic() > deadline:
            raise TransientError(f"the search engine's answer took longer than {total_timeout_s} s")
    return bytes(body)
