"""SQLite files that several processes share."""

from __future__ import annotations

import sqlite3

import tenacity


def _is_busy(error: BaseException) -> bool:
    """Not a disk that is full or cannot be written: waiting would not help."""
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def share_sqlite(connection: sqlite3.Connection) -> None:
    """Have readers and a writer of an SQLite file not wait for each other, and writers a minute.

    Several processes that make a new file at once can lock each other out for a moment, in which no
    time-out of SQLite's is waited for: then it is tried again.
    """
    connection.execute("PRAGMA busy_timeout = 60000")
    tenacity.retry(
        retry=tenacity.retry_if_exception(_is_busy),
        wait=tenacity.wait_random(0, 0.1),
        stop=tenacity.stop_after_delay(60),
        reraise=True,
    )(connection.execute)("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last rows
