"""Face embeddings by dlib's ResNet, an extra: ``pip install -e '.[identity]'`` (100 MB).

Davis King's network of 2017 maps an aligned face to 128 numbers; pictures of one person lie within
about 0.6 of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from core.commands import install_command
from core.errors import MissingModelError
from core.language.messages import localised
from evaluation.arrays import Array, Pictures
from preprocessing.analysis.face_mesh import Points

Embed = Callable[[Pictures, Sequence[Points | None]], Array]

NUM_FEATURES = 128
_CHIP_PX = 150
_CHIP_PADDING = 0.25  # the network was trained on crops of this size and margin
# Corners of the eyes and base of the nose in the mesh, in the order of dlib's five points.
_FIVE_POINTS = (263, 362, 33, 133, 2)


@cache
def load_face_embedding() -> Embed:
    """A function from pictures and their meshes to embeddings ``[N, 128]``, NaN without a face.

    Raises ``MissingModelError`` when the extra is not installed.
    """
    try:
        import dlib  # noqa: PLC0415 - an extra
        import face_recognition_models  # noqa: PLC0415
    except ImportError as error:
        raise MissingModelError(
            localised("the face embedding is not installed; run: ")
            + install_command("identity", for_others=True)
        ) from error
    network = dlib.face_recognition_model_v1(
        face_recognition_models.face_recognition_model_location()
    )

    def embed(pictures: Pictures, meshes: Sequence[Points | None]) -> Array:
        embeddings = np.full((len(pictures), NUM_FEATURES), np.nan)
        for index, (picture, mesh) in enumerate(zip(pictures, meshes, strict=True)):
            if mesh is not None:
                chip = dlib.get_face_chip(
                    np.ascontiguousarray(picture), _shape(dlib, mesh), _CHIP_PX, _CHIP_PADDING
                )
                embeddings[index] = network.compute_face_descriptor(chip)
        return embeddings

    return embed


def _shape(dlib: Any, mesh: Points) -> Any:
    low, high = np.floor(mesh.min(axis=0)).astype(int), np.ceil(mesh.max(axis=0)).astype(int)
    points = [dlib.point(*(int(value) for value in np.round(mesh[at]))) for at in _FIVE_POINTS]
    box = dlib.rectangle(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    return dlib.full_object_detection(box, points)
