import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BlockedError, ResponseFormatError
from scraping.search import baidu
from scraping.search.filters import Colour, Filters

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "baidu"
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="recorded answers are not part of the repository"
)


def _item(**changes: object) -> dict[str, object]:
    return {
        "di": "1",
        "objURL": baidu.encode_url("http://host.example/a.jpg"),
        "thumbURL": "https://img0.baidu.com/it/u=1,2",
        "fromURL": baidu.encode_url("http://page.example/1.html"),
        "fromPageTitle": "<strong>妆容</strong> 图片",
        "width": 400,
        "height": 300,
        **changes,
    }


def _body(*items: object, **changes: object) -> bytes:
    return json.dumps({"listNum": 7, "data": [*items, {}], **changes}).encode()


def test_the_cipher_reads_the_known_example() -> None:
    text = "ippr_z2C$qAzdH3FAzdH3Fkwthj_z&e3Bkwt17_z&e3Bv54"
    assert baidu.decode_url(text) == "http://baike.baidu.com"


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=80))
def test_the_cipher_round_trips_any_url(rest: str) -> None:
    url = f"https://host.example/{rest}"
    assert baidu.decode_url(baidu.encode_url(url)) == url


def test_a_plain_url_stays_plain() -> None:
    url = "https://gimg2.baidu.com/image_search/src=http%3A%2F%2Fa.b%2Fc.jpg&refer=x"
    assert baidu.decode_url(url) == url


def test_an_item_becomes_a_hit() -> None:
    answer = baidu.parse_acjson(
        _body(_item(replaceUrl=[{"ObjURL": None, "ObjUrl": "http://r.x/1"}]))
    )
    assert answer.num_announced == 7
    (hit,) = answer.hits
    assert hit.candidates == (
        ("objURL", "http://host.example/a.jpg"),
        ("replaceUrl", "http://r.x/1"),
        ("thumbURL", "https://img0.baidu.com/it/u=1,2"),
    )
    assert hit.page_url == "http://page.example/1.html"
    assert hit.title == "妆容 图片"
    assert (hit.width, hit.height) == (400, 300)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: b"callback_1(" + body + b");",
        lambda body: b"\xef\xbb\xbf" + body,
        lambda body: body.replace(b"\\u56fe", b"it\\'s \\/ \x01\t"),
        lambda body: body.replace(b"</strong>", b"<\\/strong>"),
        lambda body: body.replace(b"</strong>", b""),
        lambda body: body.replace(b'"width": ', b'"width" :'),
        lambda body: body.replace(b'"di"', b"\"base64\": '', 'x': 'a\"b', \"di\""),
        lambda body: body.decode("unicode-escape").encode("gb18030"),
    ],
    ids=["jsonp", "bom", "escapes", "slash", "unbalanced", "spacing", "quotes", "gbk"],
)
def test_quirks_are_read(spoil: object) -> None:
    body = spoil(_body(_item()))  # type: ignore[operator]
    (hit,) = baidu.parse_acjson(body).hits
    assert hit.candidates[0] == ("objURL", "http://host.example/a.jpg")
    assert "妆容" in hit.title
    assert hit.width == 400


def test_the_front_end_of_2025_is_read() -> None:
    images = [{"thumburl": "http://t.x/1", "objurl": "http://o.x/1", "titleShow": "素颜"}]
    (hit,) = baidu.parse_acjson(json.dumps({"data": {"images": images}}).encode()).hits
    assert [url for _, url in hit.candidates] == ["http://o.x/1", "http://t.x/1"]
    assert hit.title == "素颜"


@pytest.mark.parametrize("owner", ["flip", "app"])
def test_pages_are_read(owner: str) -> None:
    data = json.dumps({"listNum": 3, "data": [_item(objURL="http://plain.x/1.jpg")]})
    data = data.replace('"width"', '"base64": \'\', "width"')
    page = (
        f"<script>var a = {{}};</script><script>{owner}.setData('imgData', {data});\nx()</script>"
    )
    (hit,) = baidu.parse_page(page.encode()).hits
    assert hit.candidates[0] == ("objURL", "http://plain.x/1.jpg")


def test_an_empty_page_has_no_hits() -> None:
    assert baidu.parse_page("<p>找到相关图片0张</p>".encode()).hits == ()


@pytest.mark.parametrize(
    "body",
    [
        '{"antiFlag":1,"message":"Forbid spider access"}',
        '<a href="https://wappass.baidu.com/static/captcha/tuxing.html?x">Found</a>',
        "<title>百度安全验证</title>",
    ],
)
def test_blocks_are_recognised(body: str) -> None:
    with pytest.raises(BlockedError):
        baidu.parse_acjson(body.encode())
    with pytest.raises(BlockedError):
        baidu.parse_page(body.encode())


def test_a_malformed_answer_quotes_the_spot() -> None:
    with pytest.raises(ResponseFormatError, match=r"near .*colour"):
        baidu.parse_acjson(b'{"data": [{"colour" "red"}]}')
    with pytest.raises(ResponseFormatError, match="needed a list 'data'"):
        baidu.parse_acjson(b'{"error": 5}')


@pytest.mark.parametrize("start", ["http:", "https://a.example/b"])
def test_an_answer_that_begins_as_an_address_is_parsed_without_a_warning(start: str) -> None:
    with pytest.raises(ResponseFormatError):
        baidu.parse_page(start.encode())
    item = {"thumbURL": "https://a.example/1.jpg", "fromPageTitleEnc": f"{start}<b>x</b>"}
    (hit,) = baidu.parse_acjson(json.dumps({"data": [item]}).encode()).hits
    assert hit.title == f"{start}x"


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(body: bytes) -> None:
    for parse in (baidu.parse_acjson, baidu.parse_page):
        with contextlib.suppress(BlockedError, ResponseFormatError):
            parse(body)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(
    st.lists(st.dictionaries(st.sampled_from([*_item(), "replaceUrl", "cs"]), _json), max_size=4)
)
def test_items_of_any_types_raise_nothing(items: list[dict[str, object]]) -> None:
    answer = baidu.parse_acjson(_body(*items))
    assert all(hit.candidates for hit in answer.hits)


def test_deep_nesting_is_a_format_error() -> None:
    with pytest.raises(ResponseFormatError):
        baidu.parse_acjson(b'{"data":' + b"[" * 100_000)


@needs_shared
@pytest.mark.parametrize("path", sorted(SHARED.glob("acjson_*")), ids=lambda path: path.stem)
def test_recorded_answers_parse(path: Path) -> None:
    hits = baidu.parse_acjson(path.read_bytes()).hits
    assert hits
    for hit in hits:
        assert all(url.startswith("http") for _, url in hit.candidates)
        assert not any("AzdH3F" in url for _, url in hit.candidates)


def test_the_query_has_what_the_engine_needs() -> None:
    filters = Filters(size="large", colour=Colour.red, face=True, animated=False)
    url = baidu.acjson_url("https://image.baidu.com", "素颜", 30, 30, filters)
    assert url.startswith("https://image.baidu.com/search/acjson?tn=resultjson_com&ipn=rj")
    for part in ("word=%E7%B4%A0%E9%A2%9C", "ie=utf-8", "pn=30", "rn=30", "gsm=1e", "z=3", "ic=1"):
        assert f"&{part}&" in f"{url}&"
    assert "face=1" in url
    assert "lm=7" in url
