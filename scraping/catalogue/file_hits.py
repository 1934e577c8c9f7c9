"""The hits that are files of a person's folder or archive: which are known, and under what keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from enum import StrEnum

import sqlalchemy as sa

from scraping.catalogue import schema as db
from scraping.catalogue.entities import FILE_ENGINE, LIST_ENGINE, Status
from scraping.catalogue.repository import Catalogue
from scraping.failure_reasons import Reason

_ROWS_PER_FETCH = 5000


def known_keys(catalogue: Catalogue, engine: str) -> Iterator[tuple[str, bool]]:
    """``(key, is_settled)`` of every hit of ``engine``; a settled one need not be read again.

    A file that failed, or was too large, is not settled: to look at it again costs little.
    """
    hits = db.hits.c
    is_rejected = (hits.status == Status.REJECTED) & (hits.reason != Reason.TOO_LARGE)
    is_settled = sa.func.coalesce((hits.status == Status.OK) | is_rejected, sa.false())
    query = sa.select(hits.key, is_settled).where(hits.engine == engine)
    with catalogue.reading() as connection:
        options = {"yield_per": _ROWS_PER_FETCH}
        for key, settled in connection.execute(query, execution_options=options):
            yield key, bool(settled)


def hit_numbers(catalogue: Catalogue, engine: str, keys: Collection[str]) -> dict[str, int]:
    """The numbers of the hits of ``engine`` with these keys."""
    query = sa.select(db.hits.c.key, db.hits.c.id).where(
        db.hits.c.engine == engine, db.hits.c.key.in_(list(keys))
    )
    with catalogue.reading() as connection:
        return {row.key: row.id for row in connection.execute(query)}


class FileChange(StrEnum):
    """What a file is that has another time of change, or size, than the one at its path had."""

    NONE = "none"  # the same picture: it was copied or touched
    MENDED = "mended"  # there was no picture before
    CHANGED = "changed"  # another picture


def take_over(catalogue: Catalogue, engine: str, path: str, sha256: str, key: str) -> FileChange:
    """What became of the file at ``path``, whose content is now ``sha256`` ("": no picture).

    An earlier hit of the same picture gets the new ``key``, and so does one without a picture, so
    that the file is no second hit.
    """
    hits, prefix = db.hits.c, f"{path}//"
    earlier = sa.select(hits.id, hits.status, hits.sha256).where(
        hits.engine == engine, sa.func.substr(hits.key, 1, len(prefix)) == prefix
    )
    with catalogue.writing() as connection:
        rows = connection.execute(earlier).all()
        same = [row.id for row in rows if row.status == Status.OK and row.sha256 == sha256]
        empty = [row.id for row in rows if row.status != Status.OK]
        if same or empty:
            number = min(same or empty)
            connection.execute(sa.update(db.hits).where(hits.id == number).values(key=key))
    if same:
        return FileChange.NONE
    return FileChange.MENDED if empty else FileChange.CHANGED


def settle_gone(catalogue: Catalogue, crawl: str, engine: str, since: float) -> None:
    """Let nobody wait for files that failed and were not there at ``since`` or later."""
    hits = db.hits.c
    absent_hits = (
        sa.select(db.sightings.c.hit)
        .where(db.sightings.c.crawl == crawl)
        .group_by(db.sightings.c.hit)
        .having(sa.func.max(db.sightings.c.last_seen) < since)
    )
    failed = (hits.engine == engine) & (hits.status == Status.FAILED) & hits.id.in_(absent_hits)
    with catalogue.writing() as connection:
        connection.execute(
            sa.update(db.hits).where(failed).values(status=Status.REJECTED, reason=Reason.VANISHED)
        )


def keys_not_seen_since(
    catalogue: Catalogue, crawl: str, engine: str, since: float
) -> Iterator[str]:
    """Keys of the crawl's pictures of ``engine`` whose files were not there at ``since``, in
    seconds since 1970, or later.
    """
    query = (
        sa.select(db.hits.c.key)
        .join(db.sightings, db.sightings.c.hit == db.hits.c.id)
        .where(db.hits.c.engine == engine, db.hits.c.status == Status.OK)
        .where(db.sightings.c.crawl == crawl)
        .group_by(db.hits.c.id, db.hits.c.key)
        .having(sa.func.max(db.sightings.c.last_seen) < since)
    )
    with catalogue.reading() as connection:
        options = {"yield_per": _ROWS_PER_FETCH}
        yield from connection.execute(query, execution_options=options).scalars()


def is_label_of_other(catalogue: Catalogue, crawl: str, label: str, engine: str) -> bool:
    """Whether another source of the crawl goes by this label."""
    query = (
        sa.select(db.hits.c.id)
        .join(db.sightings, db.sightings.c.hit == db.hits.c.id)
        .where(db.sightings.c.crawl == crawl, db.sightings.c.phrase == label)
        .where(db.hits.c.engine != engine)
        .limit(1)
    )
    with catalogue.reading() as connection:
        return connection.execute(query).first() is not None


def has_hits(catalogue: Catalogue, crawl: str, engine: str) -> bool:
    """Whether the crawl has shown anything of ``engine``."""
    query = (
        sa.select(db.hits.c.id)
        .join(db.sightings, db.sightings.c.hit == db.hits.c.id)
        .where(db.sightings.c.crawl == crawl, db.hits.c.engine == engine)
        .limit(1)
    )
    with catalogue.reading() as connection:
        return connection.execute(query).first() is not None


def of_sources() -> sa.ColumnElement[bool]:
    """The condition that a hit is a file, or an address of a list: no search gave it."""
    return db.hits.c.engine.like(f"{FILE_ENGINE}%") | (db.hits.c.engine == LIST_ENGINE)
