"""What the phrases of a crawl would bring, by the first page of each; nothing is downloaded."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa

from core.errors import (
    BlockedError,
    QuotaError,
    ResponseFormatError,
    SuyanError,
    TransientError,
    UnknownHostError,
)
from core.workspace import Workspace
from scraping.catalogue import schema as db
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.download.ssrf import host_of
from scraping.search.client import SearchClient
from scraping.search.engine import Hit, ResultPage
from scraping.search.engines import build_engines, build_searches

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
    """Search each phrase once at each engine, at the crawl's pace, and yield what its first page
    shows.

    The catalogue is read and not changed. A refusal is not waited out: after two in a row, or a
    used up quota, that engine is asked for no further phrase. Raises ``UnknownHostError`` when the
    name of the only engine does not resolve.
    """
    polite = config.model_copy(update={"max_cool_downs": 0})
    engines = build_engines(config)
    clients = {engine.key: SearchClient(polite, engine) for engine in engines}
    num_refused = dict.fromkeys(clients, 0)
    earlier_keys = {key: set[str]() for key in clients}
    try:
        for search in build_searches(config):
            engine = search.engine.key
            if num_refused[engine] >= _MAX_REFUSED_PHRASES:
                message = "not asked, as those before it got no answer"
                yield PhrasePreview(search.label, error=message)
                continue
            try:
                page = clients[engine].search(search.phrase, 0)
            except (BlockedError, TransientError, ResponseFormatError, UnknownHostError) as error:
                if isinstance(error, UnknownHostError) and len(engines) == 1:
                    raise
                is_final = isinstance(error, UnknownHostError | QuotaError)
                num_refused[engine] += _MAX_REFUSED_PHRASES if is_final else 1
                yield PhrasePreview(search.label, error=_problem(error))
                continue
            num_refused[engine] = 0
            keys = {hit.key for hit in page.hits} - earlier_keys[engine]
            num_new = len(keys) - _num_known(engine, workspace, keys)
            earlier_keys[engine] |= keys
            yield _of_page(search.label, page, num_new)
    finally:
        for client in clients.values():
            client.close()


def _of_page(label: str, page: ResultPage, num_new: int) -> PhrasePreview:
    width, height = _median_size(page.hits)
    return PhrasePreview(
        phrase=label,
        num_announced=page.num_announced,
        num_hits=len(page.hits),
        num_new=num_new,
        width=width,
        height=height,
        hosts=Counter(host_of(hit.candidates[0][1]) for hit in page.hits),
    )


def _num_known(engine: str, workspace: Workspace, keys: set[str]) -> int:
    """Number of the keys that the catalogue has; a workspace without one has none."""
    url = catalogue_url(workspace)
    if url == f"sqlite:///{workspace.catalogue}" and not workspace.catalogue.exists():
        return 0
    query = sa.select(sa.func.count()).where(
        db.hits.c.engine == engine, db.hits.c.key.in_(list(keys))
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
