"""Annotated pictures for people: before and after side by side, faces with their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_detector import Face
from serving.face_selection import left_to_right

_COLOUR = (255, 214, 10)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_PX = 22  # height of its digits at scale 1
_DIGIT_SHARE = 1 / 28  # height of a digit, share of the picture's longer side


def side_by_side(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Both ``[H, W, 3]`` uint8 as ``[H, 2 W, 3]``; wide ones as ``[2 H, W, 3]``, stacked."""
    axis = 0 if side_by_side_shape(before.shape)[0] > before.shape[0] else 1
    return np.concatenate([before, after], axis=axis)


def side_by_side_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the two pictures of ``shape`` together."""
    height, width = shape[:2]
    return (2 * height, width) if width > 1.5 * height else (height, 2 * width)


def draw_face_numbers(
    picture: NDArray[np.uint8], faces: Sequence[Face], max_px: int | None = None
) -> NDArray[np.uint8]:
    """A copy of ``picture`` with a box and a number for each face, counted from left to right.

    ``max_px``: longest side of the copy. The numbers are as high as the copy needs to be read in a
    small view, however small the faces are.
    """
    scale = min(1.0, (max_px or np.inf) / max(picture.shape[:2]))
    annotated = picture.copy()
    if scale < 1:
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
        annotated = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    height, width = annotated.shape[:2]
    line_px = max(1, round(max(height, width) / 400))
    font_scale = max(0.4, max(height, width) * _DIGIT_SHARE / _FONT_PX)
    thickness = max(1, round(2 * font_scale))
    for number, face in enumerate(left_to_right(faces), start=1):
        left, top, right, bottom = (round(value * scale) for value in face.box)
        cv2.rectangle(annotated, (left, top), (right, bottom), _COLOUR, line_px, cv2.LINE_AA)
        (text_width, text_height), _ = cv2.getTextSize(str(number), _FONT, font_scale, thickness)
        label_width, label_height = text_width + 4 * line_px, text_height + 4 * line_px
        # above the face, where there is room, so that the label does not hide a small one
        x = min(max(left, 0), max(0, width - label_width))
        y = min(max(top - label_height, 0), max(0, height - label_height))
        corner = (x + label_width, y + label_height)
        cv2.rectangle(annotated, (x, y), corner, _COLOUR, cv2.FILLED)
        origin = (x + 2 * line_px, y + label_height - 2 * line_px)
        cv2.putText(
            annotated, str(number), origin, _FONT, font_scale, (0, 0, 0), thickness, cv2.LINE_AA
        )
    return annotated
