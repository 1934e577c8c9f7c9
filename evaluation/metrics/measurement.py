"""The input of the metrics of one direction: pictures, features, meshes, colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.tables import Picture
from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.features.classifier import Classifier
from preprocessing.analysis.face_mesh import Points
from preprocessing.analysis.face_windows import Alignment

Contrasts = Mapping[str, Array]
"""``regions.contrasts`` by region."""


@dataclass(frozen=True)
class Side:
    """The real pictures of one domain: held-out ones, and features of training ones."""

    rows: Sequence[Picture]
    pictures: Pictures
    load_train_pictures: Callable[[], Pictures]  # many are not held in memory
    features: dict[str, Array]  # by the key of the feature network
    train_features: dict[str, Array]
    meshes: Sequence[Points | None]
    contrasts: Contrasts
    train_contrasts: Contrasts
    embeddings: Array | None  # [N, 128], where the extra is installed
    train_meshes: Sequence[Points | None] = ()  # of the first training pictures


@dataclass(frozen=True)
class Outputs:
    """A side's held-out pictures, translated and translated back."""

    translated: Pictures
    reconstructed: Pictures
    features: dict[str, Array]
    contrasts: Contrasts
    embeddings: Array | None


@dataclass(frozen=True)
class Measurement:
    """One direction: its inputs, their translations, and real pictures of the target."""

    config: EvaluateConfig
    source: Side
    outputs: Outputs
    target: Side
    target_name: str  # "A" or "B"
    classifier: Classifier | None
    alignment: Alignment | None  # None: the pictures are not aligned faces
    extract: Callable[[Pictures], Array]  # the offline features of any pictures: [N, D]
