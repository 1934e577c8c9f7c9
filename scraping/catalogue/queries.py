"""Queries for people: listings, the yield of each phrase, the crawls of a workspace."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from core.tables import Original
from scraping.catalogue import hit_credits
from scraping.catalogue import schema as db
from scraping.catalogue.entities import LIST_ENGINE, Cursor, Status
from scraping.catalogue.file_hits import of_sources
from scraping.catalogue.repository import Catalogue
from scraping.catalogue.retries import RetryRules


def listing_rows(catalogue: Catalogue, crawl: str) -> Iterator[Original]:
    """A row for each hit of the crawl that was tried, in the order they were first seen."""
    query = (
        sa.select(
            db.crawls.c.domain, db.sightings.c.phrase, db.hits.c.url, db.hits.c.served_by,
            db.sightings.c.page_url, db.sightings.c.title,
            sa.func.coalesce(db.originals.c.sha256, "").label("sha256"),
            sa.func.coalesce(db.originals.c.path, "").label("path"),
            sa.func.coalesce(db.originals.c.num_bytes, 0).label("num_bytes"),
            db.hits.c.status, db.hits.c.reason, db.hits.c.settled_at,
            *(sa.func.coalesce(column, "").label(column.name) for column in hit_credits.COLUMNS),
        )
        .select_from(db.sightings)
        .join(db.hits, db.hits.c.id == db.sightings.c.hit)
        .join(db.crawls, db.crawls.c.name == db.sightings.c.crawl)
        .outerjoin(db.originals, db.originals.c.sha256 == db.hits.c.sha256)
        .outerjoin(db.hit_credits, db.hit_credits.c.hit == db.hits.c.id)
        .where(db.sightings.c.crawl == crawl, db.sightings.c.first)
        .where(db.hits.c.status.is_not(None))
        .order_by(db.sightings.c.first_seen, db.hits.c.id)
    )  # fmt: skip
    with catalogue.reading() as connection:
        options = {"yield_per": 1000}
        for row in connection.execute(query, execution_options=options).mappings():
            values = dict(row)
            at = datetime.fromtimestamp(values.pop("settled_at"), UTC).isoformat()
            if values["status"] == Status.FAILED:
                values["status"] = str(Status.REJECTED)  # a listing has two states only
            yield Original(**values, fetched_at=at)


def phrase_reasons(catalogue: Catalogue, crawl: str) -> dict[str, dict[str, int]]:
    """For each phrase, the number of its hits without a picture, by reason."""
    query = (
        sa.select(db.sightings.c.phrase, db.hits.c.reason, sa.func.count())
        .join(db.hits, db.hits.c.id == db.sightings.c.hit)
        .where(db.sightings.c.crawl == crawl, db.sightings.c.first)
        .where(db.hits.c.status.in_([Status.REJECTED, Status.FAILED]))
        .group_by(db.sightings.c.phrase, db.hits.c.reason)
        .order_by(db.hits.c.reason)
    )
    counts: dict[str, dict[str, int]] = {}
    with catalogue.reading() as connection:
        for phrase, reason, num in connection.execute(query):
            counts.setdefault(phrase, {})[reason] = num
    return counts


def phrase_duplicates(catalogue: Catalogue, crawl: str) -> dict[str, int]:
    """For each phrase, the number of its pictures that the crawl had already."""
    query = (
        sa.select(db.sightings.c.phrase, sa.func.count().label("num"))
        .join(db.hits, db.hits.c.id == db.sightings.c.hit)
        .where(db.sightings.c.crawl == crawl, db.sightings.c.first, db.hits.c.status == Status.OK)
        .group_by(db.sightings.c.phrase)
    )
    stored_query = (
        sa.select(db.finds.c.phrase, sa.func.count().label("num"))
        .where(db.finds.c.crawl == crawl)
        .group_by(db.finds.c.phrase)
    )
    with catalogue.reading() as connection:
        num_ok = {row.phrase: row.num for row in connection.execute(query)}
        num_stored = {row.phrase: row.num for row in connection.execute(stored_query)}
    return {phrase: max(num - num_stored.get(phrase, 0), 0) for phrase, num in num_ok.items()}


def num_waiting(catalogue: Catalogue, crawl: str, *, only_sources: bool = False) -> int:
    """Number of hits that failed for reasons that may pass; the next run tries them.

    ``only_sources``: only files and addresses that a person gave, and no hits of a search.
    """
    rules = RetryRules()
    query = (
        sa.select(sa.func.count())
        .select_from(db.sightings)
        .join(db.hits, db.hits.c.id == db.sightings.c.hit)
        .where(db.sightings.c.crawl == crawl, db.sightings.c.first)
        .where(rules.passing(), rules.unsettled(math.inf))
        .where(of_sources() if only_sources else sa.true())
    )
    with catalogue.reading() as connection:
        return int(connection.execute(query).scalar_one())


def num_listed(catalogue: Catalogue, crawl: str, since: float) -> int:
    """Number of addresses of the crawl's lists that a run which begins at ``since``, in seconds
    since 1970, is to fetch.
    """
    query = (
        sa.select(sa.func.count())
        .select_from(db.sightings)
        .join(db.hits, db.hits.c.id == db.sightings.c.hit)
        .where(db.sightings.c.crawl == crawl, db.sightings.c.first)
        .where(db.hits.c.engine == LIST_ENGINE, catalogue.retry_rules.unsettled(since))
    )
    with catalogue.reading() as connection:
        return int(connection.execute(query).scalar_one())


def newest_paths(catalogue: Catalogue, crawl: str, num: int) -> list[str]:
    """Paths of the ``num`` newest originals, relative to the workspace."""
    query = (
        sa.select(db.originals.c.path)
        .join(db.finds, db.finds.c.sha256 == db.originals.c.sha256)
        .where(db.finds.c.crawl == crawl)
        .order_by(db.originals.c.stored_at.desc(), db.originals.c.sha256)
        .limit(num)
    )
    with catalogue.reading() as connection:
        return list(connection.execute(query).scalars())


def crawls(catalogue: Catalogue) -> list[Mapping[str, Any]]:
    """Every crawl of the catalogue, with the number of its originals and of their bytes."""
    query = (
        sa.select(
            db.crawls,
            sa.func.count(db.originals.c.sha256).label("num_originals"),
            sa.func.coalesce(sa.func.sum(db.originals.c.num_bytes), 0).label("num_bytes"),
        )
        .outerjoin(db.finds, db.finds.c.crawl == db.crawls.c.name)
        .outerjoin(db.originals, db.originals.c.sha256 == db.finds.c.sha256)
        .group_by(*db.crawls.c)
        .order_by(db.crawls.c.domain, db.crawls.c.started_at)
    )
    with catalogue.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def running_crawls(catalogue: Catalogue, now: float) -> set[str]:
    """Names of the crawls whose leases hold at ``now``, in seconds since the epoch."""
    query = sa.select(db.holders.c.crawl).where(db.holders.c.expires_at > now)
    with catalogue.reading() as connection:
        return set(connection.execute(query).scalars())


def cursors(catalogue: Catalogue, crawl: str) -> list[Cursor]:
    """Every cursor of a crawl, sorted by phrase."""
    query = sa.select(db.cursors.c.phrase).where(db.cursors.c.crawl == crawl)
    with catalogue.reading() as connection:
        phrases = sorted(connection.execute(query).scalars())
    return [catalogue.cursor(crawl, phrase) for phrase in phrases]
