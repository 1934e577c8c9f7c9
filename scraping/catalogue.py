"""The catalogue: what was searched, found and fetched, so that nothing is asked for twice.

SQLite by default (through SQLAlchemy, so that another database is a URL away). Every method is one
transaction: a crawl that is killed loses the pictures in flight and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from scraping.baidu import Hit
from scraping.records import Original

_metadata = sa.MetaData()
_hits = sa.Table(
    "hits",
    _metadata,
    sa.Column("crawl", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("phrase", sa.String, nullable=False),
    sa.Column("hit", sa.JSON, nullable=False),
    sa.Column("outcome", sa.JSON),  # an Original, once it is known
)
_cursors = sa.Table(
    "cursors",
    _metadata,
    sa.Column("crawl", sa.String, primary_key=True),
    sa.Column("phrase", sa.String, primary_key=True),
    sa.Column("offset", sa.Integer, nullable=False),
    sa.Column("pages", sa.Integer, nullable=False),
    sa.Column("hits", sa.Integer, nullable=False),
    sa.Column("new", sa.Integer, nullable=False),
    sa.Column("stale_pages", sa.Integer, nullable=False),
    sa.Column("stopped_because", sa.String, nullable=False),
)
_addresses = sa.Table(
    "addresses",
    _metadata,
    sa.Column("url", sa.String, primary_key=True),
    sa.Column("sha256", sa.String, nullable=False),  # "" when there is no picture
    sa.Column("path", sa.String, nullable=False),
    sa.Column("num_bytes", sa.Integer, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
)


@dataclass(frozen=True)
class Cursor:
    """How far one phrase of a crawl has been read, and why no further."""

    phrase: str
    offset: int = 0  # hits to skip at the next request
    pages: int = 0
    hits: int = 0
    new: int = 0  # hits that no earlier page had
    stale_pages: int = 0  # pages in a row without a new hit
    stopped_because: str = ""  # "" while it may go on


@dataclass(frozen=True)
class Address:
    """What is known for good about an address: a stored picture, or why there is none."""

    url: str
    sha256: str
    path: str
    num_bytes: int
    reason: str


class Catalogue:
    """The tables of one workspace; for use by one thread."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _durable)
        _metadata.create_all(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.dispose()

    def cursor(self, crawl: str, phrase: str) -> Cursor:
        """The phrase's cursor, a fresh one at first."""
        columns = [column for column in _cursors.columns if column.name != "crawl"]
        query = sa.select(*columns).where(_cursors.c.crawl == crawl, _cursors.c.phrase == phrase)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return Cursor(**row) if row else Cursor(phrase)

    def save_page(self, crawl: str, cursor: Cursor, hits: Sequence[Hit]) -> None:
        """Store a page's new hits together with the cursor that has moved past them."""
        with self._engine.begin() as connection:
            last = sa.select(sa.func.coalesce(sa.func.max(_hits.c.position), -1)).where(
                _hits.c.crawl == crawl
            )
            first = connection.execute(last).scalar_one() + 1
            if hits:
                rows = [
                    {"crawl": crawl, "key": hit.key, "position": first + index,
                     "phrase": cursor.phrase, "hit": asdict(hit), "outcome": None}
                    for index, hit in enumerate(hits)
                ]  # fmt: skip
                connection.execute(sa.insert(_hits), rows)
            mine = (_cursors.c.crawl == crawl) & (_cursors.c.phrase == cursor.phrase)
            connection.execute(sa.delete(_cursors).where(mine))
            connection.execute(sa.insert(_cursors).values(crawl=crawl, **asdict(cursor)))

    def known(self, crawl: str, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that the crawl has already."""
        query = sa.select(_hits.c.key).where(_hits.c.crawl == crawl, _hits.c.key.in_(list(keys)))
        with self._engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def pending(self, crawl: str) -> list[tuple[str, Hit]]:
        """``(phrase, hit)`` of the hits whose outcome is not known yet, in order."""
        query = (
            sa.select(_hits.c.phrase, _hits.c.hit)
            .where(_hits.c.crawl == crawl, _no_outcome())
            .order_by(_hits.c.position)
        )
        with self._engine.connect() as connection:
            return [(phrase, _to_hit(hit)) for phrase, hit in connection.execute(query)]

    def save_outcomes(
        self, crawl: str, outcomes: Iterable[tuple[str, Original]], addresses: Iterable[Address]
    ) -> None:
        """Store what became of hits ``(key, row)``, and what was learnt about addresses."""
        with self._engine.begin() as connection:
            for key, original in outcomes:
                mine = (_hits.c.crawl == crawl) & (_hits.c.key == key)
                values = {"outcome": asdict(original)}
                connection.execute(sa.update(_hits).where(mine).values(**values))
            for address in addresses:
                same = _addresses.c.url == address.url
                connection.execute(sa.delete(_addresses).where(same))
                connection.execute(sa.insert(_addresses).values(**asdict(address)))

    def address(self, url: str) -> Address | None:
        """What is known about an address, if anything."""
        with self._engine.connect() as connection:
            query = sa.select(_addresses).where(_addresses.c.url == url)
            row = connection.execute(query).mappings().one_or_none()
        return Address(**row) if row else None

    def originals(self, crawl: str) -> list[Original]:
        """The outcomes of the crawl's hits, in the order they were found."""
        query = (
            sa.select(_hits.c.outcome)
            .where(_hits.c.crawl == crawl, sa.not_(_no_outcome()))
            .order_by(_hits.c.position)
        )
        with self._engine.connect() as connection:
            return [Original(**row) for row in connection.execute(query).scalars()]


def _no_outcome() -> sa.ColumnElement[bool]:
    return sa.or_(_hits.c.outcome.is_(None), _hits.c.outcome == sa.JSON.NULL)


def _durable(connection: Any, _record: Any) -> None:
    """Readers do not block the writer; a commit survives a kill."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA busy_timeout=30000")


def _to_hit(value: dict[str, Any]) -> Hit:
    candidates = tuple((field, url) for field, url in value["candidates"])
    return Hit(**{**value, "candidates": candidates})
