"""The linear decay of the learning rate, in both conventions of the reference."""

from __future__ import annotations

from training.config import TrainConfig


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """The rate during ``epoch`` (from 1).

    ``after-epoch``: constant through ``num_epochs``, then falling, above zero in the last epoch.
    ``before-epoch``: one epoch ahead of that, zero in the last one.
    Source: ``lambda_rule`` in ``models/networks.py``.
    """
    ahead = 1 if config.decay == "before-epoch" else 0
    over = max(0, epoch + ahead - config.num_epochs)
    return config.learning_rate * max(0.0, 1 - over / (config.num_epochs_decay + 1))
