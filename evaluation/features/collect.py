"""From pictures to what figures are computed from: features, face meshes, colours, embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from core.errors import MissingModelError
from core.progress import Progress
from core.tables import Picture
from evaluation.config import EvaluateConfig
from evaluation.data.translations import Pictures, load_pictures, translate
from evaluation.features.extractor import load_offline
from evaluation.features.face_meshes import FaceFinder
from evaluation.features.identity import Embed, load_identity
from evaluation.features.inception import load_inception
from evaluation.metrics.direction import Outputs, Side
from evaluation.metrics.regions import contrasts
from preprocessing.analysis.face_mesh import Points

Array = NDArray[np.float64]


class Observer:
    """Holds the networks of an evaluation; raises ``MissingModelError`` without the offline one.

    ``inception`` is the weights' file, or ``None`` and why there is none.
    """

    def __init__(
        self,
        config: EvaluateConfig,
        cache: Path,
        inception: tuple[Path | None, str],
        progress: Progress,
    ) -> None:
        self._config, self._progress = config, progress
        self.device = _device(config.device)
        self._extractors = [load_offline(self.device, config.batch_size).cached_in(cache)]
        self._no_inception = inception[1]
        if inception[0] is not None:
            standard = load_inception(inception[0], self.device, config.batch_size)
            self._extractors.append(standard.cached_in(cache))
        self._faces: FaceFinder | None = None
        self._embed: Embed | None = None
        self._missing: dict[str, str] = {}
        try:
            self._faces = FaceFinder()
            self._embed = load_identity()
        except MissingModelError as error:
            self._missing = {"regions" if self._faces is None else "identity": str(error)}

    def description(self) -> dict[str, Any]:
        """What was used, and why something was not; goes into the scores."""
        offline, *standard = self._extractors
        found: dict[str, Any] = {
            "features": {
                "name": offline.name,
                "comparable_with_published": offline.comparable_with_published,
            },
            "inception": {"missing": self._no_inception},
            "missing": self._missing,
        }
        for extractor in standard:
            found["inception"] = {
                "name": extractor.name,
                "comparable_with_published": extractor.comparable_with_published,
            }
        return found

    def features(self, pictures: Pictures) -> dict[str, Array]:
        """By the key of the network: ``[N, D]``."""
        return {found.key: found(pictures, self._progress) for found in self._extractors}

    def side(
        self,
        dataset: Path,
        test: Sequence[Picture],
        train: Sequence[Picture],
        px: int,
        crop_px: int,
    ) -> Side:
        """The real pictures of one domain at ``px``; ``crop_px`` is their side in the dataset."""
        pictures = load_pictures(dataset, [row.file for row in test], px)
        trained = load_pictures(dataset, [row.file for row in train], px)
        meshes = self.meshes(test, pictures, crop_px)
        few = slice(0, len(test))  # as many training pictures are enough for a mean colour
        train_meshes: list[Points | None] = [None] * len(trained[few])
        if any_face(meshes):
            train_meshes = self.meshes(train[few], trained[few], crop_px)
        return Side(
            rows=test,
            pictures=pictures,
            features=self.features(pictures),
            train_features=self.features(trained),
            meshes=meshes,
            contrasts=contrasts(pictures, meshes),
            train_contrasts=contrasts(trained[few], train_meshes),
            embeddings=self.embeddings(pictures, meshes),
        )

    def outputs(self, side: Side, there: nn.Module, back: nn.Module, what: str) -> Outputs:
        """A side's pictures ``there`` and ``back`` again; ``what`` is for the progress."""
        translated, reconstructed = translate(
            there,
            back,
            side.pictures,
            batch_size=self._config.batch_size,
            device=self.device,
            progress=lambda _stage, done, total, message: self._progress(
                f"evaluate: {what}", done, total, message
            ),
        )
        return Outputs(
            translated,
            reconstructed,
            self.features(translated),
            contrasts(translated, side.meshes),
            self.embeddings(translated, side.meshes),
        )

    def meshes(
        self, rows: Sequence[Picture], pictures: Pictures, crop_px: int
    ) -> list[Points | None]:
        """The faces' meshes; none at all where most pictures show no face."""
        if self._faces is None:
            return [None] * len(rows)
        found = self._faces.meshes(rows, pictures, crop_px)
        num_seen = sum(mesh is not None for mesh in found)
        return found if 2 * num_seen >= len(found) else [None] * len(found)

    def embeddings(self, pictures: Pictures, meshes: Sequence[Points | None]) -> Array | None:
        """``[N, 128]``, or ``None`` without the extra, or without faces."""
        if self._embed is None or not any_face(meshes):
            return None
        return self._embed(pictures, meshes)


def any_face(meshes: Sequence[Points | None]) -> bool:
    """Whether a mesh was found at all."""
    return any(mesh is not None for mesh in meshes)


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted
