"""What to notice while training: losses that are not finite, a saturated D, a collapsed G."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

_WINDOW = 20  # logged steps
_LEAST_D = {"lsgan": 0.005, "vanilla": 0.01}  # mean loss below which D has nothing left to say
_LEAST_VARIETY = 0.1


class Guards:
    """Notices what a person should know; each finding is told once."""

    def __init__(self, gan_loss: str) -> None:
        self._least = _LEAST_D.get(gan_loss)
        self._recent: dict[str, deque[float]] = {
            name: deque(maxlen=_WINDOW) for name in ("D_A", "D_B")
        }
        self._told: set[str] = set()

    def saturation(self, losses: Mapping[str, float]) -> str | None:
        """A message when a discriminator's loss has been near zero for a while."""
        for name, recent in self._recent.items():
            recent.append(losses[name])
            mean = sum(recent) / len(recent)
            if self._least is not None and len(recent) == _WINDOW and mean < self._least:
                return self._once(
                    name,
                    f"{name} tells every translation from real pictures (mean loss {mean:.4f}, a "
                    f"healthy one stays above {self._least}): the generator learns little from it. "
                    "More pictures, diff_augment or a smaller ndf help",
                )
        return None

    def collapse(self, variety: float) -> str | None:
        """A message when translations of different pictures look alike."""
        if math.isfinite(variety) and variety >= _LEAST_VARIETY:
            return None
        return self._once(
            "collapse",
            f"translations of different pictures differ by {variety:.0%} of what the pictures do, "
            f"needed {_LEAST_VARIETY:.0%}: the generator collapses. A lower learning_rate or a "
            "higher lambda_identity help",
        )

    def _once(self, key: str, message: str) -> str | None:
        if key in self._told:
            return None
        self._told.add(key)
        return message


def all_finite(losses: Mapping[str, float]) -> bool:
    """Whether every loss is a number."""
    return all(math.isfinite(loss) for loss in losses.values())
