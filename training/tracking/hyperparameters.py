"""The hyperparameters of a training, as TensorBoard and trackers show them."""

from __future__ import annotations

from core.config_identity import Incidental
from training.config import TrainConfig
from training.tracking.tracker import Value


def hyperparameters(config: TrainConfig, dataset: str) -> dict[str, Value]:
    """Every field of ``config`` that decides the result, by name, and the dataset's name; a list
    becomes text.
    """
    incidental = {
        name
        for name, field in TrainConfig.model_fields.items()
        if any(isinstance(marker, Incidental) for marker in field.metadata)
    }
    values = config.model_dump(exclude=incidental) | {"dataset": dataset}
    return {
        name: value if isinstance(value, str | int | float | bool) else ", ".join(map(str, value))
        for name, value in values.items()
    }
