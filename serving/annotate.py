"""Pictures for looking at: before and after side by side, faces with their numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_detector import Face
from serving.face_selection import left_to_right

_COLOUR = (255, 214, 10)


def side_by_side(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``[H, 2 W, 3]`` uint8; a wide picture gets ``[2 H, W, 3]``, one above the other."""
    height, width = before.shape[:2]
    axis = 0 if width > 1.5 * height else 1
    return np.concatenate([before, after], axis=axis)


def numbered(picture: NDArray[np.uint8], faces: Sequence[Face]) -> NDArray[np.uint8]:
    """``picture`` with a box and a number for each face, from left to right."""
    shown = picture.copy()
    line = max(1, round(max(picture.shape[:2]) / 400))
    for number, face in enumerate(left_to_right(faces), start=1):
        left, top, right, bottom = (round(value) for value in face.box)
        cv2.rectangle(shown, (left, top), (right, bottom), _COLOUR, line, cv2.LINE_AA)
        size = max(0.5, (right - left) / 160)
        place = (left + 2 * line, top + round(28 * size) + 2 * line)
        for colour, thick in (((0, 0, 0), 4), (_COLOUR, 2)):
            stroke = max(1, round(thick * size))
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(shown, str(number), place, font, size, colour, stroke, cv2.LINE_AA)
    return shown
