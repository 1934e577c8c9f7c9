"""Baidu image search's wire format: addresses of queries, and hits of answers. No network access.

Formats of 2017 to 2026: ``acjson`` (also JSONP, GBK, invalid escapes), the ``flip`` and ``index``
pages, and the ``data.images`` list of the 2025 front end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from core.errors import BlockedError, ResponseFormatError
from core.language.messages import localised
from scraping.config import CrawlConfig
from scraping.search.engine import Endpoint, Hit, ResultPage, pixels_of, text_of
from scraping.search.filters import Filters
from scraping.transfer import HttpResponse

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

_TOKENS = (("_z2C$q", ":"), ("_z&e3B", "."), ("AzdH3F", "/"))
_CIPHER = "0123456789abcdefghijklmnopqrstuvw"
_PLAIN = "7dgjmoru140852vsnkheb963wtqplifca"
_DECODE = str.maketrans(_CIPHER, _PLAIN)
_ENCODE = str.maketrans(_PLAIN, _CIPHER)
_TOKEN = re.compile("|".join(re.escape(token) for token, _ in _TOKENS))
_PLAIN_OF_TOKEN = dict(_TOKENS)
_TOKEN_OF_PLAIN = {plain: token for token, plain in _TOKENS}
# A string in single or double quotes; the unrolled loop keeps it linear on hostile input.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|\'[^\'\\]*(?:\\.[^\'\\]*)*\'', re.DOTALL)
_BAD_ESCAPE = re.compile(r'\\(?:(u[0-9a-fA-F]{4}|["\\/bfnrt])|(.))', re.DOTALL)
_JSONP = re.compile(r"^\s*[\w$.]{1,100}\s*\(")
_SET_DATA = re.compile(r"setData\(\s*['\"]imgData['\"]\s*,")
_QUOTED_CHARS = 80
_PAGE_KINDS: tuple[Literal["flip"], Literal["index"]] = ("flip", "index")
MAX_OFFSET = 1000
"""Hits that the engine shows of one search at most, as users report."""


_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0 Safari/537.36"
)


class Baidu:
    """Baidu image search, as a ``SearchEngine``.

    A page may come as any of four kinds of answer: JSON, the JSON of the 2025 front end, the
    ``flip`` page, the ``index`` page.
    """

    label = ""
    needs_cookie = True
    max_hits: int | None = MAX_OFFSET
    min_interval_s = 0.0  # it announces no quota: the crawl's own pace holds

    def __init__(self, config: CrawlConfig) -> None:
        self.url = self.key = config.engine_url
        self.home = f"{self.url}/"
        self.page_size = config.page_size
        self.headers: Sequence[str] = (
            f"User-Agent: {_USER_AGENT}",
            f"Accept-Language: {config.language};q=0.9,en;q=0.8",
            f"Referer: {self.url}/",
            "Accept: */*",
        )
        self._filters = config.filters

    def endpoints(self, phrase: str, offset: int) -> Sequence[Endpoint]:
        """The four addresses of a page, the preferred one first."""
        query = (self.url, phrase, offset, self.page_size, self._filters)
        flip, index = (page_url(self.url, kind, phrase, offset) for kind in _PAGE_KINDS)
        return (
            Endpoint("acjson", acjson_url(*query), parse_acjson),
            Endpoint("tag", tag_url(*query), parse_tag),
            Endpoint("flip", flip, parse_page),
            Endpoint("index", index, parse_page),
        )

    def refuse(self, response: HttpResponse) -> None:
        """Nothing: it says no by a redirect or in the body, which the parsers recognise."""


def decode_url(text: str) -> str:
    """A plain URL from an enciphered or an already plain one."""
    if not _TOKEN.search(text):
        return text
    pieces = re.split(f"({_TOKEN.pattern})", text)
    return "".join(_PLAIN_OF_TOKEN.get(piece, piece.translate(_DECODE)) for piece in pieces)


def encode_url(url: str) -> str:
    """The enciphered form of a percent-encoded URL: ``decode_url`` gives it back."""
    pieces = re.split(r"([:./])", url)
    return "".join(_TOKEN_OF_PLAIN.get(piece, piece.translate(_ENCODE)) for piece in pieces)


def acjson_url(engine: str, phrase: str, offset: int, page_size: int, filters: Filters) -> str:
    """Address of the JSON answer with ``page_size`` hits from ``offset`` on."""
    query = {
        "tn": "resultjson_com", "ipn": "rj", "ct": "201326592", "is": "", "fp": "result",
        "queryWord": phrase, "word": phrase, "cl": "2", "ie": "utf-8", "oe": "utf-8",
        **filters.query(), "istype": "2", "nc": "1",
        "pn": str(offset), "rn": str(page_size), "gsm": f"{offset:x}",
    }  # fmt: skip
    return f"{engine}/search/acjson?{urlencode(query)}"


def tag_url(engine: str, phrase: str, offset: int, page_size: int, filters: Filters) -> str:
    """Address of the 2025 front end's JSON answer; ``parse_tag`` reads it."""
    query = {
        "tn": "resulttagjson", "newReq": "1", "data_type": "json", "word": phrase, "ie": "utf-8",
        "oe": "utf-8", **filters.query(), "pn": str(offset), "rn": str(page_size),
    }  # fmt: skip
    return f"{engine}/search/acjson?{urlencode(query)}"


def page_url(engine: str, kind: Literal["flip", "index"], phrase: str, offset: int) -> str:
    """Address of the HTML answer, which is asked for when the JSON cannot be read."""
    query = {"tn": "baiduimage", "ie": "utf-8", "word": phrase, "pn": str(offset)}
    return f"{engine}/search/{kind}?{urlencode(query)}"


def parse_acjson(body: bytes) -> ResultPage:
    """Hits of an ``acjson`` body.

    Raises ``BlockedError`` for an anti-bot or captcha body, and for a page or nothing in place of
    JSON; ``ResponseFormatError``, which quotes the spot, for any other malformed body; no other
    error.
    """
    text = _text(body)
    if text.lstrip()[:1] in {"", "<"}:
        _refuse_block(text)
        content = f"a page: {text.lstrip()[:_QUOTED_CHARS]!r}" if text.strip() else "nothing"
        raise BlockedError(
            localised(
                "the search engine, or a portal before it, sent {content}, not JSON",
                content=content,
            )
        )
    return _json_page(text)


def parse_tag(body: bytes) -> ResultPage:
    """Hits of the JSON of the 2025 front end, which some engines answer with a page.

    Raises as ``parse_acjson`` does, but ``ResponseFormatError`` for a page in place of JSON.
    """
    return _json_page(_text(body))


def _json_page(text: str) -> ResultPage:
    _refuse_block(text)
    return _result_page(_lenient_json(_JSONP.sub("", text, count=1)))


def parse_page(body: bytes) -> ResultPage:
    """Hits of a ``flip`` or ``index`` page; raises as ``parse_acjson`` does."""
    text = _text(body)
    _refuse_block(text)
    try:
        scripts = _markup(text).find_all("script")
    except (AssertionError, RecursionError, ValueError) as error:
        raise ResponseFormatError(
            localised("the page cannot be parsed: {error}", error=error)
        ) from error
    for script in scripts:
        source = script.get_text()
        match = _SET_DATA.search(source)
        if match:
            return _result_page(_lenient_json(source[match.end() :]))
    if "找到相关图片0张" in text:
        return ResultPage((), 0)
    raise ResponseFormatError(
        localised(
            "needed a script with setData('imgData', …), got a page of {num} characters: {text!r}",
            num=len(text),
            text=text[:_QUOTED_CHARS],
        )
    )


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("gb18030", errors="replace")


def _refuse_block(text: str) -> None:
    head = text[:4000]
    captcha = "wappass.baidu.com/static/captcha" in head or "百度安全验证" in head
    if captcha or re.search(r'"antiFlag"\s*:\s*"?1', head):
        raise BlockedError(
            localised("the search engine refuses to answer: {head!r}", head=head[:200])
        )


def _lenient_json(text: str) -> Mapping[str, Any]:
    """The JSON object in ``text``, with its quotes and escapes made valid first."""
    start = text.find("{")
    valid_text = _STRING.sub(_mend_string, text[max(start, 0) :])
    try:
        value, _ = json.JSONDecoder(strict=False).raw_decode(valid_text)
    except json.JSONDecodeError as error:
        spot = valid_text[max(0, error.pos - 40) : error.pos + 40]
        raise ResponseFormatError(
            localised("needed JSON, got {msg} near {spot!r}", msg=error.msg, spot=spot)
        ) from error
    except (ValueError, RecursionError) as error:
        raise ResponseFormatError(
            localised("needed JSON, got {text!r} ({error})", text=text[:80], error=error)
        ) from error
    if not isinstance(value, dict):
        raise ResponseFormatError(localised("needed a JSON object, got {text!r}", text=text[:80]))
    return value


def _mend_string(match: re.Match[str]) -> str:
    literal = match.group()
    inner = literal[1:-1]
    if literal[0] == "'":
        inner = re.sub(r'(?<!\\)"', r"\"", inner)
    return '"' + _BAD_ESCAPE.sub(_mend_escape, inner) + '"'


def _mend_escape(match: re.Match[str]) -> str:
    """A valid escape unchanged; an invalid one without its backslash."""
    return match.group() if match.group(1) else match.group(2)


def _result_page(value: Mapping[str, Any]) -> ResultPage:
    data = value.get("data")
    items = data.get("images") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise ResponseFormatError(
            localised(
                "needed a list 'data', got {kind}; the keys are {keys}",
                kind=type(data).__name__,
                keys=sorted(value)[:12],
            )
        )
    list_num = value.get("listNum", value.get("displayNum"))
    if isinstance(list_num, str) and list_num.isdecimal():
        list_num = int(list_num[:9])
    num = list_num if isinstance(list_num, int) and list_num >= 0 else None
    return ResultPage(tuple(hit for item in items if (hit := _hit(item)) is not None), num)


def _hit(item: Any) -> Hit | None:
    """The hit of one item; ``None`` for the empty last item and for one without an address."""
    if not isinstance(item, dict):
        return None
    candidates: dict[str, str] = {}
    for field, address in _addresses(item):
        candidates.setdefault(address, field)
    if not candidates:
        return None
    first = next(iter(candidates))
    title = text_of(item, "fromPageTitleEnc", "fromPageTitle", "titleShow")
    return Hit(
        key=(text_of(item, "di", "cs") or first)[:500],
        candidates=tuple((field, address) for address, field in candidates.items()),
        page_url=decode_url(text_of(item, "fromURL", "fromurl"))[:4000],
        title=_plain(title)[:500],
        width=pixels_of(item, "width"),
        height=pixels_of(item, "height"),
    )


def _plain(title: str) -> str:
    if "<" not in title:
        return title
    return _markup(title).get_text()[1:]


def _markup(text: str) -> BeautifulSoup:
    """The markup of ``" " + text``: of a text that begins as an address bs4 would warn."""
    from bs4 import BeautifulSoup

    return BeautifulSoup(f" {text}", "html.parser")


def _addresses(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, address) of an item in the order of the tries; only http(s) addresses."""
    fields = [("objURL", text_of(item, "objURL", "objurl"))]
    replacements = item.get("replaceUrl")
    fields += [
        ("replaceUrl", text_of(entry, "ObjURL", "ObjUrl"))
        for entry in (replacements if isinstance(replacements, list) else [])
        if isinstance(entry, dict)
    ]
    fields += [(name, text_of(item, name)) for name in ("middleURL", "hoverURL", "thumbURL")]
    fields.append(("thumbURL", text_of(item, "thumburl")))
    for field, text in fields:
        address = decode_url(text)
        if address.startswith(("http://", "https://")) and len(address) < 4000:
            yield field, address
