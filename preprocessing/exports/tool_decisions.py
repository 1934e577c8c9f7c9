"""Decisions about pictures that a person made in Label Studio or FiftyOne, from their exports.

Label Studio writes JSON, JSON-MIN or CSV; FiftyOne writes ``samples.json`` or ``labels.csv``. In
all of them a picture is known by ``sha256``, or by the digits that begin its file's name, and the
decision is a choice named ``decision`` or a tag: keep, drop or move.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from core.language.messages import localised
from core.tables import csv_cells, csv_lines, csv_separator
from preprocessing.selection.overrides import Action

_DECISION_FIELDS = ("decision", "action", "tags")
_FILE_FIELDS = ("filepath", "file_name", "image", "file")
_DIGITS = re.compile(r"[0-9a-f]{16,64}")


def read_tool_decisions(path: Path) -> dict[str, Action]:
    """The decisions by sha256, or by its first digits where the file has no more.

    Pictures without a decision are left out. Raises ``ValueError`` for a file of another kind, for
    a decision about something that is no picture of an export, for two decisions about one, and
    where the file has no decision at all.
    """
    decisions: dict[str, Action] = {}
    for number, record in enumerate(_records(path), 1):
        where = f"{path}, record {number}"
        for action in _actions(record):
            digits = _digits_of(record, where)
            if decisions.setdefault(digits, action) != action:
                raise ValueError(
                    localised(
                        "{where}: got {action} and {decisions} for {digits}, needed one decision "
                        "for each picture; change it in the tool and export again",
                        where=where,
                        action=action,
                        decisions=decisions[digits],
                        digits=digits,
                    )
                )
    if not decisions:
        raise ValueError(
            localised(
                "{path}: found no decision, needed a choice named 'decision', or tags, that "
                "say {names}; docs/datasets.md says how to set the tools up",
                path=path,
                names=", ".join(get_args(Action)),
            )
        )
    return decisions


def _records(path: Path) -> Iterator[Mapping[str, Any]]:
    """A flat record for each picture of a JSON or CSV file."""
    content = path.read_bytes()
    if path.suffix.lower() != ".json":
        lines = csv_lines(content)
        first = next(lines, (0, ""))[1]
        separator = csv_separator(first)
        names = [name.lower() for name in csv_cells(first, separator)]
        for _, line in lines:
            yield dict(zip(names, csv_cells(line, separator), strict=False))
        return
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ValueError(
            localised(
                "{path}: found no whole JSON ({error}); export it again", path=path, error=error
            )
        ) from error
    records = value.get("samples") if isinstance(value, dict) else value
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise ValueError(
            localised(
                "{path}: found another JSON, needed the tasks of Label Studio or the "
                "samples.json of FiftyOne; choose that form when you export",
                path=path,
            )
        )
    for record in records:
        data = record.get("data")
        yield {**record, **(data if isinstance(data, dict) else {}), **_choices(record)}


def _choices(task: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of a task of Label Studio, by the names of their controls."""
    choices: dict[str, Any] = {}
    for annotation in task.get("annotations") or ():
        if annotation.get("was_cancelled"):  # skipped by the person
            continue
        for result in annotation.get("result") or ():
            chosen = (result.get("value") or {}).get("choices") or []
            choices.setdefault(result.get("from_name", ""), []).extend(chosen)
    return choices


def _actions(record: Mapping[str, Any]) -> list[Action]:
    words = set[str]()
    for name in _DECISION_FIELDS:
        words |= set(re.findall(r"[a-z]+", str(record.get(name) or "").lower()))
    return [action for action in get_args(Action) if action in words]


def _digits_of(record: Mapping[str, Any], where: str) -> str:
    file = next((str(record[name]) for name in _FILE_FIELDS if record.get(name)), "")
    for text in (str(record.get("sha256") or ""), PurePosixPath(file).name):
        if digits := _DIGITS.match(text):
            return digits[0]
    raise ValueError(
        localised(
            "{where}: got {found}, needed a column sha256, or a file of an export, whose "
            "name begins with 16 digits of it; export the dataset with --as folders",
            where=where,
            found=file or localised("no file"),
        )
    )
