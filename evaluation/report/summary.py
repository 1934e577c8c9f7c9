"""The core of the report as text, rows and pictures, for places that cannot show its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from core.files import atomic_file
from evaluation.evaluate import Evaluation
from evaluation.report.html_report import champion_sentence
from evaluation.report.table import groups
from evaluation.report.wording import words

_SHEET_ROWS = (("random", 3), ("best", 2), ("worst", 2))
_COLUMNS = ("input", "champion", "translated", "reconstructed", "truth", "pair")
_GAP_PX = 4


def summary(done: Evaluation) -> str:
    """Markdown: the verdict, what was left out, the champion, and the way to the report."""
    text = words(done.language)
    lines = [f"**{done.verdict}**"]
    for name, direction in done.scores["directions"].items():
        left_out = [
            text[f"meaningless_{what}"].format(**counts)
            for what, counts in direction["meaningless"].items()
        ]
        if left_out:
            lines.append(f"{route(done.scores, name)}: {text['meaningless']} {'; '.join(left_out)}")
    lines.append(f"{text['champion']}: {champion_sentence(done.scores['champion'], text)}")
    lines.append(f"{text['report']}: `{done.report}`")
    return "\n\n".join(lines) + "\n"


def route(scores: Mapping[str, Any], direction: str) -> str:
    """A direction in words, e.g. ``makeup → bare``."""
    found = scores["directions"][direction]
    return f"{found['from']} → {found['to']}"


def figures(done: Evaluation, direction: str) -> list[dict[str, str]]:
    """The table of a direction's figures, each cell ``value (low … high)``."""
    text = words(done.language)
    return [
        {text["figure"]: f"{row['name']} ({row['better']})" if row["better"] else row["name"]}
        | {
            cell["name"]: f"{cell['text']} ({cell['range']})" if cell["range"] else cell["text"]
            for cell in row["cells"]
        }
        for group in groups(done.scores["directions"][direction], text)
        for row in group["rows"]
    ]


def sheets(done: Evaluation) -> dict[str, Path]:
    """For each direction, ``sheet-<direction>.jpg`` beside the report: pictures drawn at random,
    the best and the worst, each a row of input, translation, reconstruction and truth.
    """
    found = {}
    for name, direction in done.scores["directions"].items():
        entries = [
            entry for kind, num in _SHEET_ROWS for entry in direction["gallery"].get(kind, [])[:num]
        ]
        rows = [
            [done.folder / entry[column] for column in _COLUMNS if column in entry]
            for entry in entries
        ]
        if rows:
            found[name] = done.folder / f"sheet-{name}.jpg"
            _write_sheet(found[name], rows)
    return found


def _write_sheet(path: Path, rows: list[list[Path]]) -> None:
    pictures = [[Image.open(file).convert("RGB") for file in row] for row in rows]
    width, height = pictures[0][0].size
    step = (width + _GAP_PX, height + _GAP_PX)
    size = (step[0] * max(len(row) for row in rows), step[1] * len(rows))
    sheet = Image.new("RGB", size, "white")
    for y, row in enumerate(pictures):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * step[0], y * step[1]))
    with atomic_file(path) as file:
        sheet.save(file, "JPEG", quality=88)
