"""Face meshes of prepared pictures, from the manifest's keypoints or the detector."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.pictures import map_in_threads
from core.tables import Picture
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.face_mesh import FaceMesh, Points


class FaceFinder:
    """Finds the face meshes of prepared pictures.

    Raises ``MissingModelError`` without the models.
    """

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._mesh = FaceMesh()

    def meshes(
        self,
        rows: Sequence[Picture],
        pictures: NDArray[np.uint8],
        crop_px: int,
    ) -> list[Points | None]:
        """The mesh ``[468, 2]`` of each picture ``[H, W, 3]``, in its pixels; ``None``: no face.

        ``crop_px`` is the side of the dataset's pictures, for which the rows' transforms hold.
        """
        return list(map_in_threads(partial(self._mesh_of, crop_px), rows, pictures))

    def mesh(self, picture: NDArray[np.uint8]) -> Points | None:
        """The mesh ``[468, 2]`` of the surest face in ``[H, W, 3]`` uint8; ``None``: no face."""
        faces = self._detector.detect(picture)
        return self._mesh.points(picture, faces[0].keypoints) if faces else None

    def _mesh_of(self, crop_px: int, row: Picture, picture: NDArray[np.uint8]) -> Points | None:
        if len(row.keypoints) < 8 or len(row.transform) != 6:
            return self.mesh(picture)  # a dataset without face crops may show faces too
        transform = np.reshape(row.transform, (2, 3)) * (len(picture) / crop_px)
        keypoints = np.reshape(row.keypoints, (-1, 2)) @ transform[:, :2].T + transform[:, 2]
        return self._mesh.points(picture, keypoints)
