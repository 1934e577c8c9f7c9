"""How far pictures lie from the training pictures of a model, by the offline feature network."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.errors import MissingModelError
from core.language.messages import localised
from core.pictures import resize
from evaluation.features.extractor import Extractor, load_offline
from evaluation.features.training_statistics import TrainingStatistics

_LOG = logging.getLogger(__name__)


class LikenessJudge:
    """Judges whether pictures are like the training pictures; loads its network when it is used.

    It knows nothing, and says so, without ``statistics``, with those of another feature network,
    and where the network is not installed.
    """

    def __init__(self, statistics: TrainingStatistics | None) -> None:
        self._statistics = statistics if statistics and statistics.can_judge else None
        self._lock = threading.Lock()

    def ratios(self, pictures: Iterable[NDArray[np.uint8]]) -> tuple[float, ...] | None:
        """The distance of each picture ``[H, W, 3]`` uint8 from the training pictures.

        The pictures are cropped as preparation crops. The unit is the distance within which 98 % of
        held-out training pictures lie, so that above 1 a picture is unlike them. ``None``: unknown.
        """
        with self._lock:
            extractor = self._extractor
        if self._statistics is None or extractor is None:
            return None
        px = self._statistics.px
        resized = np.stack([resize(picture, px, px) for picture in pictures])
        return tuple(map(float, self._statistics.ratios(extractor(resized))))

    @functools.cached_property
    def _extractor(self) -> Extractor | None:
        if self._statistics is None:
            return None
        try:
            extractor = load_offline()
        except MissingModelError as error:
            _LOG.warning(
                localised("whether photographs are like the training pictures is unknown: %s"),
                error,
            )
            return None
        return extractor if extractor.identity == self._statistics.extractor else None
