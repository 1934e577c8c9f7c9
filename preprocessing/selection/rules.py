"""Which crops an original is good for, by the configuration's rules: pure, and cheap to repeat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preprocessing.analysis.analyse import Analysis, FaceSeen
from preprocessing.config import PrepareConfig
from preprocessing.images import geometry

_SPARE = 0.01  # share outside the photograph for which no crop is brought closer


@dataclass(frozen=True)
class View:
    """A crop of an original, or why there is none: ``reason`` is "" for one that may be used.

    ``face`` is its number in the analysis (-1: the whole picture); ``transform`` is row-major.
    """

    face: int
    reason: str
    transform: tuple[float, ...] = ()
    sharpness: float = 0.0
    outside: float = 0.0  # share of the crop beyond the photograph


def views(seen: Analysis, config: PrepareConfig, *, forced: bool = False) -> list[View]:
    """The crops of an original; one with a reason where there is none to be had.

    ``forced`` is a person's wish to keep it: rules of taste are not asked, and of several faces the
    largest is taken. What cannot be cropped at all still has its reason.
    """
    if seen.reason:
        return [View(-1, seen.reason)]
    reason = "" if forced else _picture_reason(seen, config)
    if reason:
        return [View(-1, reason)]
    if not config.faces:
        transform = geometry.centre_transform(seen.height, seen.width, config.crop_px)
        blurred = seen.sharpness < config.min_sharpness and not forced
        return [View(-1, "blurred" if blurred else "", _flat(transform), seen.sharpness)]
    chosen = _chosen(seen, config, forced=forced)
    if isinstance(chosen, str):
        return [View(-1, chosen)]
    return [_face_view(number, face, seen, config, forced=forced) for number, face in chosen]


def _chosen(
    seen: Analysis, config: PrepareConfig, *, forced: bool
) -> list[tuple[int, FaceSeen]] | str:
    """The faces to crop with their numbers, or why there is none."""
    numbered = list(enumerate(seen.faces))
    if not numbered:
        return "no-face"
    large = [pair for pair in numbered if pair[1].side >= config.min_face_px]
    if forced:
        return (large or numbered)[:1]
    if not large:
        return "face-too-small"
    if len(large) > 1 and config.faces_policy == "single":
        return "several-faces"
    return large if config.faces_policy == "all" else large[:1]


def _picture_reason(seen: Analysis, config: PrepareConfig) -> str:
    shorter, longer = sorted((seen.height, seen.width))
    if shorter < config.min_side_px:
        return "too-small"
    if longer > config.max_aspect * shorter:
        return "odd-shape"
    if seen.unsafe is not None and config.max_unsafe is not None:
        return "unsafe" if seen.unsafe > config.max_unsafe else ""
    return ""


def _face_view(
    number: int, face: FaceSeen, seen: Analysis, config: PrepareConfig, *, forced: bool
) -> View:
    size = config.crop_px
    upright = geometry.eye_transform(face.points, size, config.eye_distance, config.eye_height)
    # about the tip of the nose, so that neither forehead nor mouth is lost alone
    transform = geometry.fitted(
        upright, seen.height, seen.width, size,
        fixed=(0.5, config.eye_height + config.eye_distance / 2),
        max_zoom=config.max_zoom, spare=_SPARE,
    )  # fmt: skip
    outside = geometry.outside_share(transform, seen.height, seen.width, size)
    reason = ""
    if forced:
        pass
    elif geometry.profile(face.points) > config.max_profile:
        reason = "profile"
    elif outside > config.max_outside:
        reason = "leaves-the-frame"
    elif face.sharpness < config.min_sharpness:
        reason = "blurred"
    elif face.covered > config.max_covered:
        reason = "covered"
    return View(number, reason, _flat(transform), face.sharpness, round(outside, 4))


def _flat(transform: geometry.Transform) -> tuple[float, ...]:
    """Row-major, rounded: another processor's last digits must not name another crop."""
    return tuple(float(value) for value in np.round(transform, 6).ravel())
