"""A judge of colours alone: lips, eyes and cheeks against the face's other skin."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from evaluation.arrays import Array
from evaluation.judges.judge import JudgedPictures
from evaluation.judges.judge_kinds import JudgeKind, View
from preprocessing.analysis.face_regions import REGIONS

_REGIONS: Mapping[View, tuple[str, ...]] = MappingProxyType(
    {View.WHOLE: REGIONS, View.EYES: ("eyes",), View.MOUTH: ("lips",)}
)


class RegionColours:
    """The judge; it takes the colours that evaluation measured before."""

    kind = JudgeKind.REGION_COLOURS
    decorrelates = False

    def features(self, judged: JudgedPictures, view: View) -> Array:
        """Contrasts in CIE L*a*b*: ``[N, 9]``, of eyes or mouth ``[N, 3]``; NaN without a face."""
        return np.concatenate([judged.contrasts[name] for name in _REGIONS[view]], axis=1)

    def unlearned(self, num: int) -> NDArray[np.int_]:
        """All ``num`` pictures."""
        return np.arange(num)
