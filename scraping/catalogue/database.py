"""The catalogue's database as SQLAlchemy's engine; SQLite is told to behave like a server."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core.sqlite import share_sqlite


def open_database(url: str) -> sa.Engine:
    """The engine of ``url``. A connection with the execution option ``writes`` begins its
    transactions as a writer.
    """
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Readers do not block the writer; a commit survives a kill; SQLAlchemy says BEGIN itself."""
    connection.isolation_level = None
    share_sqlite(connection)


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: one that read before may find itself overtaken, and fail."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
