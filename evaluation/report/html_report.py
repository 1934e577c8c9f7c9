"""One self-contained HTML file from scores, gallery, samples, log and dataset card."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from core.files import atomic_file, try_load_json
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, RunFolder
from evaluation.champion_record import ComparedChampion, MissingChampion, NoChampion
from evaluation.data.phrase_yields import phrase_yields
from evaluation.data.score_parts import (
    ClassifierScores,
    GalleryEntry,
    ModelComparison,
    WeightsChoice,
)
from evaluation.features.training_statistics import load_statistics
from evaluation.figures import Figure
from evaluation.judgement import closed_forms, least_share
from evaluation.report.domain_names import domain_names, with_display_names
from evaluation.report.judge_table import judge_columns, judge_notes, judge_rows
from evaluation.report.loss_curves import loss_curves
from evaluation.report.table import plot, row_groups
from evaluation.report.wording import (
    Language,
    change_state,
    closed_form_name,
    closed_form_sentences,
    contradiction_sentences,
    explanations,
    figure_text,
    number,
    origin_sentence,
    percent,
    power_sentences,
    share_sentence,
    training_networks_sentence,
    verdict,
    way_title,
    words,
)
from evaluation.scores import DirectionScores, Scores, lip_eye_reduction
from training.run.run_log import read_log

Words = Mapping[str, str]

_NUM_SAMPLES = 6
_SAMPLE_PX = 900

_GALLERIES = ("random", "best", "worst")
_AGAINST_CHAMPION = ("against_random", "against_best", "against_worst")
_COLUMN_WORDS = {  # a gallery's columns in their order → the key of each one's word
    "input": "input",
    "champion": "champion_column",
    "translated": "output",
    "reconstructed": "reconstructed",
    "training": "training_picture",
    "truth": "truth",
    "pair": "pair",
}


_CODES: Mapping[Language, str] = MappingProxyType({"en": "en", "zh": "zh-Hans"})
_OWN_NAMES: Mapping[Language, str] = MappingProxyType({"en": "English", "zh": "中文"})


def write_report(
    language: Language,
    scores: Scores,
    dataset: DatasetFolder,
    run: RunFolder,
    workspace: Workspace,
    folder: EvaluationFolder,
) -> Path:
    """Write ``report.html`` and, in the other language, ``report.en.html`` or ``report.zh.html``.

    Returns the path of the former. The pages link to each other and load nothing else. They are
    made of gallery and statistics in ``folder``, log and samples of ``run``, and the card and the
    manifest of ``dataset``; missing parts are left out.
    """
    other: Language = "en" if language == "zh" else "zh"
    pages = {folder.report: (language, other), folder.translated_report(other): (other, language)}
    names = {language: folder.report.name, other: folder.translated_report(other).name}
    curves = loss_curves(read_log(run.log))
    for path, (own, linked) in pages.items():
        html = _page(own, linked, names[linked], curves, scores, dataset, run, workspace, folder)
        with atomic_file(path) as file:
            file.write(html.encode())
    folder.translated_report(language).unlink(missing_ok=True)
    return folder.report


def _page(
    language: Language,
    other_language: Language,
    other_file: str,
    curves: str,
    scores: Scores,
    dataset: DatasetFolder,
    run: RunFolder,
    workspace: Workspace,
    folder: EvaluationFolder,
) -> str:
    text = words(language)
    names = domain_names(scores.domains, language, dataset.config)
    scores = with_display_names(scores, names)
    context = {
        "language": _CODES[language],
        "other_language": {
            "code": _CODES[other_language],
            "name": _OWN_NAMES[other_language],
            "file": other_file,
        },
        "words": text,
        "scores": scores,
        "verdict": verdict(scores, language),
        "explanations": explanations(language),
        "origin": origin_sentence(load_statistics(folder.training_statistics), language),
        "directions": [
            _direction(direction, language, folder.path) for direction in scores.directions.values()
        ],
        "features": scores.features.name if scores.features else "",
        "inception": _inception(scores, text),
        "training_networks": training_networks_sentence(scores, language),
        "champion": champion_sentence(scores.champion, text),
        "weights": _weights(scores.weights, text),
        "classifier": _classifier(scores.classifier, text),
        "missing": [
            text[f"missing_{network}"].format(reason=reason)
            for network, reason in scores.missing.items()
        ],
        "curves": Markup(curves),  # noqa: S704 - drawn by us
        "samples": _samples(run.samples_folder()),
        "card": _card(dataset.card),
        "display_names": names,
        "phrases": phrase_yields(dataset.manifest),
        "where": {
            "dataset": _relative(dataset.path, workspace),
            "checkpoint": _relative(run.checkpoint(scores.checkpoint).path, workspace),
            "scores": _relative(folder.scores, workspace),
        },
        "train_config": json.dumps(scores.train_config, indent=2, sort_keys=True),
        "evaluate_config": json.dumps(scores.config, indent=2, sort_keys=True),
        "css": Markup(resource("report.css")),  # noqa: S704 - our own file
        "js": Markup(resource("report.js")),  # noqa: S704 - our own file
    }
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(resource("report.html")).render(context)


def champion_sentence(champion: ComparedChampion | MissingChampion, text: Words) -> str:
    """A sentence about the champion that was compared with, or the reason why there was none."""
    if isinstance(champion, MissingChampion):
        if champion.reason is NoChampion.DAMAGED:
            return text["champion_error"].format(reason=champion.detail)
        return text[f"champion_{champion.reason}"]
    sentence = text["champion_line"].format(
        model=champion.model, step=champion.step, dataset=champion.dataset
    )
    if not champion.num_trained_on:
        return sentence
    return f"{sentence} {text['champion_trained_on'].format(num=champion.num_trained_on)}"


def shortage_texts(direction: DirectionScores, text: Words) -> list[str]:
    """A phrase for each figure that is left out for too few held-out pictures."""
    return [
        text[f"meaningless_{name}"].format(found=count.num_pictures, needed=count.num_needed)
        for name, count in direction.meaningless.items()
    ]


def resource(name: str) -> str:
    """The text of a file of this package."""
    return (resources.files("evaluation.report") / name).read_text(encoding="utf-8")


def _direction(direction: DirectionScores, language: Language, folder: Path) -> dict[str, Any]:
    text = words(language)
    reduction = lip_eye_reduction(direction)
    share = least_share(direction)
    galleries = {
        kind: [_entry(entry, folder, text) for entry in entries]
        for kind, entries in direction.gallery.items()
    }
    return {
        "source": direction.source,
        "target": direction.target,
        "gap": None if share is None else percent(share.value),
        "way": "" if share is None else way_title(share, language),
        "shares": share_sentence(direction, language),
        "contradictions": contradiction_sentences(direction, language),
        "judges": judge_rows(direction, language),
        "judge_columns": judge_columns(language),
        "judge_notes": judge_notes(direction, language),
        "power": power_sentences(direction, language),
        "closed_forms": closed_form_sentences(direction, language),
        "no_gap": text["gap_none" if "kid" in direction.figures else "gap_unknown"],
        # an increase is only in the table
        "lip_eye": None if reduction is None or reduction < 0 else percent(reduction),
        "groups": row_groups(direction, language),
        "chart": _chart(direction, language),
        "intervals": text["intervals"].format(
            num=direction.num_pictures, num_target=direction.num_target
        ),
        "meaningless": shortage_texts(direction, text),
        "ranked": text[f"ranked_{direction.gallery_ranked_by}"],
        "galleries": _titled(galleries, _GALLERIES, text),
        "against": _titled(galleries, _AGAINST_CHAMPION, text),
        "nearest": galleries.get("nearest", []),
        "champion": _paired_chart(
            direction,
            direction.champion,
            (text["champion_column"], text["translated"]),
            text["champion_kid_change"],
            text,
        ),
        "other_weights": _paired_chart(
            direction,
            direction.other_weights,
            (text["weights_other"], text["weights_kept"]),
            text["weights_kid_change"],
            text,
        ),
        "strength": _strength_chart(direction, text),
    }


def _titled(
    galleries: Mapping[str, Any], kinds: Sequence[str], text: Words
) -> list[dict[str, Any]]:
    return [
        {"title": text[kind], "entries": galleries[kind]} for kind in kinds if galleries.get(kind)
    ]


def _paired_chart(
    direction: DirectionScores,
    other: ModelComparison | None,
    names: tuple[str, str],
    label: str,
    text: Words,
) -> dict[str, Any] | None:
    """The KIDs of the other model and of this one on one axis, and a sentence about them."""
    kid = (other and other.own_kid) or direction.figure("kid")
    if other is None or other.kid is None or other.kid_change is None or kid is None:
        return None
    change = other.kid_change
    note = f"{text['compared_at_1']} " if other.own_kid else ""
    return {
        "bars": _bars([("untranslated", names[0], other.kid), ("translated", names[1], kid)]),
        "text": f"{note}{label}: {number(change.value)} "
        f"({number(change.low)} … {number(change.high)})",
        "verdict": text[f"champion_verdict_{change_state(change)}"],
    }


def _strength_chart(direction: DirectionScores, text: Words) -> dict[str, Any] | None:
    """The KIDs of all strengths on one axis, and a sentence about the choice."""
    choice = direction.strength
    if choice is None or choice.kid is None:
        return None
    kids = {1.0: choice.kid} | {each.strength: each.kid for each in choice.compared}
    bars = _bars(
        [
            (
                "translated" if strength == choice.chosen else "untranslated",
                text["strength_bar"].format(strength=f"{strength:g}"),
                kid,
            )
            for strength, kid in sorted(kids.items())
        ]
    )
    best = choice.best
    if best is None:
        return {"bars": bars, "text": text["strength_trained"]}
    change = figure_text(best.kid_change, as_share=False)
    sentence = text["strength_better"].format(strength=f"{best.strength:g}", change=change)
    return {"bars": bars, "text": sentence}


def _chart(direction: DirectionScores, language: Language) -> list[dict[str, Any]]:
    """The KID figures as bars of one axis, with the closed forms after untranslated pictures;
    none where the ceiling is unknown.
    """
    text = words(language)
    figures = {
        "untranslated": direction.figure("kid_baseline"),
        "translated": direction.figure("kid"),
        "real": direction.figure("kid_ceiling"),
    }
    bars = [(kind, text[kind], figure) for kind, figure in figures.items() if figure is not None]
    if len(bars) < len(figures):
        return []
    bars[1:1] = [
        ("untranslated", closed_form_name(each.form, language), each.kid)
        for each in closed_forms(direction)
    ]
    return _bars(bars)


def _bars(figures: Sequence[tuple[str, str, Figure]]) -> list[dict[str, Any]]:
    """Bars of one axis from kind, name and figure of each."""
    marks = plot([(kind, figure) for kind, _, figure in figures])
    return [
        {"mark": mark, "name": name, "text": number(figure.value)}
        for mark, (_, name, figure) in zip(marks, figures, strict=True)
    ]


def _weights(choice: WeightsChoice, text: Words) -> str:
    """A sentence about the chosen weights; ``""`` where there was no choice."""
    kids = choice.kid_to_training
    if len(kids) < 2:
        return ""
    (other,) = (kind for kind in kids if kind != choice.chosen)
    return text[f"weights_{choice.chosen}"].format(
        kept=number(kids[choice.chosen]), other=number(kids[other])
    )


def _classifier(scores: ClassifierScores | None, text: Words) -> str:
    if scores is None:
        return ""
    accuracy = scores.accuracy
    return text["classifier"].format(
        accuracy=percent(accuracy.value),
        num=scores.num_pictures,
        low=percent(accuracy.low),
        high=percent(accuracy.high),
    )


def _inception(scores: Scores, text: Words) -> str:
    network = scores.inception
    if network is None:
        return f"{text['no_inception']} {scores.no_inception}"
    key = "inception_published" if network.comparable_with_published else "inception_unknown"
    return text[key].format(features=network.name)


def _entry(entry: GalleryEntry, folder: Path, text: Words) -> list[dict[str, str]]:
    return [
        {"name": text[word], "src": data_url((folder / entry.files[column]).read_bytes())}
        for column, word in _COLUMN_WORDS.items()
        if column in entry.files and (folder / entry.files[column]).exists()
    ]


def data_url(jpeg: bytes) -> str:
    """A JPEG as the address of itself, for pages that load nothing."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def _samples(folder: Path) -> list[dict[str, Any]]:
    """Up to ``_NUM_SAMPLES`` sample grids, evenly from the first to the last."""
    paths = sorted(folder.glob("step_*.jpg"))
    num = min(_NUM_SAMPLES, len(paths))
    picked = [paths[round(i * (len(paths) - 1) / max(1, num - 1))] for i in range(num)]
    samples = []
    for path in picked:
        with Image.open(path) as image:
            image.thumbnail((_SAMPLE_PX, 4 * _SAMPLE_PX))
            buffer = io.BytesIO()
            label = image.info.get("xmp", b"")
            image.convert("RGB").save(buffer, "JPEG", quality=82, xmp=label)
        step = path.stem.removeprefix("step_").lstrip("0") or "0"
        samples.append({"step": step, "src": data_url(buffer.getvalue())})
    return samples


def _card(path: Path) -> dict[str, Any] | None:
    card = try_load_json(path)
    if card is None:
        return None
    reasons = sorted({reason for side in card["rejected"].values() for reason in side})
    return card | {"reasons": reasons}


def _relative(path: Path, workspace: Workspace) -> str:
    """``path`` relative to the workspace, so that no folder of this machine shows in the report."""
    if path.resolve().is_relative_to(workspace.folder.resolve()):
        return path.resolve().relative_to(workspace.folder.resolve()).as_posix()
    return path.name
