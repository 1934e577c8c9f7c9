"""Catalogues of earlier and later versions, and foreign databases; on SQLite and on PostgreSQL."""

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from core.errors import SuyanError
from core.sqlite import share_sqlite
from scraping.catalogue import schema
from scraping.catalogue.repository import Catalogue

ROOT = Path(__file__).resolve().parents[2]


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "scraping.catalogue:migrations")
    config.attributes["connection"] = connection
    return config


def _make_old(url: str, version: str = "0001", *, says_so: bool = False) -> None:
    """A catalogue as that version wrote it; the first version did not record its number."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        command.upgrade(_config(connection), version)
        if not says_so:
            connection.execute(sa.text("DROP TABLE catalogue_version"))
        connection.execute(
            sa.insert(schema.tombstones).values(kind="host", value="a.example", at=1.0)
        )
    engine.dispose()


def test_the_version_is_the_last_migration() -> None:
    assert ScriptDirectory.from_config(_config()).get_current_head() == schema.VERSION


@pytest.mark.parametrize("says_so", [False, True])
def test_an_old_catalogue_is_brought_up_to_date_and_keeps_its_rows(
    database: str,
    says_so: bool,
) -> None:
    _make_old(database, says_so=says_so)
    for _ in range(2):
        with Catalogue(database) as catalogue:
            assert catalogue.tombstones() == {("host", "a.example")}
            catalogue.begin_round("bare-1", "bare", 100, time.time())
            with catalogue.reading() as connection:
                options = {"version_table": "catalogue_version"}
                context = MigrationContext.configure(connection, opts=options)
                assert compare_metadata(context, schema.metadata) == []


def test_two_processes_that_migrate_at_once_do_it_once(database: str) -> None:
    _make_old(database)
    script = (
        "from scraping.catalogue.repository import Catalogue; "
        f"print(Catalogue({database!r}).tombstones())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in started:
        out, errors = process.communicate(timeout=120)
        assert "a.example" in out, errors


def test_those_who_make_a_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    def open_it(_: int) -> None:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
            together.wait()
            share_sqlite(connection)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
            connection.execute("COMMIT")

    together = threading.Barrier(6)
    with ThreadPoolExecutor(6) as pool:
        for turn in range(40):
            file = tmp_path / f"{turn}.sqlite"
            list(pool.map(open_it, range(6)))


def test_what_waiting_does_not_mend_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    sqlite3.connect(file).execute("CREATE TABLE t (a)").connection.close()
    uri = f"{file.as_uri()}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(uri, uri=True)) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        share_sqlite(connection)


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"
    _make_old(url)
    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.drop_index", lambda *_: 1 / 0)  # in the middle of 0002
        with pytest.raises(ZeroDivisionError):
            Catalogue(url)
    engine = sa.create_engine(url)
    tables = set(sa.inspect(engine).get_table_names())
    engine.dispose()
    assert not tables & {"claims", "holders", "catalogue_version"}
    with Catalogue(url) as catalogue:
        assert catalogue.tombstones() == {("host", "a.example")}


def test_a_catalogue_of_a_later_version_is_refused_and_kept(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Catalogue(database).__exit__(None, None, None)
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE catalogue_version SET version_num = '0099'"))
    engine.dispose()
    disposed, dispose = [], sa.Engine.dispose

    def noted(engine: sa.Engine, close: bool = True) -> None:
        disposed.append(close)
        dispose(engine, close)

    monkeypatch.setattr(sa.Engine, "dispose", noted)
    with pytest.raises(SuyanError, match=r"has version 0099.* later one"):
        Catalogue(database)
    assert disposed == [True]  # else its connection stays open until a garbage collection


def test_a_stranger_s_tables_are_refused_and_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE hits (crawl TEXT, key TEXT)"))
        connection.execute(sa.text("INSERT INTO hits VALUES ('a', 'b')"))
    engine.dispose()
    before = (tmp_path / "c.sqlite").read_bytes()
    with pytest.raises(SuyanError, match=r"table \w+ lacks .*nothing was changed"):
        Catalogue(url)
    assert (tmp_path / "c.sqlite").read_bytes()[100:] == before[100:]
