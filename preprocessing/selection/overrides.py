"""A person's decisions about pictures: a CSV file beside the datasets, used by the next version.

Each line is ``sha256,action,note``; eight digits of the sha256 are enough. The actions are ``keep``
(against the rules), ``drop``, and ``move`` (keep it in the other domain). Empty lines and lines
that begin with # are skipped; of several lines for a picture the last one counts. Files that a
spreadsheet saved are read too: semicolons or tabs instead of commas, UTF-16, GB 18030.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, cast, get_args

from core.files import atomic_file
from core.tables import csv_cells, csv_encoding, csv_lines, csv_separator
from core.workspace import Workspace

Action = Literal["keep", "drop", "move"]
ACTIONS_AGAINST_RULES: frozenset[Action] = frozenset({"keep", "move"})

_HEADER = "sha256,action,note\n"
_MIN_DIGITS = 8


def overrides_file(workspace: Workspace, domain_a: str, domain_b: str) -> Path:
    """The file of the decisions about this pair of domains."""
    return workspace.overrides(domain_a, domain_b)


def read_overrides(path: Path, names: Iterable[str]) -> dict[str, Action]:
    """The decisions about the originals ``names`` (sha256); empty where there is no file.

    Decisions about other pictures are skipped, because those pictures may come back. Raises
    ``ValueError`` with file and line for a line that cannot be understood.
    """
    if not path.exists():
        return {}
    ordered = sorted(names)
    decisions: dict[str, Action] = {}
    for number, line in csv_lines(path.read_bytes()):
        cells = csv_cells(line, csv_separator(line)) or [line]
        if cells[0].lower().startswith(("#", "sha256")):
            continue
        prefix, action = cells[0].lower(), cells[1].lower() if len(cells) > 1 else ""
        _require_digits(prefix, f"{path}, line {number}")
        if action not in get_args(Action):
            raise ValueError(
                f"{path}, line {number}: got action {action!r}, needed keep, drop or move"
            )
        end = bisect_left(ordered, f"{prefix}g")  # beyond all hex digits
        matching = ordered[bisect_left(ordered, prefix) : end]
        if len(matching) > 1:
            raise ValueError(
                f"{path}, line {number}: {prefix} begins the sha256 of {len(matching)} pictures; "
                "give more digits"
            )
        decisions.update(dict.fromkeys(matching, cast("Action", action)))
    return decisions


def add_overrides(path: Path, names: Iterable[str], action: Action, note: str) -> None:
    """Append decisions to the file, atomically, in its own encoding; create a missing one.

    Raises ``ValueError``, and leaves the file as it was, for a name that does not begin a sha256.
    """
    names = [name.strip().lower() for name in names]
    for name in names:
        _require_digits(name, "pictures")
    content = path.read_bytes() if path.exists() else _HEADER.encode()
    encoding = csv_encoding(content)
    end = "" if content.decode(encoding, errors="replace").endswith("\n") else "\n"
    rows, note = io.StringIO(), " ".join(note.split())  # a decision is one line
    csv.writer(rows, lineterminator="\n").writerows((name, action, note) for name in names)
    added = (end + rows.getvalue()).encode(encoding.removesuffix("-sig"), "backslashreplace")
    with atomic_file(path) as file:
        file.write(content + added)


def _require_digits(prefix: str, where: str) -> None:
    if not re.fullmatch(f"[0-9a-f]{{{_MIN_DIGITS},64}}", prefix):
        raise ValueError(
            f"{where}: got {prefix!r}, needed at least {_MIN_DIGITS} hex digits of a picture's "
            "sha256 (card.html shows them below each picture)"
        )
