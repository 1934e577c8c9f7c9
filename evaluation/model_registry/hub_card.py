"""A model's card with the metadata that hubs read: licence, data, figures with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evaluation.figures import Figure
from evaluation.metrics.registry import METRICS
from evaluation.model_registry.model_card import CARD_FIGURES, ModelFacts, model_card
from evaluation.report.table import withheld_metrics

_TASK = "image-to-image"


def hub_card(
    facts: ModelFacts,
    *,
    licence: str,
    dataset: str = "",
    base_model: str = "",
    picture: str = "",
) -> str:
    """The text of ``model_card`` with front matter by huggingface_hub's own classes.

    ``licence`` is an identifier of the hub, e.g. "mit" or "other"; ``dataset`` and ``base_model``
    are repositories (user/name); ``picture`` is a file beside the card. Every figure of the card's
    tables that is not withheld is in ``model-index``, with its 95 % interval. Needs the package
    huggingface_hub.
    """
    from huggingface_hub import ModelCard  # noqa: PLC0415 - the package of the extra "hub"

    text = model_card(facts)
    if picture:
        front, title, rest = text.split("\n\n", 2)
        image = f"![{facts.domains[0]} → {facts.domains[1]}, before and after]({picture})"
        text = f"{front}\n\n{title}\n\n{image}\n\n{rest}"
    card = ModelCard(text)
    data: Any = card.data
    data.license = licence
    if licence == "other":
        data.license_name = "as-its-publisher-says"
    data.datasets = [dataset] if dataset else None
    data.base_model = base_model or None
    results = list(_results(facts, dataset))
    if results:
        data.model_name = facts.name
        data.eval_results = results
    return str(card)


def _results(facts: ModelFacts, dataset: str) -> Iterator[Any]:
    from huggingface_hub import EvalResult  # noqa: PLC0415

    if facts.scores is None:
        return
    name = str(facts.lineage.get("dataset") or facts.name)
    for direction in facts.scores.directions.values():
        withheld = withheld_metrics(direction)
        for metric in METRICS:
            figure = direction.figures.get(metric.key)
            if metric.key not in CARD_FIGURES or metric.key in withheld:
                continue
            if isinstance(figure, Figure):
                yield EvalResult(
                    task_type=_TASK,
                    dataset_type=dataset or name,
                    dataset_name=name,
                    dataset_split="test",
                    metric_type=metric.key,
                    metric_name=f"{metric.name.en}, {direction.route}",
                    metric_value=figure.value,
                    metric_args={
                        "interval": [figure.low, figure.high], "level": 0.95, "px": facts.scores.px
                    },
                )  # fmt: skip
