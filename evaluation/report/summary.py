"""A summary of the report as text, rows and pictures, for places that cannot show its page."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from core.labels.ai_label import AiLabel
from core.picture_grid import Tile, draw_grid, save_jpeg
from core.workspace_folders import EvaluationFolder
from evaluation.evaluate import Evaluation
from evaluation.features.training_statistics import load_statistics
from evaluation.report.html_report import champion_sentence, shortage_texts
from evaluation.report.judge_table import judge_table
from evaluation.report.table import row_groups
from evaluation.report.wording import (
    closed_form_sentences,
    contradiction_sentences,
    explanations,
    origin_sentence,
    power_sentences,
    share_sentence,
    words,
)

_PICTURES_PER_KIND = (("random", 3), ("best", 2), ("worst", 2))
_COLUMNS = ("input", "champion", "translated", "reconstructed", "truth", "pair")


def summary(evaluation: Evaluation) -> str:
    """Markdown with the verdict, the omitted figures, the champion, and the path of the report."""
    text = words(evaluation.language)
    statistics = load_statistics(EvaluationFolder(evaluation.folder).training_statistics)
    lines = [f"**{evaluation.verdict}**", " ".join(explanations(evaluation.language))]
    lines += filter(None, [origin_sentence(statistics, evaluation.language)])
    for direction in evaluation.scores.directions.values():
        floors = closed_form_sentences(direction, evaluation.language)
        notes = [
            share_sentence(direction, evaluation.language),
            *contradiction_sentences(direction, evaluation.language),
            *floors,
            power_sentences(direction, evaluation.language),
        ]
        if any(notes):
            lines.append(f"{direction.route}: {' '.join(filter(None, notes))}")
        lines += filter(None, [judge_table(direction, evaluation.language)])
        shortages = shortage_texts(direction, text)
        if shortages:
            lines.append(f"{direction.route}: {text['meaningless']} {'; '.join(shortages)}")
    lines.append(f"{text['champion']}: {champion_sentence(evaluation.scores.champion, text)}")
    lines.append(f"{text['report']}: `{evaluation.report}`")
    return "\n\n".join(lines) + "\n"


def figure_rows(evaluation: Evaluation, direction: str) -> list[dict[str, str]]:
    """The table of a direction's figures, each cell ``value (low … high)``."""
    text = words(evaluation.language)
    return [
        {text["figure"]: f"{row.name} ({row.better})" if row.better else row.name}
        | {
            cell.name: f"{cell.text} ({cell.range})" if cell.range else cell.text
            for cell in row.cells
        }
        for group in row_groups(evaluation.scores.directions[direction], evaluation.language)
        for row in group.rows
    ]


def draw_sheets(evaluation: Evaluation) -> dict[str, Path]:
    """For each direction, ``sheet-<direction>.jpg`` beside the report: pictures drawn at random,
    the best and the worst, each a row of input, translation, reconstruction and truth.
    """
    sheets = {}
    for name, direction in evaluation.scores.directions.items():
        entries = [
            entry
            for kind, num in _PICTURES_PER_KIND
            for entry in direction.gallery.get(kind, [])[:num]
        ]
        rows = [
            [
                Tile(Image.open(evaluation.folder / entry.files[column]).convert("RGB"))
                for column in _COLUMNS
                if column in entry.files
            ]
            for entry in entries
        ]
        if rows:
            sheets[name] = evaluation.folder / f"sheet-{name}.jpg"
            save_jpeg(sheets[name], draw_grid(rows), label=AiLabel())
    return sheets
