"""Windows of aligned faces: rectangles that hold the same part of every face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.files import load_json
from core.workspace_folders import DatasetFolder


@dataclass(frozen=True)
class Alignment:
    """Where aligned faces have their eyes, in shares of the crop's side."""

    eye_distance: float
    eye_height: float  # below the top

    @classmethod
    def of(cls, prepare: Mapping[str, Any]) -> Alignment | None:
        """The alignment of pictures prepared so; ``None``: they are not aligned faces."""
        if not prepare.get("faces", True) or not {"eye_distance", "eye_height"} <= prepare.keys():
            return None
        return cls(prepare["eye_distance"], prepare["eye_height"])

    def window(self, below: float, half_width: float, half_height: float) -> Window:
        """The window whose centre lies ``below`` the middle of the eyes; in eye distances."""
        distance = self.eye_distance
        middle = self.eye_height + below * distance
        return Window(
            left=max(0.0, 0.5 - half_width * distance),
            top=max(0.0, middle - half_height * distance),
            right=min(1.0, 0.5 + half_width * distance),
            bottom=min(1.0, middle + half_height * distance),
        )


@dataclass(frozen=True)
class Window:
    """A rectangle of the crop, in shares of its side."""

    left: float
    top: float
    right: float
    bottom: float

    def slices(self, px: int) -> tuple[slice, slice]:
        """Rows and columns of the window in a crop of side ``px``, at least one of each."""
        left, top = (min(px - 1, round(share * px)) for share in (self.left, self.top))
        right, bottom = round(self.right * px), round(self.bottom * px)
        return slice(top, max(bottom, top + 1)), slice(left, max(right, left + 1))

    def cut(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The window of ``[N, px, px, 3]`` pictures: ``[N, h, w, 3]``, at least one pixel."""
        rows, columns = self.slices(pictures.shape[1])
        return pictures[:, rows, columns]


def load_alignment(dataset: DatasetFolder) -> Alignment | None:
    """The alignment of a dataset's pictures; ``None`` for other pictures and plain folders."""
    return Alignment.of(load_json(dataset.config)) if dataset.config.is_file() else None
