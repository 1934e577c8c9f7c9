"""Gives a picture the appearance of a reference by closed forms: a face's make-up, or the colours.

Make-up is transferred as in the pseudo ground truth of make-up transfer networks (Gu et al. 2019,
"LADN", §3.3; Yang et al. 2022, "EleGANt", §3.4), from the regions of both faces' meshes: lips get
the reference's colour statistics (Reinhard et al. 2001, "Color Transfer between Images"), cheeks
its mean colour, and lids the reference's own pixels, warped to the face, since liner and lashes are
strokes that no statistics hold. All colours are CIE L*a*b*, and relative to the other skin of their
face.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from core.pictures import Picture
from preprocessing.analysis.face_mesh import Points
from preprocessing.analysis.face_regions import EYE_ZONE, Mask, soft_masks
from preprocessing.images.colour_maps import fit_transport, moments

_Lab = NDArray[np.float32]  # [H, W, 3]: L* 0 to 100, a*, b*
_CONTRAST_RANGE = (0.6, 1.6)  # of the lips: a smooth or blurred reference must not flatten them


def transfer_makeup(
    picture: Picture, mesh: Points, reference: Picture, reference_mesh: Points
) -> Picture:
    """``picture`` with the make-up, or the bare skin, of ``reference``; ``[px, px, 3]`` uint8 RGB.

    Both are square and of one size; the meshes are ``[468, 2]`` in their pixels.
    """
    lab, other = _to_lab(picture), _to_lab(reference)
    masks, other_masks = soft_masks(mesh, len(lab)), soft_masks(reference_mesh, len(lab))
    skin, _ = _statistics(lab, masks["skin"])
    other_skin, _ = _statistics(other, other_masks["skin"])
    light = skin - other_skin
    result = lab.copy()
    mean, deviation = _statistics(lab, masks["lips"])
    other_mean, other_deviation = _statistics(other, other_masks["lips"])
    contrast = np.clip(other_deviation / np.maximum(deviation, 1), *_CONTRAST_RANGE)
    lips = (lab - mean) * contrast + other_mean + light
    result += masks["lips"][..., None] * (lips - lab)
    mean, _ = _statistics(lab, masks["cheeks"])
    other_mean, _ = _statistics(other, other_masks["cheeks"])
    result += masks["cheeks"][..., None] * (other_mean + light - mean)
    warped, is_covered = _warp_eyes(other, reference_mesh, mesh)
    lids = (masks["lids"] * is_covered)[..., None]
    return _to_rgb(result + lids * (warped + light - result))


def transfer_colours(picture: Picture, reference: Picture) -> Picture:
    """``picture`` ``[H, W, 3]`` uint8 RGB with the colours' mean and covariance of ``reference``.

    By Monge–Kantorovich transport of RGB.
    """
    colour_map = fit_transport(moments([picture], [None]), moments([reference], [None]))
    transported = colour_map(picture.astype(np.float64))
    return np.asarray(np.clip(np.rint(transported), 0, 255), np.uint8)


def _statistics(lab: _Lab, weights: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean and standard deviation ``[3]`` of the colours; 0 without any weight."""
    flat, column = lab.reshape(-1, 3), weights.reshape(-1, 1)
    total = max(float(column.sum()), 1e-6)
    mean = (column * flat).sum(axis=0) / total
    return mean, np.sqrt((column * (flat - mean) ** 2).sum(axis=0) / total)


def _warp_eyes(lab: _Lab, mesh: Points, target: Points) -> tuple[_Lab, NDArray[np.bool_]]:
    """The zone of the eyes, moved from ``mesh`` to ``target``, and which pixels it covers.

    Each triangle between neighbouring points is mapped by its own affine map.
    """
    px = len(lab)
    points, sources = target[EYE_ZONE], mesh[EYE_ZONE]
    subdivision = cv2.Subdiv2D((-px, -px, 3 * px, 3 * px))
    numbers: dict[int, int] = {}
    for number, (x, y) in enumerate(np.clip(points, 1 - px, 2 * px - 2)):
        numbers.setdefault(subdivision.insert((float(x), float(y))), number)
    places = np.full((px, px, 2), -1, np.float32)
    for triangle in _triangles(subdivision, numbers):
        corners = points[triangle]
        system = np.column_stack([corners, np.ones(3)])
        if abs(np.linalg.det(system)) < 1e-6:
            continue
        affine = np.linalg.solve(system, sources[triangle])
        inside = np.zeros((px, px), np.uint8)
        cv2.fillConvexPoly(inside, np.round(corners * 16 - 8).astype(np.int32), 1, shift=4)
        rows, columns = np.nonzero(inside)
        centres = np.column_stack([columns + 0.5, rows + 0.5, np.ones(len(rows))])
        places[rows, columns] = centres @ affine - 0.5
    warped = cv2.remap(
        lab, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(warped, np.float32), places[..., 0] >= 0


def _triangles(subdivision: cv2.Subdiv2D, numbers: dict[int, int]) -> list[list[int]]:
    """The Delaunay triangles whose corners are points of ours, by their numbers."""
    triangles = []
    for corners in np.asarray(subdivision.getTriangleList()).reshape(-1, 3, 2):
        vertices = [subdivision.findNearest((float(x), float(y)))[0] for x, y in corners]
        if all(vertex in numbers for vertex in vertices):
            triangles.append([numbers[vertex] for vertex in vertices])
    return triangles


def _to_lab(picture: Picture) -> _Lab:
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def _to_rgb(lab: NDArray[np.floating]) -> Picture:
    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB) * 255
    return np.asarray(np.clip(np.rint(rgb), 0, 255), np.uint8)
