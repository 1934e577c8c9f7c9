"""A canvas for heads: soft-edged shapes in face coordinates on a floating-point picture."""

from __future__ import annotations

import copy
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]  # sRGB, 0 to 255
Points = NDArray[np.floating]  # [N, 2]

_SHIFT = 4  # OpenCV draws with this many fractional bits


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> Points:
    """A closed polygon of 40 points round ``(x, y)``."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    return np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], axis=1)


class Canvas:
    """Pictures of one head; what is painted is painted on each of them.

    ``layers`` are ``[3, height, width]`` float32, 0 to 255: one at first, black.

    ``scale`` is half the height of the face, as a fraction of the picture's shorter side;
    ``centre`` is a fraction of width and height; ``roll_deg`` turns clockwise; ``yaw`` shifts
    points to one side, those in the middle of the face the most.
    """

    def __init__(
        self,
        height: int,
        width: int,
        scale: float,
        centre: tuple[float, float],
        roll_deg: float,
        yaw: float,
    ) -> None:
        self.height, self.width = height, width
        self.layers = [np.zeros((3, height, width), np.float32)]
        self._unit = scale * min(height, width)
        self._centre = np.array([centre[0] * width, centre[1] * height])
        angle = np.deg2rad(roll_deg)
        self._turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self._yaw = yaw

    def add_layer(self) -> None:
        """Add a copy of the last layer."""
        self.layers.append(self.layers[-1].copy())

    @property
    def last_layer(self) -> Self:
        """The canvas of the last layer alone."""
        canvas = copy.copy(self)
        canvas.layers = self.layers[-1:]
        return canvas

    def fill(
        self,
        polygon: Points,
        colour: Colour,
        opacity: float = 1.0,
        blur: float = 0.0,
        inside: Points | None = None,
    ) -> None:
        """Paint a polygon with an edge ``blur`` wide; where ``inside`` is given, only within it."""
        points = self._place(polygon)
        box = self._box(points, blur)
        if box is None:
            return
        mask = self._soften(self._polygon(points, box), blur)
        if inside is not None:
            mask *= self._soften(self._polygon(self._place(inside), box), 0.008)
        self._blend(mask, box, colour, opacity)

    def stroke(
        self, line: Points, colour: Colour, width: float, opacity: float = 1.0, blur: float = 0.0
    ) -> None:
        """Paint an open line; ``width`` and ``blur`` in face units."""
        points = self._place(line)
        thickness = max(1, round(width * self._unit))
        box = self._box(points, blur + width)
        if box is None:
            return
        left, top, right, bottom = box
        mask = np.zeros((bottom - top, right - left), np.uint8)
        fixed_point = np.rint((points - (left, top)) * 2**_SHIFT).astype(np.int32)
        cv2.polylines(mask, [fixed_point], False, 255, thickness, cv2.LINE_AA, _SHIFT)
        line_mask = mask.astype(np.float32) * (min(1.0, width * self._unit) / 255)
        self._blend(self._soften(line_mask, blur), box, colour, opacity)

    def _place(self, points: Points) -> NDArray[np.float64]:
        """Face coordinates → pixels ``[N, 2]``."""
        x, y = points[:, 0], points[:, 1]
        front = np.clip(1 - x**2 - 0.3 * y**2, 0, 1)
        rotated = np.stack([x + self._yaw * front, y], axis=1) @ self._turn
        return np.asarray(self._centre + self._unit * rotated, dtype=np.float64)

    def _box(self, points: Points, margin: float) -> tuple[int, int, int, int] | None:
        pad = 3 * margin * self._unit + 2
        left, top = np.floor(points.min(0) - pad).astype(int)
        right, bottom = np.ceil(points.max(0) + pad).astype(int)
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, self.width), min(bottom, self.height)
        return (left, top, right, bottom) if left < right and top < bottom else None

    @staticmethod
    def _polygon(points: Points, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
        left, top, right, bottom = box
        mask = np.zeros((bottom - top, right - left), np.uint8)
        fixed_point = np.rint((points - (left, top)) * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(mask, [fixed_point], 255, cv2.LINE_AA, _SHIFT)
        return np.asarray(mask / np.float32(255), dtype=np.float32)

    def _soften(self, mask: NDArray[np.float32], blur: float) -> NDArray[np.float32]:
        sigma = blur * self._unit
        if sigma < 0.3:
            return mask
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), dtype=np.float32)

    def _blend(
        self,
        mask: NDArray[np.float32],
        box: tuple[int, int, int, int],
        colour: Colour,
        opacity: float,
    ) -> None:
        left, top, right, bottom = box
        weight = opacity * mask
        change = np.empty_like(weight)
        for layer in self.layers:
            for plane, value in zip(layer, np.asarray(colour, np.float32), strict=True):
                target = plane[top:bottom, left:right]
                np.subtract(value, target, out=change)
                change *= weight
                target += change
