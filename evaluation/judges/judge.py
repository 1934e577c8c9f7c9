"""The interface of a judge: features of pictures that KID compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.arrays import Array, Pictures
from evaluation.judges.judge_kinds import JudgeKind, View
from preprocessing.analysis.face_mesh import Points


@dataclass(frozen=True)
class JudgedPictures:
    """``N`` pictures with the meshes of the faces, and the colours of their parts.

    Translations have the meshes of their inputs, since a translation keeps the geometry.
    """

    pictures: Pictures
    meshes: Sequence[Points | None]
    contrasts: Mapping[str, Array]  # ``regions.contrasts``

    def rows(self, indices: NDArray[np.int_]) -> JudgedPictures:
        """The pictures with these indices."""
        return JudgedPictures(
            self.pictures[indices],
            [self.meshes[index] for index in indices],
            {name: points[indices] for name, points in self.contrasts.items()},
        )


class Judge(Protocol):
    """Turns pictures into features; a judge never sees a translation before it judges it."""

    @property
    def kind(self) -> JudgeKind: ...

    @property
    def decorrelates(self) -> bool:
        """Whether its features are decorrelated before KID compares them (``FeatureScale``)."""
        ...

    def features(self, judged: JudgedPictures, view: View) -> Array:
        """``[N, D]``; a row of a picture that it cannot judge is NaN."""
        ...

    def unlearned(self, num: int) -> NDArray[np.int_]:
        """Which of a side's ``num`` training pictures it learned nothing from."""
        ...
