"""The catalogue: what was searched, seen, tried and stored, so that nothing is asked for twice.

SQLite in the workspace by default; ``SUYAN_CATALOGUE_URL`` names another database for SQLAlchemy,
e.g. PostgreSQL. Every method is one transaction. The tables of an earlier version are brought up to
date when they are opened.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from core.workspace import Workspace
from scraping.catalogue import schema as db
from scraping.catalogue.database import open_database
from scraping.catalogue.entities import Attempt, Cursor, Errand, Outcome, PageYield, Round
from scraping.catalogue.finds import add_finds, count_finds, finds_of_others
from scraping.catalogue.upgrade import migrate, up_to_date
from scraping.search.baidu import Hit
from storage.remote import address_of, is_shared

_MAX_FAILURES = 3  # runs that a hit may fail for now, until the next round
_MANY = 500  # values in one IN (…)
_PAGES = 0x7375796E  # number of the lock under which pages are saved


def catalogue_url(workspace: Workspace) -> str:
    """``SUYAN_CATALOGUE_URL``, or the SQLite file of the workspace.

    Raises ``ValueError`` where the workspace is on object storage, which holds no database, and no
    address is given.
    """
    url = os.environ.get("SUYAN_CATALOGUE_URL")
    if not url and is_shared(workspace):
        raise ValueError(
            f"SUYAN_CATALOGUE_URL: got none, and the workspace is {address_of(workspace)}; needed "
            "the address of the database that all its machines use, "
            "postgresql+psycopg://USER:PASSWORD@HOST/NAME. (For one machine alone a file that you "
            "keep safe yourself will do: sqlite:////var/lib/suyan/catalogue.sqlite)"
        )
    return url or f"sqlite:///{workspace / 'catalogue.sqlite'}"


class Catalogue:
    """The tables of one workspace; for use by one thread at a time."""

    def __init__(self, url: str) -> None:
        self._engine = open_database(url)
        self._writer = self._engine.execution_options(writes=True)
        with self.reading() as connection:
            ready = up_to_date(connection)
        if not ready:
            with self.writing() as connection:
                migrate(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.dispose()

    def reading(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A transaction that reads: it sees one state of everything, and blocks no writer."""
        return self._engine.connect()

    def writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A transaction that writes: all of it or nothing."""
        return self._writer.begin()

    # Rounds and cursors

    def round(self, crawl: str) -> Round | None:
        """The crawl's current round, if it has begun any."""
        query = sa.select(db.crawls).where(db.crawls.c.name == crawl)
        with self.reading() as connection:
            row = connection.execute(query).one_or_none()
        return Round(row.round, row.target, row.started_at, row.finished_at) if row else None

    def begin_round(self, crawl: str, domain: str, target: int, now: float) -> Round:
        """Begin the crawl's next round: its cursors stand at the top again."""
        before = self.round(crawl)
        new = Round(before.number + 1 if before else 1, target, now, None)
        mine = db.cursors.c.crawl == crawl
        seen = sa.select(db.sightings.c.hit).where(db.sightings.c.crawl == crawl)
        unread = sa.case((db.cursors.c.stopped_because == "", db.cursors.c.offset), else_=0)
        with self.writing() as connection:
            connection.execute(sa.delete(db.crawls).where(db.crawls.c.name == crawl))
            connection.execute(
                sa.insert(db.crawls).values(
                    name=crawl, domain=domain, round=new.number, target=target, started_at=now
                )
            )
            connection.execute(
                sa.update(db.hits)
                .where(db.hits.c.status == "failed", db.hits.c.id.in_(seen))
                .values(failures=0)
            )
            connection.execute(
                sa.update(db.cursors)
                .where(mine)
                .values(frontier=unread, offset=0, stale_pages=0, stopped_because="")
            )
        return new

    def finish_round(self, crawl: str, now: float) -> None:
        """Note that the current round has come to its end."""
        mine = db.crawls.c.name == crawl
        with self.writing() as connection:
            connection.execute(sa.update(db.crawls).where(mine).values(finished_at=now))

    def cursor(self, crawl: str, phrase: str) -> Cursor:
        """The phrase's cursor, a fresh one at first."""
        mine = (db.cursors.c.crawl == crawl) & (db.cursors.c.phrase == phrase)
        with self.reading() as connection:
            row = connection.execute(sa.select(db.cursors).where(mine)).mappings().one_or_none()
        return Cursor(**{k: v for k, v in row.items() if k != "crawl"}) if row else Cursor(phrase)

    def save_cursor(self, crawl: str, cursor: Cursor) -> None:
        """Store a cursor that moved without a page, e.g. because its phrase stops."""
        with self.writing() as connection:
            self._put_cursor(connection, crawl, cursor)

    def _put_cursor(self, connection: sa.Connection, crawl: str, cursor: Cursor) -> None:
        values = asdict(cursor)
        statement = self.insert(db.cursors).values(crawl=crawl, **values)
        del values["phrase"], values["stored"]  # counted where originals are saved
        connection.execute(
            statement.on_conflict_do_update(index_elements=["crawl", "phrase"], set_=values)
        )

    # Hits

    def look(self, crawl: str, engine: str, cursor: Cursor, page: Sequence[Hit]) -> PageYield:
        """What ``page`` would bring; stores nothing."""
        round_ = self.round(crawl)
        assert round_ is not None, "a round has begun"
        keys = [hit.key for hit in page]
        query = (
            sa.select(
                db.hits.c.key,
                sa.func.max(
                    sa.case(
                        (
                            (db.sightings.c.phrase == cursor.phrase)
                            & (db.sightings.c.last_seen >= round_.started_at),
                            1,
                        ),
                        else_=0,
                    )
                ),
            )
            .join(db.sightings, db.sightings.c.hit == db.hits.c.id)
            .where(
                db.sightings.c.crawl == crawl,
                db.hits.c.engine == engine,
                db.hits.c.key.in_(keys),
            )
            .group_by(db.hits.c.key)
        )
        with self.reading() as connection:
            seen = {key: bool(repeated) for key, repeated in connection.execute(query)}
        return PageYield(len(set(keys) - seen.keys()), sum(seen.values()))

    def save_page(
        self, crawl: str, engine: str, cursor: Cursor, page: Sequence[Hit], now: float
    ) -> int | None:
        """Store a page's hits and sightings together with the cursor that has moved past them; the
        lowest number among the hits.

        A hit that was rejected and now has other addresses may be tried again.
        """
        page = list({hit.key: hit for hit in page}.values())
        with self.writing() as connection:
            if self._is_postgresql:  # two crawls may get the same hits in another order: in turn
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PAGES)))
            known = self._put_hits(connection, engine, page)
            ids = [known[hit.key].id for hit in page]
            seen_before = sa.select(db.sightings.c.hit).where(
                db.sightings.c.crawl == crawl, db.sightings.c.hit.in_(ids)
            )
            seen = set(connection.execute(seen_before).scalars())
            rows = [
                {"crawl": crawl, "hit": known[hit.key].id, "phrase": cursor.phrase,
                 "first": known[hit.key].id not in seen,
                 "page_url": hit.page_url, "title": hit.title, "first_seen": now, "last_seen": now}
                for hit in page
            ]  # fmt: skip
            if rows:
                statement = self.insert(db.sightings).on_conflict_do_update(
                    index_elements=["crawl", "hit", "phrase"], set_={"last_seen": now}
                )
                connection.execute(statement, rows)
            found = [
                (known[hit.key].sha256, cursor.phrase)
                for hit in page
                if known[hit.key].status == "ok"
            ]
            new = add_finds(connection, self.insert, {crawl: found})
            self._put_cursor(connection, crawl, cursor)
            count_finds(connection, new)
        return min(ids, default=None)

    def _put_hits(
        self, connection: sa.Connection, engine: str, page: Sequence[Hit]
    ) -> dict[str, sa.Row[Any]]:
        """The rows of these hits by key, made or brought up to date."""
        if page:
            rows = [
                {"engine": engine, "key": hit.key, "candidates": [list(c) for c in hit.candidates],
                 "failures": 0, "reason": "", "url": "", "served_by": "", "sha256": ""}
                for hit in page
            ]  # fmt: skip
            connection.execute(self.insert(db.hits).on_conflict_do_nothing(), rows)
        mine = (db.hits.c.engine == engine) & db.hits.c.key.in_([hit.key for hit in page])
        known = {row.key: row for row in connection.execute(sa.select(db.hits).where(mine))}
        for hit in sorted(page, key=lambda hit: known[hit.key].id):
            row = known[hit.key]
            candidates = [list(candidate) for candidate in hit.candidates]
            if row.status != "ok" and row.candidates != candidates:
                again = {} if row.reason in _FINAL else {"status": None}
                connection.execute(
                    sa.update(db.hits)
                    .where(db.hits.c.id == row.id)
                    .values(candidates=candidates, **again)
                )
        return known

    def errands(
        self, crawl: str, since: float, num: int, *, after: int = 0, without: Collection[int] = ()
    ) -> list[Errand]:
        """At most ``num`` hits that the crawl has seen and nobody has settled, in order.

        Those that failed for now before ``since`` count too, three times at most. Hits up to number
        ``after`` are left out, and those ``without``.
        """
        query = (
            sa.select(
                db.hits.c.id, db.sightings.c.phrase, db.sightings.c.page_url, db.hits.c.candidates
            )
            .join(db.sightings, db.sightings.c.hit == db.hits.c.id)
            .where(db.sightings.c.crawl == crawl, db.sightings.c.first, unsettled(since))
            .where(db.sightings.c.hit > after)
            .order_by(db.sightings.c.hit)  # an index of sightings has this order: nothing is sorted
            .limit(num + len(without))
        )
        with self.reading() as connection:
            rows = [row for row in connection.execute(query) if row[0] not in without][:num]
        return [
            Errand(hit, phrase, page_url, tuple((field, url) for field, url in candidates))
            for hit, phrase, page_url, candidates in rows
        ]

    # Downloads

    def known(self, urls: Iterable[str]) -> dict[str, Attempt]:
        """The last try of each address that was ever tried and did not merely fail for now."""
        wanted, found = list(dict.fromkeys(urls)), {}
        with self.reading() as connection:
            for first in range(0, len(wanted), _MANY):
                query = (
                    sa.select(db.attempts)
                    .where(
                        db.attempts.c.url.in_(wanted[first : first + _MANY]),
                        db.attempts.c.status != "failed",
                    )
                    .order_by(db.attempts.c.id)
                )
                for row in connection.execute(query).mappings():
                    values = {k: v for k, v in row.items() if k != "id"}
                    found[row["url"]] = Attempt(**values)
        return found

    def save_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Note downloads, before their files are given their names."""
        if attempts:
            with self.writing() as connection:
                rows = [vars(attempt) for attempt in attempts]
                connection.execute(sa.insert(db.attempts), rows)

    def save_outcomes(self, crawl: str, outcomes: Sequence[Outcome]) -> int:
        """Note what became of errands whose files lie in place; how many originals are new here."""
        if not outcomes:
            return 0
        settle = (
            sa.update(db.hits)
            .where(db.hits.c.id == sa.bindparam("hit"))
            .values({
                "failures": db.hits.c.failures + sa.bindparam("failed_now"),
            } | {
                name: sa.bindparam(f"new_{name}")
                for name in ("status", "reason", "url", "served_by", "sha256", "settled_at")
            })
        )  # fmt: skip
        rows = [
            {"hit": o.hit, "new_status": o.status, "new_reason": o.reason, "new_url": o.url,
             "new_served_by": o.served_by, "new_sha256": o.sha256, "new_settled_at": o.at,
             "failed_now": int(o.status == "failed")}
            for o in sorted(outcomes, key=lambda o: o.hit)
        ]  # fmt: skip
        stored = {o.sha256: o for o in outcomes if o.status == "ok"}
        with self.writing() as connection:
            connection.execute(settle, rows)
            if not stored:
                return 0
            connection.execute(
                self.insert(db.originals).on_conflict_do_nothing(),
                [
                    {"sha256": sha256, "path": o.path, "num_bytes": o.num_bytes, "stored_at": o.at}
                    for sha256, o in sorted(stored.items())
                ],
            )
            digests = {o.hit: o.sha256 for o in stored.values()}
            found = {
                **finds_of_others(connection, crawl, digests),
                crawl: [(sha256, o.phrase) for sha256, o in stored.items()],
            }
            new = add_finds(connection, self.insert, found)
            count_finds(connection, new)
            return new[crawl].total()

    # Reading

    def num_found(self, crawl: str) -> int:
        """How many different originals the crawl has found."""
        query = sa.select(sa.func.count()).where(db.finds.c.crawl == crawl)
        with self.reading() as connection:
            return connection.execute(query).scalar_one()

    def tombstones(self) -> set[tuple[str, str]]:
        """``(kind, value)`` of everything that must not come back."""
        with self.reading() as connection:
            query = sa.select(db.tombstones.c.kind, db.tombstones.c.value)
            return {(kind, value) for kind, value in connection.execute(query)}

    @property
    def _is_postgresql(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    def insert(self, table: sa.Table) -> Any:
        """An INSERT that knows ON CONFLICT, which SQLAlchemy has for each dialect apart."""
        if self._is_postgresql:
            from sqlalchemy.dialects import postgresql  # slow to import

            return postgresql.insert(table)
        return sqlite.insert(table)


def unsettled(since: float) -> sa.ColumnElement[bool]:
    """The condition that a hit is to be fetched, by a run that began at ``since``."""
    return db.hits.c.status.is_(None) | (
        (db.hits.c.status == "failed")
        & (db.hits.c.settled_at < since)
        & (db.hits.c.failures < _MAX_FAILURES)
    )


_FINAL = {"forgotten", "opt-out", "robots"}  # no other address makes these undone
