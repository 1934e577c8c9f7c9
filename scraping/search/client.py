"""The search client: asks politely, cools down when refused, and knows four ways to ask."""

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
    """One session with the engine; not for use by several threads.

    ``sleep`` is given so that pauses can be observed.
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
        self._greeted = False
        self._last_request = float("-inf")

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def search(self, phrase: str, offset: int) -> baidu.Answer:
        """The hits of ``phrase`` from ``offset`` on: as JSON, as the JSON of the front end of 2025,
        or from the ``flip`` or ``index`` page, the first that can be read.

        Raises ``BlockedError`` when the engine still refuses after the last cool-down,
        ``TransientError`` when it does not answer, ``ResponseFormatError`` when neither its JSON
        nor its pages can be read.
        """
        config = self._config
        for pause in range(config.max_cool_downs + 1):
            try:
                return self._search_once(phrase, offset)
            except BlockedError:
                if pause == config.max_cool_downs:
                    raise
                wait = backoff.pause_s(None, pause + 1, config.cool_down_s, _MAX_PAUSE_S)
                _logger.warning("the engine refuses %r; cooling down for %.0f s", phrase, wait)
                self._sleep(wait)
                self._greeted = False
        raise AssertionError("the loop returns or raises")

    def _search_once(self, phrase: str, offset: int) -> baidu.Answer:
        config = self._config
        self._greet()
        asked = (config.engine_url, phrase, offset, config.page_size, config.filters)
        ways: list[tuple[str, str, Callable[[bytes], baidu.Answer]]] = [
            ("acjson", baidu.acjson_url(*asked), baidu.parse_acjson),
            ("tag", baidu.tag_url(*asked), baidu.parse_acjson),
        ]
        for kind in ("flip", "index"):
            url = baidu.page_url(config.engine_url, kind, phrase, offset)
            ways.append((kind, url, baidu.parse_page))
        errors = []
        for name, url, parse in ways:
            try:
                return parse(self._get(url))
            except ResponseFormatError as error:
                _logger.warning("%r at %d: %s answer: %s", phrase, offset, name, error)
                errors.append(error)
        raise errors[0]

    def _greet(self) -> None:
        """Fetch the home page once: it sets the cookie without which searches are refused."""
        if not self._greeted:
            self._get(f"{self._config.engine_url}/")
            self._greeted = True

    def _get(self, url: str) -> bytes:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=backoff.wait(1, 30),
            stop=tenacity.stop_after_attempt(self._config.num_tries),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._get_once, url)

    def _get_once(self, url: str) -> bytes:
        wait = self._last_request + self._config.search_interval_s - time.monotonic()
        if wait > 0:
            self._sleep(wait)
        self._last_request = time.monotonic()
        timeout = (self._config.connect_timeout_s, self._config.read_timeout_s)
        try:
            with self._session.get(url, timeout=timeout, allow_redirects=False, stream=True) as got:
                return _body(got, self._config.total_timeout_s)
        except requests.RequestException as error:
            raise TransientError(f"{self._config.engine_url} did not answer: {error}") from error


def _body(answer: requests.Response, total_timeout_s: float) -> bytes:
    location = answer.headers.get("Location", "")
    if answer.is_redirect and "captcha" in location:
        raise BlockedError(f"redirected to a captcha: {location[:200]}")
    if answer.status_code in {403, 418}:
        raise BlockedError(f"the search engine answered {answer.status_code}")
    if answer.status_code == 429 or answer.status_code >= 500:
        wish = backoff.retry_after(answer.headers.get("Retry-After"))
        raise TransientError(f"the search engine answered {answer.status_code}", wish)
    if answer.status_code != 200:
        raise ResponseFormatError(f"needed status 200, got {answer.status_code} ({location[:200]})")
    deadline = time.monotonic() + total_timeout_s
    body = bytearray()
    for chunk in answer.iter_content(65536):
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise ResponseFormatError(f"an answer of more than {_MAX_BODY_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TransientError(f"an answer took more than {total_timeout_s} s")
    return bytes(body)
