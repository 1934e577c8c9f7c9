"""SQLite files that several processes share."""

from __future__ import annotations

import sqlite3

import tenacity


def _is_busy(error: BaseException) -> bool:
    """Whether another process has the file; a full or read-only disk is another error."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def share_sqlite(connection: sqlite3.Connection) -> None:
    """Let readers and a writer of an SQLite file work side by side; a second writer waits a minute.

    When several processes create a file at the same moment, SQLite may refuse one of them without
    waiting for its time-out: the switch to write-ahead logging is therefore repeated until it
    succeeds. Raises ``sqlite3.OperationalError`` after a minute, or immediately for a disk that
    cannot be written.
    """
    connection.execute("PRAGMA busy_timeout = 60000")
    tenacity.retry(
        retry=tenacity.retry_if_exception(_is_busy),
        wait=tenacity.wait_random(0, 0.1),
        stop=tenacity.stop_after_delay(60),
        reraise=True,
    )(connection.execute)("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last rows
