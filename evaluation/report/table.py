"""The report's table of figures: rows in groups, each with a small plot on an axis of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluation.contradictions import WITHHELD_METRICS
from evaluation.figures import Figure, Figures, Value, comparison
from evaluation.metrics.metric import Group, Metric
from evaluation.metrics.registry import METRICS
from evaluation.report.wording import Language, figure_parts, words
from evaluation.scores import DirectionScores


@dataclass(frozen=True)
class Cell:
    """A figure as text: ``name`` is translated, untranslated or real; ``range`` its interval."""

    name: str
    text: str
    range: str


@dataclass(frozen=True)
class Mark:
    """A figure on its plot, per cent of the axis; ``kind`` is its CSS class."""

    kind: str
    at: float
    low: float
    width: float
    zero: float


@dataclass(frozen=True)
class Row:
    """A metric's row of the table."""

    name: str
    meaning: str  # a sentence
    better: str  # "lower is better", …
    cells: list[Cell]
    plot: list[Mark]


@dataclass(frozen=True)
class RowGroup:
    """Rows below a common title."""

    title: str
    rows: list[Row]


def row_groups(direction: DirectionScores, language: Language) -> list[RowGroup]:
    """Everything that was measured of a direction, in the order of the registry."""
    text = words(language)
    withheld = withheld_metrics(direction)
    groups = [
        RowGroup(text[group].format(num=num), list(_rows(group, figures, withheld, language)))
        for group, figures, num in _sources(direction)
    ]
    return [group for group in groups if group.rows]


def metric_figures(direction: DirectionScores) -> Iterator[tuple[Metric, Value]]:
    """Every figure of the translations that the table shows, in the order of the registry."""
    withheld = withheld_metrics(direction)
    for group, figures, _ in _sources(direction):
        for metric in METRICS:
            if metric.group is group and metric.key in figures and metric.key not in withheld:
                yield metric, figures[metric.key]


def _sources(direction: DirectionScores) -> Iterator[tuple[Group, Figures, int]]:
    """Each group, with the figures of its rows and the number of pictures."""
    for group in Group:
        if group is Group.TRUTH:
            if direction.truth:
                yield group, direction.truth.figures, direction.truth.num_pictures
        elif group is Group.PAIRS:
            if direction.pairs:
                yield group, direction.pairs.figures, direction.pairs.num_pairs
        else:
            yield group, direction.figures, direction.num_pictures


def withheld_metrics(direction: DirectionScores) -> set[str]:
    """The metrics whose figure of translations contradicts the KID, and is not shown."""
    return {WITHHELD_METRICS[each] for each in direction.contradictions if each in WITHHELD_METRICS}


def _rows(group: Group, figures: Figures, withheld: set[str], language: Language) -> Iterator[Row]:
    text = words(language)
    for metric in METRICS:
        if metric.group is not group or metric.key not in figures:
            continue
        values = comparison(figures, metric.key, metric.beside)
        by_kind = {
            "translated": values.translated,
            "untranslated": values.untranslated,
            "real": values.real,
        }
        cells = [
            Cell(text[kind], *figure_parts(value, as_share=metric.is_share))
            for kind, value in by_kind.items()
        ]
        if metric.key in withheld:
            by_kind["translated"] = None
            cells[0] = Cell(text["translated"], text["withheld"], "")
        yield Row(
            name=getattr(metric.name, language),
            meaning=getattr(metric.meaning, language),
            better=text[metric.better] if metric.better else "",
            cells=cells,
            plot=plot(list(by_kind.items())),
        )


def plot(values: Sequence[tuple[str, Value | None]]) -> list[Mark]:
    """Position and interval of each figure, by its kind, on one axis that includes 0."""
    figures = [
        (kind, value if isinstance(value, Figure) else Figure(value, value, value))
        for kind, value in values
        if value is not None
    ]
    least = min(0.0, *(figure.low for _, figure in figures))
    most = max(0.0, *(figure.high for _, figure in figures))
    span = most - least or 1.0

    def place(value: float) -> float:
        return round(100 * min(1.0, max(0.0, (value - least) / span)), 2)

    return [
        Mark(
            kind=kind,
            at=place(figure.value),
            low=place(figure.low),
            width=round(place(figure.high) - place(figure.low), 2),
            zero=place(0.0),
        )
        for kind, figure in figures
    ]
