"""Blending a translated crop into its photograph, at the photograph's own resolution."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.images import geometry
from preprocessing.images.geometry import Transform
from serving.upsampling import enlarge_change

_MAX_OPENCV_PX = 32_766  # longer sides cannot be warped
_WINDOW_MARGIN_PX = 64  # around the part that a crop needs
_FEATHER = 0.12  # width of the soft edge, share of the crop's side
_CAST_BLUR = 0.12  # standard deviation of the blur that finds a cast, share of the crop's side
_FOREHEAD, _CHIN = 1.15, 1.75  # ends of the face above and below the eyes, in eye-mouth distances
_CHEEK = 1.2  # half width of the face, in eye distances
_INNER, _OUTER = 0.8, 1.15  # between these the mask fades from 1 to 0, in radii of the face


def blend_change(
    photo: NDArray[np.uint8],
    change: NDArray[np.float32],
    transform: Transform,
    crop: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """A copy of ``photo`` ``[H, W, 3]`` uint8 with ``change`` ``[C, C, 3]`` (grey levels) added.

    ``transform`` maps the photo's pixels to the crop's. Only the change is resampled, so that
    details of the photograph that are finer than the crop's pixels stay. Where the photo shows the
    face larger than ``crop`` ``[C, C, 3]`` does, the change is enlarged along the photo's edges;
    without ``crop``, in the same way everywhere.
    """
    side = change.shape[0]
    left, top, right, bottom = covered_box(transform, side, photo.shape[0], photo.shape[1])
    result = photo.copy()
    if right <= left or bottom <= top:
        return result
    matrix = transform.copy()
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))  # crop px per photo px
    if scale > 1:  # a small face: shrink its change without aliasing
        small_side = max(1, round(side / scale))
        change = cv2.resize(change, (small_side, small_side), interpolation=cv2.INTER_AREA)
        matrix *= small_side / side
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    window = result[top:bottom, left:right]
    if scale < 1 and crop is not None:
        window[:] = np.clip(np.rint(window + enlarge_change(change, crop, window, matrix)), 0, 255)
        return result
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV has pixel centres at integers
    warped = cv2.warpAffine(
        change,
        matrix,
        (right - left, bottom - top),
        flags=(cv2.INTER_CUBIC if scale < 1 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    window[:] = np.clip(np.rint(window + warped), 0, 255)
    return result


def crop_face(photo: NDArray[np.uint8], transform: Transform, crop_px: int) -> NDArray[np.uint8]:
    """Like ``geometry.crop``, also of a panorama that is longer than OpenCV's pictures may be."""
    height, width = photo.shape[:2]
    if max(height, width) <= _MAX_OPENCV_PX:
        return geometry.crop(photo, transform, crop_px)
    left, top, right, bottom = covered_box(transform, crop_px, height, width)
    left, top = max(0, left - _WINDOW_MARGIN_PX), max(0, top - _WINDOW_MARGIN_PX)
    window = photo[top : bottom + _WINDOW_MARGIN_PX, left : right + _WINDOW_MARGIN_PX]
    shifted = transform.copy()
    shifted[:, 2] += shifted[:, :2] @ (left, top)
    return geometry.crop(window, shifted, crop_px)


def face_change(
    before: NDArray[np.uint8], after: NDArray[np.uint8], mask: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``[C, C, 3]`` float32 grey levels: ``after - before`` on the face, without a colour cast.

    ``mask`` ``[C, C]`` is 1 on the face. A generator shifts the colours of the whole crop, since
    instance norm hides their mean from it. This cast is measured outside the face, where nothing
    should change, continued smoothly into the face, and subtracted, so that no seam is left.
    """
    change = after.astype(np.float32) - before.astype(np.float32)
    return np.asarray((change - face_cast(change, 1 - mask)) * mask[..., None], dtype=np.float32)


def face_mask(keypoints: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """``[side, side]`` float32: 1 on the face, fading to 0 at hair, neck and the crop's edges.

    ``keypoints`` ``[6, 2]`` in pixels of the aligned crop; the face is an ellipse fitted to them.
    """
    eyes = (keypoints[0] + keypoints[1]) / 2
    across = float(np.hypot(*(keypoints[1] - keypoints[0])))
    down = max(float(keypoints[3, 1] - eyes[1]), 0.5 * across)  # eyes to mouth
    centre_y = eyes[1] + down * (_CHIN - _FOREHEAD) / 2
    radius_y, radius_x = down * (_CHIN + _FOREHEAD) / 2, _CHEEK * across
    centres = np.arange(side, dtype=np.float32) + 0.5
    radius = np.hypot(
        (centres[None] - eyes[0]) / radius_x, (centres[:, None] - centre_y) / radius_y
    )
    inside = 1 - _smoothstep((radius - _INNER) / (_OUTER - _INNER))
    return np.asarray(inside * feather(side), dtype=np.float32)


def feather(side: int) -> NDArray[np.float32]:
    """``[side, side]`` float32: 1 inside, falling smoothly to 0 at the edges."""
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    ramp = _smoothstep(np.minimum(centres, 1 - centres) / _FEATHER)
    return np.asarray(np.outer(ramp, ramp), dtype=np.float32)


def _smoothstep(value: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    x = np.clip(value, 0, 1)
    return np.asarray(x * x * (3 - 2 * x), dtype=np.float32)


def face_cast(change: NDArray[np.float32], outside: NDArray[np.float32]) -> NDArray[np.float32]:
    """``change`` ``[C, C, 3]`` where ``outside`` ``[C, C]`` is 1, blurred and continued to where it
    is 0.
    """
    sigma = _CAST_BLUR * change.shape[0]
    weight = outside**2 + 1e-3  # pixels well outside the face count most
    total = cv2.GaussianBlur(change * weight[..., None], (0, 0), sigma)
    return np.asarray(total / cv2.GaussianBlur(weight, (0, 0), sigma)[..., None], dtype=np.float32)


def covered_box(
    transform: Transform, side: int, height: int, width: int
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of the photo that the crop covers, px."""
    corners = np.array([(0, 0), (side, 0), (side, side), (0, side)], np.float64)
    covered = geometry.apply(cv2.invertAffineTransform(transform), corners)
    (left, top), (right, bottom) = np.floor(covered.min(axis=0)), np.ceil(covered.max(axis=0))
    return max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom))
