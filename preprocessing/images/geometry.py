"""Affine geometry of crops: where a crop lies in its picture, and the pixels in it.

A transform is a 2×3 affine matrix, original pixels → crop pixels, pixel centres at half-integers.
"""

from __future__ import annotations

import bisect

import cv2
import numpy as np
from numpy.typing import NDArray

from core.language.messages import localised

Transform = NDArray[np.float64]  # [2, 3]

_ZOOM_STEPS = 9  # tried from 1 to max_zoom


def eye_transform(
    keypoints: NDArray[np.float64], crop_px: int, eye_distance: float, eye_height: float
) -> Transform:
    """The similarity transform that puts the eyes level, ``eye_distance`` apart and ``eye_height``
    below the top.

    Both are shares of ``crop_px``; ``keypoints`` begins with the eyes. Raises ``ValueError`` when
    the eyes coincide.
    """
    first, second = np.asarray(keypoints, dtype=np.float64)[:2]
    across = second - first
    distance = float(np.hypot(*across))
    if distance < 1e-6:
        raise ValueError(
            localised("found both eyes at one point, needed two points to align the face by")
        )
    scale = eye_distance * crop_px / distance
    cosine, sine = across / distance
    turn = scale * np.array([[cosine, sine], [-sine, cosine]])
    target = np.array([0.5, eye_height]) * crop_px
    return np.column_stack([turn, target - turn @ ((first + second) / 2)])


def centre_transform(height: int, width: int, crop_px: int) -> Transform:
    """The transform of the largest centred square to ``crop_px``."""
    scale = crop_px / min(height, width)
    offset = (crop_px - scale * np.array([width, height])) / 2
    return np.column_stack([scale * np.eye(2), offset])


def fit_inside(
    transform: Transform,
    height: int,
    width: int,
    crop_px: int,
    *,
    fixed: tuple[float, float],
    max_zoom: float,
    spare: float,
) -> Transform:
    """``transform``, enlarged just enough to keep the crop inside a picture of this size.

    Where the photograph ends near the face, the crop is enlarged up to ``max_zoom`` times, until at
    most the share ``spare`` of the crop lies outside. The crop's point ``fixed`` (x, y in shares of
    its side, e.g. the tip of the nose) stays where it is.
    """
    anchor = np.array(fixed) * crop_px
    zooms = np.linspace(1, max_zoom, _ZOOM_STEPS)

    def closer(step: int) -> Transform:
        zoomed = transform * zooms[step]
        zoomed[:, 2] += (1 - zooms[step]) * anchor
        return np.asarray(zoomed, np.float64)

    def fits(step: int) -> bool:
        return outside_share(closer(step), height, width, crop_px) <= spare

    # bisection: if the fixed point is in the picture, a larger zoom leaves less of the crop outside
    return closer(bisect.bisect_left(range(_ZOOM_STEPS - 1), True, key=fits))


def apply(transform: Transform, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points ``[N, 2]`` of the original as points of the crop, ``[N, 2]``."""
    return np.asarray(points @ transform[:, :2].T + transform[:, 2], dtype=np.float64)


def corners(transform: Transform, crop_px: int) -> NDArray[np.float64]:
    """The crop's corners in the original, clockwise from its top left, ``[4, 2]``."""
    square = np.array([(0, 0), (crop_px, 0), (crop_px, crop_px), (0, crop_px)], np.float64)
    return apply(cv2.invertAffineTransform(transform), square)


def outside_share(transform: Transform, height: int, width: int, crop_px: int) -> float:
    """Share of the crop's area that lies outside an original of this size, 0 to 1."""
    square = corners(transform, crop_px).astype(np.float32)
    frame = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    area, _ = cv2.intersectConvexConvex(square, frame)
    return float(max(0.0, 1 - area / abs(cv2.contourArea(square))))


def profile(keypoints: NDArray[np.float64]) -> float:
    """The nose's offset from the middle of the eyes, along their line, in eye distances.

    0 is a frontal face; ``inf`` where the eyes coincide.
    """
    right, left, nose = np.asarray(keypoints, dtype=np.float64)[:3]
    across = left - right
    squared = float(across @ across)
    return abs(float((nose - (left + right) / 2) @ across)) / squared if squared > 0 else np.inf


def crop(picture: NDArray[np.uint8], transform: Transform, crop_px: int) -> NDArray[np.uint8]:
    """``[crop_px, crop_px, 3]`` uint8: anti-aliased; beyond the picture its edge repeats."""
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    factor = max(1, int(1 / scale)) if scale > 0 else 1
    matrix = transform.copy()
    if factor > 1:
        height, width = picture.shape[:2]
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        matrix[:, :2] = matrix[:, :2] @ np.diag([width / size[0], height / size[1]])
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV has pixel centres at integers
    return np.asarray(
        cv2.warpAffine(
            picture,
            matrix,
            (crop_px, crop_px),
            flags=cv2.INTER_CUBIC if scale * factor > 1 else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )


def shrink(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """``[height, width, 3]`` uint8, averaged by area; halving first makes it many times as fast."""
    half = halve(picture, width, height)
    return np.asarray(cv2.resize(half, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def halve(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The picture at 1, ½, ¼ … of its size: the smallest that has this width and height."""
    while picture.shape[1] >= 2 * width and picture.shape[0] >= 2 * height:
        half = ((picture.shape[1] + 1) // 2, (picture.shape[0] + 1) // 2)
        picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)
    return picture


def sharpness(picture: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian in grey levels squared; a blurred picture has a small one."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())
