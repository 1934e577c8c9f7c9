"""Answers in the documented format of Openverse's API, version 1: pictures with licence and author.

The licences are invented, as are the authors: whoever drew a picture here has none.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any

from core.tables import DRAWN_HOST
from scraping.offline.corpus import Item

MAX_PAGE_SIZE = 20
"""Hits of one page at most, for a client without a key."""
MAX_PAGES = 20
"""Pages of one search at most."""

TOO_MANY_HITS = {"detail": "Ensure this value is less than or equal to 20."}
TOO_DEEP = {"detail": {"page": ["Ensure this value is less than or equal to 20."]}}
FORBIDDEN = {"detail": "You do not have permission to perform this action."}
MAINTENANCE = "<!DOCTYPE html><html><head><title>Service unavailable</title></head></html>"

_CREATIVE_COMMONS = "https://creativecommons.org"
_LICENSES = (  # code, version, its name, address of its text
    ("by", "2.0", "CC BY 2.0", f"{_CREATIVE_COMMONS}/licenses/by/2.0/"),
    ("by-sa", "4.0", "CC BY-SA 4.0", f"{_CREATIVE_COMMONS}/licenses/by-sa/4.0/"),
    ("by-nc-nd", "2.0", "CC BY-NC-ND 2.0", f"{_CREATIVE_COMMONS}/licenses/by-nc-nd/2.0/"),
    ("cc0", "1.0", "CC0 1.0", f"{_CREATIVE_COMMONS}/publicdomain/zero/1.0/"),
    ("pdm", "1.0", "Public Domain Mark 1.0", f"{_CREATIVE_COMMONS}/publicdomain/mark/1.0/"),
)


def throttled(retry_after_s: float) -> dict[str, str]:
    """The body of a 429."""
    return {"detail": f"Request was throttled. Expected available in {retry_after_s:.0f} seconds."}


def images(
    items: Sequence[Item],
    page: int,
    page_size: int,
    total: int,
    address: Callable[[Item, str], str],
    origin: str,
) -> dict[str, Any]:
    """The answer to a search; ``address(item, kind)`` is the URL of ``original`` or ``thumbnail``.

    ``origin`` is the address of the API, without a path.
    """
    num_pages = -(-total // page_size)
    return {
        "result_count": total,
        "page_count": min(MAX_PAGES, num_pages),
        "page_size": page_size,
        "page": page,
        "results": [_image(item, address, origin) for item in items],
    }


def key(item: Item) -> str:
    """The identity of an item, a UUID."""
    return str(uuid.UUID(bytes=hashlib.sha256(item.name.encode()).digest()[:16]))


def allows(item: Item, uses: Collection[str]) -> bool:
    """Whether the licence of an item allows ``uses``: ``commercial``, ``modification``."""
    code = _LICENSES[hashlib.sha256(item.name.encode()).digest()[0] % len(_LICENSES)][0]
    return not any({"commercial": "nc", "modification": "nd"}.get(use, "") in code for use in uses)


def _image(item: Item, address: Callable[[Item, str], str], origin: str) -> dict[str, Any]:
    digest = hashlib.sha256(item.name.encode()).digest()
    code, version, name, text_url = _LICENSES[digest[0] % len(_LICENSES)]
    creator = f"Drawer {digest[1] % 50}" if digest[2] % 10 else None
    host = DRAWN_HOST if item.is_drawn else "www.example.com"
    title = item.title.replace("<strong>", "").replace("</strong>", "") or None
    verb = "is marked with" if code in {"cc0", "pdm"} else "is licensed under"
    work = f'"{title}"' if title else "This work"
    author = f" by {creator}" if creator else ""
    return {
        "id": key(item),
        "title": title,
        "indexed_on": "2026-01-01T00:00:00Z",
        "foreign_landing_url": f"https://{host}/{item.name}",
        "url": address(item, "original"),
        "creator": creator,
        "creator_url": f"https://{host}/people/{digest[1] % 50}" if creator else None,
        "license": code,
        "license_version": version,
        "license_url": text_url,
        "provider": "drawings",
        "source": "drawings",
        "category": None,
        "filesize": None,
        "filetype": "jpg",
        "tags": [],
        "attribution": f"{work}{author} {verb} {name}. To view the terms, visit {text_url}.",
        "fields_matched": ["title"],
        "mature": False,
        "height": 480,
        "width": 400,
        "thumbnail": f"{origin}/v1/images/{key(item)}/thumb/",
        "detail_url": f"{origin}/v1/images/{key(item)}/",
        "related_url": f"{origin}/v1/images/{key(item)}/related/",
    }
