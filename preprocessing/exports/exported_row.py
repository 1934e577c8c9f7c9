"""The columns of an exported picture beside the picture itself: its label and its provenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from core.tables import Picture

_LEFT_OUT = {"file", "status", "reason", "original", "override"}  # of the workspace alone
COLUMNS = tuple(column for column in fields(Picture) if column.name not in _LEFT_OUT)
"""The columns of the manifest that an export repeats, under the same names."""


def labels_of(rows: Sequence[Picture]) -> list[str]:
    """The names of the domains, A before B: the label of a picture is a place in this list."""
    return list(dict.fromkeys(row.domain for row in sorted(rows, key=lambda row: row.side)))


def exported_row(row: Picture) -> dict[str, Any]:
    """The values of ``COLUMNS``."""
    return {column.name: getattr(row, column.name) for column in COLUMNS}


def picture_name(row: Picture) -> str:
    """The name of the picture's file in an export, which begins with digits of its sha256."""
    return Path(row.file).name
