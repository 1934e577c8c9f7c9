"""One self-contained HTML file from scores, gallery, samples, log and dataset card."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from evaluation.plots import loss_curves
from evaluation.wording import WORDS, Language, gap_closed, number, percent, verdict
from scraping.records import Picture, atomic_file, read_rows

_NUM_SAMPLES = 6
_SAMPLE_PX = 900

# Key in the scores of a direction, whether it has a baseline and a ceiling, which way is better.
_ROWS = (
    ("kid", True, "lower"),
    ("kid_change", False, "lower"),
    ("fid", True, "lower"),
    ("inception_kid", True, "lower"),
    ("inception_fid", True, "lower"),
    ("domain_success", True, "higher"),
    ("near_training", True, "lower"),
    ("cycle_l1", False, "lower"),
    ("cycle_psnr", False, "higher"),
    ("cycle_ssim", False, "higher"),
    ("change_l1", False, ""),
)
_SHARES = ("reduction", "domain_success", "near_training")
_TRUTH_ROWS = (
    ("lip_eye_error", True, "lower"),
    ("lip_eye_error_reduction", False, "higher"),
    ("outside_error", True, "lower"),
    ("error", True, "lower"),
    ("error_reduction", False, "higher"),
)


def write_report(
    language: Language,
    scores: Mapping[str, Any],
    dataset: Path,
    run: Path,
    workspace: Path,
    folder: Path,
) -> Path:
    """Write ``folder/report.html``, which loads nothing from anywhere; its path.

    Reads ``gallery/`` in ``folder``, ``log.jsonl`` and ``samples/`` in ``run``, ``card.json`` and
    ``manifest.parquet`` in ``dataset``; what is missing is left out.
    """
    words = WORDS[language]
    context = {
        "language": {"en": "en", "zh": "zh-Hans"}[language],
        "words": words,
        "scores": scores,
        "verdict": verdict(scores, language),
        "directions": [
            _direction(direction, words, scores, folder)
            for direction in scores["directions"].values()
        ],
        "inception": _inception(scores["inception"], words),
        "curves": Markup(loss_curves(_log(run / "log.jsonl"))),  # noqa: S704 - drawn by us
        "samples": _samples(run / "samples"),
        "card": _card(dataset / "card.json"),
        "phrases": _phrases(dataset / "manifest.parquet"),
        "where": {
            "dataset": _relative(dataset, workspace),
            "checkpoint": _relative(run / "checkpoints" / scores["checkpoint"], workspace),
            "scores": _relative(folder / "scores.json", workspace),
        },
        "train_config": json.dumps(scores["train_config"], indent=2, sort_keys=True),
        "evaluate_config": json.dumps(scores["config"], indent=2, sort_keys=True),
        "css": Markup(_resource("report.css")),  # noqa: S704 - our own file
        "js": Markup(_resource("report.js")),  # noqa: S704 - our own file
    }
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    path = folder / "report.html"
    html = environment.from_string(_resource("report.html")).render(context)
    with atomic_file(path) as file:
        file.write(html.encode())
    return path


def _resource(name: str) -> str:
    return (resources.files("evaluation") / name).read_text(encoding="utf-8")


def _direction(
    direction: Mapping[str, Any], words: Mapping[str, str], scores: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    truth = direction.get("truth", {})
    lip_eye = truth.get("lip_eye_error_reduction")
    lip_eye = lip_eye if lip_eye and lip_eye["value"] >= 0 else None  # the table says it anyway
    target = "B" if direction["to"] == scores["domains"]["B"] else "A"
    closed = gap_closed(direction)
    return {
        "source": direction["from"],
        "target": direction["to"],
        "gap": None if closed is None else percent(closed),
        "lip_eye": lip_eye and percent(lip_eye["value"]),
        "rows": [*_table(direction, _ROWS, words), *_table(truth, _TRUTH_ROWS, words)],
        "chart": _chart(direction, words),
        "num_target": scores["counts"][f"test{target}"],
        "ranked": words[f"ranked_{direction['gallery_ranked_by']}"],
        "galleries": [
            {"title": words[kind], "entries": [_entry(entry, folder, words) for entry in entries]}
            for kind in ("random", "best", "worst")
            if (entries := direction["gallery"].get(kind))
        ],
    }


def _inception(found: Mapping[str, Any], words: Mapping[str, str]) -> str:
    if "missing" in found:
        return f"{words['no_inception']} {found['missing']}"
    key = "inception_published" if found["comparable_with_published"] else "inception_unknown"
    return words[key].format(features=found["name"])


def _table(
    values: Mapping[str, Any], rows: Sequence[tuple[str, bool, str]], words: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rows of the table of figures that ``values`` has; each cell ``{text, range}``."""
    return [
        {
            "name": words[key],
            "better": words[better] if better else "",
            "cells": [
                _cell(values.get(name), as_share=key.endswith(_SHARES))
                for name in ((key, f"{key}_baseline", f"{key}_ceiling") if compared else (key,))
            ],
        }
        for key, compared, better in rows
        if key in values
    ]


def _cell(figure: Any, *, as_share: bool) -> dict[str, str]:
    show = percent if as_share else number
    if figure is None:
        return {"text": "", "range": ""}
    if not isinstance(figure, Mapping):
        return {"text": show(figure), "range": ""}
    return {
        "text": show(figure["value"]),
        "range": f"{show(figure['low'])} … {show(figure['high'])}",
    }


def _chart(direction: Mapping[str, Any], words: Mapping[str, str]) -> list[dict[str, Any]]:
    """The three KID figures as positions on one axis from 0, per cent of its width."""
    figures = [
        ("untranslated", direction["kid_baseline"]),
        ("translated", direction["kid"]),
        ("real", direction["kid_ceiling"]),
    ]
    least: float = min(0.0, *(float(figure["low"]) for _, figure in figures))
    most = max(float(figure["high"]) for _, figure in figures)
    span = most - least or 1.0

    def place(value: float) -> float:
        return float(round(100 * min(1.0, max(0.0, (value - least) / span)), 2))

    return [
        {
            "kind": kind,
            "name": words[kind],
            "text": number(figure["value"]),
            "at": place(figure["value"]),
            "low": place(figure["low"]),
            "width": round(place(figure["high"]) - place(figure["low"]), 2),
            "zero": place(0.0),
        }
        for kind, figure in figures
    ]


def _entry(
    entry: Mapping[str, Any], folder: Path, words: Mapping[str, str]
) -> list[dict[str, str]]:
    names = (("input", "input"), ("translated", "output"), ("reconstructed", "reconstructed"),
             ("truth", "truth"))  # fmt: skip
    return [
        {"name": words[word], "src": _data_url((folder / entry[name]).read_bytes())}
        for name, word in names
        if name in entry and (folder / entry[name]).exists()
    ]


def _data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _samples(folder: Path) -> list[dict[str, Any]]:
    """Up to ``_NUM_SAMPLES`` sample grids, evenly from the first to the last."""
    paths = sorted(folder.glob("step_*.jpg"))
    num = min(_NUM_SAMPLES, len(paths))
    picked = [paths[round(i * (len(paths) - 1) / max(1, num - 1))] for i in range(num)]
    found = []
    for path in picked:
        with Image.open(path) as image:
            image.thumbnail((_SAMPLE_PX, 4 * _SAMPLE_PX))
            buffer = io.BytesIO()
            image.convert("RGB").save(buffer, "JPEG", quality=82)
        step = path.stem.removeprefix("step_").lstrip("0") or "0"
        found.append({"step": step, "src": _data_url(buffer.getvalue())})
    return found


def _card(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    reasons = sorted({reason for side in card["rejected"].values() for reason in side})
    return card | {"reasons": reasons}


def _phrases(path: Path) -> list[dict[str, Any]]:
    """Each domain's phrases with the number of originals and of usable pictures."""
    rows = read_rows(path, Picture)
    found = Counter((row.side, row.domain, row.phrase) for row in rows)
    usable = Counter((row.side, row.domain, row.phrase) for row in rows if row.status == "ok")
    domains = sorted({(side, domain) for side, domain, _ in found})
    return [
        {
            "domain": domain,
            "phrases": [
                {"phrase": key[2], "found": num, "usable": usable[key]}
                for key, num in found.most_common()
                if key[:2] == (side, domain)
            ],
        }
        for side, domain in domains
    ]


def _log(path: Path) -> list[dict[str, Any]]:
    """The log's rows; a torn line is left out."""
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _relative(path: Path, workspace: Path) -> str:
    """``path`` as a reader finds it in the workspace: without this machine's folders."""
    if path.resolve().is_relative_to(workspace.resolve()):
        return path.resolve().relative_to(workspace.resolve()).as_posix()
    return path.name
