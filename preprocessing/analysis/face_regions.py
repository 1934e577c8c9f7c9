"""The regions of a face that make-up changes, as masks by the points of its face mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_mesh import Points

Mask = NDArray[np.float64]  # [px, px], 0 to 1
Masks = Mapping[str, Mask]
"""By region: lips, eyes, cheeks; all three (made_up), all else (outside), the other skin (skin)."""

REGIONS = ("lips", "eyes", "cheeks")
_SUPERSAMPLING = 4

# Points of MediaPipe's face mesh around each region, and around holes in it.
_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_MOUTH = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
_RIGHT_EYE = (113, 225, 224, 223, 222, 221, 189, 243, 112, 26, 22, 23, 24, 110, 25, 130)
_LEFT_EYE = (342, 445, 444, 443, 442, 441, 413, 463, 341, 256, 252, 253, 254, 339, 255, 359)
_RIGHT_CHEEK = (116, 117, 118, 101, 36, 205, 187, 147, 123)
_LEFT_CHEEK = (345, 346, 347, 330, 266, 425, 411, 376, 352)
_RIGHT_OPENING = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
)  # fmt: skip
_LEFT_OPENING = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466,
)  # fmt: skip
_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

# The zone of both eyes with lids, brows and the skin about them, which a warp of the eyes moves.
EYE_ZONE = sorted(
    {*_RIGHT_OPENING, *_LEFT_OPENING, *_RIGHT_EYE, *_LEFT_EYE}
    | {247, 30, 29, 27, 28, 56, 190, 467, 260, 259, 257, 258, 286, 414, 70, 63, 105, 66, 107, 55}
    | {65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276, 226, 31, 228, 229, 230}
    | {231, 232, 233, 244, 446, 261, 448, 449, 450, 451, 452, 453, 464, 35, 111, 117, 118, 119}
    | {120, 121, 128, 265, 340, 346, 347, 348, 349, 350, 357, 143, 372, 156, 383, 6, 168, 8, 9}
    | {197, 245, 465, 193, 417}
)


def masks(mesh: Points, px: int) -> Masks:
    """Weight of each pixel in each region, from mesh points ``[468, 2]`` of a ``px`` picture."""
    mouth = _fill(mesh, px, _MOUTH)
    lips = np.clip(_fill(mesh, px, _LIPS) - mouth, 0, 1)
    eyes = _fill(mesh, px, _RIGHT_EYE, _LEFT_EYE)
    cheeks = _fill(mesh, px, _RIGHT_CHEEK, _LEFT_CHEEK)
    made_up = np.clip(lips + eyes + cheeks, 0, 1)
    skin = np.clip(_fill(mesh, px, _OVAL) - made_up - mouth, 0, 1)
    return {
        "lips": lips,
        "eyes": eyes,
        "cheeks": cheeks,
        "made_up": made_up,
        "outside": 1 - made_up,
        "skin": skin,
    }


def _fill(mesh: Points, px: int, *rings: Sequence[int]) -> Mask:
    """The share of each pixel inside the rings; only the box about them is drawn."""
    outlines = [
        np.round(mesh[list(ring)] * _SUPERSAMPLING - 0.5).astype(np.int32) for ring in rings
    ]
    points = np.concatenate(outlines) // _SUPERSAMPLING
    left, top = np.maximum(points.min(axis=0), 0)
    right, bottom = np.minimum(points.max(axis=0) + 1, px)
    mask = np.zeros((px, px))
    if left >= right or top >= bottom:
        return mask
    size = np.array([right - left, bottom - top])
    canvas = np.zeros(_SUPERSAMPLING * size[::-1], np.uint8)
    for outline in outlines:
        cv2.fillPoly(canvas, [outline - _SUPERSAMPLING * np.array([left, top], np.int32)], 255)
    small = cv2.resize(canvas, size.tolist(), interpolation=cv2.INTER_AREA)
    mask[top:bottom, left:right] = small / 255
    return mask


def soft_masks(mesh: Points, px: int) -> Masks:
    """``lips``, ``lids`` and ``cheeks`` with soft rims, and ``skin``; points are ``[468, 2]``.

    The lids are the region of the eyes without what shows between them. Rims are blurred in
    proportion to the distance between the outer corners of the eyes, of which lips get 1.2 %,
    lids 2.4 % and cheeks 6 % as a standard deviation; inside them the weight is 1.
    """
    hard = masks(mesh, px)
    blur_px = max(0.6, 0.012 * float(np.linalg.norm(mesh[33] - mesh[263])))
    opening = _blurred(_fill(mesh, px, _RIGHT_OPENING, _LEFT_OPENING), 0.7 * blur_px)
    mouth = _blurred(_fill(mesh, px, _MOUTH), 0.5 * blur_px)
    return {
        "lips": _plateau(hard["lips"], blur_px) * (1 - 0.9 * mouth),
        "lids": _plateau(hard["eyes"], 2 * blur_px)
        * (1 - 0.95 * np.clip(1.4 * opening - 0.2, 0, 1)),
        "cheeks": _plateau(hard["cheeks"], 5 * blur_px),
        "skin": hard["skin"],
    }


def region_contrasts(picture: NDArray[np.uint8], mesh: Points) -> dict[str, NDArray[np.float64]]:
    """Mean colour ``[3]`` of lips, eyes and cheeks less that of the face's other skin.

    In L*a*b*, so that the light matters little. A region that no pixel shows is left out, and so
    are all where no other skin shows.
    """
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    colours = lab.reshape(-1, 3).astype(np.float64)
    weights = masks(mesh, len(lab))
    if weights["skin"].sum() <= 0:
        return {}
    skin = np.average(colours, axis=0, weights=weights["skin"].ravel())
    return {
        name: np.average(colours, axis=0, weights=weights[name].ravel()) - skin
        for name in REGIONS
        if weights[name].sum() > 0
    }


def eye_shape(mesh: Points) -> NDArray[np.float64]:
    """The outlines of eyes and lids, upright and by the distance of the outer corners: ``[96]``.

    The distance of two of them is the root mean square of their points' distances.
    """
    middle, axis = (mesh[33] + mesh[263]) / 2, mesh[263] - mesh[33]
    turn = np.array([axis, [-axis[1], axis[0]]]) / (axis @ axis)
    outlines = [*_RIGHT_EYE, *_LEFT_EYE, *_RIGHT_OPENING, *_LEFT_OPENING]
    points = (mesh[outlines] - middle) @ turn.T
    return np.asarray(points.ravel() / np.sqrt(len(points)), np.float64)


def _plateau(mask: Mask, sigma_px: float) -> Mask:
    """A soft rim that lies outside of the region as much as inside, where the weight reaches 1."""
    return np.clip(1.6 * _blurred(mask, sigma_px), 0, 1)


def _blurred(mask: Mask, sigma_px: float) -> Mask:
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma_px), np.float64)
