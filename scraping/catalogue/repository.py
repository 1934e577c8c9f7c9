"""The catalogue: hits, attempts and originals of all crawls, so that nothing is fetched twice.

By default it is an SQLite file in the workspace; ``SUYAN_CATALOGUE_URL`` names another database for
SQLAlchemy, e.g. PostgreSQL. Every method is one transaction. Opening a catalogue brings the tables
of an earlier version up to date.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from scraping.catalogue import schema as db
from scraping.catalogue.database import open_database
from scraping.catalogue.discoveries import (
    add_discoveries,
    count_discoveries,
    discoveries_of_other_crawls,
)
from scraping.catalogue.entities import (
    Attempt,
    Cursor,
    DownloadResult,
    DownloadTask,
    PageYield,
    Round,
    Status,
    Stop,
)
from scraping.catalogue.hit_credits import put_credits
from scraping.catalogue.retries import RetryRules, not_of_files
from scraping.catalogue.upgrade import is_up_to_date, upgrade_tables
from scraping.failure_reasons import FORBIDDEN
from scraping.search.engine import Hit

_VALUES_PER_STATEMENT = 500
_PAGE_LOCK = 0x7375796E  # number of the PostgreSQL lock under which pages are saved


class Catalogue:
    """The tables of one workspace; one thread at a time may use it.

    ``retry_rules`` are those of the crawl that uses it.
    """

    def __init__(self, url: str, retry_rules: RetryRules | None = None) -> None:
        self.retry_rules = retry_rules or RetryRules()
        self._engine = open_database(url)
        self._writer = self._engine.execution_options(writes=True)
        with contextlib.ExitStack() as opening:
            opening.callback(self._engine.dispose)  # of a catalogue that is refused
            with self.reading() as connection:
                is_current = is_up_to_date(connection)
            if not is_current:
                with self.writing() as connection:
                    upgrade_tables(connection)
            opening.pop_all()

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
        """A transaction that reads one consistent state, and blocks no writer."""
        return self._engine.connect()

    def writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """A transaction that writes everything or nothing."""
        return self._writer.begin()

    # Rounds and cursors

    def round(self, crawl: str) -> Round | None:
        """The crawl's current round; ``None`` before its first one."""
        query = sa.select(db.crawls).where(db.crawls.c.name == crawl)
        with self.reading() as connection:
            row = connection.execute(query).one_or_none()
        return Round(row.round, row.target, row.started_at, row.finished_at) if row else None

    def begin_round(self, crawl: str, domain: str, target: int, now: float) -> Round:
        """Begin the crawl's next round: cursors go back to the top, failures are forgiven."""
        last_round = self.round(crawl)
        next_round = Round(last_round.number + 1 if last_round else 1, target, now, None)
        hits_of_crawl = sa.select(db.sightings.c.hit).where(db.sightings.c.crawl == crawl)
        unread_offset = sa.case((db.cursors.c.stopped_because == "", db.cursors.c.offset), else_=0)
        with self.writing() as connection:
            connection.execute(sa.delete(db.crawls).where(db.crawls.c.name == crawl))
            connection.execute(
                sa.insert(db.crawls).values(
                    name=crawl,
                    domain=domain,
                    round=next_round.number,
                    target=target,
                    started_at=now,
                )
            )
            connection.execute(
                sa.update(db.hits)
                .where(db.hits.c.failures > 0, db.hits.c.id.in_(hits_of_crawl))
                .values(failures=0)
            )
            connection.execute(
                sa.update(db.cursors)
                .where(db.cursors.c.crawl == crawl)
                .values(frontier=unread_offset, offset=0, stale_pages=0, stopped_because="")
            )
        return next_round

    def finish_round(self, crawl: str, now: float) -> None:
        """Note that the current round has come to its end."""
        finish = sa.update(db.crawls).where(db.crawls.c.name == crawl).values(finished_at=now)
        with self.writing() as connection:
            connection.execute(finish)

    def cursor(self, crawl: str, phrase: str) -> Cursor:
        """The phrase's cursor; a new one at the top for a phrase without one."""
        query = sa.select(db.cursors).where(
            db.cursors.c.crawl == crawl, db.cursors.c.phrase == phrase
        )
        with self.reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return _to_cursor(dict(row)) if row else Cursor(phrase)

    def save_cursor(self, crawl: str, cursor: Cursor) -> None:
        """Store a cursor that changed without a page, e.g. because its phrase stops."""
        with self.writing() as connection:
            self._put_cursor(connection, crawl, cursor)

    def _put_cursor(self, connection: sa.Connection, crawl: str, cursor: Cursor) -> None:
        values = _from_cursor(cursor)
        statement = self.insert(db.cursors).values(crawl=crawl, **values)
        del values["phrase"], values["stored"]  # count_discoveries counts those
        connection.execute(
            statement.on_conflict_do_update(index_elements=["crawl", "phrase"], set_=values)
        )

    # Hits

    def page_yield(self, crawl: str, engine: str, cursor: Cursor, page: Sequence[Hit]) -> PageYield:
        """The counts of ``page``, compared with the hits of the crawl; stores nothing."""
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
            is_repeated = {key: bool(in_round) for key, in_round in connection.execute(query)}
        return PageYield(len(set(keys) - is_repeated.keys()), sum(is_repeated.values()))

    def save_page(
        self, crawl: str, engine: str, cursor: Cursor, page: Sequence[Hit], now: float
    ) -> int | None:
        """Store a page's hits and sightings together with the cursor that has moved past them.

        Returns the lowest number among the hits, ``None`` for an empty page. A rejected hit whose
        addresses have changed becomes a task again.
        """
        page = list({hit.key: hit for hit in page}.values())
        with self.writing() as connection:
            if self._is_postgresql:  # two crawls may get the same hits in different orders
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PAGE_LOCK)))
            rows = self._put_hits(connection, engine, page)
            put_credits(connection, self.insert, page, rows)
            self._put_sightings(connection, crawl, cursor.phrase, page, rows, now)
            discoveries = [
                (row.sha256, cursor.phrase) for row in rows.values() if row.status == Status.OK
            ]
            num_new = add_discoveries(connection, self.insert, {crawl: discoveries})
            self._put_cursor(connection, crawl, cursor)
            count_discoveries(connection, num_new)
        return min((row.id for row in rows.values()), default=None)

    def _put_sightings(
        self,
        connection: sa.Connection,
        crawl: str,
        phrase: str,
        page: Sequence[Hit],
        rows: Mapping[str, sa.Row[Any]],
        now: float,
    ) -> None:
        ids = [row.id for row in rows.values()]
        is_of_page = (db.sightings.c.crawl == crawl) & db.sightings.c.hit.in_(ids)
        query = sa.select(db.sightings.c.hit).where(is_of_page)
        sighted_hits = set(connection.execute(query).scalars())
        failed_hits = {row.id for row in rows.values() if row.failures}
        for new_hit in sorted(failed_hits - sighted_hits):  # they count for each crawl anew
            connection.execute(sa.update(db.hits).where(db.hits.c.id == new_hit).values(failures=0))
        sightings = [
            {"crawl": crawl, "hit": rows[hit.key].id, "phrase": phrase,
             "first": rows[hit.key].id not in sighted_hits,
             "page_url": hit.page_url, "title": hit.title, "first_seen": now, "last_seen": now}
            for hit in page
        ]  # fmt: skip
        if sightings:
            statement = self.insert(db.sightings).on_conflict_do_update(
                index_elements=["crawl", "hit", "phrase"], set_={"last_seen": now}
            )
            connection.execute(statement, sightings)

    def _put_hits(
        self, connection: sa.Connection, engine: str, page: Sequence[Hit]
    ) -> dict[str, sa.Row[Any]]:
        """Insert or update the rows of these hits; returns the previous rows by key."""
        if page:
            new_rows = [
                {"engine": engine, "key": hit.key, "candidates": [list(c) for c in hit.candidates],
                 "failures": 0, "reason": "", "url": "", "served_by": "", "sha256": ""}
                for hit in page
            ]  # fmt: skip
            connection.execute(self.insert(db.hits).on_conflict_do_nothing(), new_rows)
        query = sa.select(db.hits).where(
            db.hits.c.engine == engine, db.hits.c.key.in_([hit.key for hit in page])
        )
        rows = {row.key: row for row in connection.execute(query)}
        for hit in sorted(page, key=lambda hit: rows[hit.key].id):
            row = rows[hit.key]
            candidates = [list(candidate) for candidate in hit.candidates]
            if row.status != Status.OK and row.candidates != candidates:
                retry = {} if row.reason in FORBIDDEN else {"status": None}
                connection.execute(
                    sa.update(db.hits)
                    .where(db.hits.c.id == row.id)
                    .values(candidates=candidates, **retry)
                )
        return rows

    def pending_tasks(
        self, crawl: str, since: float, num: int, *, after: int = 0, without: Collection[int] = (),
        engines: Collection[str] = (),
    ) -> list[DownloadTask]:  # fmt: skip
        """At most ``num`` hits of the crawl that are not settled, in the order of their numbers.

        A hit that failed before ``since``, when this run began, counts as unsettled, up to three
        times a round. They are of ``engines`` (none: any), above ``after`` and not ``without``.
        """
        of_engine = db.hits.c.engine.in_(list(engines)) if engines else not_of_files()
        query = (
            sa.select(
                db.hits.c.id, db.sightings.c.phrase, db.sightings.c.page_url, db.hits.c.candidates
            )
            .join(db.sightings, db.sightings.c.hit == db.hits.c.id)
            .where(db.sightings.c.crawl == crawl, db.sightings.c.first, of_engine)
            .where(self.retry_rules.unsettled(since), db.sightings.c.hit > after)
            .order_by(db.sightings.c.hit)  # the order of an index: nothing is sorted
            .limit(num + len(without))
        )
        with self.reading() as connection:
            rows = [row for row in connection.execute(query) if row[0] not in without][:num]
        return [
            DownloadTask(hit, phrase, page_url, tuple((field, url) for field, url in candidates))
            for hit, phrase, page_url, candidates in rows
        ]

    # Downloads

    def final_attempts(self, urls: Iterable[str]) -> dict[str, Attempt]:
        """The last attempt at each address that ended with a file or a final rejection.

        Attempts that failed for a reason that may pass are left out, and so are rejections that
        the crawl's settings lift.
        """
        unique, attempts = list(dict.fromkeys(urls)), {}
        with self.reading() as connection:
            for first in range(0, len(unique), _VALUES_PER_STATEMENT):
                query = (
                    sa.select(db.attempts)
                    .where(
                        db.attempts.c.url.in_(unique[first : first + _VALUES_PER_STATEMENT]),
                        db.attempts.c.status != Status.FAILED,
                    )
                    .order_by(db.attempts.c.id)
                )
                for row in connection.execute(query).mappings():
                    attempt = Attempt(**{k: v for k, v in row.items() if k != "id"})
                    if self.retry_rules.holds(attempt):
                        attempts[row["url"]] = attempt
        return attempts

    def save_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Store attempts; this comes before their files get their names."""
        if attempts:
            with self.writing() as connection:
                rows = [vars(attempt) for attempt in attempts]
                connection.execute(sa.insert(db.attempts), rows)

    def save_results(self, crawl: str, results: Sequence[DownloadResult]) -> int:
        """Store results whose files have their names; returns the number of new originals."""
        if not results:
            return 0
        settle = (
            sa.update(db.hits)
            .where(db.hits.c.id == sa.bindparam("hit"))
            .values({
                "failures": db.hits.c.failures + sa.bindparam("num_failures"),
            } | {
                name: sa.bindparam(f"new_{name}")
                for name in ("status", "reason", "url", "served_by", "sha256", "settled_at")
            })
        )  # fmt: skip
        rows = [
            {"hit": result.hit, "new_status": result.status, "new_reason": result.reason,
             "new_url": result.url, "new_served_by": result.served_by,
             "new_sha256": result.sha256, "new_settled_at": result.at,
             "num_failures": int(result.status == Status.FAILED)}
            for result in sorted(results, key=attrgetter("hit"))
        ]  # fmt: skip
        with self.writing() as connection:
            connection.execute(settle, rows)
            return self._put_originals(connection, crawl, results)

    def _put_originals(
        self, connection: sa.Connection, crawl: str, results: Sequence[DownloadResult]
    ) -> int:
        by_digest = {result.sha256: result for result in results if result.status == Status.OK}
        if not by_digest:
            return 0
        rows = [
            {"sha256": sha256, "path": result.path, "num_bytes": result.num_bytes,
             "stored_at": result.at}
            for sha256, result in sorted(by_digest.items())
        ]  # fmt: skip
        connection.execute(self.insert(db.originals).on_conflict_do_nothing(), rows)
        digests = {result.hit: sha256 for sha256, result in by_digest.items()}
        discoveries = {
            **discoveries_of_other_crawls(connection, crawl, digests),
            crawl: [(sha256, result.phrase) for sha256, result in by_digest.items()],
        }
        num_new = add_discoveries(connection, self.insert, discoveries)
        count_discoveries(connection, num_new)
        return num_new[crawl].total()

    # Reading

    def num_originals(self, crawl: str) -> int:
        """Number of different originals of the crawl."""
        query = sa.select(sa.func.count()).where(db.finds.c.crawl == crawl)
        with self.reading() as connection:
            return connection.execute(query).scalar_one()

    def tombstones(self) -> set[tuple[str, str]]:
        """``(kind, value)`` of everything that was forgotten: ``url``, ``sha256`` or ``host``."""
        with self.reading() as connection:
            query = sa.select(db.tombstones.c.kind, db.tombstones.c.value)
            return {(kind, value) for kind, value in connection.execute(query)}

    @property
    def _is_postgresql(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    def insert(self, table: sa.Table) -> Any:
        """An INSERT with ON CONFLICT, which each dialect of SQLAlchemy writes differently."""
        if self._is_postgresql:
            from sqlalchemy.dialects import postgresql  # imported late: slow

            return postgresql.insert(table)
        return sqlite.insert(table)


def _to_cursor(values: dict[str, Any]) -> Cursor:
    del values["crawl"]
    text = values.pop("stopped_because")
    return Cursor(**values, stop=Stop.parse(text) if text else None)


def _from_cursor(cursor: Cursor) -> dict[str, Any]:
    values = asdict(cursor)
    del values["stop"]
    return values | {"stopped_because": str(cursor.stop or "")}
