"""The page of a comparison of two runs: one self-contained HTML file."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from core.files import atomic_file
from core.labels.ai_label import AiLabel
from evaluation.arrays import Pictures
from evaluation.figures import Figure
from evaluation.report.html_report import data_url, resource
from evaluation.report.run_comparison import FigureRow, PictureRow, RunComparison
from evaluation.report.wording import Language, figure_parts, words

_JPEG_QUALITY = 90


def write_comparison(path: Path, comparison: RunComparison, language: Language) -> None:
    """Write the page, atomically; it loads nothing else."""
    text = words(language)
    runs = (comparison.first, comparison.second)
    context: dict[str, Any] = {
        "words": text,
        "language": {"en": "en", "zh": "zh-Hans"}[language],
        "domains": comparison.first.scores.domains,
        "runs": [
            {"name": run.name, "title": text[title], "step": run.scores.step}
            for run, title in zip(runs, ("first_run", "second_run"), strict=True)
        ],
        "settings": [
            (each.name, setting_text(each.first), setting_text(each.second))
            for each in comparison.settings
        ],
        "directions": _directions(comparison, text, language),
        "same_pictures": comparison.same_pictures,
        "no_pictures": comparison.no_pictures,
        "no_paired_kid": comparison.no_paired_kid,
        "css": Markup(resource("report.css")),  # noqa: S704 - our own file
        "js": Markup(resource("report.js")),  # noqa: S704 - our own file
    }
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    html = environment.from_string(resource("comparison.html")).render(context)
    with atomic_file(path) as file:
        file.write(html.encode())


def setting_text(value: Any) -> str:
    """A setting's value as text; "–" for one that is not recorded."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def figure_cells(row: FigureRow) -> list[tuple[str, str]]:
    """The value and the interval of both runs' figures."""
    is_share = row.metric.is_share
    return [figure_parts(value, as_share=is_share) for value in (row.first, row.second)]


def surely_better_by(change: Figure) -> str | None:
    """The run, ``first`` or ``second``, that is better by a paired difference, the second's KID
    minus the first's; ``None`` where its interval holds 0.
    """
    if change.high < 0:
        return "second"
    return "first" if change.low > 0 else None


def _paired(change: Figure | None, text: Mapping[str, str]) -> dict[str, str] | None:
    """What the page says of a paired difference."""
    if change is None:
        return None
    value, interval = figure_parts(change, as_share=False)
    better = surely_better_by(change)
    verdict = f"{text[f'{better}_run']}: {text['surely_better']}" if better else text["neither"]
    return {"value": value, "interval": interval, "verdict": verdict}


def _directions(
    comparison: RunComparison, text: Mapping[str, str], language: Language
) -> list[dict[str, Any]]:
    routes = dict.fromkeys([row.direction for row in comparison.figures])
    return [
        {
            "route": route,
            "figures": [
                {
                    "name": getattr(row.metric.name, language),
                    "better": text[row.metric.better] if row.metric.better else "",
                    "cells": figure_cells(row),
                    "surely": row.surely_better,
                }
                for row in comparison.figures
                if row.direction == route
            ],
            "paired": _paired(comparison.paired_kid.get(route), text),
            "pictures": [_strip(row, text) for row in comparison.pictures.get(route, [])],
        }
        for route in routes
    ]


def _strip(row: PictureRow, text: Mapping[str, str]) -> list[dict[str, str]]:
    columns = {"input": row.source, "first_run": row.first, "second_run": row.second}
    return [
        {"name": text[word], "src": data_url(_jpeg(picture, is_made=word != "input"))}
        for word, picture in columns.items()
    ]


def _jpeg(picture: Pictures, *, is_made: bool) -> bytes:
    file = io.BytesIO()
    xmp = AiLabel().xmp(picture) if is_made else b""
    Image.fromarray(picture).save(file, "JPEG", quality=_JPEG_QUALITY, subsampling=0, xmp=xmp)
    return file.getvalue()
