"""The stage's verb: photographs in, translated photographs out, at their full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from preprocessing import align
from preprocessing.config import PrepareConfig
from preprocessing.decode import Rejected, decode
from preprocessing.faces import FaceDetector
from scraping.records import Progress, atomic_file, silent
from serving.models import Direction, preparation
from serving.paste import paste
from training.checkpoint import load_generator

_MAX_PIXELS = 120e6
_MULTIPLE = 4  # the generator halves a picture twice
_MAX_WHOLE_PX = 1024  # longer side of what goes through the generator as a whole


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: ``output`` or, when there is none, the reason."""

    photo: Path
    output: Path | None
    reason: str
    num_faces: int


def translate(
    photos: Sequence[Path],
    out: Path,
    model: Path,
    *,
    direction: Direction,
    whole: bool = False,
    strength: float = 1.0,
    compare: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> list[Outcome]:
    """Translate each photo into ``out/<name>.jpg``; one outcome each, in order.

    Faces are found and prepared as in training and pasted back; ``whole`` (and a recipe without
    faces) translates the picture as it is. ``strength`` 0 keeps the photo, 1 is the full change.
    Orientation is applied once and no metadata is kept. Raises ``CheckpointError`` for a broken
    model and ``OSError`` when ``out`` cannot be made; a bad photo is an outcome, not an error.
    """
    generator = _generator(model, direction)
    prepare = preparation(model)
    detector = FaceDetector() if prepare.faces and not whole else None
    out.mkdir(parents=True, exist_ok=True)
    outcomes = []
    for number, photo in enumerate(photos):
        target = out / f"{photo.stem}.jpg"
        if target.exists() and not overwrite:
            outcomes.append(Outcome(photo, None, f"{target} exists; --overwrite replaces it", 0))
        else:
            outcomes.append(
                _translate_one(
                    photo, target, generator, prepare, detector, strength, compare=compare
                )
            )
        progress("translate", number + 1, len(photos), photo.name)
    return outcomes


def _generator(model: Path, direction: Direction) -> nn.Module:
    return load_generator(model, "G_A" if direction == "A2B" else "G_B")[0]


def _translate_one(
    photo: Path,
    target: Path,
    generator: nn.Module,
    prepare: PrepareConfig,
    detector: FaceDetector | None,
    strength: float,
    *,
    compare: bool,
) -> Outcome:
    picture = decode(photo, max_pixels=_MAX_PIXELS)
    if isinstance(picture, Rejected):
        return Outcome(photo, None, picture.reason, 0)
    if detector is None:
        result, num_faces = translate_whole(picture, generator, strength), 0
    else:
        result, num_faces = _translate_faces(picture, generator, prepare, detector, strength)
        if num_faces == 0:
            return Outcome(photo, None, "no-face (--whole translates the whole picture)", 0)
    try:
        _write(target, result)
        if compare:
            both = np.concatenate([picture, result], axis=1)
            _write(target.with_name(f"{target.stem}-compare.jpg"), both)
    except OSError as error:
        return Outcome(photo, None, f"cannot write {target}: {error.strerror or error}", num_faces)
    return Outcome(photo, target, "", num_faces)


def _translate_faces(
    picture: NDArray[np.uint8],
    generator: nn.Module,
    prepare: PrepareConfig,
    detector: FaceDetector,
    strength: float,
) -> tuple[NDArray[np.uint8], int]:
    """The picture with every face translated, and how many there were."""
    faces = detector.detect(picture)
    result = picture
    for face in faces:
        transform = align.eye_transform(
            face.keypoints, prepare.crop_px, prepare.eye_distance, prepare.eye_height
        )
        before = align.crop(picture, transform, prepare.crop_px)
        result = paste(result, before, run(generator, before), transform, strength)
    return result, len(faces)


def translate_whole(
    picture: NDArray[np.uint8], generator: nn.Module, strength: float = 1.0
) -> NDArray[np.uint8]:
    """``[H, W, 3]`` uint8, translated as a whole; the change is made at 1024 px at most."""
    height, width = picture.shape[:2]
    scale = min(1.0, _MAX_WHOLE_PX / max(height, width))
    size = (max(_MULTIPLE, round(width * scale)), max(_MULTIPLE, round(height * scale)))
    before = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
    change = (run(generator, before).astype(np.float32) - before) * strength
    spread = torch.nn.functional.interpolate(
        torch.from_numpy(change).permute(2, 0, 1)[None], (height, width), mode="bilinear"
    )
    full = picture + spread[0].permute(1, 2, 0).numpy()
    return np.asarray(np.clip(np.rint(full), 0, 255), dtype=np.uint8)


@torch.inference_mode()
def run(generator: nn.Module, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A generator on ``[H, W, 3]`` uint8 of any size; the same shape. Edges are reflected."""
    height, width = picture.shape[:2]
    tall, wide = -height % _MULTIPLE, -width % _MULTIPLE
    padded = np.pad(picture, ((0, tall), (0, wide), (0, 0)), mode="symmetric")
    tensor = torch.from_numpy(padded.transpose(2, 0, 1).copy())[None].float() / 127.5 - 1
    output = generator(tensor)[0].add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(output.permute(1, 2, 0).numpy()[:height, :width], dtype=np.uint8)


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    with atomic_file(path) as file:
        Image.fromarray(picture).save(file, "JPEG", quality=95, subsampling=0)
