"""Whose turn a host is when several processes download for one crawl: each host belongs to one.

An errand goes to the process that has the host of its best address. When that address fails and the
next one's host is another's, the errand is handed on. So the pace of a host is kept by the process
that has it; of that pace a tenth is left to the others together, for hosts to which they are
redirected.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from scraping.download.ssrf import RejectedError, split

_OWN = 0.9  # of a host's pace


@dataclass(frozen=True)
class Share:
    """The hosts of process ``number`` out of ``num``."""

    number: int = 0
    num: int = 1

    def has(self, url: str) -> bool:
        """Whether the host of ``url`` is this process's; what is no address is everybody's."""
        if self.num == 1:
            return True
        try:
            return number_of(split(url).site, self.num) == self.number
        except RejectedError:
            return True

    def part(self, site: str) -> float:
        """The part of the pace of ``site`` that this process may take."""
        if self.num == 1:
            return 1.0
        if number_of(site, self.num) == self.number:
            return _OWN
        return (1 - _OWN) / (self.num - 1)


ALL = Share()


def number_of(site: str, num: int) -> int:
    """Which of ``num`` processes has ``site`` (scheme, host and port)."""
    return zlib.crc32(site.encode()) % num


def first_of(url: str, num: int) -> int:
    """Which of ``num`` processes is asked first for ``url``."""
    try:
        return number_of(split(url).site, num)
    except RejectedError:
        return 0
