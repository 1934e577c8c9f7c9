"""Which originals each crawl has found, and how many of them by which phrase.

Several crawls may write at once. All transactions lock rows in one order (hits, originals, finds,
cursors; within each by key), lest two wait for each other on PostgreSQL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from scraping.catalogue import schema as db

_MANY = 500  # rows of one statement

Found = Mapping[str, Sequence[tuple[str, str]]]
"""``(sha256, phrase)`` by the name of a crawl."""

New = dict[str, Counter[str]]
"""By the name of a crawl, how many originals were new to it, by phrase."""


def add_finds(connection: sa.Connection, insert: Callable[[sa.Table], Any], found: Found) -> New:
    """Add to what crawls found; ``count_finds`` is still to follow."""
    new: New = {}
    for crawl in sorted(found):
        first_by = dict(reversed(found[crawl]))
        rows = [
            {"crawl": crawl, "sha256": sha, "phrase": first_by[sha]} for sha in sorted(first_by)
        ]
        new[crawl] = Counter()
        for first in range(0, len(rows), _MANY):
            statement = insert(db.finds).values(rows[first : first + _MANY])
            added = statement.on_conflict_do_nothing().returning(db.finds.c.phrase)
            new[crawl].update(connection.execute(added).scalars())
    return new


def count_finds(connection: sa.Connection, new: New) -> None:
    """Note at each phrase how many originals it has brought."""
    for crawl in sorted(new):
        for phrase, num in sorted(new[crawl].items()):
            mine = (db.cursors.c.crawl == crawl) & (db.cursors.c.phrase == phrase)
            more = sa.update(db.cursors).where(mine).values(stored=db.cursors.c.stored + num)
            connection.execute(more)


def finds_of_others(connection: sa.Connection, crawl: str, digests: Mapping[int, str]) -> Found:
    """What other crawls found too, as they saw these hits; ``digests`` is sha256 by hit."""
    query = sa.select(db.sightings.c.crawl, db.sightings.c.hit, db.sightings.c.phrase).where(
        db.sightings.c.hit.in_(list(digests)),
        db.sightings.c.crawl != crawl,
        db.sightings.c.first,
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.crawl, []).append((digests[row.hit], row.phrase))
    return found
