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

from core.files import atomic_file
from core.tables import Picture, iter_rows
from core.workspace import Workspace
from evaluation.report.loss_curves import loss_curves
from evaluation.report.table import groups, plot
from evaluation.report.wording import (
    Language,
    change_state,
    gap_closed,
    number,
    percent,
    verdict,
    words,
)

_NUM_SAMPLES = 6
_SAMPLE_PX = 900

_GALLERIES = ("random", "best", "worst")
_AGAINST = ("against_random", "against_best", "against_worst")
_NAMES = {  # a gallery's columns in their order → the word for each
    "input": "input",
    "champion": "champion_column",
    "translated": "output",
    "reconstructed": "reconstructed",
    "training": "training_picture",
    "truth": "truth",
    "pair": "pair",
}


def write_report(
    language: Language,
    scores: Mapping[str, Any],
    dataset: Path,
    run: Path,
    workspace: Workspace,
    folder: Path,
) -> Path:
    """Write ``folder/report.html``, which loads nothing from anywhere; its path.

    Reads ``gallery/`` in ``folder``, ``log.jsonl`` and ``samples/`` in ``run``, ``card.json`` and
    ``manifest.parquet`` in ``dataset``; what is missing is left out.
    """
    text = words(language)
    context = {
        "language": {"en": "en", "zh": "zh-Hans"}[language],
        "words": text,
        "scores": scores,
        "verdict": verdict(scores, language),
        "directions": [
            _direction(direction, text, folder) for direction in scores["directions"].values()
        ],
        "inception": _inception(scores["inception"], text),
        "champion": champion_sentence(scores["champion"], text),
        "weights": _weights(scores["weights"], text),
        "classifier": _classifier(scores["classifier"], text),
        "missing": [
            text[f"missing_{what}"].format(reason=reason)
            for what, reason in scores["missing"].items()
        ],
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
    return (resources.files("evaluation.report") / name).read_text(encoding="utf-8")


def _direction(
    direction: Mapping[str, Any], words: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    lip_eye = direction.get("truth", {}).get("lip_eye_error_reduction")
    lip_eye = lip_eye if lip_eye and lip_eye["value"] >= 0 else None  # the table says it anyway
    closed = gap_closed(direction)
    galleries = {
        kind: [_entry(entry, folder, words) for entry in entries]
        for kind, entries in direction["gallery"].items()
    }
    return {
        "source": direction["from"],
        "target": direction["to"],
        "gap": None if closed is None else percent(closed),
        "no_gap": words["gap_none" if "kid" in direction else "gap_unknown"],
        "lip_eye": lip_eye and percent(lip_eye["value"]),
        "groups": groups(direction, words),
        "chart": _chart(direction, words) if "kid_ceiling" in direction else [],
        "intervals": words["intervals"].format(
            num=direction["num_pictures"], num_target=direction["num_target"]
        ),
        "meaningless": [
            words[f"meaningless_{what}"].format(**counts)
            for what, counts in direction["meaningless"].items()
        ],
        "ranked": words[f"ranked_{direction['gallery_ranked_by']}"],
        "galleries": _titled(galleries, _GALLERIES, words),
        "against": _titled(galleries, _AGAINST, words),
        "nearest": galleries.get("nearest", []),
        "champion": _against(
            direction.get("champion", {}),
            direction,
            (words["champion_column"], words["translated"]),
            words["champion_kid_change"],
            words,
        ),
        "other_weights": _against(
            direction.get("other_weights", {}),
            direction,
            (words["weights_other"], words["weights_kept"]),
            words["weights_kid_change"],
            words,
        ),
    }


def _titled(
    galleries: Mapping[str, Any], kinds: Sequence[str], words: Mapping[str, str]
) -> list[dict[str, Any]]:
    return [
        {"title": words[kind], "entries": galleries[kind]} for kind in kinds if galleries.get(kind)
    ]


def _against(
    other: Mapping[str, Any],
    direction: Mapping[str, Any],
    names: tuple[str, str],
    label: str,
    words: Mapping[str, str],
) -> dict[str, Any] | None:
    """Both KIDs, the other's and ours, on one axis, and what their paired difference says."""
    if "kid_change" not in other:
        return None
    change = other["kid_change"]
    return {
        "bars": [
            bar | {"name": name, "text": number(figure["value"])}
            for bar, name, figure in zip(
                plot([("untranslated", other["kid"]), ("translated", direction["kid"])]),
                names,
                (other["kid"], direction["kid"]),
                strict=True,
            )
        ],
        "text": f"{label}: {number(change['value'])} "
        f"({number(change['low'])} … {number(change['high'])})",
        "verdict": words[f"champion_verdict_{change_state(change)}"],
    }


def champion_sentence(champion: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Which champion was compared with, or why none was."""
    if "missing" in champion:
        key = f"champion_{champion['missing']}"
        return words.get(key) or words["champion_error"].format(reason=champion["missing"])
    trained_on = champion["num_trained_on"]
    favoured = words["champion_trained_on"].format(num=trained_on) if trained_on else ""
    return f"{words['champion_line'].format(**champion)} {favoured}".strip()


def _weights(found: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Which weights this report is about; ``""`` where there was no choice."""
    figures = found.get("kid_to_training", {})
    if len(figures) < 2:
        return ""
    chosen = found["chosen"]
    (other,) = (kind for kind in figures if kind != chosen)
    return words[f"weights_{chosen}"].format(
        kept=number(figures[chosen]), other=number(figures[other])
    )


def _classifier(found: Mapping[str, Any], words: Mapping[str, str]) -> str:
    if not found:
        return ""
    shares = {name: percent(found["accuracy"][name]) for name in ("value", "low", "high")}
    return words["classifier"].format(
        accuracy=shares["value"], num=found["num_pictures"], low=shares["low"], high=shares["high"]
    )


def _inception(found: Mapping[str, Any], words: Mapping[str, str]) -> str:
    if "missing" in found:
        return f"{words['no_inception']} {found['missing']}"
    key = "inception_published" if found["comparable_with_published"] else "inception_unknown"
    return words[key].format(features=found["name"])


def _chart(direction: Mapping[str, Any], words: Mapping[str, str]) -> list[dict[str, Any]]:
    """The three KID figures as bars of one axis."""
    figures = [
        ("untranslated", direction["kid_baseline"]),
        ("translated", direction["kid"]),
        ("real", direction["kid_ceiling"]),
    ]
    return [
        bar | {"name": words[kind], "text": number(figure["value"])}
        for bar, (kind, figure) in zip(plot(figures), figures, strict=True)
    ]


def _entry(
    entry: Mapping[str, Any], folder: Path, words: Mapping[str, str]
) -> list[dict[str, str]]:
    return [
        {"name": words[word], "src": _data_url((folder / entry[name]).read_bytes())}
        for name, word in _NAMES.items()
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
    found, usable = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for row in iter_rows(path, Picture):
        found[row.side, row.domain, row.phrase] += 1
        usable[row.side, row.domain, row.phrase] += row.status == "ok"
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


def _relative(path: Path, workspace: Workspace) -> str:
    """``path`` as a reader finds it in the workspace: without this machine's folders."""
    if path.resolve().is_relative_to(workspace.folder.resolve()):
        return path.resolve().relative_to(workspace.folder.resolve()).as_posix()
    return path.name
