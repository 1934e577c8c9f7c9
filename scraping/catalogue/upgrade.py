"""Upgrades the tables of any earlier catalogue to this version, in one transaction."""

from __future__ import annotations

import sqlalchemy as sa

from core.errors import SuyanError
from scraping.catalogue import schema as db

_LOCK = 0x5379616E  # any number that no other program uses for a lock in this database
_VERSION = sa.Table(
    "catalogue_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True)
)


def is_up_to_date(connection: sa.Connection) -> bool:
    """Whether the tables are of this version: a quick check at every start."""
    try:
        return connection.execute(sa.select(_VERSION)).scalars().all() == [db.VERSION]
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):  # no such table
        return False


def upgrade_tables(connection: sa.Connection) -> None:
    """Bring the tables up to date, in the transaction of ``connection``.

    An empty database gets the tables of this version. Of two processes that start at once, one
    waits for the other: on SQLite because of the transaction, on PostgreSQL because of a lock.

    Raises ``SuyanError`` for tables that do not belong to a catalogue, or belong to a later
    version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    inspector = sa.inspect(connection)
    tables = set(inspector.get_table_names())
    if _VERSION.name in tables:
        version = connection.execute(sa.select(_VERSION.c.version_num)).scalar_one_or_none()
        if version != db.VERSION:
            _upgrade(connection, version)
        return
    if tables & set(db.metadata.tables):
        _refuse_foreign_tables(connection, inspector, tables)
        _VERSION.create(connection)
        connection.execute(sa.insert(_VERSION).values(version_num="0001"))
        _upgrade(connection, "0001")
        return
    db.metadata.create_all(connection)
    _VERSION.create(connection)
    connection.execute(sa.insert(_VERSION).values(version_num=db.VERSION))


def _upgrade(connection: sa.Connection, version: str | None) -> None:
    from alembic import command  # slow to import, and rarely needed
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", "scraping.catalogue:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SuyanError(
            f"the catalogue {_address(connection)} has version {version}, and this Suyan knows "
            f"versions up to {db.VERSION}: a later one wrote it. Install that one; "
            "nothing was changed"
        ) from error


def _refuse_foreign_tables(
    connection: sa.Connection, inspector: sa.Inspector, tables: set[str]
) -> None:
    """Raise ``SuyanError`` unless the unversioned tables are those of the first version."""
    for table in db.metadata.tables.values():
        if table.name in db.ADDED_LATER:
            continue
        columns = (
            {column["name"] for column in inspector.get_columns(table.name)}
            if table.name in tables
            else set()
        )
        missing_columns = sorted({column.name for column in table.columns} - columns)
        if missing_columns:
            raise SuyanError(
                f"the database {_address(connection)} is no catalogue that this version of Suyan "
                f"can take over: table {table.name} lacks {', '.join(missing_columns)}. Move it "
                "away and crawl again (originals stay where they are), or name another database in "
                "SUYAN_CATALOGUE_URL; nothing was changed"
            )


def _address(connection: sa.Connection) -> str:
    return connection.engine.url.render_as_string()
