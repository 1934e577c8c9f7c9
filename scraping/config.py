"""Configuration of a crawl: the form for one domain."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scraping.search.filters import Filters
from scraping.search.phrases import expand

_MAX_SEARCHES = 1000
Phrase = Annotated[str, Field(min_length=1, max_length=200)]


class CrawlConfig(BaseModel):
    """What to search for one domain, how much to keep, and how politely to ask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine_url: str = Field(
        "https://image.baidu.com",
        pattern=r"^https?://[^\s/@]+$",
        description="Address of the search engine, without a path or password; the offline engine "
        "has its own",
    )
    domain: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_]{0,39}$", description="Short name of the domain, e.g. makeup"
    )
    phrases: tuple[Phrase, ...] = Field(
        min_length=1, max_length=1000, description="Search phrases, e.g. 素颜 女生 正面"
    )
    prefixes: tuple[Phrase, ...] = Field(
        (), description="Each phrase is also searched with each of these before it"
    )
    suffixes: tuple[Phrase, ...] = Field(
        (), description="Each phrase is also searched with each of these after it, e.g. 高清"
    )
    num_images: int = Field(
        800, ge=1, le=1_000_000, description="Different originals to collect for this domain"
    )
    max_images_per_phrase: int | None = Field(
        None, ge=1, description="Originals that one phrase may bring; none: as many as it has"
    )
    refresh_after_h: float | None = Field(
        None,
        ge=0,
        description="A finished crawl older than this is searched again, hours; none: never",
    )
    num_new_images: int = Field(
        100, ge=0, le=1_000_000, description="Different originals that one refresh may add"
    )
    filters: Filters = Field(Filters(), description="Filters of the search itself")
    page_size: int = Field(30, ge=1, le=60, description="Hits asked for in one request")
    max_pages: int = Field(40, ge=1, le=1000, description="Pages read of one phrase at most")
    search_interval_s: float = Field(
        1.0, ge=0, le=3600, description="Least time between two search requests, seconds"
    )
    cool_down_s: float = Field(
        30.0, ge=0, le=3600, description="First pause after the engine refuses us, seconds; doubles"
    )
    max_cool_downs: int = Field(
        2, ge=0, le=10, description="Pauses before a refused phrase is given up"
    )
    requests_per_s_per_host: float = Field(
        4.0, gt=0, le=1_000_000, description="Fetches from one host in a second at most"
    )
    num_workers: int = Field(16, ge=1, le=256, description="Pictures fetched at the same time")
    connect_timeout_s: float = Field(5.0, gt=0, le=120, description="Time to connect, seconds")
    read_timeout_s: float = Field(10.0, gt=0, le=600, description="Time between bytes, seconds")
    total_timeout_s: float = Field(30.0, gt=0, le=3600, description="Time for one file, seconds")
    max_megabytes: float = Field(30.0, gt=0, le=1000, description="Largest file, megabytes")
    max_redirects: int = Field(5, ge=0, le=20, description="Redirects followed for one file")
    num_tries: int = Field(2, ge=1, le=10, description="Tries for an address that fails for now")
    lease_s: float = Field(
        60.0,
        ge=1,
        le=86400,
        description="Time after which other crawls take over what one that died was fetching, "
        "seconds",
    )
    respect_opt_out: bool = Field(
        True,
        description="Leave out pictures that a host's robots.txt or an X-Robots-Tag of noai or "
        "noimageai keeps from us",
    )
    allow_private_hosts: bool = Field(
        False, description="Fetch from loopback and private addresses; for the offline engine alone"
    )
    language: Literal["zh-CN", "en"] = Field("zh-CN", description="Accept-Language of requests")

    @property
    def searches(self) -> tuple[str, ...]:
        """Every search of the crawl: the phrases, and what prefixes and suffixes make of them."""
        return expand(self.phrases, self.prefixes, self.suffixes)

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(self.searches) > _MAX_SEARCHES:
            raise ValueError(
                f"phrases, prefixes, suffixes: make {len(self.searches)} searches together, "
                f"needed at most {_MAX_SEARCHES}"
            )
        return self
