"""The wire format of Openverse's API, version 1: pictures with licence and author. No network.

https://api.openverse.org/v1/ documents it. It needs no key; without one a page has 20 hits at most,
a search shows its first 20 pages, and each address of the network may send 20 requests a minute
and 200 a day.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

from core.errors import BlockedError, ResponseFormatError
from core.language.messages import localised
from scraping.backoff import asked_pause_s, throttled
from scraping.config import BAIDU_URL, CrawlConfig, LicenseUse
from scraping.search.engine import Credit, Endpoint, Hit, ResultPage, pixels_of, text_of
from scraping.search.filters import Filters
from scraping.transfer import HttpResponse

OPENVERSE_URL = "https://api.openverse.org"

_MAX_PAGE_SIZE = 20
_REQUESTS_PER_MIN = 20
_MAX_ADDRESS_CHARS = 4000
_QUOTED_CHARS = 200
_CC_LICENSES = {
    "by",
    "by-sa",
    "by-nd",
    "by-nc",
    "by-nc-sa",
    "by-nc-nd",
    "sampling+",
    "nc-sampling+",
}
_LICENSE_NAMES = {"cc0": "CC0", "pdm": "Public Domain Mark"}
_FORBIDS: Mapping[LicenseUse, str] = {"commercial": "nc", "modification": "nd"}
_SIZES = {"small": "small", "medium": "medium", "large": "large", "extra-large": "large",
          "over-1080": "large"}  # fmt: skip
_EXPECTED_WAIT = re.compile(r"available in (\d{1,6}) second")


class Openverse:
    """Openverse, as a ``SearchEngine``.

    ``engine_url`` of the configuration takes its place where it is not Baidu's own address.
    """

    label = "openverse: "
    needs_cookie = False
    max_hits: int | None = None  # it announces no more hits than it shows
    headers: Sequence[str] = ("User-Agent: Suyan/0.1", "Accept: application/json")

    def __init__(self, config: CrawlConfig) -> None:
        is_real = config.engine_url == BAIDU_URL
        self.url = OPENVERSE_URL if is_real else config.engine_url
        self.home = f"{self.url}/v1/"
        self.key = f"{self.url}/v1/images/"
        self.page_size = min(config.page_size, _MAX_PAGE_SIZE)
        self.min_interval_s = 60 / _REQUESTS_PER_MIN if is_real else 0.0
        self._filters, self._licenses = config.filters, config.licenses

    def endpoints(self, phrase: str, offset: int) -> Sequence[Endpoint]:
        """The one address of a page."""
        query = {
            "q": phrase,
            "page": str(offset // self.page_size + 1),
            "page_size": str(self.page_size),
            **filter_query(self._filters),
        }
        if self._licenses:
            query["license_type"] = ",".join(self._licenses)  # it shows what allows all of them
        parse = partial(parse_images, uses=self._licenses)
        return (Endpoint("images", f"{self.key}?{urlencode(query)}", parse),)

    def refuse(self, response: HttpResponse) -> None:
        """Raise what a refusal with a JSON body says.

        A 429 is ``TransientError``, or ``QuotaError`` where the pause is long; 401 and 403 are
        ``BlockedError``; other statuses from 400 on ``ResponseFormatError``.
        """
        detail = _detail(response.body)
        problem = f"Openverse answered status {response.status}" + (detail and f": {detail}")
        if response.status == 429:
            asked_s = asked_pause_s(response.headers.get("retry-after"))
            expected = _EXPECTED_WAIT.search(detail)
            if asked_s is None and expected:
                asked_s = float(expected[1])
            raise throttled(problem, asked_s)
        if detail and response.status in {401, 403}:
            raise BlockedError(problem)
        if detail and 400 <= response.status < 500:
            raise ResponseFormatError(problem)


def filter_query(filters: Filters) -> dict[str, str]:
    """The parameters of those filters that Openverse has: ``size``, ``drawn``, ``animated``."""
    query = {}
    if filters.size in _SIZES:
        query["size"] = _SIZES[filters.size]
    if filters.drawn != "any":
        query["category"] = "illustration"
    if filters.animated:
        query["extension"] = "gif"
    return query


def parse_images(body: bytes, uses: Collection[LicenseUse] = ()) -> ResultPage:
    """Hits of an answer to a search; those whose licence does not allow all of ``uses`` are left
    out, should the engine show any.

    Raises ``BlockedError`` for a web page or nothing in place of JSON, ``ResponseFormatError``
    for any other body that is no page of hits; no other error.
    """
    text = body.decode("utf-8-sig", errors="replace")
    if text.lstrip()[:1] in {"", "<"}:
        content = f"a page: {text.lstrip()[:80]!r}" if text.strip() else "nothing"
        raise BlockedError(
            localised("Openverse, or a portal before it, sent {content}, not JSON", content=content)
        )
    value = _json(text)
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(results, list):
        raise ResponseFormatError(
            localised(
                "needed a JSON object with a list 'results', got {text!r}",
                text=text[:_QUOTED_CHARS],
            )
        )
    allowed = (item for item in results if not uses or _allows(item, uses))
    hits = tuple(hit for item in allowed if (hit := _hit(item)) is not None)
    return ResultPage(hits, _num_readable(value))


def _num_readable(value: Mapping[str, Any]) -> int | None:
    """Number of hits on the pages that may be asked for; ``None`` where the answer does not say."""
    num_hits, num_pages = _count(value, "result_count"), _count(value, "page_count")
    page_size = _count(value, "page_size")
    if num_hits is None or num_pages is None or page_size is None:
        return num_hits
    return min(num_hits, num_pages * page_size)


def _count(value: Mapping[str, Any], name: str) -> int | None:
    count = value.get(name)
    return count if type(count) is int and 0 <= count < 10**9 else None


def _hit(item: Any) -> Hit | None:
    """The hit of one result; ``None`` for one without an identity or an address."""
    if not isinstance(item, dict):
        return None
    addresses: dict[str, str] = {}
    for name in ("url", "thumbnail"):
        address = text_of(item, name)
        if address.startswith(("http://", "https://")) and len(address) < _MAX_ADDRESS_CHARS:
            addresses.setdefault(address, name)
    key = text_of(item, "id")[:500]
    if not (key and addresses):
        return None
    return Hit(
        key=key,
        candidates=tuple((name, address) for address, name in addresses.items()),
        page_url=text_of(item, "foreign_landing_url")[:_MAX_ADDRESS_CHARS],
        title=text_of(item, "title")[:500],
        width=pixels_of(item, "width"),
        height=pixels_of(item, "height"),
        credit=Credit(
            license=license_name(text_of(item, "license"), text_of(item, "license_version"))[:100],
            license_url=text_of(item, "license_url")[:2000],
            creator=text_of(item, "creator")[:500],
            attribution=text_of(item, "attribution")[:4000],
        ),
    )


def _allows(item: Any, uses: Collection[LicenseUse]) -> bool:
    """Whether the licence of a result allows all of ``uses``; an unknown one allows nothing."""
    code = text_of(item, "license").lower() if isinstance(item, dict) else ""
    is_known = code in _CC_LICENSES or code in _LICENSE_NAMES
    return is_known and not any(_FORBIDS[use] in code for use in uses)


def license_name(code: str, version: str) -> str:
    """What a licence is called, e.g. ``CC BY-SA 2.0`` for ``by-sa`` and ``2.0``; a code that is
    unknown stays as it is.
    """
    code = code.lower()
    name = f"CC {code.upper()}" if code in _CC_LICENSES else _LICENSE_NAMES.get(code, code)
    return f"{name} {version}".strip() if name else ""


def _detail(body: bytes) -> str:
    """The reason in the body of a refusal; "" for none."""
    try:
        value = _json(body.decode("utf-8", errors="replace"))
    except ResponseFormatError:
        return ""
    detail = value.get("detail") if isinstance(value, dict) else None
    if not detail:
        return ""
    return (detail if isinstance(detail, str) else json.dumps(detail))[:_QUOTED_CHARS]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResponseFormatError(
            f"needed JSON, got {text[:_QUOTED_CHARS]!r} ({error})"[:600]
        ) from error
