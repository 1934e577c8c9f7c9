"""Annotated pictures for people: before and after side by side, faces with their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_detector import Face
from serving.face_selection import left_to_right

_COLOUR = (255, 214, 10)


def side_by_side(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Both ``[H, W, 3]`` uint8 as ``[H, 2 W, 3]``; wide ones as ``[2 H, W, 3]``, stacked."""
    axis = 0 if side_by_side_shape(before.shape)[0] > before.shape[0] else 1
    return np.concatenate([before, after], axis=axis)


def side_by_side_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the two pictures of ``shape`` together."""
    height, width = shape[:2]
    return (2 * height, width) if width > 1.5 * height else (height, 2 * width)


def draw_face_numbers(picture: NDArray[np.uint8], faces: Sequence[Face]) -> NDArray[np.uint8]:
    """A copy of ``picture`` with a box and a number for each face, counted from left to right."""
    annotated = picture.copy()
    line_px = max(1, round(max(picture.shape[:2]) / 400))
    for number, face in enumerate(left_to_right(faces), start=1):
        left, top, right, bottom = (round(value) for value in face.box)
        cv2.rectangle(annotated, (left, top), (right, bottom), _COLOUR, line_px, cv2.LINE_AA)
        scale = max(0.5, (right - left) / 160)
        origin = (left + 2 * line_px, top + round(28 * scale) + 2 * line_px)
        for colour, thickness in (((0, 0, 0), 4), (_COLOUR, 2)):  # an outline below the digits
            stroke_px = max(1, round(thickness * scale))
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(annotated, str(number), origin, font, scale, colour, stroke_px, cv2.LINE_AA)
    return annotated
