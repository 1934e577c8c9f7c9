"""What the phrases of a crawl would bring, by the first page of each; nothing is downloaded."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa

from core.errors import BlockedError, ResponseFormatError, SuyanError, TransientError
from core.workspace import Workspace
from scraping.catalogue import schema as db
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.download.ssrf import host_of
from scraping.search.baidu import Hit
from scraping.search.client import SearchClient

_MAX_REFUSED_PHRASES = 2  # in a row, after which the engine is left in peace, as by a crawl


@dataclass(frozen=True)
class PhrasePreview:
    """The first page of a phrase's hits; ``error`` is the reason why there is none, or ""."""

    phrase: str
    num_announced: int | None = None  # by the engine, of all pages; None: it does not say
    num_hits: int = 0
    num_new: int = 0  # neither in the catalogue nor shown by a phrase before
    width: int = 0  # px, median of the announced sizes, here and below; 0: none is announced
    height: int = 0
    hosts: Counter[str] = field(default_factory=Counter)  # of the hits' first addresses
    error: str = ""


def preview_searches(config: CrawlConfig, workspace: Workspace) -> Iterator[PhrasePreview]:
    """Search each phrase once, at the crawl's pace, and yield what its first page shows.

    The catalogue is read and not changed. A refusal is not waited out: after two in a row no
    further phrase is searched. Raises ``UnknownHostError`` when the engine's name does not resolve.
    """
    client = SearchClient(config.model_copy(update={"max_cool_downs": 0}))
    earlier_keys = set[str]()
    num_refused = 0
    try:
        for phrase in config.searches:
            if num_refused >= _MAX_REFUSED_PHRASES:
                yield PhrasePreview(phrase, error="not asked, as those before it got no answer")
                continue
            try:
                page = client.search(phrase, 0)
            except (BlockedError, TransientError, ResponseFormatError) as error:
                num_refused += 1
                yield PhrasePreview(phrase, error=_problem(error))
                continue
            num_refused = 0
            keys = {hit.key for hit in page.hits} - earlier_keys
            num_new = len(keys) - _num_known(config, workspace, keys)
            earlier_keys |= keys
            width, height = _median_size(page.hits)
            yield PhrasePreview(
                phrase=phrase,
                num_announced=page.num_announced,
                num_hits=len(page.hits),
                num_new=num_new,
                width=width,
                height=height,
                hosts=Counter(host_of(hit.candidates[0][1]) for hit in page.hits),
            )
    finally:
        client.close()


def _num_known(config: CrawlConfig, workspace: Workspace, keys: set[str]) -> int:
    """Number of the keys that the catalogue has; a workspace without one has none."""
    url = catalogue_url(workspace)
    if url == f"sqlite:///{workspace.catalogue}" and not workspace.catalogue.exists():
        return 0
    query = sa.select(sa.func.count()).where(
        db.hits.c.engine == config.engine_url, db.hits.c.key.in_(list(keys))
    )
    with Catalogue(url) as catalogue, catalogue.reading() as connection:
        return int(connection.execute(query).scalar_one())


def _median_size(hits: tuple[Hit, ...]) -> tuple[int, int]:
    """Median width and height of the announced sizes, px; zeros for none."""
    sizes = [(hit.width, hit.height) for hit in hits if hit.width and hit.height]
    if not sizes:
        return 0, 0
    widths, heights = zip(*sizes, strict=True)
    return int(statistics.median(widths)), int(statistics.median(heights))


def _problem(error: SuyanError) -> str:
    return str(error).partition("\n")[0]
