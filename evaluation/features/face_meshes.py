"""Face meshes of prepared pictures, from the manifest's keypoints or the detector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.tables import Picture
from evaluation.arrays import Pictures
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.face_mesh import FaceMesh, Points


class FaceFinder:
    """The face meshes of prepared pictures. Raises ``MissingModelError`` without the models."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._mesh = FaceMesh()

    def meshes(
        self, rows: Sequence[Picture], pictures: Pictures, crop_px: int
    ) -> list[Points | None]:
        """The mesh ``[468, 2]`` of each picture, in its pixels; ``None``: no face.

        ``crop_px`` is the side of the dataset's pictures, for which the rows' transforms hold.
        """
        return [
            self._mesh_of(row, picture, crop_px)
            for row, picture in zip(rows, pictures, strict=True)
        ]

    def _mesh_of(self, row: Picture, picture: NDArray[np.uint8], crop_px: int) -> Points | None:
        if len(row.keypoints) >= 8 and len(row.transform) == 6:
            transform = np.reshape(row.transform, (2, 3)) * (len(picture) / crop_px)
            keypoints = np.reshape(row.keypoints, (-1, 2)) @ transform[:, :2].T + transform[:, 2]
        else:  # a dataset without face crops may show faces too
            faces = self._detector.detect(picture)
            if not faces:
                return None
            keypoints = faces[0].keypoints
        return self._mesh.points(picture, keypoints)
