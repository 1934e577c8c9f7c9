"""The credits of exported pictures: how each one wants to be credited, as a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from core.tables import Picture

CREDITS_NAME = "credits.csv"
"""The file's name; beside an archive it follows the archive's own."""

_COLUMNS = ("creator", "license", "license_url", "attribution", "page_url")


def credits_table(rows: Mapping[str, Picture]) -> bytes:
    """A line for each picture with a licence, by its ``file`` in the export; b"" for none."""
    credited = {name: row for name, row in rows.items() if row.license or row.attribution}
    if not credited:
        return b""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", *_COLUMNS))
    for name in sorted(credited):
        writer.writerow((name, *(getattr(credited[name], column) for column in _COLUMNS)))
    return text.getvalue().encode()
