"""Monitors of a training: they detect losses that are not finite, a saturated D, a collapsed G."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from core.language.messages import localised

_NUM_LOGGED_STEPS = 20  # logged steps over which a discriminator's loss is averaged
_LEAST_D_LOSS = {"lsgan": 0.005, "vanilla": 0.01}  # a smaller loss leaves G hardly any gradient
_LEAST_VARIETY = 0.1


class Monitors:
    """Detects a degenerating training; gives each message, for a person, once."""

    def __init__(self, gan_loss: str) -> None:
        self._least_loss = _LEAST_D_LOSS.get(gan_loss)
        self._recent_losses: dict[str, deque[float]] = {
            name: deque(maxlen=_NUM_LOGGED_STEPS) for name in ("D_A", "D_B")
        }
        self._reported: set[str] = set()

    def saturation(self, losses: Mapping[str, float]) -> str | None:
        """A message when a discriminator's mean loss over 20 logged steps is near zero."""
        for name, recent in self._recent_losses.items():
            recent.append(losses[name])
            mean, least = sum(recent) / len(recent), self._least_loss
            if least is not None and len(recent) == _NUM_LOGGED_STEPS and mean < least:
                return self._if_new(
                    name,
                    localised(
                        "{name} tells every translation from real pictures (mean loss "
                        "{mean:.4f}, a healthy one stays above {least}): the generator learns "
                        "little from it. More pictures, diff_augment or a smaller ndf help",
                        name=name,
                        mean=mean,
                        least=least,
                    ),
                )
        return None

    def collapse(self, variety: float) -> str | None:
        """A message when translations of different pictures are nearly the same.

        ``variety`` is the spread of the translations divided by that of the pictures, as
        ``SampleGrid.write`` returns it.
        """
        if math.isfinite(variety) and variety >= _LEAST_VARIETY:
            return None
        return self._if_new(
            "collapse",
            localised(
                "translations of different pictures differ by {variety:.0%} of what the pictures "
                "do, needed {least_variety:.0%}: the generator collapses. A lower learning_rate "
                "or a higher lambda_identity help",
                variety=variety,
                least_variety=_LEAST_VARIETY,
            ),
        )

    def _if_new(self, key: str, message: str) -> str | None:
        if key in self._reported:
            return None
        self._reported.add(key)
        return message


def all_finite(losses: Mapping[str, float]) -> bool:
    """Whether no loss is infinite or NaN."""
    return all(math.isfinite(loss) for loss in losses.values())
