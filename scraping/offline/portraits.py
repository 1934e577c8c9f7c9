"""Drawn portraits of people who do not exist: seeded, varied, bare or made up.

A ``Person`` is an identity, a ``Shot`` is one photograph of it (pose, light, background, camera),
``Makeup`` is optional. ``draw`` with and without make-up gives two pictures that differ only where
make-up is applied: each is the other's true counterpart.

Face coordinates: the origin lies between forehead and chin, x to the viewer's right, y downwards,
one unit is half the height of the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from scraping.offline.canvas import Canvas, Colour, Points, ellipse

_SKINS: tuple[Colour, ...] = (
    (244, 214, 193), (236, 196, 170), (226, 182, 150), (214, 165, 132),
    (198, 148, 115), (170, 120, 90), (138, 94, 70), (106, 72, 55),
)  # fmt: skip
_SKIN_WEIGHTS = (0.18, 0.22, 0.2, 0.14, 0.1, 0.07, 0.05, 0.04)
_HAIRS: tuple[Colour, ...] = (
    (22, 19, 20), (38, 28, 24), (62, 42, 30), (96, 64, 40), (140, 96, 58), (186, 148, 96),
    (120, 52, 34), (150, 148, 146),
)  # fmt: skip
_HAIR_WEIGHTS = (0.32, 0.24, 0.16, 0.1, 0.07, 0.05, 0.03, 0.03)
_IRISES: tuple[Colour, ...] = (
    (46, 28, 20), (70, 44, 28), (96, 66, 40), (84, 98, 70), (84, 112, 134)
)  # fmt: skip
_LIPSTICKS: tuple[Colour, ...] = ((178, 18, 40), (192, 26, 54), (168, 16, 52), (198, 34, 48))
_SHADOWS: tuple[Colour, ...] = ((112, 44, 96), (124, 48, 88), (104, 46, 108), (130, 54, 84))
_LINER: Colour = (20, 14, 18)
_BLUSH: Colour = (224, 84, 100)


@dataclass(frozen=True)
class Person:
    """An identity. Colours are sRGB, 0 to 255; lengths are in face units."""

    skin: Colour
    hair: Colour
    iris: Colour
    face_width: float
    jaw: float  # 0 round, 1 pointed
    eye_spread: float
    eye_width: float
    eye_height: float
    brow_weight: float
    nose_width: float
    mouth_width: float
    lip_height: float
    hair_length: float  # 0 short, 1 down to the shoulders
    parting: float  # where the fringe parts, -0.5 to 0.5
    age: float  # 0 young, 1 old
    glasses: bool
    clothes: Colour

    @classmethod
    def seeded(cls, seed: int) -> Self:
        """The person of this seed, always the same."""
        rng = np.random.default_rng([seed, 1])
        skin = _SKINS[rng.choice(len(_SKINS), p=_SKIN_WEIGHTS)]
        return cls(
            skin=_jitter(rng, skin, 3),
            hair=_jitter(rng, _HAIRS[rng.choice(len(_HAIRS), p=_HAIR_WEIGHTS)], 6),
            iris=_jitter(rng, _IRISES[rng.integers(len(_IRISES))], 6),
            face_width=rng.uniform(0.70, 0.80),
            jaw=rng.uniform(0.1, 0.9),
            eye_spread=rng.uniform(0.31, 0.36),
            eye_width=rng.uniform(0.135, 0.165),
            eye_height=rng.uniform(0.055, 0.08),
            brow_weight=rng.uniform(0.6, 1.2),
            nose_width=rng.uniform(0.11, 0.17),
            mouth_width=rng.uniform(0.23, 0.29),
            lip_height=rng.uniform(0.8, 1.2),
            hair_length=float(rng.choice([0.1, 0.5, 1.0], p=[0.25, 0.3, 0.45])),
            parting=rng.uniform(-0.5, 0.5),
            age=float(rng.beta(1.2, 2.5)),
            glasses=bool(rng.random() < 0.1),
            clothes=_muted(rng, 20, 235),
        )


@dataclass(frozen=True)
class Shot:
    """Pose, light, background and camera of one photograph."""

    seed: int
    yaw: float  # -1 to 1; ±0.25 turns the nose a quarter of a face half-width
    roll_deg: float
    scale: float  # half the height of the face, as a fraction of the picture's shorter side
    centre: tuple[float, float]  # fractions of the picture's width and height
    smile: float
    light_deg: float
    light_strength: float
    warmth: float
    noise: float  # standard deviation in grey levels
    softness: float  # blur of the lens, in thousandths of the picture's side

    @classmethod
    def seeded(cls, seed: int) -> Self:
        """The shot of this seed, always the same."""
        rng = np.random.default_rng([seed, 2])
        return cls(
            seed=seed,
            yaw=float(np.clip(rng.normal(0, 0.09), -0.2, 0.2)),
            roll_deg=float(np.clip(rng.normal(0, 5), -14, 14)),
            scale=rng.uniform(0.25, 0.33),
            centre=(rng.uniform(0.45, 0.55), rng.uniform(0.44, 0.52)),
            smile=rng.uniform(0, 1),
            light_deg=rng.uniform(0, 360),
            light_strength=rng.uniform(0.02, 0.2),
            warmth=rng.uniform(-0.06, 0.06),
            noise=rng.uniform(1.0, 4.0),
            softness=rng.uniform(0.5, 1.5),
        )


@dataclass(frozen=True)
class Makeup:
    """Applied make-up: colours in sRGB, 0 to 255; opacities, 0 to 1."""

    lips: Colour
    lips_opacity: float
    shadow: Colour
    shadow_opacity: float
    liner_width: float
    blush_opacity: float
    brow_opacity: float

    @classmethod
    def seeded(cls, seed: int) -> Self:
        """The make-up of this seed, always the same."""
        rng = np.random.default_rng([seed, 3])
        return cls(
            lips=_jitter(rng, _LIPSTICKS[rng.integers(len(_LIPSTICKS))], 6),
            lips_opacity=rng.uniform(0.82, 0.95),
            shadow=_jitter(rng, _SHADOWS[rng.integers(len(_SHADOWS))], 6),
            shadow_opacity=rng.uniform(0.66, 0.8),
            liner_width=rng.uniform(0.02, 0.028),
            blush_opacity=rng.uniform(0.22, 0.34),
            brow_opacity=rng.uniform(0.5, 0.7),
        )


def draw(
    person: Person, shot: Shot, makeup: Makeup | None, height: int = 448, width: int = 384
) -> NDArray[np.uint8]:
    """The portrait as ``[height, width, 3]`` uint8 RGB; deterministic."""
    return _draw(person, shot, makeup, (height, width), is_pair=False)[-1]


def draw_pair(
    person: Person, shot: Shot, makeup: Makeup, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The portraits that ``draw`` gives without and with ``makeup``, in half of the time."""
    bare, made_up = _draw(person, shot, makeup, (height, width), is_pair=True)
    return bare, made_up


def _draw(
    person: Person, shot: Shot, makeup: Makeup | None, size: tuple[int, int], *, is_pair: bool
) -> list[NDArray[np.uint8]]:
    """The portrait; of a pair, the bare one before it. Make-up is on the last layer alone."""
    canvas = Canvas(*size, shot.scale, shot.centre, shot.roll_deg, shot.yaw)
    _background(canvas, shot)
    _behind_face(canvas, person)
    _skin(canvas, person)
    if is_pair:
        canvas.add_layer()
    if makeup is not None:
        _blush(canvas.last_layer, makeup)
    _nose(canvas, person)
    for side in (-1, 1):
        _eye(canvas, person, makeup, side)
        _brow(canvas, person, makeup, side)
    _mouth(canvas, person, shot, makeup)
    _hair_front(canvas, person)
    if person.glasses:
        _glasses(canvas, person)
    return _photograph(canvas.layers, shot)


def _jitter(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    red, green, blue = np.clip(np.asarray(colour) + rng.normal(0, spread, 3), 0, 255)
    return (float(red), float(green), float(blue))


def _muted(rng: np.random.Generator, low: float, high: float) -> Colour:
    """A colour of any hue and low saturation, as of walls and clothes."""
    red, green, blue = 0.65 * rng.uniform(low, high) + 0.35 * rng.uniform(low, high, 3)
    return (float(red), float(green), float(blue))


def _shade(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def _background(canvas: Canvas, shot: Shot) -> None:
    rng = np.random.default_rng([shot.seed, 4])
    top, bottom = (np.array(_muted(rng, 60, 240), np.float32) for _ in range(2))
    grid = np.linspace(0, 1, canvas.height, dtype=np.float32)[:, None, None]
    picture = np.broadcast_to(
        top * (1 - grid) + bottom * grid, (canvas.height, canvas.width, 3)
    ).copy()
    coarse = (rng.normal(0, rng.uniform(4, 24), (5, 5, 1)) * rng.uniform(0.7, 1.3, 3)).astype(
        np.float32
    )
    size = (canvas.width, canvas.height)
    picture += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    canvas.layers[-1][:] = picture.transpose(2, 0, 1)


def _behind_face(canvas: Canvas, person: Person) -> None:
    reach = 0.55 + 1.1 * person.hair_length
    width = person.face_width + 0.22
    canvas.fill(ellipse(0, -0.2, width, 1.06), person.hair, blur=0.02)
    if person.hair_length > 0.3:
        canvas.fill(
            np.array(
                [(-width, -0.2), (width, -0.2), (width + 0.05, reach), (-width - 0.05, reach)]
            ),
            person.hair,
            blur=0.04,
        )
    dark = _shade(person.skin, 0.82)
    canvas.fill(np.array([(-0.32, 0.6), (0.32, 0.6), (0.38, 1.5), (-0.38, 1.5)]), dark, blur=0.03)
    body = np.array(
        [(-0.34, 1.3), (0.34, 1.3), (1.25, 1.62), (1.5, 3.2), (-1.5, 3.2), (-1.25, 1.62)]
    )
    canvas.fill(body, person.clothes, blur=0.02)
    canvas.fill(ellipse(0, 1.28, 0.33, 0.16), dark, blur=0.03)
    for side in (-1, 1):
        canvas.fill(
            ellipse(side * person.face_width, 0.02, 0.09, 0.18), _shade(person.skin, 0.9), blur=0.01
        )


def _outline(person: Person) -> Points:
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    x, y = np.cos(angles), np.sin(angles)
    narrowing = 1 - (0.10 + 0.16 * person.jaw) * np.clip(y, 0, 1) ** 2
    return np.stack([person.face_width * np.sign(x) * np.abs(x) ** 0.88 * narrowing, y], axis=1)


def _skin(canvas: Canvas, person: Person) -> None:
    skin = person.skin
    outline = _outline(person)
    canvas.fill(outline, skin, blur=0.012)
    for side in (-1, 1):  # shading: at its sides the face turns away from the viewer
        canvas.fill(
            ellipse(side * 0.93 * person.face_width, 0.2, 0.2, 0.8),
            _shade(skin, 0.7),
            0.4,
            0.14,
            outline,
        )
        canvas.fill(ellipse(side * 0.4, 0.2, 0.2, 0.16), (240, 140, 120), 0.07, 0.1)
        socket = ellipse(side * person.eye_spread, -0.1, 0.22, 0.13)
        canvas.fill(socket, _shade(skin, 0.78), 0.3, 0.07)
        bag = ellipse(side * person.eye_spread, 0.07, 0.15, 0.03)
        canvas.fill(bag, _shade(skin, 0.75), 0.15 + 0.3 * person.age, 0.025)
        fold = np.array([(side * 0.19, 0.3), (side * 0.3, 0.44), (side * 0.33, 0.56)])
        canvas.stroke(fold, _shade(skin, 0.68), 0.02, 0.1 + 0.4 * person.age, 0.016)
    canvas.fill(ellipse(0, -0.55, 0.36, 0.2), (255, 246, 236), 0.14, 0.14)
    canvas.fill(ellipse(0, 0.98, 0.34, 0.1), _shade(skin, 0.7), 0.35, 0.07, outline)
    canvas.fill(ellipse(0, 0.8, 0.14, 0.1), (255, 240, 228), 0.08, 0.07)
    for line in range(3):
        y = -0.62 + 0.1 * line
        wrinkle = np.array([(-0.3, y), (0, y - 0.015), (0.3, y)])
        canvas.stroke(wrinkle, _shade(skin, 0.7), 0.012, 0.3 * person.age, 0.01)


def _blush(canvas: Canvas, makeup: Makeup) -> None:
    for side in (-1, 1):
        canvas.fill(ellipse(side * 0.45, 0.24, 0.17, 0.11), _BLUSH, makeup.blush_opacity, 0.09)


def _nose(canvas: Canvas, person: Person) -> None:
    dark, width = _shade(person.skin, 0.66), person.nose_width
    for side in (-1, 1):
        bridge = np.array([(side * 0.1, -0.16), (side * 0.07, 0.05), (side * width, 0.24)])
        canvas.stroke(bridge, dark, 0.03, 0.3, 0.03)
        canvas.fill(ellipse(side * width, 0.25, 0.05, 0.06), dark, 0.35, 0.025)
        canvas.fill(
            ellipse(side * width * 0.52, 0.305, 0.042, 0.02), _shade(person.skin, 0.3), 0.8, 0.01
        )
    canvas.stroke(np.array([(0, -0.12), (0, 0.2)]), (255, 246, 236), 0.05, 0.22, 0.03)
    canvas.fill(ellipse(0, 0.22, 0.06, 0.05), (255, 248, 240), 0.25, 0.03)
    canvas.fill(ellipse(0, 0.34, 0.12, 0.03), dark, 0.3, 0.025)


def _almond(x: float, y: float, width: float, height: float) -> Points:
    t = np.linspace(0, np.pi, 17)
    upper = np.stack([x - width * np.cos(t), y - height * np.sin(t) ** 0.9], axis=1)
    lower = np.stack([x + width * np.cos(t), y + 0.72 * height * np.sin(t)], axis=1)
    return np.concatenate([upper, lower])


def _eye(canvas: Canvas, person: Person, makeup: Makeup | None, side: int) -> None:
    x, y = side * person.eye_spread, -0.06
    width, height = person.eye_width, person.eye_height
    almond = _almond(x, y, width, height)
    lid = almond[:17]
    if makeup is not None:
        above = ellipse(x + side * 0.02, y - 0.085, width * 1.3, 0.105)
        canvas.last_layer.fill(above, makeup.shadow, makeup.shadow_opacity, 0.03)
        below = ellipse(x + side * 0.02, y + 0.06, width * 1.05, 0.03)
        canvas.last_layer.fill(below, makeup.shadow, 0.45, 0.02)
    crease = lid + np.array([0, -0.035])
    canvas.stroke(crease, _shade(person.skin, 0.55), 0.012, 0.4, 0.01)
    canvas.fill(almond, (238, 234, 230), blur=0.008)
    canvas.fill(ellipse(x, y - 0.045, width, 0.035), (120, 110, 110), 0.4, 0.02, almond)
    canvas.fill(ellipse(x, y - 0.005, 0.068, 0.068), _shade(person.iris, 0.55), 1, 0.006, almond)
    canvas.fill(ellipse(x, y - 0.002, 0.055, 0.055), person.iris, 1, 0.01, almond)
    canvas.fill(ellipse(x, y - 0.004, 0.027, 0.027), (8, 7, 8), 1, 0.005, almond)
    canvas.fill(ellipse(x - 0.02, y - 0.026, 0.013, 0.013), (255, 255, 255), 0.95, 0.004, almond)
    canvas.stroke(lid, (36, 26, 24), 0.016, 0.85, 0.006)
    canvas.stroke(almond[17:], _shade(person.skin, 0.5), 0.008, 0.45, 0.006)
    if makeup is not None:
        corner = lid[0] if side < 0 else lid[-1]
        face = canvas.last_layer
        face.stroke(lid + np.array([0, -0.006]), _LINER, makeup.liner_width * 1.6, 0.95, 0.006)
        wing = np.stack([corner, corner + np.array([side * 0.06, -0.045])])
        face.stroke(wing, _LINER, makeup.liner_width, 0.95, 0.006)
        face.stroke(almond[17:], _LINER, makeup.liner_width * 0.7, 0.75, 0.006)


def _brow(canvas: Canvas, person: Person, makeup: Makeup | None, side: int) -> None:
    x, weight = person.eye_spread, 0.05 * person.brow_weight
    arch = np.array([(0.55 * x, -0.275), (x, -0.33), (1.35 * x, -0.315), (1.62 * x, -0.25)])
    arch = arch * np.array([side, 1])
    colour = _shade(person.hair, 0.85)
    canvas.stroke(arch, colour, weight, 0.6, 0.014)
    if makeup is not None:
        canvas.last_layer.stroke(arch, (40, 26, 22), weight, makeup.brow_opacity, 0.01)


def _lips(person: Person, shot: Shot) -> tuple[Points, Points, Points]:
    """Outlines of the upper and the lower lip, and the line between them."""
    width = person.mouth_width * (1 + 0.12 * shot.smile)
    lift = 0.05 * shot.smile
    t = np.linspace(-1, 1, 21)
    line = np.stack([width * t, 0.54 - lift * t**2 + 0.008 * np.cos(3 * np.pi * t)], axis=1)
    lobes = (1 - np.abs(t) ** 2.2) * (1 + 0.25 * np.cos(2 * np.pi * np.abs(t) - np.pi))
    upper = line - np.stack([0 * t, 0.062 * person.lip_height * lobes], axis=1)
    lower = line + np.stack([0 * t, 0.1 * person.lip_height * (1 - np.abs(t) ** 2.4)], axis=1)
    return np.concatenate([upper, line[::-1]]), np.concatenate([line, lower[::-1]]), line


def _mouth(canvas: Canvas, person: Person, shot: Shot, makeup: Makeup | None) -> None:
    upper, lower, line = _lips(person, shot)
    red, green, blue = person.skin
    natural = (red * 0.84, green * 0.66, blue * 0.66)
    canvas.fill(ellipse(0, 0.7, 0.15, 0.03), _shade(person.skin, 0.7), 0.4, 0.03)
    canvas.fill(upper, _shade(natural, 0.88), 0.85, 0.012)
    canvas.fill(lower, natural, 0.85, 0.012)
    if makeup is not None:
        canvas.last_layer.fill(upper, _shade(makeup.lips, 0.85), makeup.lips_opacity, 0.008)
        canvas.last_layer.fill(lower, makeup.lips, makeup.lips_opacity, 0.008)
    canvas.fill(ellipse(0, 0.595, 0.1, 0.015), (255, 240, 240), 0.22, 0.014)
    canvas.stroke(line, (70, 26, 28), 0.014, 0.75, 0.007)


def _hair_front(canvas: Canvas, person: Person) -> None:
    width = person.face_width
    part = person.parting * width
    for side in (-1, 1):
        edge = side * (width + 0.06)
        drop = 0.05 + 0.75 * person.hair_length
        fringe = np.array([
            (part, -1.12), (part, -0.84), (part + 0.5 * (edge - part), -0.72),
            (edge - side * 0.13, -0.45), (edge - side * 0.07, drop),
            (edge + side * 0.09, drop + 0.1), (edge + side * 0.12, -0.4), (0.7 * edge, -1.0),
        ])  # fmt: skip
        canvas.fill(fringe, person.hair, blur=0.016)
        strand = np.array([(part, -1.0), (0.6 * edge, -0.82), (0.97 * edge, -0.4)])
        canvas.stroke(strand, _shade(person.hair, 1.5), 0.05, 0.25, 0.03)
    canvas.fill(ellipse(0, -0.98, 0.8 * width, 0.2), person.hair, blur=0.03)


def _glasses(canvas: Canvas, person: Person) -> None:
    frame = _shade(person.clothes, 0.3)
    for side in (-1, 1):
        ring = ellipse(side * person.eye_spread, -0.03, 0.245, 0.2)
        canvas.stroke(np.concatenate([ring, ring[:1]]), frame, 0.022, 0.9, 0.006)
        arm = np.array([(side * (person.eye_spread + 0.245), -0.05), (side * 0.82, -0.07)])
        canvas.stroke(arm, frame, 0.022, 0.9, 0.006)
    canvas.stroke(np.array([(-0.08, -0.05), (0, -0.07), (0.08, -0.05)]), frame, 0.02, 0.9, 0.006)


def _photograph(layers: Sequence[NDArray[np.float32]], shot: Shot) -> list[NDArray[np.uint8]]:
    """Apply light, lens and sensor, in the same way to a bare and a made-up drawing."""
    height, width = layers[0].shape[1:]
    y, x = (each.astype(np.float32) for each in np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j])
    angle = np.deg2rad(shot.light_deg)
    light = 1 + shot.light_strength * (x * np.cos(angle) + y * np.sin(angle))
    warmth = np.array([1 + shot.warmth, 1, 1 - shot.warmth], np.float32)
    sigma = max(0.3, shot.softness * min(height, width) / 1000)
    rng = np.random.default_rng([shot.seed, 5])
    noise = shot.noise * rng.standard_normal((height, width, 3), dtype=np.float32)
    lit, photographs = np.empty((height, width, 3)), []
    for layer in layers:
        for channel, (plane, factor) in enumerate(zip(layer, warmth, strict=True)):
            np.multiply(plane * light, factor, out=lit[..., channel])
        pixels = cv2.GaussianBlur(lit, (0, 0), sigma)
        pixels += noise
        np.clip(np.rint(pixels, out=pixels), 0, 255, out=pixels)
        photographs.append(pixels.astype(np.uint8))
    return photographs
