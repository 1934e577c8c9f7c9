"""The pool of past translations that discriminators judge again (§4; Shrivastava et al. 2017)."""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """Stores ``size`` pictures; after that, each new picture is, with probability one half,
    exchanged for a random stored one.

    With ``size`` 0 every new picture is returned. Source: ``util/image_pool.py`` of the reference.
    """

    def __init__(self, size: int, rng: random.Random) -> None:
        self._size = size
        self._rng = rng
        self._stored: list[Tensor] = []

    def exchange(self, pictures: Tensor) -> Tensor:
        """New pictures ``[N, 3, H, W]`` → those for D to judge, same shape, without gradient."""
        return torch.stack([self._exchange_one(picture) for picture in pictures.detach()])

    def _exchange_one(self, picture: Tensor) -> Tensor:
        if len(self._stored) < self._size:
            self._stored.append(picture.clone())
            return picture
        if self._size and self._rng.uniform(0, 1) > 0.5:
            index = self._rng.randint(0, self._size - 1)
            old, self._stored[index] = self._stored[index], picture.clone()
            return old
        return picture

    def state_dict(self) -> dict[str, Any]:
        """Pictures and random state, in types that ``torch.load(weights_only=True)`` reads."""
        version, internal, gauss = self._rng.getstate()
        return {"stored": self._stored, "rng": [version, list(internal), gauss]}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore the result of ``state_dict``, with its pictures on ``device``."""
        self._stored = [picture.to(device) for picture in state["stored"]]
        version, internal, gauss = state["rng"]
        self._rng.setstate((version, tuple(internal), gauss))
