"""Gives a picture the appearance of a reference by closed forms: a face's make-up, or the colours.

Make-up is transferred as in the pseudo ground truth of make-up transfer networks (Gu et al. 2019,
"LADN", §3.3; Yang et al. 2022, "EleGANt", §3.4), from the regions of both faces' meshes: lips get
the reference's colour statistics (Reinhard et al. 2001, "Color Transfer between Images"), cheeks
its mean colour, and lids the reference's own pixels, warped to the face, since liner and lashes are
strokes that no statistics hold. All colours are CIE L*a*b*, and relative to the other skin of their
face.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.pictures import Picture
from preprocessing.analysis.face_mesh import Points
from preprocessing.analysis.face_regions import EYE_ZONE, Masks, masks, soft_masks
from preprocessing.images.colour_maps import Moments, fit_transport, moments

_Lab = NDArray[np.float32]  # [H, W, 3]: L* 0 to 100, a*, b*
_SOFT_MASKS = {"lips": "lips", "eyes": "lids", "cheeks": "cheeks"}  # by region
_NUM_BANDS = 4
_ADDED_VARIANCE = 25.0  # grey levels²
_DETAIL_SIGMAS = (1.0, 2.0, 4.0)  # px: detail lies between these blurs
_ADDED_DEVIATION = 0.3  # CIE units of detail: less is rounding
_MOST_DETAIL_GAIN = 2.0  # over the picture's own detail: more would make grain of a plain sky
_CONTRAST_RANGE = (0.6, 1.6)  # of the lips: a smooth or blurred reference must not flatten them


@dataclass(frozen=True)
class Face:
    """A square picture of a face, ``[px, px, 3]`` uint8 RGB, and its mesh in its pixels."""

    picture: Picture
    mesh: Points  # [468, 2]


@dataclass(frozen=True)
class References:
    """The faces whose lips, eyes and cheeks another one takes; they may be one and the same."""

    lips: Face
    eyes: Face
    cheeks: Face


def transfer_makeup(face: Face, references: References) -> Picture:
    """The picture of ``face`` with the make-up, or the bare skin, of ``references``.

    ``[px, px, 3]`` uint8 RGB. All pictures have one size.
    """
    lab, soft = _to_lab(face.picture), soft_masks(face.mesh, len(face.picture))
    hard = masks(face.mesh, len(lab))
    skin, _ = _statistics(lab, hard["skin"])
    result = lab.copy()
    mean, deviation = _statistics(lab, hard["lips"])
    reference, reference_masks = _lit_like(references.lips, skin)
    other_mean, other_deviation = _statistics(reference, reference_masks["lips"])
    contrast = np.clip(other_deviation / np.maximum(deviation, 1), *_CONTRAST_RANGE)
    result += soft["lips"][..., None] * ((lab - mean) * contrast + other_mean - lab)
    mean, _ = _statistics(lab, hard["cheeks"])
    reference, reference_masks = _lit_like(references.cheeks, skin)
    other_mean, _ = _statistics(reference, reference_masks["cheeks"])
    result += soft["cheeks"][..., None] * (other_mean - mean)
    reference, _ = _lit_like(references.eyes, skin)
    warped, is_covered = _warp_eyes(reference, references.eyes.mesh, face.mesh)
    return _to_rgb(result + (soft["lids"] * is_covered)[..., None] * (warped - result))


def shift_regions(face: Face, shifts: Mapping[str, NDArray[np.float64]]) -> Picture:
    """The picture of ``face`` with the colours of its regions shifted, ``[3]`` each in L*a*b*."""
    lab, soft = _to_lab(face.picture), soft_masks(face.mesh, len(face.picture))
    changes = [soft[_SOFT_MASKS[region]][..., None] * shift for region, shift in shifts.items()]
    return _to_rgb(lab + np.sum(changes, axis=0))


def _lit_like(face: Face, skin: NDArray[np.float64]) -> tuple[_Lab, Masks]:
    """The picture in L*a*b*, shifted so that its skin has the colour ``skin``; and its masks."""
    lab, hard = _to_lab(face.picture), masks(face.mesh, len(face.picture))
    own_skin, _ = _statistics(lab, hard["skin"])
    return np.asarray(lab + (skin - own_skin), np.float32), hard


def transfer_colours(picture: Picture, reference: Picture) -> Picture:
    """``picture`` ``[H, W, 3]`` uint8 RGB with the colours of ``reference``, band by band.

    Monge–Kantorovich transport of RGB gives overlapping bands of the picture the mean and the
    covariance of the same bands of the reference. One map of the whole picture would give snow the
    colour of the sky, where that is the brightest of the reference. A little variance is added to
    all covariances, so that grain in a plain sky is not amplified. Then detail gets the reference's
    strength: leaves that become snow lose their specks of colour.
    """
    colours, result = picture.astype(np.float64), np.zeros(picture.shape)
    bands, reference_bands = _bands(picture), _bands(reference)
    for band, reference_band in zip(bands, reference_bands, strict=True):
        source, target = moments([picture], [band]), moments([reference], [reference_band])
        colour_map = fit_transport(_softened(source), _softened(target))
        result += band[..., None] * colour_map(colours)
    transported = np.asarray(np.clip(np.rint(result), 0, 255), np.uint8)
    layers, smooth = _layers(_to_lab(transported))
    deviations = np.minimum(
        _deviations(_layers(_to_lab(reference))[0], reference_bands),
        _MOST_DETAIL_GAIN * _deviations(_layers(_to_lab(picture))[0], bands),
    )
    gains = (deviations + _ADDED_DEVIATION) / (_deviations(layers, bands) + _ADDED_DEVIATION)
    detail = np.einsum("bhw,shwc,sbc->hwc", np.stack(bands), np.stack(layers), gains)
    return _to_rgb(smooth + detail)


def _deviations(
    layers: Sequence[_Lab], bands: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Standard deviation by layer, band and channel: ``[S, B, 3]``, CIE units."""
    return np.array([[_statistics(layer, band)[1] for band in bands] for layer in layers])


def _layers(lab: _Lab) -> tuple[list[_Lab], _Lab]:
    """The detail of each scale, from the finest, and the rest: together they add to ``lab``."""
    blurred = [lab, *(cv2.GaussianBlur(lab, (0, 0), sigma) for sigma in _DETAIL_SIGMAS)]
    details = [finer - coarser for finer, coarser in itertools.pairwise(blurred)]
    return details, np.asarray(blurred[-1], np.float32)


def _softened(colours: Moments) -> Moments:
    return Moments(colours.mean, colours.covariance + _ADDED_VARIANCE * np.eye(3))


def band_colours(picture: Picture) -> NDArray[np.float64]:
    """Mean and standard deviation of each band's channels, ``[4 · 6]`` in grey levels."""
    statistics = [moments([picture], [band]) for band in _bands(picture)]
    return np.concatenate(
        [np.concatenate([each.mean, np.sqrt(np.diag(each.covariance))]) for each in statistics]
    )


def _bands(picture: Picture) -> list[NDArray[np.float64]]:
    """The weights ``[H, W]`` of ``_NUM_BANDS`` bands, from the top; they overlap and add to 1."""
    height, width = picture.shape[:2]
    centres = np.linspace(0, 1, _NUM_BANDS)
    places = np.linspace(0, 1, height)
    hats = np.clip(1 - np.abs(places[:, None] - centres) * (_NUM_BANDS - 1), 0, 1)
    return [np.repeat(hats[:, [band]], width, axis=1) for band in range(_NUM_BANDS)]


def _statistics(
    lab: _Lab, weights: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
