"""The search client: limits its pace, pauses after refusals, and tries every kind of answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import pycurl
import tenacity

from core.errors import (
    BlockedError,
    EmptyPageError,
    QuotaError,
    ResponseFormatError,
    TransientError,
    UnknownHostError,
)
from core.language.messages import localised
from core.proxies import Proxies, without_password
from scraping import backoff
from scraping.config import CrawlConfig
from scraping.content_encoding import TooLongError, decode_body
from scraping.failure_reasons import FailedError, Reason, RejectedError, http_reason, may_pass
from scraping.search.engine import ResultPage, SearchEngine
from scraping.transfer import HttpResponse, Transfer

_logger = logging.getLogger(__name__)
_MAX_BODY_BYTES = 20_000_000
_MAX_PAUSE_S = 600.0
_REFUSALS = {401, 403, 418, 451}


class SearchClient:
    """One HTTP session with ``engine``; one thread at a time may use it.

    ``sleep`` makes every pause; tests pass their own.
    """

    def __init__(
        self,
        config: CrawlConfig,
        engine: SearchEngine,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config, self._engine = config, engine
        self._sleep = sleep
        self._is_closed = False
        self._headers = [*engine.headers, "Accept-Encoding: gzip, deflate"]
        self._interval_s = max(config.search_interval_s, engine.min_interval_s)
        self._proxy = Proxies.from_environment().of_url(engine.url)
        self._transfer = Transfer(
            [
                (pycurl.CONNECTTIMEOUT_MS, max(1, round(1000 * config.connect_timeout_s))),
                (pycurl.LOW_SPEED_LIMIT, 1),  # B/s, for …
                (pycurl.LOW_SPEED_TIME, max(1, round(config.read_timeout_s))),
                (pycurl.COOKIEFILE, ""),  # cookies are held in memory
                (pycurl.NOPROGRESS, 0),
                (pycurl.XFERINFOFUNCTION, lambda *_: int(self._is_closed)),  # 1 aborts
            ]
        )
        self._has_cookie = False
        self._last_request_s = float("-inf")

    def close(self) -> None:
        """End a request that is under way in another thread; no other one succeeds."""
        self._is_closed = True

    def check(self) -> None:
        """Fetch the engine's first page; raises as ``search`` does, without a cool-down."""
        self._get(self._engine.home)

    def search(self, phrase: str, offset: int) -> ResultPage:
        """The hits of ``phrase`` from ``offset`` on.

        They come from the first of the engine's endpoints whose answer can be read.

        Raises ``BlockedError`` when the engine still refuses after the last cool-down
        (``EmptyPageError``, when it withholds hits that it announces; ``QuotaError`` at once, when
        its quota is used up), ``TransientError`` when it does not answer, ``UnknownHostError`` when
        its name does not resolve, ``ResponseFormatError`` when no endpoint's answer can be read.
        """
        config = self._config
        for num_pauses in range(config.max_cool_downs + 1):
            try:
                return self._search_once(phrase, offset)
            except QuotaError:
                raise
            except BlockedError:
                if num_pauses == config.max_cool_downs:
                    raise
                pause_s = backoff.pause_s(None, num_pauses + 1, config.cool_down_s, _MAX_PAUSE_S)
                _logger.warning(
                    localised("the engine refuses %r; cooling down for %.0f s"), phrase, pause_s
                )
                self._sleep(pause_s)
                self._has_cookie = False
        raise AssertionError("the loop returns or raises")

    def _search_once(self, phrase: str, offset: int) -> ResultPage:
        self._get_cookie()
        errors = []
        for endpoint in self._engine.endpoints(phrase, offset):
            try:
                page = endpoint.parse(self._get(endpoint.url))
            except ResponseFormatError as error:
                _logger.warning(
                    localised("%r at %d: %s answer: %s"), phrase, offset, endpoint.name, error
                )
                errors.append(error)
                continue
            if page.is_withheld(offset, self._engine.max_hits):
                raise EmptyPageError(
                    localised(
                        "the search engine announces {num_announced} hits, and shows none of "
                        "those from {offset} on",
                        num_announced=page.num_announced,
                        offset=offset,
                    )
                )
            return page
        raise errors[0]

    def _get_cookie(self) -> None:
        """Fetch the first page once, where it sets the cookie that searches need."""
        if self._engine.needs_cookie and not self._has_cookie:
            try:
                self._get(self._engine.home)
            except ResponseFormatError as error:  # the search shows whether it needs the cookie
                _logger.warning(localised("the home page: %s"), error)
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
        pause_s = self._last_request_s + self._interval_s - time.monotonic()
        if pause_s > 0:
            self._sleep(pause_s)
        self._last_request_s = time.monotonic()
        try:
            self._transfer.begin(
                url, self._headers, _body_limit, self._config.total_timeout_s, self._proxy
            )
            response = self._transfer.perform()
            failure = response.failure
        except RejectedError as error:
            raise ResponseFormatError(
                localised("{url} cannot be requested: {reason}", url=url, reason=error.reason)
            ) from None
        except FailedError as error:
            failure = error
        if failure is not None:
            raise self._no_answer(failure.reason)
        if response.status != 200:
            self._engine.refuse(response)
        return _body(response)

    def _no_answer(self, reason: str) -> TransientError | UnknownHostError:
        engine = self._engine.url
        through = f" through the proxy {without_password(self._proxy)}" if self._proxy else ""
        if reason == Reason.HOST_UNKNOWN:
            return UnknownHostError(
                f"the name {urlsplit(engine).hostname} does not resolve",
                remedy="Check the network, its name server and the address of the engine",
            )
        return TransientError(f"{engine} did not answer{through} ({reason})")


def _body_limit(_status: int, _headers: Mapping[str, str]) -> int:
    return _MAX_BODY_BYTES


def _body(response: HttpResponse) -> bytes:
    """The body of an answer with status 200, without its content encoding.

    Raises ``BlockedError`` for a refusal, ``TransientError`` for a status that may pass
    (``QuotaError``, where the engine asks for a pause that is longer than a run waits),
    ``ResponseFormatError`` for any other.
    """
    status = response.status
    if 300 <= status < 400:
        location = response.headers.get("location", "nowhere")
        raise BlockedError(
            localised(
                "the search engine redirected ({status}) to {location}",
                status=status,
                location=location[:200],
            )
        )
    if status in _REFUSALS:
        raise BlockedError(localised("the search engine answered status {status}", status=status))
    if status != 200 and may_pass(http_reason(status)):
        asked_s = backoff.asked_pause_s(response.headers.get("retry-after"))
        raise backoff.throttled(
            localised("the search engine answered status {status}", status=status), asked_s
        )
    if status != 200:
        raise ResponseFormatError(localised("needed status 200, got {status}", status=status))
    too_long = ResponseFormatError(
        f"got an answer of more than {_MAX_BODY_BYTES} bytes, needed a shorter one"
    )
    if not response.is_whole:
        raise too_long
    encoding = response.headers.get("content-encoding", "")
    try:
        return decode_body(response.body, encoding, _MAX_BODY_BYTES)
    except TooLongError:
        raise too_long from None
