"""Cookies that a site sets while it redirects: many show a picture only to those who send them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from scraping.download.ssrf import Address

_BETWEEN = re.compile(r", *(?=[^;,=\s]+=)")  # of joined headers; a date has a comma too
_PAIR = re.compile(r"[!-+\--:<>-~]+=[!-+\--:<-~]*")  # without blank, comma and semicolon
_MAX_COOKIES = 20


class RedirectCookies:
    """The cookies of one download, by site: nothing is remembered for the next one."""

    def __init__(self) -> None:
        self._by_site: dict[str, dict[str, str]] = {}

    def take(self, address: Address, headers: Mapping[str, str]) -> None:
        """Take the cookies that the response of ``address`` sets."""
        cookies = self._by_site.setdefault(address.site, {})
        for part in _BETWEEN.split(headers.get("set-cookie", "")):
            pair = re.split("[;,]", part, maxsplit=1)[0].strip()
            if _PAIR.fullmatch(pair) and len(cookies) < _MAX_COOKIES:
                cookies[pair.partition("=")[0]] = pair

    def lines(self, address: Address) -> list[str]:
        """The header line for a request to ``address``; none where its site set nothing."""
        pairs = self._by_site.get(address.site, {}).values()
        return [f"Cookie: {'; '.join(pairs)}"] if pairs else []
