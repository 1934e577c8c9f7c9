"""The credits of hits: licence and author, as the engine that showed the hit last states them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from scraping.catalogue import schema as db
from scraping.failure_reasons import Reason
from scraping.search.engine import NO_CREDIT, Hit

COLUMNS = tuple(column for column in db.hit_credits.c if column.name != "hit")
"""The columns of a credit, which have the names of ``Credit``'s fields."""


def put_credits(
    connection: sa.Connection,
    insert: Callable[[sa.Table], Any],
    page: Sequence[Hit],
    rows: Mapping[str, sa.Row[Any]],
) -> None:
    """Store the credits of a page's hits, whose ``rows`` are by key; later ones replace earlier
    ones. Hits without a credit take no row, and so do forgotten ones.
    """
    credits_of_hits = [
        {"hit": rows[hit.key].id, **asdict(hit.credit)}
        for hit in page
        if hit.credit != NO_CREDIT and rows[hit.key].reason != Reason.FORGOTTEN
    ]
    if credits_of_hits:
        statement = insert(db.hit_credits)
        newer = {column.name: statement.excluded[column.name] for column in COLUMNS}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["hit"], set_=newer),
            sorted(credits_of_hits, key=itemgetter("hit")),
        )
