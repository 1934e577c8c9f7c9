"""The crops that an original offers, by the configuration's rules: pure, and cheap to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from preprocessing.analysis.analyse import Analysis, FaceAnalysis
from preprocessing.analysis.resolution import MAX_DETAIL_PX
from preprocessing.config import PrepareConfig
from preprocessing.images import geometry
from preprocessing.selection.rejection_reasons import Reason

# of ``min_face_px``: a small face that a JPEG encoder smoothed shows a little less than its size
_MIN_DETAIL_SHARE = 0.75
_TOLERATED_OUTSIDE = 0.01  # share of the crop outside the photograph that needs no zoom


@dataclass(frozen=True)
class Crop:
    """A possible crop of an original; ``reason`` says why it is rejected, "" where it is not."""

    face: int  # its number in the analysis; -1: the whole picture
    reason: str
    transform: tuple[float, ...] = ()  # 2×3 row-major affine, original pixels → crop pixels
    sharpness: float = 0.0  # variance of the Laplacian at 128 px, grey levels²
    outside: float = 0.0  # share of the crop beyond the photograph


def possible_crops(
    analysis: Analysis, config: PrepareConfig, *, forced: bool = False
) -> list[Crop]:
    """The crops of an original, at least one: a rejected one where there is no good one.

    ``forced``: a person decided to keep the original. Then rules of quality do not apply, and of
    several faces the largest is cropped; only what cannot be cropped at all is rejected.
    """
    if analysis.reason:
        return [Crop(-1, analysis.reason)]
    reason = "" if forced else _picture_reason(analysis, config)
    if reason:
        return [Crop(-1, reason)]
    if not config.faces:
        transform = geometry.centre_transform(analysis.height, analysis.width, config.crop_px)
        is_blurred = analysis.sharpness < config.min_sharpness and not forced
        reason = Reason.BLURRED if is_blurred else ""
        return [Crop(-1, reason, _row_major(transform), analysis.sharpness)]
    faces = _faces_to_crop(analysis, config, forced=forced)
    if isinstance(faces, str):
        return [Crop(-1, faces)]
    return [_face_crop(number, face, analysis, config, forced=forced) for number, face in faces]


def _faces_to_crop(
    analysis: Analysis, config: PrepareConfig, *, forced: bool
) -> list[tuple[int, FaceAnalysis]] | str:
    """The faces to crop with their numbers, or the reason why there is none."""
    numbered = list(enumerate(analysis.faces))
    if not numbered:
        return Reason.NO_FACE
    large = [pair for pair in numbered if pair[1].side >= config.min_face_px]
    if forced:
        return (large or numbered)[:1]
    if not large:
        return Reason.FACE_TOO_SMALL
    if len(large) > 1 and config.faces_policy == "single":
        return Reason.SEVERAL_FACES
    return large if config.faces_policy == "all" else large[:1]


def _picture_reason(analysis: Analysis, config: PrepareConfig) -> str:
    shorter, longer = sorted((analysis.height, analysis.width))
    defects, max_unsafe = analysis.defects, config.max_unsafe
    applies = {
        Reason.TOO_SMALL: shorter < config.min_side_px,
        Reason.ODD_SHAPE: longer > config.max_aspect * shorter,
        Reason.UNSAFE: max_unsafe is not None and (analysis.unsafe or 0) > max_unsafe,
        Reason.UNIFORM: not config.faces and defects.contrast < config.min_contrast,
        Reason.BLACK_AND_WHITE: defects.colour < config.min_colour,
        Reason.FRAMED: defects.frame > config.max_frame,
        Reason.COLLAGE: defects.seam > config.max_seam,
    }
    return _first_true(applies) or ("" if config.faces else _exposure(defects.light, config))


def _exposure(light: float, config: PrepareConfig) -> str:
    """The reason to reject a face or picture of this median grey level."""
    if light < config.min_light:
        return Reason.TOO_DARK
    return Reason.TOO_BRIGHT if light > config.max_light else ""


def _face_crop(
    number: int, face: FaceAnalysis, analysis: Analysis, config: PrepareConfig, *, forced: bool
) -> Crop:
    crop_px = config.crop_px
    upright = geometry.eye_transform(face.points, crop_px, config.eye_distance, config.eye_height)
    transform = geometry.fit_inside(
        upright, analysis.height, analysis.width, crop_px,
        # the tip of the nose stays in place, so that neither forehead nor mouth alone is lost
        fixed=(0.5, config.eye_height + config.eye_distance / 2),
        max_zoom=config.max_zoom, spare=_TOLERATED_OUTSIDE,
    )  # fmt: skip
    outside = geometry.outside_share(transform, analysis.height, analysis.width, crop_px)
    return Crop(
        face=number,
        reason="" if forced else _face_reason(face, outside, config),
        transform=_row_major(transform),
        sharpness=face.sharpness,
        outside=round(outside, 4),
    )


def _face_reason(face: FaceAnalysis, outside: float, config: PrepareConfig) -> str:
    least_detail_px = _MIN_DETAIL_SHARE * min(config.min_face_px, MAX_DETAIL_PX)
    defects = {
        Reason.PROFILE: geometry.profile(face.points) > config.max_profile,
        Reason.LEAVES_THE_FRAME: outside > config.max_outside,
        Reason.BLURRED: face.sharpness < config.min_sharpness,
        Reason.ENLARGED: face.detail_px < least_detail_px,
        Reason.COVERED: face.covered > config.max_covered,
    }
    return _first_true(defects) or _exposure(face.light, config)


def _first_true(defects: Mapping[Reason, bool]) -> str:
    return next((reason for reason, is_found in defects.items() if is_found), "")


def _row_major(transform: geometry.Transform) -> tuple[float, ...]:
    """Row-major and rounded: the last digits differ between processors and must name no crop."""
    return tuple(float(value) for value in np.round(transform, 6).ravel())
