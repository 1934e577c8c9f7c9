"""Upgrades the tables of any earlier catalogue to this version, in one transaction."""

from __future__ import annotations

import sqlalchemy as sa

from core.errors import SuyanError
from core.language.messages import localised
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
            localised(
                "the catalogue {address} has version {version}, and this Suyan knows "
                "versions up to {newest}: a later one wrote it. Install that one; nothing "
                "was changed",
                address=_address(connection),
                version=version,
                newest=db.VERSION,
            )
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
                localised(
                    "the database {address} is no catalogue that this version of Suyan can take "
                    "over: table {name} lacks {names}. Move it away and crawl again (originals "
                    "stay where they are), or name another database in SUYAN_CATALOGUE_URL; "
                    "nothing was changed",
                    address=_address(connection),
                    name=table.name,
                    names=", ".join(missing_columns),
                )
            )


def _address(connection: sa.Connection) -> str:
    return connection.engine.url.render_as_string()
