"""The catalogue's database: its address and its engine."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa

from core.language.messages import localised
from core.sqlite import share_sqlite
from core.workspace import Workspace
from storage.remote import address_of, is_shared


def catalogue_url(workspace: Workspace) -> str:
    """The catalogue's address for SQLAlchemy: ``SUYAN_CATALOGUE_URL``, or the workspace's SQLite.

    Raises ``ValueError`` where the workspace is on object storage, which holds no database, and
    ``SUYAN_CATALOGUE_URL`` is not set.
    """
    url = os.environ.get("SUYAN_CATALOGUE_URL")
    if not url and is_shared(workspace):
        raise ValueError(
            localised(
                "SUYAN_CATALOGUE_URL: got none, and the workspace is {address}; needed "
                "the address of the database that all its machines use, "
                "postgresql+psycopg://USER:PASSWORD@HOST/NAME. (For one machine alone a file "
                "that you keep safe yourself will do: "
                "sqlite:////var/lib/suyan/catalogue.sqlite)",
                address=address_of(workspace),
            )
        )
    return url or f"sqlite:///{workspace.catalogue}"


def open_database(url: str) -> sa.Engine:
    """The engine of ``url``.

    Transactions of a connection with the execution option ``writes`` begin as writers.
    """
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Let readers and the writer work side by side; let SQLAlchemy begin transactions itself."""
    connection.isolation_level = None
    share_sqlite(connection)


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer locks the file at once: SQLite refuses a reader that turns writer too late."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
