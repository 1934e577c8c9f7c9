"""Shards of hosts: when several processes download for one crawl, each host belongs to one.

A task goes to the process that owns the host of its first address. If that address fails and the
host of the next one belongs to another process, the task is handed over. So only one process keeps
the pace of a host. Redirects may lead to hosts of other processes: a tenth of each host's pace is
reserved for them, and shared by all processes that do not own the host.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from scraping.download.ssrf import split_url
from scraping.failure_reasons import RejectedError

_OWNER_RATE_SHARE = 0.9  # of a host's pace


@dataclass(frozen=True)
class HostShard:
    """The hosts of process ``index`` out of ``num_shards``."""

    index: int = 0
    num_shards: int = 1

    def owns(self, url: str) -> bool:
        """Whether the host of ``url`` is in this shard; malformed addresses are in all."""
        if self.num_shards == 1:
            return True
        try:
            return shard_of_site(split_url(url).site, self.num_shards) == self.index
        except RejectedError:
            return True

    def rate_share(self, site: str) -> float:
        """The part, 0 to 1, of the pace of ``site`` that this process may use."""
        if self.num_shards == 1:
            return 1.0
        if shard_of_site(site, self.num_shards) == self.index:
            return _OWNER_RATE_SHARE
        return (1 - _OWNER_RATE_SHARE) / (self.num_shards - 1)


ALL_HOSTS = HostShard()


def shard_of_site(site: str, num_shards: int) -> int:
    """Index of the shard that owns ``site`` (scheme, host and port)."""
    return zlib.crc32(site.encode()) % num_shards


def shard_of_url(url: str, num_shards: int) -> int:
    """Index of the shard that owns the host of ``url``; 0 for a malformed address."""
    try:
        return shard_of_site(split_url(url).site, num_shards)
    except RejectedError:
        return 0
