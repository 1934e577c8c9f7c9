"""Halos: change beside lips, lids and brows that no true change has, on drawn faces of 1,024 px.

A drawn person with and without make-up gives the true change at every pixel. The "generator" knows
it at 128 px, so that all that is wrong is how its change reaches the photograph; a model's own
generators (``--model``) add the halos that they draw. The *ring* is the two pixels of the crop
around where the truth changes lips, lids and brows (by the face mesh); there the truth changes
nothing. ``before`` enlarges in the same way everywhere, ``after`` along the photograph's edges.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evaluation.metrics import regions
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.face_mesh import FaceMesh
from preprocessing.images import geometry
from scraping.offline.portraits import Makeup, Person, Shot, draw
from serving.blending import blend_change, face_change, face_mask
from training.data.tensors import to_levels, to_tensor

FACE_PX, CROP_PX = 1024, 128
_EYE_DISTANCE, _EYE_HEIGHT = 0.36, 0.40  # those of preparation
_RING_PX = 2 * FACE_PX // CROP_PX
_NEAR_PX = 48  # what the truth changes so far from the mesh's regions is theirs
_VISIBLE = 2  # grey levels; a smaller true change counts as none
_FIRST_SEED = 300
_RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)  # points of MediaPipe's face mesh
_LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)

Picture = NDArray[np.uint8]
Generators = tuple[nn.Module, nn.Module]
"""To bare, and to make-up."""


@dataclass(frozen=True)
class Face:
    """A drawn face in one direction; pictures are ``[FACE_PX, FACE_PX, 3]``."""

    before: Picture
    truth: Picture  # the same person and shot with, or without, make-up
    keypoints: NDArray[np.float64]
    to_makeup: bool
    regions: NDArray[np.bool_]  # lips, lids and brows


@dataclass(frozen=True)
class Halo:
    """Mean error of the change in grey levels: in the ring, and where the truth changes."""

    ring: float
    inside: float


def draw_faces(num_people: int) -> list[Face]:
    """Both directions of ``num_people`` drawn people."""
    detector, mesh = FaceDetector(), FaceMesh()
    return [
        face
        for seed in range(_FIRST_SEED, _FIRST_SEED + num_people)
        for face in _faces_of(seed, detector, mesh)
    ]


def measure_halos(faces: list[Face], generators: Generators | None = None) -> tuple[Halo, Halo]:
    """Before and after; ``None``: the true change, reduced to ``CROP_PX``."""
    errors = np.array([
        [_error(face, blended) for blended in _blend_both(face, generators)] for face in faces
    ])  # fmt: skip
    before, after = (Halo(*map(float, pair)) for pair in errors.mean(axis=0))
    return before, after


def blend_seconds(face: Face, rounds: int) -> tuple[float, float]:
    """Least seconds of blending a face, before and after, taking turns."""
    change, crop, transform = _change(face, None)
    best = [np.inf, np.inf]
    for _ in range(rounds):
        for number, guide in enumerate((None, crop)):
            started = time.perf_counter()
            blend_change(face.before, change, transform, guide)
            best[number] = min(best[number], time.perf_counter() - started)
    return best[0], best[1]


def _faces_of(seed: int, detector: FaceDetector, mesh: FaceMesh) -> Iterator[Face]:
    person, shot = Person.seeded(seed), Shot.seeded(seed)
    side = round(_EYE_DISTANCE * FACE_PX / (2 * person.eye_spread * shot.scale))
    pictures = [
        draw(person, shot, makeup, round(1.2 * side), side)
        for makeup in (Makeup.seeded(seed), None)
    ]
    detected = max(detector.detect(pictures[1]), key=lambda face: face.side)
    points = mesh.points(pictures[1], detected.keypoints)
    assert points is not None, "the face mesh finds drawn faces"
    transform = geometry.eye_transform(detected.keypoints, FACE_PX, _EYE_DISTANCE, _EYE_HEIGHT)
    makeup, bare = (geometry.crop(picture, transform, FACE_PX) for picture in pictures)
    keypoints = geometry.apply(transform, detected.keypoints)
    inside = _regions(geometry.apply(transform, points))
    yield Face(makeup, bare, keypoints, False, inside)
    yield Face(bare, makeup, keypoints, True, inside)


def _regions(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    weights = regions.masks(points, FACE_PX)
    inside = (weights["lips"] + weights["eyes"] > 0.5).astype(np.uint8)
    for brow in (_RIGHT_BROW, _LEFT_BROW):
        hull = cv2.convexHull(np.rint(points[list(brow)]).astype(np.int32))
        cv2.fillConvexPoly(inside, hull, (1,))
    return inside > 0


def _change(
    face: Face, generators: Generators | None
) -> tuple[NDArray[np.float32], Picture, geometry.Transform]:
    """The change at ``CROP_PX``, the crop, and the photo's transform to it."""
    transform = geometry.centre_transform(FACE_PX, FACE_PX, CROP_PX)
    crop = geometry.crop(face.before, transform, CROP_PX)
    if generators is None:
        true_change = face.truth.astype(np.float32) - face.before
        small = cv2.resize(true_change, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float32), crop, transform
    with torch.inference_mode():
        after = to_levels(generators[face.to_makeup](to_tensor(crop[None])))[0]
    mask = face_mask(geometry.apply(transform, face.keypoints), CROP_PX)
    return face_change(crop, after, mask), crop, transform


def _blend_both(face: Face, generators: Generators | None) -> tuple[Picture, Picture]:
    change, crop, transform = _change(face, generators)
    return (
        blend_change(face.before, change, transform),
        blend_change(face.before, change, transform, crop),
    )


def _error(face: Face, result: Picture) -> tuple[float, float]:
    """Mean difference from the truth in the ring, and where the truth changes."""
    true_change = np.abs(face.truth.astype(int) - face.before).max(axis=2)
    near = _dilate(face.regions, _NEAR_PX)
    speckled = ((true_change > _VISIBLE) & near).astype(np.uint8)
    changed = cv2.morphologyEx(speckled, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    ring = _dilate(changed, _RING_PX) & ~changed & (true_change <= _VISIBLE)
    error = np.abs(result.astype(float) - face.truth).mean(axis=2)
    return float(error[ring].mean()), float(error[changed].mean())


def _dilate(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    side = 2 * radius_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)
