"""Responses in Baidu's wire format with its quirks: enciphered addresses, an empty last item,
invalid escapes, raw control characters, odd spacing, pages whose script is not valid JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from core.tables import DRAWN_HOST
from scraping.offline.corpus import Item
from scraping.search.baidu import encode_url

ANTI_BOT = '{"antiFlag":1,"message":"Forbid spider access","bfe_log_id":"9576621861689003963"}'
CAPTCHA = "https://wappass.baidu.com/static/captcha/tuxing_v2.html?backurl="
PORTAL = "<!DOCTYPE html><html><head><title>Log in to this network</title></head></html>"
HOME = "<!DOCTYPE html><html><head><title>百度图片</title></head><body></body></html>"


def acjson(
    phrase: str,
    items: Sequence[Item],
    offset: int,
    page_size: int,
    total: int,
    address: Callable[[Item, str], str],
) -> str:
    """The JSON response; ``address(item, kind)`` is the URL of ``original`` or ``thumbnail``."""
    data: list[dict[str, Any]] = [
        _item(item, offset + index, address, cipher=True) for index, item in enumerate(items)
    ]
    response = {
        "queryEnc": quote(phrase),
        "queryExt": phrase,
        "listNum": total,
        "displayNum": total * 700,
        "gsm": f"{offset + page_size:x}",
        "bdFmtDispNum": f"约{total * 700:,}",
        "bdSearchTime": "",
        "isNeedAsyncRequest": 0,
        "bdIsClustered": "1",
        "data": [*data, {}],
    }
    return _with_quirks(json.dumps(response, ensure_ascii=False))


def tag(items: Sequence[Item], address: Callable[[Item, str], str]) -> str:
    """The JSON response of the 2025 front end: short items, plain addresses, no totals."""
    images = [
        {
            "thumburl": address(item, "thumbnail"),
            "objurl": address(item, "original"),
            "titleShow": item.title,
        }
        for item in items
    ]
    return json.dumps({"status": {"code": 0}, "data": {"images": images}}, ensure_ascii=False)


def page(
    kind: str,
    phrase: str,
    items: Sequence[Item],
    offset: int,
    total: int,
    address: Callable[[Item, str], str],
) -> str:
    """The ``flip`` or ``index`` page with the same hits; its addresses are plain."""
    if not items:
        return (
            f"<html><body><p>抱歉，没有找到与“{phrase}”相关的图片</p>找到相关图片0张</body></html>"
        )
    data = [_item(item, offset + index, address, cipher=False) for index, item in enumerate(items)]
    body = json.dumps({"listNum": total, "data": data}, ensure_ascii=False)
    body = _with_quirks(body.replace('"is_gif"', '"base64": \'\', "is_gif"'))
    owner = "flip" if kind == "flip" else "app"
    return (
        "<!DOCTYPE html><html><head><title>图片搜索</title></head><body>"
        "<script>var bd = {version: '1'};</script>"
        f"<script>{owner}.setData('imgData', {body});\n{owner}.setData('fcadData', [] );</script>"
        '<a href="#" class="n">下一页</a></body></html>'
    )


def _item(
    item: Item, position: int, address: Callable[[Item, str], str], *, cipher: bool
) -> dict[str, Any]:
    original, thumbnail = address(item, "original"), address(item, "thumbnail")
    host = DRAWN_HOST if item.is_drawn else "www.example.com"
    source = f"http://{host}/{item.name}.html"
    values = {
        "thumbURL": thumbnail,
        "middleURL": thumbnail,
        "largeTnImageUrl": "",
        "hoverURL": thumbnail if position % 3 else "",
        "pageNum": position,
        "objURL": encode_url(original) if cipher else original,
        "fromURL": encode_url(source),
        "fromURLHost": host,
        "width": 400,
        "height": 480,
        "type": "jpg",
        "is_gif": 0,
        "filesize": "",
        "di": item.name,
        "is": "0,0",
        "bdImgnewsDate": "1970-01-01 08:00",
        "fromPageTitle": item.title,
        "fromPageTitleEnc": item.title.replace("<strong>", "").replace("</strong>", ""),
    }
    if position % 19:
        values["replaceUrl"] = [
            {"ObjURL": None if position % 5 == 0 else original, "ObjUrl": original,
             "FromURL": source, "FromUrl": source}
        ]  # fmt: skip
    return values


def _with_quirks(text: str) -> str:
    text = text.replace("转载", "转载 it\\'s", 3).replace("缩略图", "缩略\t图", 3)
    return text.replace("</strong>", "<\\/strong>").replace('"is_gif": 0', '"is_gif" :0')
