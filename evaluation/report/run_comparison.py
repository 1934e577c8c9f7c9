"""Two runs beside each other: their settings, their figures, and the same pictures by both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from core.commands import suyan_command
from core.errors import SuyanError
from core.files import load_json, try_load_json
from core.language.messages import localised
from core.progress import Progress, silent
from core.tables import Picture, iter_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, RunFolder
from evaluation.arrays import Pictures
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import load_pictures
from evaluation.data.translations import translate_with_strengths
from evaluation.figures import Figure, Value
from evaluation.metrics.metric import Metric
from evaluation.report.paired_kid import MeasuredCheckpoint, paired_kid
from evaluation.report.table import metric_figures
from evaluation.scores import DirectionScores, Scores, load_scores
from preprocessing.config import PrepareConfig
from training.config import TrainConfig
from training.run.checkpoint import load_generator

Which = Literal["first", "second"]


@dataclass(frozen=True)
class MeasuredRun:
    """A run with the scores of its latest checkpoint that was measured, and its settings by
    section.
    """

    folder: RunFolder
    scores: Scores
    settings: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        """The name of the run."""
        return self.folder.path.name


@dataclass(frozen=True)
class SettingDifference:
    """A setting, e.g. ``train.ngf``, with both runs' values; ``None``: not recorded."""

    name: str
    first: Any
    second: Any


@dataclass(frozen=True)
class FigureRow:
    """A metric of a direction for both runs; ``surely_better`` is the run whose figure is better by
    intervals that do not overlap.
    """

    direction: str
    metric: Metric
    first: Value | None
    second: Value | None
    surely_better: Which | None


@dataclass(frozen=True)
class PictureRow:
    """A held-out picture and its translations by both runs, ``[px, px, 3]`` each."""

    source: Pictures
    first: Pictures
    second: Pictures


@dataclass(frozen=True)
class RunComparison:
    """Everything in which two runs differ.

    ``pictures`` are by direction, e.g. ``makeup → bare``; where there are none, ``no_pictures`` is
    the reason. Figures are of the same pictures only if ``same_pictures``. ``paired_kid`` is the
    second run's KID minus the first one's, by direction; where there is none, ``no_paired_kid`` is
    the reason.
    """

    first: MeasuredRun
    second: MeasuredRun
    settings: list[SettingDifference]
    figures: list[FigureRow]
    pictures: dict[str, list[PictureRow]]
    no_pictures: str
    same_pictures: bool
    paired_kid: dict[str, Figure]
    no_paired_kid: str


def load_measured_run(run: RunFolder, workspace: Workspace) -> MeasuredRun:
    """The run with its scores. Raises ``SuyanError`` for one that was not measured."""
    folders = sorted(path for path in run.evaluations.glob("[!.]*") if path.is_dir())
    measured = [each for each in map(EvaluationFolder, folders) if each.scores.is_file()]
    if not measured:
        raise SuyanError(
            localised("{path}: found no evaluation, needed the figures of one", path=run.path),
            remedy=suyan_command("evaluate", run.path.name, workspace=workspace),
        )
    scores = load_scores(measured[-1].scores)
    config = load_json(run.config)
    prepare = try_load_json(workspace.dataset(str(config.get("dataset"))).config) or {}
    return MeasuredRun(
        run,
        scores,
        {
            "dataset": {"version": config.get("dataset"), **scores.counts},
            "prepare": _complete(PrepareConfig, prepare),
            "train": _complete(TrainConfig, config.get("train", {})),
            "evaluate": _complete(EvaluateConfig, scores.config),
            "checkpoint": {"step": scores.step, "weights": scores.weights.chosen},
        },
    )


def _complete(model: type[BaseModel], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """``values`` with the defaults that they leave out; as they are where a later version refuses
    them.
    """
    try:
        return model.model_validate(values).model_dump(mode="json") if values else {}
    except ValidationError:
        return values


def compare_runs(
    first: MeasuredRun,
    second: MeasuredRun,
    workspace: Workspace,
    num_pictures: int,
    *,
    is_paired: bool = True,
    progress: Progress = silent,
) -> RunComparison:
    """Compare two runs, and show at most ``num_pictures`` held-out pictures of each direction.

    If ``is_paired``, both translate all of them again for the paired difference of their KID.

    Raises ``ValueError`` for runs of other domains, and ``CheckpointError`` for a damaged
    checkpoint.
    """
    if first.scores.domains != second.scores.domains:
        routes = [" ↔ ".join(run.scores.domains.values()) for run in (first, second)]
        raise ValueError(
            localised(
                "RUN: found {route} and {other}, needed runs of the same domains",
                route=routes[0],
                other=routes[1],
            )
        )
    pictures, reason = _translated(first, second, workspace, num_pictures)
    settings = [
        SettingDifference(f"{section}.{name}", values.get(name), other.get(name))
        for section, values in first.settings.items()
        for other in [second.settings[section]]
        for name in dict.fromkeys([*values, *other])
        if values.get(name) != other.get(name)
    ]
    paired: dict[str, Figure] = {}
    no_paired = "it was not asked for"
    if is_paired:
        paired, no_paired = _paired_kid(first, second, workspace, reason, progress)
    evaluate = [{**run.settings["evaluate"], "language": ""} for run in (first, second)]
    return RunComparison(
        first,
        second,
        settings,
        list(_figure_rows(first.scores, second.scores)),
        pictures,
        reason,
        first.scores.dataset == second.scores.dataset and evaluate[0] == evaluate[1],
        paired,
        no_paired,
    )


def _paired_kid(
    first: MeasuredRun, second: MeasuredRun, workspace: Workspace, reason: str, progress: Progress
) -> tuple[dict[str, Figure], str]:
    """The paired difference, where both runs hold out the same pictures; else the reason."""
    if reason:  # without a picture, or a network
        return {}, reason
    if first.scores.dataset != second.scores.dataset:
        return {}, f"{first.scores.dataset} and {second.scores.dataset} hold out other pictures"
    try:
        config = EvaluateConfig.model_validate(first.settings["evaluate"])
    except ValidationError:
        config = EvaluateConfig()
    first_measured, second_measured = (
        MeasuredCheckpoint(run.folder.checkpoint(run.scores.checkpoint).path, run.scores)
        for run in (first, second)
    )
    dataset = workspace.dataset(first.scores.dataset)
    return paired_kid(
        first_measured, second_measured, config, dataset, workspace.features, progress
    )


def _figure_rows(first: Scores, second: Scores) -> Iterator[FigureRow]:
    for name, direction in first.directions.items():
        figures, second_figures = _figures(direction), _figures(second.directions[name])
        for metric in dict.fromkeys([*figures, *second_figures]):
            pair = figures.get(metric), second_figures.get(metric)
            yield FigureRow(direction.route, metric, *pair, _surely_better(metric, *pair))


def _figures(direction: DirectionScores) -> dict[Metric, Value]:
    return dict(metric_figures(direction))


def _surely_better(metric: Metric, first: Value | None, second: Value | None) -> Which | None:
    if not metric.better or not isinstance(first, Figure) or not isinstance(second, Figure):
        return None
    lower, higher = (first, second) if first.value < second.value else (second, first)
    if lower.high >= higher.low:
        return None
    better = lower if metric.better == "lower" else higher
    return "first" if better is first else "second"


def _translated(
    first: MeasuredRun, second: MeasuredRun, workspace: Workspace, num_pictures: int
) -> tuple[dict[str, list[PictureRow]], str]:
    """Pictures that both runs held out, translated by both; else the reason why there are none."""
    dataset = workspace.dataset(first.scores.dataset)
    for run in (first, second):
        manifest = workspace.dataset(run.scores.dataset).manifest
        if not manifest.is_file():
            return {}, f"{manifest} is not there"
        checkpoint = run.folder.checkpoint(run.scores.checkpoint)
        if not checkpoint.config.is_file():
            return {}, f"{checkpoint.path} is not there"
    held_out = {
        side: _held_out(dataset, workspace.dataset(second.scores.dataset), side)[:num_pictures]
        for side in "AB"
    }
    if not all(held_out.values()):
        return {}, f"{first.scores.dataset} and {second.scores.dataset} hold out no same picture"
    rows = {}
    for name, direction in first.scores.directions.items():
        files = held_out[name[0]]
        sources, translations = _translate(first, dataset, name, files)
        _, second_translations = _translate(second, dataset, name, files)
        rows[direction.route] = [
            PictureRow(*pictures)
            for pictures in zip(sources, translations, second_translations, strict=True)
        ]
    return rows, ""


def _held_out(dataset: DatasetFolder, other: DatasetFolder, side: str) -> list[str]:
    """The files in ``dataset`` of the pictures that both hold out, in an order of their content."""
    first, second = (
        {
            (row.sha256, row.face): row.file
            for row in iter_rows(each.manifest, Picture)
            if (row.status, row.split, row.side) == ("ok", "test", side)
        }
        for each in (dataset, other)
    )
    return [first[key] for key in sorted(first.keys() & second.keys())]


def _translate(
    run: MeasuredRun, dataset: DatasetFolder, direction: str, files: list[str]
) -> tuple[Pictures, Pictures]:
    """The pictures at the side that the run's network takes, and their translations."""
    scores, name = run.scores, f"G_{direction[0]}"
    generator, config = load_generator(
        run.folder.checkpoint(scores.checkpoint).path,
        name,
        averaged=scores.weights.chosen == "averaged",
    )
    pictures = load_pictures(dataset.path, files, config.crop_px)
    (translations,) = translate_with_strengths(generator, pictures, [scores.strengths[name]])
    return pictures, translations
