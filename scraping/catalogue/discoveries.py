"""The originals that each crawl has found, and the number of those that each phrase found first.

Several crawls may write at once. Every transaction locks rows in the same order (hits, credits,
originals, finds, cursors; by key within each table): otherwise two could deadlock on PostgreSQL.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from scraping.catalogue import schema as db

_ROWS_PER_STATEMENT = 500

Discoveries = Mapping[str, Sequence[tuple[str, str]]]
"""``(sha256, phrase)`` by the name of a crawl."""

NewPerPhrase = dict[str, Counter[str]]
"""Number of originals that were new to a crawl: by the crawl's name, then by phrase."""


def add_discoveries(
    connection: sa.Connection, insert: Callable[[sa.Table], Any], discoveries: Discoveries
) -> NewPerPhrase:
    """Store the discoveries; ``count_discoveries`` must follow in the same transaction."""
    num_new: NewPerPhrase = {}
    for crawl in sorted(discoveries):
        first_by = dict(reversed(discoveries[crawl]))
        rows = [
            {"crawl": crawl, "sha256": sha, "phrase": first_by[sha]} for sha in sorted(first_by)
        ]
        num_new[crawl] = Counter()
        for first in range(0, len(rows), _ROWS_PER_STATEMENT):
            statement = insert(db.finds).values(rows[first : first + _ROWS_PER_STATEMENT])
            insertion = statement.on_conflict_do_nothing().returning(db.finds.c.phrase)
            num_new[crawl].update(connection.execute(insertion).scalars())
    return num_new


def count_discoveries(connection: sa.Connection, num_new: NewPerPhrase) -> None:
    """Add the new originals to the cursors of the phrases that found them."""
    for crawl in sorted(num_new):
        for phrase, num in sorted(num_new[crawl].items()):
            cursor = (db.cursors.c.crawl == crawl) & (db.cursors.c.phrase == phrase)
            update = sa.update(db.cursors).where(cursor).values(stored=db.cursors.c.stored + num)
            connection.execute(update)


def discoveries_of_other_crawls(
    connection: sa.Connection, crawl: str, digests: Mapping[int, str]
) -> Discoveries:
    """The discoveries of other crawls that saw the same hits; ``digests`` is sha256 by hit."""
    query = sa.select(db.sightings.c.crawl, db.sightings.c.hit, db.sightings.c.phrase).where(
        db.sightings.c.hit.in_(list(digests)),
        db.sightings.c.crawl != crawl,
        db.sightings.c.first,
    )
    discoveries: dict[str, list[tuple[str, str]]] = {}
    for row in connection.execute(query):
        discoveries.setdefault(row.crawl, []).append((digests[row.hit], row.phrase))
    return discoveries
