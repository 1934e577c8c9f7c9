"""Everything that figures are computed from: features, face meshes, colours and embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from core.errors import MissingModelError
from core.progress import Progress
from core.tables import Picture
from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import cached_if_small, load_pictures
from evaluation.data.score_parts import FeatureNetwork
from evaluation.data.translations import translate, translate_with_strengths
from evaluation.features.extractor import load_offline
from evaluation.features.face_embeddings import Embed, load_face_embedding
from evaluation.features.inception import load_inception
from evaluation.metrics.measurement import Outputs, Side
from evaluation.metrics.regions import contrasts
from preprocessing.analysis.face_finder import FaceFinder
from preprocessing.analysis.face_mesh import Points
from training.models.architecture import Generator


class FeatureCollector:
    """The networks of an evaluation. Raises ``MissingModelError`` without the offline one.

    ``inception`` is the file of the standard network's weights, or ``None``. ``missing`` has the
    reason why the network of face ``regions`` or of ``identity`` is not installed.
    """

    def __init__(
        self, config: EvaluateConfig, cache: Path, inception: Path | None, progress: Progress
    ) -> None:
        self._config, self._progress = config, progress
        self.device = device_of(config.device)
        self._offline = load_offline(self.device, config.batch_size).cached_in(cache)
        self._standard = (
            load_inception(inception, self.device, config.batch_size).cached_in(cache)
            if inception
            else None
        )
        self._faces: FaceFinder | None = None
        self._embed: Embed | None = None
        self.missing: dict[str, str] = {}
        try:
            self._faces = FaceFinder()
            self._embed = load_face_embedding()
        except MissingModelError as error:
            self.missing = {"regions" if self._faces is None else "identity": str(error)}

    def networks(self) -> tuple[FeatureNetwork, FeatureNetwork | None]:
        """The offline network, and the standard one if its weights are available."""
        offline, standard = self._offline, self._standard
        return (
            FeatureNetwork(offline.name, offline.comparable_with_published),
            FeatureNetwork(standard.name, standard.comparable_with_published) if standard else None,
        )

    def offline_features(self, pictures: Pictures) -> Array:
        """Features of pictures of any one size by the offline network: ``[N, D]``."""
        return self._offline(pictures, self._progress)

    def features(self, pictures: Pictures) -> dict[str, Array]:
        """Features ``[N, D]`` by the key of the network."""
        extractors = [self._offline, *([self._standard] if self._standard else [])]
        return {extractor.key: extractor(pictures, self._progress) for extractor in extractors}

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
        train_files = [row.file for row in train]
        load_train = cached_if_small(partial(load_pictures, dataset, train_files, px))
        train_pictures = load_train()
        meshes = self.meshes(test, pictures, crop_px)
        sample = slice(0, len(test))  # training pictures enough for a mean colour
        train_meshes: list[Points | None] = [None] * len(train_pictures[sample])
        if any_face(meshes):
            train_meshes = self.meshes(train[sample], train_pictures[sample], crop_px)
        return Side(
            rows=test,
            pictures=pictures,
            load_train_pictures=load_train,
            features=self.features(pictures),
            train_features=self.features(train_pictures),
            meshes=meshes,
            contrasts=contrasts(pictures, meshes),
            train_contrasts=contrasts(train_pictures[sample], train_meshes),
            embeddings=self.embeddings(pictures, meshes),
            train_meshes=train_meshes,
        )

    def outputs(self, side: Side, forward: nn.Module, backward: nn.Module, stage: str) -> Outputs:
        """A side's pictures, translated and translated back; ``stage`` is the progress's title."""
        translated, reconstructed = translate(
            forward,
            backward,
            side.pictures,
            batch_size=self._config.batch_size,
            device=self.device,
            progress=lambda _stage, done, total, message: self._progress(
                f"evaluate: {stage}", done, total, message
            ),
        )
        return Outputs(
            translated,
            reconstructed,
            self.features(translated),
            contrasts(translated, side.meshes),
            self.embeddings(translated, side.meshes),
        )

    def strength_features(
        self, side: Side, generator: Generator, strengths: Sequence[float]
    ) -> dict[float, Array]:
        """Offline features ``[N, D]`` of a side's translations with each of ``strengths``."""
        pictures, size = side.pictures, self._config.batch_size
        extract = self._offline.cached_in(None)
        parts: dict[float, list[Array]] = {strength: [] for strength in strengths}
        for start in range(0, len(pictures), size) if parts else ():
            batch = pictures[start : start + size]
            translated = translate_with_strengths(generator, batch, strengths, device=self.device)
            for strength, part in zip(strengths, translated, strict=True):
                parts[strength].append(extract(part))
            done = start + len(batch)
            self._progress("evaluate: compare strengths", done, len(pictures), "")
        return {strength: np.concatenate(features) for strength, features in parts.items()}

    def meshes(
        self, rows: Sequence[Picture], pictures: Pictures, crop_px: int
    ) -> list[Points | None]:
        """The meshes of the faces; all ``None`` unless half of the pictures show a face."""
        if self._faces is None:
            return [None] * len(rows)
        meshes = self._faces.meshes(rows, pictures, crop_px)
        num_faces = sum(mesh is not None for mesh in meshes)
        return meshes if 2 * num_faces >= len(meshes) else [None] * len(meshes)

    def embeddings(self, pictures: Pictures, meshes: Sequence[Points | None]) -> Array | None:
        """Face embeddings ``[N, 128]``; ``None`` without faces or the extra ``identity``."""
        if self._embed is None or not any_face(meshes):
            return None
        return self._embed(pictures, meshes)


def any_face(meshes: Sequence[Points | None]) -> bool:
    """Whether any picture shows a face."""
    return any(mesh is not None for mesh in meshes)


def device_of(setting: str) -> str:
    """The device of a setting of ``EvaluateConfig``; ``auto`` takes CUDA, else the CPU."""
    if setting == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return setting
