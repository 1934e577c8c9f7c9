"""Drawn landscapes in summer and in winter: two domains without faces."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def draw(seed: int, *, winter: bool, height: int = 320, width: int = 416) -> NDArray[np.uint8]:
    """``[height, width, 3]`` uint8 RGB; one seed is one place, in both seasons."""
    rng = np.random.default_rng([seed, 6])
    horizon = int(height * rng.uniform(0.4, 0.6))
    pixels = np.empty((height, width, 3), np.float32)
    sky_top, sky_low = (
        ((168, 182, 200), (226, 230, 236)) if winter else ((64, 128, 216), (188, 220, 244))
    )
    fade = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    pixels[:] = np.array(sky_top, np.float32) * (1 - fade) + np.array(sky_low, np.float32) * fade
    far = np.array((206, 212, 222) if winter else (92, 118, 128), np.float32)
    near = np.array((236, 240, 246) if winter else (74, 128, 52), np.float32)
    num_ridges = int(rng.integers(2, 5))
    for index in range(num_ridges + 1):
        share = index / num_ridges
        base = horizon - (1 - share) * 0.18 * height + share * 0.12 * height
        ridge = _ridge(rng, width, base, height * (0.16 - 0.1 * share))
        rows = np.arange(height)[:, None]
        pixels[rows >= ridge[None]] = (1 - share) * far + share * near
    pixels += _texture(rng, height, width)
    for _ in range(int(rng.integers(6, 22))):
        _tree(pixels, rng, horizon, winter=winter)
    pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 1.0))
    pixels *= rng.uniform(0.85, 1.1)
    pixels += rng.uniform(1, 4) * rng.standard_normal(pixels.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)


def _ridge(rng: np.random.Generator, width: int, base: float, swing: float) -> NDArray[np.float64]:
    """The y coordinate of a ridge in each column, px: ``[width]``."""
    points = base + swing * rng.uniform(-1, 1, 9)
    line = cv2.resize(points[None].astype(np.float64), (width, 1), interpolation=cv2.INTER_CUBIC)
    return np.asarray(line[0], dtype=np.float64)


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float32]:
    coarse = rng.normal(0, 7, (height // 8, width // 8, 1)).astype(np.float32)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine, np.float32)[..., None]


def _tree(
    pixels: NDArray[np.float32], rng: np.random.Generator, horizon: int, *, winter: bool
) -> None:
    height, width = pixels.shape[:2]
    foot = int(rng.uniform(horizon + 0.1 * height, height))
    size = int((0.1 + 0.5 * (foot - horizon) / height) * height * rng.uniform(0.6, 1.0))
    x = int(rng.uniform(0, width))
    trunk = (70.0, 52.0, 40.0)
    cv2.line(pixels, (x, foot), (x, foot - size // 2), trunk, max(1, size // 14), cv2.LINE_AA)
    green = np.array((150, 158, 160) if winter else (42, 92, 34)) + rng.normal(0, 10, 3)
    for layer in range(3):
        top = foot - size + layer * size // 4
        half = size // 6 + layer * size // 12
        corners = np.array([(x, top), (x - half, top + size // 3), (x + half, top + size // 3)])
        cv2.fillPoly(pixels, [corners.astype(np.int32)], green.tolist(), cv2.LINE_AA)
        if winter:
            snow = np.array(
                [(x, top), (x - half // 2, top + size // 6), (x + half // 2, top + size // 6)]
            )
            cv2.fillPoly(pixels, [snow.astype(np.int32)], (246.0, 248.0, 252.0), cv2.LINE_AA)
