"""Schedules by epoch: the reference's learning rates, and the cycle weights of Wang & Lin 2018."""

from __future__ import annotations

import math
from dataclasses import dataclass

from training.config import TrainConfig


def learning_rate(config: TrainConfig, epoch: int, plateau: Plateau | None = None) -> float:
    """The learning rate during ``epoch`` (from 1).

    ``linear`` is constant through ``num_epochs``, then falls: with ``after-epoch`` it is above zero
    in the last epoch, with ``before-epoch`` it falls one epoch earlier and ends at zero. ``step``:
    a tenth after every ``decay_step`` epochs. ``cosine``: half a wave over ``num_epochs``; it rises
    again in the epochs of ``num_epochs_decay``. ``plateau``: multiplied by ``plateau.factor``.
    Source: ``get_scheduler`` in ``models/networks.py``.
    """
    full = config.learning_rate
    if config.lr_policy == "step":
        return full * 0.1 ** ((epoch - 1) // config.decay_step)
    if config.lr_policy == "cosine":
        return full * (1 + math.cos(math.pi * (epoch - 1) / max(config.num_epochs, 1))) / 2
    if config.lr_policy == "plateau":
        return full * (plateau.factor if plateau else 1.0)
    ahead = 1 if config.decay == "before-epoch" else 0
    over = max(0, epoch + ahead - config.num_epochs)
    return full * max(0.0, 1 - over / (config.num_epochs_decay + 1))


def pseudo_learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of supervised step ``step`` (from 0): twice the configured one.

    It falls linearly to zero over the second half of ``pseudo_steps``.
    """
    return 2 * config.learning_rate * min(1.0, 2 * (1 - step / config.pseudo_steps))


@dataclass
class Plateau:
    """Divides the rate by five after more than five epochs without an improvement of one per cent.

    torch's ``ReduceLROnPlateau(factor=0.2, threshold=0.01, patience=5)``, as in the reference. The
    reference gives it a constant 0; here it gets the validation distance where there is one, else
    the sum of the epoch's cycle losses.
    """

    factor: float = 1.0
    best: float = math.inf
    bad_epochs: int = 0

    def after_epoch(self, value: float) -> None:
        """Record an epoch's ``value``; lower is better."""
        if value < self.best * 0.99:
            self.best, self.bad_epochs = value, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > 5:
            self.factor, self.bad_epochs = self.factor * 0.2, 0


def cycle_share(config: TrainConfig, epoch: int) -> float:
    """The cycle loss's weight in ``epoch`` as a share of λ: from 1 linearly to ``cycle_end``.

    Source: Wang & Lin 2018, "CycleGAN with Better Cycles", arXiv 2408.15374, §4.2.
    """
    return 1 + (config.cycle_end - 1) * _progress(config, epoch)


def feature_share(config: TrainConfig, epoch: int) -> float:
    """The share of the cycle loss taken on D's features: from 0 linearly to ``cycle_features``.

    Source: Wang & Lin 2018, §4.1.
    """
    return config.cycle_features * _progress(config, epoch)


def _progress(config: TrainConfig, epoch: int) -> float:
    """0 in the first epoch, 1 in the last one, linear between."""
    total = config.num_epochs + config.num_epochs_decay
    return (epoch - 1) / (total - 1) if total > 1 else 0.0
