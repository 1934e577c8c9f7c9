"""Configuration of a crawl of one domain."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.config_identity import INCIDENTAL, LATER
from core.language.messages import localised
from scraping.search.filters import Filters
from scraping.search.phrases import expand

BAIDU_URL = "https://image.baidu.com"

_MAX_SEARCHES = 1000
Phrase = Annotated[str, Field(min_length=1, max_length=200)]
EngineName = Literal["baidu", "openverse"]
LicenseUse = Literal["commercial", "modification"]
SourcePath = Annotated[str, Field(min_length=1, max_length=4096)]


class CrawlConfig(BaseModel):
    """Settings of a crawl: the sources of one domain's pictures, their number, and the politeness.

    Fields that are marked as ``INCIDENTAL`` are not part of the crawl's name: they may change from
    one run of a crawl to the next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine_url: str = Field(
        BAIDU_URL,
        pattern=r"^https?://[^\s/@]+$",
        description="Address of Baidu, without a path or a password; another one, e.g. of the "
        "offline engine, takes the place of every engine",
    )
    engines: Annotated[tuple[EngineName, ...], LATER] = Field(
        ("baidu",),
        min_length=1,
        max_length=2,
        description="Search engines, each of which searches every phrase: baidu; openverse "
        "(open licences, with licence and author of each picture; its phrases are best in English)",
    )
    licenses: Annotated[tuple[LicenseUse, ...], LATER] = Field(
        (),
        description="What the licences of the hits must allow: commercial (commercial use), "
        "modification (altered copies, which translations are); none: any licence, or none. Only "
        "for engines that state licences, which Baidu does not",
    )
    domain: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_]{0,39}$", description="Short name of the domain, e.g. makeup"
    )
    phrases: tuple[Phrase, ...] = Field(
        (), max_length=1000, description="Search phrases, e.g. 素颜 女生 正面; none: no search"
    )
    folders: Annotated[tuple[SourcePath, ...], LATER] = Field(
        (),
        max_length=1000,
        description="Folders and archives (zip, tar) of pictures on this machine; each is taken "
        "whole, and again at a refresh",
    )
    lists: Annotated[tuple[SourcePath, ...], LATER] = Field(
        (),
        max_length=1000,
        description="Files of pictures' addresses (txt, csv, tsv, jsonl, parquet) on this machine; "
        "each is fetched whole, and again at a refresh",
    )
    url_column: Annotated[str, LATER] = Field(
        "",
        max_length=200,
        description="Column of the addresses in the lists; empty: url or the like, or the only one",
    )
    prefixes: tuple[Phrase, ...] = Field(
        (), description="Words that are put before each phrase for further searches"
    )
    suffixes: tuple[Phrase, ...] = Field(
        (), description="Words that are put after each phrase for further searches, e.g. 高清"
    )
    num_images: int = Field(
        800,
        ge=1,
        le=1_000_000,
        description="Number of different originals for this domain, to which searches fill up what "
        "folders and lists gave",
    )
    max_images_per_phrase: int | None = Field(
        None, ge=1, description="Most originals from one phrase; none: no limit"
    )
    refresh_after_h: Annotated[float | None, INCIDENTAL] = Field(
        None,
        ge=0,
        description="Age from which a finished crawl is searched again, hours; none: never",
    )
    num_new_images: Annotated[int, INCIDENTAL] = Field(
        100, ge=0, le=1_000_000, description="Most different originals that one refresh adds"
    )
    filters: Filters = Field(Filters(), description="Filters of the search engine")
    page_size: int = Field(
        30, ge=1, le=60, description="Hits per search request; Openverse: at most 20"
    )
    max_pages: int = Field(40, ge=1, le=1000, description="Most pages read of one phrase")
    search_interval_s: Annotated[float, INCIDENTAL] = Field(
        1.0,
        ge=0,
        le=3600,
        description="Shortest time between two requests to a search engine, seconds; Openverse: at "
        "least 3, which its quota asks for",
    )
    cool_down_s: Annotated[float, INCIDENTAL] = Field(
        30.0,
        ge=0,
        le=3600,
        description="First pause after the engine refuses a search, seconds; it doubles each time",
    )
    max_cool_downs: Annotated[int, INCIDENTAL] = Field(
        2, ge=0, le=10, description="Pauses after refusals before a phrase is given up"
    )
    requests_per_s_per_host: Annotated[float, INCIDENTAL] = Field(
        4.0, gt=0, le=1_000_000, description="Most requests to one host per second"
    )
    num_workers: Annotated[int, INCIDENTAL] = Field(
        16, ge=1, le=256, description="Number of simultaneous downloads"
    )
    connect_timeout_s: Annotated[float, INCIDENTAL] = Field(
        5.0, gt=0, le=120, description="Longest time to connect to a host, seconds"
    )
    read_timeout_s: Annotated[float, INCIDENTAL] = Field(
        10.0, gt=0, le=600, description="Longest silence of a host, seconds"
    )
    total_timeout_s: Annotated[float, INCIDENTAL] = Field(
        30.0, gt=0, le=3600, description="Longest time for one file, seconds"
    )
    max_megabytes: float = Field(
        30.0, gt=0, le=1000, description="Size of the largest file, megabytes"
    )
    max_redirects: int = Field(5, ge=0, le=20, description="Most redirects followed for one file")
    num_tries: Annotated[int, INCIDENTAL] = Field(
        2,
        ge=1,
        le=10,
        description="Tries per run for an address that fails for a reason that may pass",
    )
    lease_s: Annotated[float, INCIDENTAL] = Field(
        60.0,
        ge=1,
        le=86400,
        description="Time after which the leases of a crashed crawl expire and others may download "
        "its addresses, seconds",
    )
    respect_opt_out: bool = Field(
        True,
        description="Respect for robots.txt and for an X-Robots-Tag with noai or noimageai",
    )
    allow_private_hosts: bool = Field(
        False,
        description="Permission to download from loopback and private addresses (offline engine)",
    )
    language: Literal["zh-CN", "en"] = Field(
        "zh-CN", description="Accept-Language of search requests"
    )

    @property
    def searches(self) -> tuple[str, ...]:
        """Every search of the crawl: the phrases, alone and with prefixes and suffixes."""
        return expand(self.phrases, self.prefixes, self.suffixes)

    @field_validator("engines")
    @classmethod
    def _check_engines(cls, engines: tuple[EngineName, ...]) -> tuple[EngineName, ...]:
        if len(set(engines)) < len(engines):
            raise ValueError(
                localised("got {names}, needed each engine once", names=", ".join(engines))
            )
        return engines

    @model_validator(mode="after")
    def _check_licenses(self) -> Self:
        if self.licenses and "baidu" in self.engines:
            raise ValueError(
                localised(
                    "licenses: got {names} with the engine baidu, which states no licence; "
                    "needed engines: [openverse]",
                    names=", ".join(self.licenses),
                )
            )
        return self

    @model_validator(mode="after")
    def _check_num_searches(self) -> Self:
        if len(self.searches) > _MAX_SEARCHES:
            raise ValueError(
                localised(
                    "phrases, prefixes, suffixes: got {num} searches together, needed at most "
                    "{most}",
                    num=len(self.searches),
                    most=_MAX_SEARCHES,
                )
            )
        return self
