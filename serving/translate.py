"""The stage's verb: photographs in, translated photographs out, at their full resolution."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from core.progress import Progress, silent
from preprocessing.analysis.face_detector import Face, FaceDetector
from preprocessing.images import geometry
from serving import photo_io as photos
from serving.annotate import numbered, side_by_side
from serving.blending import change_of_face, face_mask, paste
from serving.face_selection import ALL, FaceChoice, choose
from serving.inputs import Input
from serving.models import Direction, Model
from serving.tiling import to_levels, to_tensor, translate_whole

Step = Callable[[int, int], None]  # done, total: after each part of a picture
_FACES_AT_ONCE = 8
NO_FACE = "no face found (--whole translates the whole picture)"


def _no_step(done: int, total: int) -> None:
    """A ``Step`` that does nothing."""


@dataclass(frozen=True)
class Wish:
    """How a photograph is to be translated."""

    mode: Literal["model", "faces", "whole"] = "model"  # model: as it was trained
    faces: FaceChoice = ALL
    strength: float = 1.0  # 0 keeps the photograph, 1 is the full change
    work_px: int = 1024  # longer side at which a whole picture is translated; 0: its own


@dataclass(frozen=True)
class Translation:
    """A translated picture: ``pixels`` ``[H, W, 3]`` uint8, and how many faces were changed."""

    pixels: NDArray[np.uint8]
    num_faces: int  # 0 when the whole picture was translated
    note: str


class Translator:
    """A model's generator for one direction, ready to translate pictures, one at a time."""

    def __init__(self, model: Model, direction: Direction) -> None:
        self.model = model
        self.direction = direction
        self._generator = model.generator(direction)
        self._detector: FaceDetector | None = None

    def faces(self, picture: NDArray[np.uint8]) -> list[Face]:
        """Every face of ``[H, W, 3]`` uint8. Raises ``MissingModelError`` without the detector."""
        self._detector = self._detector or FaceDetector()
        return self._detector.detect(picture)

    def translate(
        self, picture: NDArray[np.uint8], wish: Wish, step: Step = _no_step
    ) -> Translation | photos.Refusal:
        """``picture`` ``[H, W, 3]`` uint8 translated, or why not.

        ``step`` is called after each part; what it raises ends the work.
        """
        whole = wish.mode == "whole" or (wish.mode == "model" and not self.model.prepare.faces)
        if whole:
            change = translate_whole(
                picture, self._generator, self.model.tiling, work_px=wish.work_px, step=step
            )
            mixed = np.clip(np.rint(picture + change * wish.strength), 0, 255)
            return Translation(mixed.astype(np.uint8), 0, "")
        found = self.faces(picture)
        if not found:
            return photos.Refusal(NO_FACE, "no-face")
        chosen = choose(found, wish.faces, self.model.prepare)
        if not chosen.faces:
            reason = f"no face to translate among the {len(found)} found: {chosen.note}"
            return photos.Refusal(reason, "no-fit-face")
        pixels = self._with_faces(picture, chosen.faces, wish.strength, step)
        return Translation(pixels, len(chosen.faces), chosen.note)

    def _with_faces(
        self, picture: NDArray[np.uint8], faces: Sequence[Face], strength: float, step: Step
    ) -> NDArray[np.uint8]:
        prepare = self.model.prepare
        side = prepare.crop_px
        result = picture
        for first in range(0, len(faces), _FACES_AT_ONCE):
            some = faces[first : first + _FACES_AT_ONCE]
            ways = [
                geometry.eye_transform(
                    face.keypoints, side, prepare.eye_distance, prepare.eye_height
                )
                for face in some
            ]
            crops = np.stack([geometry.crop(picture, way, side) for way in ways])
            made = self._run(crops)
            for face, way, before, after in zip(some, ways, crops, made, strict=True):
                mask = face_mask(geometry.apply(way, face.keypoints), side)
                result = paste(result, change_of_face(before, after, mask) * strength, way)
            step(first + len(some), len(faces))
        return result

    @torch.inference_mode()
    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``[N, C, C, 3]`` uint8 → their translations in grey levels; edges are mirrored."""
        side = crops.shape[1]
        more = -side % self.model.tiling.multiple
        padded = np.pad(crops, ((0, 0), (0, more), (0, more), (0, 0)), mode="symmetric")
        return to_levels(self._generator(to_tensor(padded)))[:, :side, :side]


@dataclass(frozen=True)
class Outcome:
    """What became of one photo: ``output`` or, when there is none, the reason."""

    photo: Path
    output: Path | None
    reason: str
    num_faces: int
    note: str = ""


@dataclass(frozen=True)
class Options:
    """What ``translate`` does besides translating."""

    compare: bool = False  # write before and after side by side too
    show_faces: bool = False  # write the photograph with its faces numbered, and translate nothing
    overwrite: bool = False
    keep_location: bool = False
    max_megapixels: float = photos.MAX_MEGAPIXELS


def translate(
    inputs: Sequence[Input],
    out: Path,
    translator: Translator,
    wish: Wish,
    options: Options = Options(),
    *,
    progress: Progress = silent,
) -> list[Outcome]:
    """Translate each photo into ``out``, under its own name; one outcome each, in order.

    A JPEG, PNG or WebP stays one, other formats become PNG (lossless) or JPEG. A bad photo is an
    outcome, not an error, and the rest goes on; an existing file is left alone unless
    ``overwrite``, a photo that is translated always. Raises ``ValueError`` or ``OSError`` when
    ``out`` cannot be written to.
    """
    _check_writable(out)
    job = _Job(out, translator, wish, options, {one.photo.resolve() for one in inputs})
    outcomes = []
    for number, one in enumerate(inputs):
        progress("translate", number, len(inputs), one.photo.name)
        outcomes.append(job.one(one, _inside(progress, number, len(inputs), one.photo.name)))
        progress("translate", number + 1, len(inputs), one.photo.name)
    return outcomes


def _inside(progress: Progress, number: int, total: int, name: str) -> Step:
    def step(done: int, parts: int) -> None:
        more = f", part {done} of {parts}" if parts > 1 else ""
        progress("translate", number, total, name + more)

    return step


class _Job:
    def __init__(
        self, out: Path, translator: Translator, wish: Wish, options: Options, inputs: set[Path]
    ) -> None:
        self._out, self._translator, self._wish, self._options = out, translator, wish, options
        self._inputs = inputs
        self._used: set[Path] = set()  # targets of this call

    def one(self, one: Input, step: Step) -> Outcome:
        early = self._out / one.place
        known = {suffix for names in photos.SUFFIXES.values() for suffix in names}
        if early.suffix.lower() in known and early not in self._used:
            refusal = self._refusal(self._named(early))
            if refusal:
                self._used.add(early)
                return Outcome(one.photo, None, refusal, 0)
        try:
            return self._translated(one, step)
        except MemoryError:
            return Outcome(one.photo, None, "does not fit into memory", 0)
        except OSError as error:
            return Outcome(one.photo, None, f"cannot write: {error.strerror or error}", 0)

    def _translated(self, one: Input, step: Step) -> Outcome:
        options = self._options
        photo = photos.read(
            one.photo, max_megapixels=options.max_megapixels, keep_location=options.keep_location
        )
        if isinstance(photo, photos.Refusal):
            return Outcome(one.photo, None, photo.reason, 0)
        target = self._target(one.place, photo.format)
        refusal = self._refusal(target)
        if refusal:
            return Outcome(one.photo, None, refusal, 0)
        if options.show_faces:
            faces = self._translator.faces(photo.pixels)
            if not faces:
                return Outcome(one.photo, None, NO_FACE, 0)
            photos.write(target, photo.with_pixels(numbered(photo.pixels, faces)))
            return Outcome(one.photo, target, "", len(faces), photo.note)
        done = self._translator.translate(photo.pixels, self._wish, step)
        if isinstance(done, photos.Refusal):
            return Outcome(one.photo, None, done.reason, 0, photo.note)
        photos.write(target, photo.with_pixels(done.pixels))
        if options.compare:
            both = photo.with_pixels(side_by_side(photo.pixels, done.pixels))
            photos.write(_compared(target), both)
        note = "; ".join(filter(None, (photo.note, done.note)))
        return Outcome(one.photo, target, "", done.num_faces, note)

    def _target(self, place: Path, kind: str) -> Path:
        """Where the result goes; numbered where another photo of this call has taken the name."""
        suffixes = photos.SUFFIXES[kind]
        if place.suffix.lower() not in suffixes:
            place = place.with_name(place.stem + suffixes[0])
        target, number = self._out / place, 1
        while target in self._used:
            number += 1
            target = self._out / place.with_name(f"{place.stem}-{number}{place.suffix}")
        self._used.add(target)
        return self._named(target)

    def _named(self, target: Path) -> Path:
        return target.with_stem(f"{target.stem}-faces") if self._options.show_faces else target

    def _refusal(self, target: Path) -> str:
        """Why ``target`` may not be written; ``""`` when it may."""
        if target.resolve() in self._inputs:
            return f"the result would replace a photo that is translated ({target}); choose --out"
        written = [target, *([_compared(target)] if self._options.compare else [])]
        there = [path for path in written if path.exists()]
        if there and not self._options.overwrite:
            return f"{there[0]} exists; --overwrite replaces it"
        return ""


def _compared(target: Path) -> Path:
    return target.with_stem(f"{target.stem}-compare")


def _check_writable(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: {out} is a file; needed a folder for the results")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out, prefix=".suyan-"):
            pass
    except OSError as error:
        raise OSError(
            error.errno, f"--out: cannot write into {out} ({error.strerror}); choose another folder"
        ) from error
