"""A face with its surroundings, upright and of one size: the same in turned and cropped copies."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.fingerprint import THUMB_PX, Fingerprint, fingerprint, mark_inside
from preprocessing.images import geometry

_CONTEXT_PX = 128
# Eyes, nose tip and mouth in shares of the side; mean faces have them there, eyes level.
_TEMPLATE = np.array([(0.37, 0.42), (0.63, 0.42), (0.50, 0.56), (0.50, 0.68)])


def face_context(picture: NDArray[np.uint8], keypoints: NDArray[np.float64]) -> Fingerprint:
    """The fingerprint of a face and its surroundings, levelled by eyes, nose and mouth.

    ``keypoints`` begins with these four. Where the picture ends its edge repeats, and the
    thumbnail says so (``inside_picture``).
    """
    transform = _fit(np.asarray(keypoints, np.float64)[:4], _TEMPLATE * _CONTEXT_PX)
    print_ = fingerprint(geometry.crop(picture, transform, _CONTEXT_PX), trim=False)
    height, width = picture.shape[:2]
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    corners = geometry.apply(transform, frame) * (THUMB_PX / _CONTEXT_PX) - 0.5
    inside = np.zeros((THUMB_PX, THUMB_PX), np.uint8)
    cv2.fillConvexPoly(inside, np.rint(np.clip(corners, -1e4, 1e4)).astype(np.int32), 1)
    return replace(print_, thumbnail=mark_inside(print_.thumbnail, inside > 0))


def _fit(points: NDArray[np.float64], target: NDArray[np.float64]) -> geometry.Transform:
    """The similarity transform with the least squared distance of ``points`` from ``target``; in
    complex numbers it is one factor and one offset.
    """
    source, goal = (place @ (1, 1j) for place in (points, target))
    centred = source - source.mean()
    factor = (centred.conj() @ goal) / max(float(np.vdot(centred, centred).real), 1e-6)
    offset = goal.mean() - factor * source.mean()
    return np.array(
        [[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag]]
    )
