"""A translated crop back into its photograph, at the photograph's own resolution: pure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.align import Transform

_FEATHER = 0.12  # width of the soft edge, share of the crop's side


def paste(
    photo: NDArray[np.uint8],
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    transform: Transform,
    strength: float = 1.0,
) -> NDArray[np.uint8]:
    """``photo`` ``[H, W, 3]`` uint8 with ``after - before`` added where the crop was taken.

    ``before`` and ``after`` are the crop (``[C, C, 3]`` uint8) and its translation, ``transform``
    leads from photo to crop. Only the difference is scaled up, so that detail finer than the crop's
    pixels stays; a feathered mask fades it out towards the crop's edges.
    """
    side = before.shape[0]
    change = (after.astype(np.float32) - before.astype(np.float32)) * strength
    change *= feather(side)[..., None]
    height, width = photo.shape[:2]
    matrix = transform.copy()
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV has pixel centres at integers
    spread = cv2.warpAffine(
        change,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.asarray(np.clip(np.rint(photo + spread), 0, 255), dtype=np.uint8)


def feather(side: int) -> NDArray[np.float32]:
    """``[side, side]`` float32: 1 inside, falling smoothly to 0 at the edges."""
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    near = np.clip(np.minimum(place, 1 - place) / _FEATHER, 0, 1)
    ramp = near * near * (3 - 2 * near)
    return np.asarray(np.outer(ramp, ramp), dtype=np.float32)
