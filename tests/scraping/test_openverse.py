"""Openverse's wire format, as its documentation describes it. No answer here was recorded: written
by hand, or generated."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BlockedError, QuotaError, ResponseFormatError, SuyanError, TransientError
from scraping.config import CrawlConfig
from scraping.search import openverse
from scraping.search.engine import NO_CREDIT, Credit, ResultPage
from scraping.search.openverse import Openverse
from scraping.transfer import HttpResponse

RESULT: dict[str, Any] = {
    "id": "0f1e2d3c-4b5a-4697-8877-665544332211",
    "title": "A lake in winter",
    "indexed_on": "2024-02-03T04:05:06Z",
    "foreign_landing_url": "https://photos.example/lake",
    "url": "https://cdn.photos.example/lake.jpg",
    "creator": "Ana Example",
    "creator_url": "https://photos.example/ana",
    "license": "by-sa",
    "license_version": "2.0",
    "license_url": "https://creativecommons.org/licenses/by-sa/2.0/",
    "provider": "photos",
    "source": "photos",
    "category": None,
    "filesize": None,
    "filetype": None,
    "tags": [{"name": "lake", "accuracy": None}],
    "attribution": '"A lake in winter" by Ana Example is licensed under CC BY-SA 2.0.',
    "fields_matched": ["title"],
    "mature": False,
    "height": 768,
    "width": 1024,
    "thumbnail": "https://api.openverse.org/v1/images/0f1e2d3c-4b5a-4697-8877-665544332211/thumb/",
    "detail_url": "https://api.openverse.org/v1/images/0f1e2d3c-4b5a-4697-8877-665544332211/",
}


def _body(*results: Mapping[str, Any] | Any, **counts: object) -> bytes:
    totals = {"result_count": len(results), "page_count": 1, "page_size": 20, "page": 1}
    return json.dumps({**totals, **counts, "results": results}).encode()


def _engine(**changes: object) -> Openverse:
    values = {"domain": "winter", "phrases": ("lake",), "engines": ("openverse",)}
    return Openverse(CrawlConfig.model_validate(values | changes))


def _refusal(status: int, body: bytes = b"", **headers: str) -> SuyanError | None:
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        _engine().refuse(HttpResponse(status, lines, body))
    except SuyanError as error:
        return error
    return None


def test_a_hit_has_its_address_its_page_its_size_and_its_credit() -> None:
    (hit,) = openverse.parse_images(_body(RESULT)).hits
    assert hit.key == RESULT["id"]
    assert hit.candidates == (("url", RESULT["url"]), ("thumbnail", RESULT["thumbnail"]))
    assert (hit.page_url, hit.title) == (RESULT["foreign_landing_url"], RESULT["title"])
    assert (hit.width, hit.height) == (1024, 768)
    assert hit.credit == Credit(
        "CC BY-SA 2.0", RESULT["license_url"], "Ana Example", RESULT["attribution"]
    )


@pytest.mark.parametrize(
    ("code", "version", "name"),
    [
        ("by", "2.0", "CC BY 2.0"),
        ("BY-NC-ND", "4.0", "CC BY-NC-ND 4.0"),
        ("cc0", "1.0", "CC0 1.0"),
        ("pdm", "1.0", "Public Domain Mark 1.0"),
        ("nc-sampling+", "1.0", "CC NC-SAMPLING+ 1.0"),
        ("by", "", "CC BY"),
        ("new-licence", "9", "new-licence 9"),
        ("", "1.0", ""),
    ],
)
def test_a_licence_has_the_name_that_people_know(code: str, version: str, name: str) -> None:
    assert openverse.license_name(code, version) == name


def test_missing_fields_are_empty_and_a_result_without_identity_or_address_is_no_hit() -> None:
    nothing = dict.fromkeys(RESULT)
    bare = nothing | {"id": "1", "url": "https://h.example/1.jpg"}
    page = openverse.parse_images(
        _body(
            bare, nothing, {"id": "2"}, {"url": RESULT["url"]}, None, 3, bare | {"url": "ftp://h/x"}
        )
    )
    (hit,) = page.hits
    assert hit.candidates == (("url", "https://h.example/1.jpg"),)
    assert (hit.page_url, hit.title, hit.width, hit.credit) == ("", "", 0, NO_CREDIT)


def test_the_hits_that_it_announces_are_those_on_pages_that_it_shows() -> None:
    assert openverse.parse_images(_body(result_count=9999, page_count=20)).num_announced == 400
    assert openverse.parse_images(_body(result_count=31, page_count=2)).num_announced == 31
    assert openverse.parse_images(_body(result_count=31, page_count=None)).num_announced == 31
    assert openverse.parse_images(_body(result_count=None)).num_announced is None
    assert openverse.parse_images(b'{"results": []}').num_announced is None


def test_a_page_is_asked_for_by_its_number_and_has_twenty_hits_at_most() -> None:
    engine = _engine(page_size=60, filters={"size": "over-1080", "drawn": "clip-art"})
    assert engine.page_size == 20
    (endpoint,) = engine.endpoints("café & snow", 40)
    address = urlsplit(endpoint.url)
    assert f"{address.scheme}://{address.netloc}{address.path}" == (
        "https://api.openverse.org/v1/images/"
    )
    assert parse_qs(address.query) == {
        "q": ["café & snow"], "page": ["3"], "page_size": ["20"],
        "size": ["large"], "category": ["illustration"],
    }  # fmt: skip
    assert _engine(page_size=8).endpoints("x", 16)[0].url.endswith("page=3&page_size=8")


def test_only_licences_that_allow_the_use_are_asked_for_and_taken() -> None:
    engine = _engine(engines=["openverse"], licenses=["commercial", "modification"])
    (endpoint,) = engine.endpoints("lake", 0)
    assert parse_qs(urlsplit(endpoint.url).query)["license_type"] == ["commercial,modification"]
    codes = ["by", "by-nc", "by-nd", "by-nc-sa", "CC0", "pdm", "sampling+", "", "new", None]
    body = _body(*({**RESULT, "id": f"id {code}", "license": code} for code in codes), 3)
    assert [hit.key for hit in endpoint.parse(body).hits] == [
        f"id {code}" for code in ("by", "CC0", "pdm", "sampling+")
    ]
    commercial = _engine(engines=["openverse"], licenses=["commercial"]).endpoints("lake", 0)[0]
    assert "id by-nd" in [hit.key for hit in commercial.parse(body).hits]
    (anything,) = _engine().endpoints("lake", 0)
    assert "license" not in anything.url
    assert len(anything.parse(body).hits) == len(codes)


def test_its_pace_is_its_quota_and_another_address_has_none() -> None:
    assert _engine().min_interval_s == 3
    offline = _engine(engine_url="http://127.0.0.1:8099")
    assert offline.min_interval_s == 0
    assert offline.key == "http://127.0.0.1:8099/v1/images/"


def test_a_short_pause_is_waited_out_and_a_long_one_is_a_used_up_quota() -> None:
    short = _refusal(429, b'{"detail": "Request was throttled."}', retry_after="42")
    assert isinstance(short, TransientError)
    assert short.retry_after_s == 42
    by_words = _refusal(429, b'{"detail": "Expected available in 17 seconds."}')
    assert isinstance(by_words, TransientError)
    assert by_words.retry_after_s == 17
    unknown = _refusal(429, b"<html>slow down</html>")
    assert isinstance(unknown, TransientError)
    assert unknown.retry_after_s is None
    long = _refusal(429, b'{"detail": "Expected available in 80000 seconds."}')
    assert isinstance(long, QuotaError)
    assert "22 h 13 min" in str(long)
    assert "run it again" in str(long).lower()


def test_a_refusal_says_what_the_engine_said() -> None:
    key_needed = _refusal(401, b'{"detail": "page_size must be 20 or less"}')
    assert isinstance(key_needed, BlockedError)
    assert "page_size must be 20 or less" in str(key_needed)
    invalid = _refusal(400, b'{"detail": {"license": ["License \'x\' does not exist."]}}')
    assert isinstance(invalid, ResponseFormatError)
    assert "does not exist" in str(invalid)
    for status, body in ((401, b""), (403, b"<html>"), (503, b"<html>"), (404, b"[]")):
        assert _refusal(status, body) is None  # the client knows these


@pytest.mark.parametrize("body", [b"", b"  \n", b"<!DOCTYPE html><title>Maintenance</title>"])
def test_a_page_or_nothing_in_place_of_json_is_a_refusal(body: bytes) -> None:
    with pytest.raises(BlockedError):
        openverse.parse_images(body)


@pytest.mark.parametrize(
    "body",
    [b"[]", b'{"results": 3}', b'{"detail": "x"}', b'{"results": [', b"[" * 100_000, b"\xff"],
)
def test_what_is_no_page_of_hits_is_quoted(body: bytes) -> None:
    with pytest.raises(ResponseFormatError, match="needed"):
        openverse.parse_images(body)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_RESULTS = st.fixed_dictionaries({}, optional=dict.fromkeys(RESULT, _VALUES))


@given(
    results=st.lists(_RESULTS | _VALUES, max_size=4),
    counts=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("result_count", "page_count", "page_size"), _VALUES)
    ),
)
def test_any_values_give_hits_that_can_be_stored(
    results: list[Any], counts: dict[str, Any]
) -> None:
    page = openverse.parse_images(_body(*results, **counts))
    for hit in page.hits:
        assert hit.key
        assert all(address.startswith("http") for _, address in hit.candidates)
        for text in (hit.key, hit.title, hit.page_url, *vars(hit.credit).values()):
            assert "\0" not in text
            text.encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_hits_or_one_of_two_errors(body: bytes) -> None:
    with contextlib.suppress(BlockedError, ResponseFormatError):
        assert isinstance(openverse.parse_images(body), ResultPage)
