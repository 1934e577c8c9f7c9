"""Limits of downloads and politeness towards hosts: a crawl's settings for downloaders."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # the downloading process starts in half the time without pydantic
    from scraping.config import CrawlConfig


@dataclass(frozen=True)
class DownloadLimits:
    """The fields of ``CrawlConfig`` of the same names, which describe them."""

    requests_per_s_per_host: float
    num_workers: int
    connect_timeout_s: float
    read_timeout_s: float
    total_timeout_s: float
    max_megabytes: float
    max_redirects: int
    num_tries: int
    respect_opt_out: bool
    allow_private_hosts: bool

    @classmethod
    def from_config(cls, config: CrawlConfig) -> Self:
        """The limits of a crawl."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})
