"""A person's decisions about pictures: a CSV file beside the datasets, used by the next version.

Each line is ``sha256,action,note``; eight digits of the sha256 are enough. The actions are ``keep``
(against the rules), ``drop``, and ``move`` (keep it in the other domain); of several lines for a
picture the last one counts. A line ``sha256,different,others`` says that the picture is no copy of
the others: their sha256 in the third cell, separated by blanks (further cells count too, and what
is no sha256 is a note); without others it is a copy of no picture. All such lines count. Empty
lines and lines that begin with # are skipped. Files that a spreadsheet saved are read too:
semicolons or tabs instead of commas, UTF-16, GB 18030.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from core.files import atomic_file
from core.language.messages import localised
from core.locks import file_lock
from core.tables import csv_cells, csv_encoding, csv_lines, csv_separator
from core.workspace import Workspace
from preprocessing.dedup.clusters import Differences
from storage import synced_files

Action = Literal["keep", "drop", "move"]
Decision = Literal["keep", "drop", "move", "different"]
ACTIONS_AGAINST_RULES: frozenset[Action] = frozenset({"keep", "move"})

_HEADER = "sha256,action,note\n"
_MIN_DIGITS = 8
_DIGITS = f"[0-9a-f]{{{_MIN_DIGITS},64}}"


def overrides_file(workspace: Workspace, domain_a: str, domain_b: str) -> Path:
    """The file of the decisions about this pair of domains."""
    return workspace.overrides(domain_a, domain_b)


def read_overrides(path: Path, names: Iterable[str]) -> dict[str, Action]:
    """The decisions about the originals ``names`` (sha256); empty where there is no file.

    Decisions about other pictures are skipped, because those pictures may come back. Raises
    ``ValueError`` with file and line for a line that cannot be understood.
    """
    ordered = sorted(names)
    decisions: dict[str, Action] = {}
    for line in _lines(path):
        if line.decision != "different":
            decisions.update(dict.fromkeys(line.matching(line.digits, ordered), line.decision))
    return decisions


def read_differences(path: Path, names: Sequence[str]) -> Differences:
    """The decisions that originals are no copies of each other, by their places in ``names``
    (sha256).

    Raises ``ValueError`` as ``read_overrides`` does.
    """
    number, ordered = {name: k for k, name in enumerate(names)}, sorted(names)
    counterparts, alone = defaultdict[int, set[int]](set), set[int]()
    for line in _lines(path):
        if line.decision != "different":
            continue
        listed = [k for digits in line.counterparts for k in line.matching(digits, ordered)]
        for name in line.matching(line.digits, ordered):
            if not line.counterparts:
                alone.add(number[name])
            for other in {number[k] for k in listed} - {number[name]}:
                counterparts[number[name]].add(other)
                counterparts[other].add(number[name])
    return Differences({k: frozenset(v) for k, v in counterparts.items()}, frozenset(alone))


@dataclass(frozen=True)
class _Line:
    where: str  # file and number of the line, for messages
    digits: str
    decision: Decision
    counterparts: tuple[str, ...]  # digits of the pictures that a "different" picture is no copy of

    def matching(self, digits: str, ordered: Sequence[str]) -> Sequence[str]:
        """The name that begins with these digits, of names in order; empty if there is none."""
        end = bisect_left(ordered, f"{digits}g")  # beyond all hex digits
        matching = ordered[bisect_left(ordered, digits) : end]
        if len(matching) > 1:
            raise ValueError(
                localised(
                    "{where}: {digits} begins the sha256 of {num} pictures; give more digits",
                    where=self.where,
                    digits=digits,
                    num=len(matching),
                )
            )
        return matching


def _lines(path: Path) -> Iterator[_Line]:
    """The decisions in the file, which may be absent."""
    if not path.exists():
        return
    for number, line in csv_lines(path.read_bytes()):
        cells = csv_cells(line, csv_separator(line)) or [line]
        if cells[0].lower().startswith(("#", "sha256")):
            continue
        prefix, decision = cells[0].lower(), cells[1].lower() if len(cells) > 1 else ""
        where = f"{path}, line {number}"
        _require_digits(prefix, where)
        if decision not in get_args(Decision):
            raise ValueError(
                localised(
                    "{where}: got action {decision!r}, needed keep, drop, move or different",
                    where=where,
                    decision=decision,
                )
            )
        counterparts = (word for cell in cells[2:] for word in re.split(r"[\s;,]+", cell.lower()))
        digits = tuple(word for word in counterparts if re.fullmatch(_DIGITS, word))
        yield _Line(where, prefix, cast("Decision", decision), digits)


@contextlib.contextmanager
def overrides_change(workspace: Workspace, domain_a: str, domain_b: str) -> Iterator[Path]:
    """The file, for the block alone to change it: others wait, in other processes too.

    The bucket's copy, if there is one, is merged before and replaced afterwards. Raises
    ``TransientError`` where another machine changed that meanwhile; the file is then as before.
    """
    path = workspace.overrides(domain_a, domain_b)
    with (
        file_lock(workspace.overrides_lock(domain_a, domain_b)),
        synced_files.update(workspace, path, by_hand=True),
    ):
        yield path


def add_overrides(path: Path, names: Iterable[str], action: Decision, note: str) -> list[str]:
    """Append decisions to the file, atomically, in its own encoding; create a missing one.

    ``different`` says that none of the pictures is a copy of another of them, or the only one of
    any picture. Returns the new lines. Raises ``ValueError``, and leaves the file as it was, for a
    name that does not begin a sha256. The caller is in ``overrides_change``.
    """
    names = [name.strip().lower() for name in names]
    for name in names:
        _require_digits(name, "pictures")
    content = path.read_bytes() if path.exists() else _HEADER.encode()
    encoding = csv_encoding(content)
    end = "" if content.decode(encoding, errors="replace").endswith("\n") else "\n"
    rows, note = io.StringIO(), " ".join(note.split())  # a decision is one line
    lines: Iterable[Sequence[str]] = ((name, action, note) for name in names)
    if action == "different":
        pairs = [(name, " ".join(names[k + 1 :])) for k, name in enumerate(names)]
        lines = (
            (name, action, counterparts, note)
            for name, counterparts in pairs[: max(1, len(names) - 1)]
        )
    csv.writer(rows, lineterminator="\n").writerows(lines)
    added = (end + rows.getvalue()).encode(encoding.removesuffix("-sig"), "backslashreplace")
    with atomic_file(path) as file:
        file.write(content + added)
    return rows.getvalue().splitlines()


def remove_overrides(path: Path, lines: Iterable[str]) -> None:
    """Take lines of ``add_overrides`` out of the file again, atomically; others stay as they are.

    Of equal lines the last one goes. Raises ``ValueError``, and leaves the file as it was, where
    one of them is no longer in it. The caller is in ``overrides_change``.
    """
    content = path.read_bytes() if path.exists() else b""
    encoding = csv_encoding(content).removesuffix("-sig")  # a byte order mark is a character then
    rows = io.StringIO(content.decode(encoding), newline="").readlines()
    for line in lines:
        places = [place for place, row in enumerate(rows) if row.rstrip("\r\n") == line]
        if not places:
            raise ValueError(
                localised(
                    "{path}: found no line {line!r} any more, which was to be taken back; "
                    "another person or program changed the file. Decide about the picture anew",
                    path=path,
                    line=line,
                )
            )
        del rows[places[-1]]
    with atomic_file(path) as file:
        file.write("".join(rows).encode(encoding))


def _require_digits(prefix: str, where: str) -> None:
    if not re.fullmatch(_DIGITS, prefix):
        raise ValueError(
            localised(
                "{where}: got {prefix!r}, needed at least {min_digits} hex digits of a "
                "picture's sha256 (card.html shows them below each picture)",
                where=where,
                prefix=prefix,
                min_digits=_MIN_DIGITS,
            )
        )
