"""A person's decisions: a CSV file beside the datasets, honoured by the next version.

One line a picture: ``sha256,action,note``. The digest may be cut to its first eight digits or more.
Actions: ``keep`` (whatever the rules say), ``drop``, ``move`` (to the other domain, and keep).
Lines that begin with # and empty ones are skipped; of several lines for a picture the last counts.
What spreadsheets make of the file is read too: semicolons or tabs for commas, UTF-16, GB 18030.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, cast, get_args

from core.files import atomic_file
from core.workspace import Workspace

Action = Literal["keep", "drop", "move"]

_HEADER = "sha256,action,note\n"
_LEAST_DIGITS = 8


def overrides_file(workspace: Workspace, domain_a: str, domain_b: str) -> Path:
    """Where the decisions about this pair of domains are kept."""
    return workspace / "datasets" / f"overrides-{domain_a}-{domain_b}.csv"


def read_overrides(path: Path, names: Iterable[str]) -> dict[str, Action]:
    """The decisions about these originals (sha256); none where there is no file.

    Decisions about pictures that are not among ``names`` are left aside: they may come back.
    Raises ``ValueError`` with file and line for a line that cannot be understood.
    """
    if not path.exists():
        return {}
    ordered = sorted(names)
    found: dict[str, Action] = {}
    written = path.read_bytes()
    text = io.StringIO(written.decode(_encoding(written)), newline=None)
    for number, line in enumerate(text, 1):
        cells = _cells(line)
        if not any(cells) or cells[0].lower().startswith(("#", "sha256", "sep=")):
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
        found.update(dict.fromkeys(matching, cast("Action", action)))
    return found


def add_overrides(path: Path, names: Iterable[str], action: Action, note: str) -> None:
    """Append decisions to the file (made where it is missing), atomically, in its own encoding.

    Raises ``ValueError`` for what is no sha256 or begin of one; the file is left as it was.
    """
    names = [name.strip().lower() for name in names]
    for name in names:
        _require_digits(name, "pictures")
    written = path.read_bytes() if path.exists() else _HEADER.encode()
    encoding = _encoding(written)
    end = "" if written.decode(encoding).endswith("\n") else "\n"
    rows, note = io.StringIO(), " ".join(note.split())  # a decision is one line
    csv.writer(rows, lineterminator="\n").writerows((name, action, note) for name in names)
    added = (end + rows.getvalue()).encode(encoding.removesuffix("-sig"), "backslashreplace")
    with atomic_file(path) as file:
        file.write(written + added)


def _encoding(written: bytes) -> str:
    """How the file is written. Its decisions are ASCII: a wrong guess would spoil a note's look."""
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if written.startswith(mark):
            return encoding
    for encoding in ("utf-8-sig", "gb18030"):  # the latter is what a Chinese Excel saves
        try:
            written.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _cells(line: str) -> list[str]:
    """A line's cells, split at whichever of comma, semicolon and tab comes first."""
    line = line.removeprefix("\ufeff")
    found = re.search("[,;\t]", line)
    rows = csv.reader([line], delimiter=found[0] if found else ",")
    return [cell.strip() for cell in next(rows, [])]


def _require_digits(prefix: str, where: str) -> None:
    if not re.fullmatch(f"[0-9a-f]{{{_LEAST_DIGITS},64}}", prefix):
        raise ValueError(
            f"{where}: got {prefix!r}, needed at least {_LEAST_DIGITS} hex digits of a picture's "
            "sha256 (they stand below each picture of card.html)"
        )
