"""The model card of a stored or exported model: its use, its training and its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.files import try_load_json
from core.workspace_folders import ModelFolder
from evaluation.features.training_statistics import TrainingStatistics, load_statistics
from evaluation.figures import comparison
from evaluation.metrics.metric_meanings import ClosedForm
from evaluation.metrics.registry import METRICS
from evaluation.model_registry.card_texts import CARD_TEXTS
from evaluation.report.domain_names import with_display_names
from evaluation.report.judge_table import judge_table
from evaluation.report.table import withheld_metrics
from evaluation.report.wording import (
    Language,
    contradiction_sentences,
    explanations,
    figure_text,
    origin_sentence,
    power_sentences,
    share_sentence,
    training_networks_sentence,
    verdict,
    words,
)
from evaluation.scores import DirectionScores, Scores, load_scores
from preprocessing.config import PrepareConfig, chinese_name
from training.config import TrainConfig

if TYPE_CHECKING:
    from training.models.architecture import Architecture

CARD_FIGURES = {
    "kid", "fid", "inception_kid", "inception_fid", "domain_success", "content", "cycle_l1",
    *(f"{form}_{figure}" for form in ClosedForm for figure in ("kid", "kid_change", "fid")),
}  # fmt: skip
"""The keys of the metrics that a card shows."""
_Config = TypeVar("_Config", bound=BaseModel)


@dataclass(frozen=True)
class ModelFacts:
    """The facts for a card; all are optional but the name."""

    name: str  # recipe and version
    config: TrainConfig | None
    prepare: PrepareConfig | None
    scores: Scores | None
    lineage: Mapping[str, Any]  # content of model.json
    statistics: TrainingStatistics | None = None  # of its training pictures

    @property
    def domains(self) -> tuple[str, str]:
        """Names of the domains A and B."""
        if self.prepare is not None:
            return self.prepare.domain_a, self.prepare.domain_b
        names = self.scores.domains if self.scores else {}
        return names.get("A", "a"), names.get("B", "b")

    def display_domains(self, language: Language) -> tuple[str, str]:
        """The names of the domains A and B in ``language``."""
        if language != "zh":
            return self.domains
        if self.prepare is not None:
            return self.prepare.chinese_names
        a, b = self.domains
        return chinese_name(a), chinese_name(b)

    def display_name(self, domain: str, language: Language) -> str:
        """The name of ``domain`` in ``language``."""
        names = dict(zip(self.domains, self.display_domains(language), strict=True))
        return names.get(domain, domain)

    def display_scores(self, language: Language) -> Scores | None:
        """The scores with the names of the domains in ``language``."""
        names = dict(zip(self.domains, self.display_domains(language), strict=True))
        return with_display_names(self.scores, names) if self.scores else None

    @property
    def language(self) -> Language:
        """The language of the report of its evaluation."""
        return self.scores.language if self.scores else "en"


@dataclass(frozen=True)
class ExportedFile:
    """A file of an export, for the card."""

    name: str
    source: str  # domain that it translates from
    target: str  # domain that it translates to
    weights_sha256: str


def load_facts(folder: ModelFolder, name: str) -> ModelFacts:
    """The facts that a model's folder holds; missing or unreadable files are left out."""
    return ModelFacts(
        name=name,
        config=_load_config(folder.config, TrainConfig),
        prepare=_load_config(folder.prepare, PrepareConfig),
        scores=_load_scores(folder.scores),
        lineage=try_load_json(folder.lineage) or {},
        statistics=load_statistics(folder.training_statistics),
    )


def model_card(
    facts: ModelFacts,
    language: Language = "en",
    *,
    files: Sequence[ExportedFile] = (),
    file_format: str = "",
) -> str:
    """Markdown after Mitchell et al. 2019 (arXiv 1810.03993), with front matter for model hubs.

    ``files`` and ``file_format`` describe an export. Sections without facts say so, or are left
    out.
    """
    text = CARD_TEXTS[language]
    a, b = facts.display_domains(language)
    parts = [
        _front_matter(*facts.domains),
        f"# {a} ⇄ {b}",
        text["introduction"].format(name=facts.name)
        + (text["exported"].format(file_format=file_format) if file_format else ""),
        *filter(None, [origin_sentence(facts.statistics, language)]),
        *_figures(facts.display_scores(language), language),
        *_files(files, facts, language),
        *(_likeness(facts, text) if files else ()),
        *_interface(facts, text),
        *_training(facts, language),
        *_use(facts, language),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(a: str, b: str) -> str:
    tags = ("cyclegan", "unpaired", "image-translation", json.dumps(a), json.dumps(b))
    lines = ["library_name: suyan", "pipeline_tag: image-to-image", "tags:"]
    return "\n".join(["---", *lines, *(f"- {tag}" for tag in tags), "---"])


def _files(files: Sequence[ExportedFile], facts: ModelFacts, language: Language) -> Iterator[str]:
    text, name = CARD_TEXTS[language], facts.display_name
    if files:
        yield f"## {text['files']}"
        rows = [
            f"| `{file.name}` | {name(file.source, language)} → {name(file.target, language)} "
            f"| `{file.weights_sha256}` |"
            for file in files
        ]
        yield "\n".join([text["files_header"], "|---|---|---|", *rows])


def _likeness(facts: ModelFacts, text: Mapping[str, str]) -> Iterator[str]:
    statistics = facts.statistics
    if statistics is not None:
        yield text["statistics"].format(features=statistics.extractor, px=statistics.px)


def _interface(facts: ModelFacts, text: Mapping[str, str]) -> Iterator[str]:
    if facts.config is None:
        return
    yield f"## {text['interface']}"
    yield text["tensors"].format(multiple=_architecture(facts.config).multiple)
    prepare = facts.prepare
    if prepare is not None and prepare.faces:
        yield text["faces"].format(
            px=prepare.crop_px,
            eye_distance=f"{prepare.eye_distance:.2f}",
            eye_height=f"{prepare.eye_height:.2f}",
        )
    elif prepare is not None:
        yield text["whole"].format(prepared_px=prepare.crop_px, crop_px=facts.config.crop_px)


def _training(facts: ModelFacts, language: Language) -> Iterator[str]:
    text, report_text, lineage = CARD_TEXTS[language], words(language), facts.lineage
    yield f"## {text['training']}"
    if facts.config is not None:
        yield _training_settings(facts.config, text)
    if not lineage:
        yield text["no_lineage"]
        return
    colon, comma, list_comma = ("：", "，", "、") if language == "zh" else (": ", ", ", ", ")
    lines = [
        f"- {facts.display_name(domain, language)}{colon}{list_comma.join(phrases)}"
        for domain, phrases in (lineage.get("phrases") or {}).items()
    ]
    lines.append(f"- {report_text['version']}{colon}`{lineage.get('dataset')}`")
    run, checkpoint = lineage.get("run"), lineage.get("checkpoint")
    place = f"`{run}/{checkpoint}`{comma}{lineage.get('px')} px"
    lines.append(f"- {report_text['checkpoint']}{colon}{place}")
    yield "\n".join(lines)


def _training_settings(config: TrainConfig, text: Mapping[str, str]) -> str:
    return text["settings"].format(
        generator=_architecture(config).label,
        ngf=config.ngf,
        norm=config.norm,
        crop_px=config.crop_px,
        batch_size=config.batch_size,
        num_epochs=config.num_epochs,
        num_epochs_decay=config.num_epochs_decay,
        learning_rate=f"{config.learning_rate:g}",
        lr_policy=config.lr_policy,
        lambda_a=f"{config.lambda_a:g}",
        lambda_b=f"{config.lambda_b:g}",
        lambda_identity=f"{config.lambda_identity:g}",
    )


def _architecture(config: TrainConfig) -> Architecture:
    from training.models.factory import architecture_of  # noqa: PLC0415 - it imports torch

    return architecture_of(config)


def _figures(scores: Scores | None, language: Language) -> Iterator[str]:
    text, report_text = CARD_TEXTS[language], words(language)
    if scores is None or not scores.directions:
        yield text["no_scores"]
        return
    yield verdict(scores, language)
    yield " ".join(explanations(language))
    yield f"## {report_text['figures']}"
    for direction in scores.directions.values():
        yield from _table(direction, language)
        yield from filter(None, [share_sentence(direction, language)])
        yield from contradiction_sentences(direction, language)
        yield from filter(None, [judge_table(direction, language)])
        yield from filter(None, [power_sentences(direction, language)])
    yield from filter(None, [training_networks_sentence(scores, language)])
    yield report_text["intervals_short"]
    if scores.features is not None:
        yield text["features"].format(features=scores.features.name, px=scores.px)


def _table(direction: DirectionScores, language: Language) -> Iterator[str]:
    text, withheld = words(language), withheld_metrics(direction)
    rows = []
    for metric in METRICS:
        values = comparison(direction.figures, metric.key, metric.beside)
        if metric.key in CARD_FIGURES and values.translated is not None:
            cells = [
                figure_text(value, as_share=metric.is_share)
                for value in (values.translated, values.untranslated, values.real)
            ]
            if metric.key in withheld:
                cells[0] = text["withheld"]
            rows.append(f"| {' | '.join([getattr(metric.name, language), *cells])} |")
    if rows:
        header = " | ".join(text[key] for key in ("figure", "translated", "untranslated", "real"))
        yield f"**{direction.route}**"
        yield "\n".join([f"| {header} |", "|---|---|---|---|", *rows])


def _use(facts: ModelFacts, language: Language) -> Iterator[str]:
    text, report_text = CARD_TEXTS[language], words(language)
    a, b = facts.display_domains(language)
    yield f"## {report_text['use']}"
    yield report_text["use_text"].format(a=a, b=b)
    if facts.prepare is not None and facts.prepare.faces:
        yield text["misuse"]
    yield text["licence"]


def _load_scores(path: Path) -> Scores | None:
    """The scores of this version or an older one; ``None`` where none can be read."""
    try:
        return load_scores(path)
    except (OSError, ValueError):
        return None


def _load_config(path: Path, config_type: type[_Config]) -> _Config | None:
    """The configuration, without fields of other versions; ``None`` where none can be read."""
    values = try_load_json(path)
    if values is None:
        return None
    fields = {name: value for name, value in values.items() if name in config_type.model_fields}
    try:
        return config_type.model_validate(fields)
    except ValidationError:
        return None
