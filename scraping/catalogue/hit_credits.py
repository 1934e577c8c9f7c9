"""The credits of hits: licence and author, as the engine that showed the hit last states them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from scraping.catalogue import schema as db
from scraping.search.engine import NO_CREDIT, Hit

COLUMNS = tuple(column for column in db.hit_credits.c if column.name != "hit")
"""The columns of a credit, which have the names of ``Credit``'s fields."""


def put_credits(
    connection: sa.Connection,
    insert: Callable[[sa.Table], Any],
    page: Sequence[Hit],
    numbers: Mapping[str, int],
) -> None:
    """Store the credits of a page's hits, whose ``numbers`` are by key; later ones replace earlier
    ones. Hits without a credit take no row.
    """
    rows = [
        {"hit": numbers[hit.key], **asdict(hit.credit)} for hit in page if hit.credit != NO_CREDIT
    ]
    if rows:
        statement = insert(db.hit_credits)
        newer = {column.name: statement.excluded[column.name] for column in COLUMNS}
        connection.execute(
            statement.on_conflict_do_update(index_elements=["hit"], set_=newer),
            sorted(rows, key=lambda row: row["hit"]),
        )
