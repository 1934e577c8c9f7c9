"""The stage's verb: translate photographs at their full resolution."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from core.image_formats import ImageFormat
from core.progress import Progress, silent
from preprocessing.analysis.face_detector import MIN_FACE_PX, Face, FaceDetector
from preprocessing.images import geometry
from serving import photo_io
from serving.annotate import draw_face_numbers, side_by_side
from serving.blending import blend_change, face_change, face_mask
from serving.face_selection import ALL, FaceChoice, select_faces
from serving.inputs import Input
from serving.models import Direction, Model
from serving.photo_io import Refusal
from serving.slicing import Slicer
from serving.tiling import Step, no_step, translate_whole
from training.data.tensors import to_levels, to_tensor
from training.models.architecture import SliceableGenerator

NO_FACE = "no face found, upright or turned (--whole translates the whole picture)"
_FACES_PER_BATCH = 8
_SUFFIXES = frozenset(
    suffix for image_format in photo_io.OUTPUT_FORMATS for suffix in image_format.suffixes
)


@dataclass(frozen=True)
class TranslateOptions:
    """Settings of the translation of a picture."""

    mode: Literal["model", "faces", "whole"] = "model"  # model: as it was trained
    faces: FaceChoice = ALL
    strength: float = 1.0  # 0 keeps the photograph, 1 is the full change
    # Longer side at which a whole picture is translated, px; 0: its own size. A generator that can
    # be sliced has its own.
    work_px: int = 1024


@dataclass(frozen=True)
class OutputOptions:
    """Settings of the files that ``translate`` writes, and of the photographs that it reads."""

    compare: bool = False  # also write before and after side by side
    show_faces: bool = False  # write the photograph with its faces numbered, untranslated
    overwrite: bool = False
    keep_location: bool = False
    max_megapixels: float = photo_io.MAX_MEGAPIXELS


@dataclass(frozen=True)
class Translation:
    """A translated picture."""

    pixels: NDArray[np.uint8]  # [H, W, 3]
    num_faces: int = 0  # translated faces; 0 when the whole picture was translated
    num_skipped: int = 0  # faces that were left unchanged
    note: str = ""  # for people, about the skipped faces


@dataclass(frozen=True)
class PhotoOutcome:
    """The result for one photograph: its ``output``, or the reason why there is none."""

    photo: Path
    output: Path | None = None
    reason: str = ""
    num_faces: int = 0
    note: str = ""


class Translator:
    """A model's generator for one direction; it translates one picture at a time."""

    def __init__(self, model: Model, direction: Direction) -> None:
        self.model = model
        self.direction = direction
        self._generator = model.generator(direction)
        self._slicer: Slicer | None = None  # works at the photograph's resolution, where it can
        if isinstance(self._generator, SliceableGenerator):
            self._slicer = Slicer(self._generator, model.config, model.prepare)
        self._detector: FaceDetector | None = None

    def faces(self, picture: NDArray[np.uint8]) -> list[Face]:
        """All faces in ``[H, W, 3]`` uint8 that training may have used, and smaller ones if found.

        Raises ``MissingModelError`` without the detector.
        """
        self._detector = self._detector or FaceDetector()
        return self._detector.detect(picture, min(MIN_FACE_PX, self.model.prepare.min_face_px))

    def translate(
        self, picture: NDArray[np.uint8], options: TranslateOptions, step: Step = no_step
    ) -> Translation | Refusal:
        """The translation of ``picture`` ``[H, W, 3]`` uint8, or the reason why there is none.

        ``step`` is called after each part of the picture; an exception of it ends the work.
        """
        has_faces = self.model.prepare.faces
        if options.mode == "whole" or (options.mode == "model" and not has_faces):
            if self._slicer is not None:
                return Translation(self._slicer.slice_whole(picture, options.strength, step))
            change = translate_whole(
                picture, self._generator, self.model.tiling, work_px=options.work_px, step=step
            )
            levels = np.clip(np.rint(picture + change * options.strength), 0, 255)
            return Translation(levels.astype(np.uint8))
        faces = self.faces(picture)
        if not faces:
            return Refusal(NO_FACE, "no-face")
        selection = select_faces(faces, options.faces, self.model.prepare)
        if not selection.faces:
            reason = f"no face to translate among the {len(faces)} found: {selection.note}"
            return Refusal(reason, "no-fit-face")
        pixels = self._translate_faces(picture, selection.faces, options.strength, step)
        return Translation(pixels, len(selection.faces), selection.num_skipped, selection.note)

    def _translate_faces(
        self, picture: NDArray[np.uint8], faces: Sequence[Face], strength: float, step: Step
    ) -> NDArray[np.uint8]:
        if self._slicer is not None:
            return self._slicer.slice_faces(picture, faces, strength, step)
        prepare = self.model.prepare
        side = prepare.crop_px
        result = picture
        for first in range(0, len(faces), _FACES_PER_BATCH):
            batch = faces[first : first + _FACES_PER_BATCH]
            transforms = [
                geometry.eye_transform(
                    face.keypoints, side, prepare.eye_distance, prepare.eye_height
                )
                for face in batch
            ]
            crops = np.stack([geometry.crop(picture, transform, side) for transform in transforms])
            translated = self._translate_crops(crops)
            for face, transform, before, after in zip(
                batch, transforms, crops, translated, strict=True
            ):
                mask = face_mask(geometry.apply(transform, face.keypoints), side)
                change = face_change(before, after, mask) * strength
                result = blend_change(result, change, transform, before)
            step(first + len(batch), len(faces))
        return result

    @torch.inference_mode()
    def _translate_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``[N, C, C, 3]`` uint8 → their translations in grey levels; padding is mirrored."""
        side = crops.shape[1]
        padding = -side % self.model.tiling.multiple
        padded = np.pad(crops, ((0, 0), (0, padding), (0, padding), (0, 0)), mode="symmetric")
        return to_levels(self._generator(to_tensor(padded)))[:, :side, :side]


def translate(
    inputs: Sequence[Input],
    out: Path,
    translator: Translator,
    options: TranslateOptions,
    output_options: OutputOptions = OutputOptions(),
    *,
    progress: Progress = silent,
) -> list[PhotoOutcome]:
    """Translate each photograph into ``out`` under its own name; returns the outcomes in order.

    A JPEG, PNG or WebP keeps its format, others become PNG (if lossless) or JPEG. A photograph that
    cannot be translated is an outcome, not an error. An existing file is replaced only with
    ``overwrite``, an input never. Raises ``ValueError`` or ``OSError`` if ``out`` cannot be
    written to.
    """
    _check_writable(out)
    job = _Job(inputs, out, translator, options, output_options)
    outcomes = []
    for number, source in enumerate(inputs):
        name = source.photo.name
        progress("translate", number, len(inputs), name)
        outcomes.append(job.run(source, _step_of(progress, number, len(inputs), name)))
        progress("translate", number + 1, len(inputs), name)
    return outcomes


def _step_of(progress: Progress, number: int, total: int, name: str) -> Step:
    """A ``Step`` that reports the parts of a photograph."""

    def step(done: int, num_parts: int) -> None:
        part = f", part {done} of {num_parts}" if num_parts > 1 else ""
        progress("translate", number, total, name + part)

    return step


class _Job:
    """One call of ``translate``: each photograph is translated to a path of its own."""

    def __init__(
        self,
        inputs: Sequence[Input],
        out: Path,
        translator: Translator,
        options: TranslateOptions,
        output_options: OutputOptions,
    ) -> None:
        self._out, self._translator = out, translator
        self._options, self._output_options = options, output_options
        self._inputs = {source.photo.resolve() for source in inputs}
        self._used: set[Path] = set()  # paths of results of this call

    def run(self, source: Input, step: Step) -> PhotoOutcome:
        # A photograph whose result may not be written is not decoded, where its suffix tells.
        target = self._out / source.relative_path
        if target.suffix.lower() in _SUFFIXES and target not in self._used:
            refusal = self._refusal(self._output_name(target))
            if refusal:
                self._used.add(target)
                return PhotoOutcome(source.photo, reason=refusal)
        try:
            return self._translate(source, step)
        except MemoryError:
            return PhotoOutcome(source.photo, reason="does not fit into memory")
        except OSError as error:
            return PhotoOutcome(source.photo, reason=f"cannot write: {error.strerror or error}")

    def _translate(self, source: Input, step: Step) -> PhotoOutcome:
        options = self._output_options
        photo = photo_io.read_photo(
            source.photo,
            max_megapixels=options.max_megapixels,
            keep_location=options.keep_location,
        )
        if isinstance(photo, Refusal):
            return PhotoOutcome(source.photo, reason=photo.reason)
        target = self._target(source.relative_path, photo.format)
        refusal = self._refusal(target)
        if refusal:
            return PhotoOutcome(source.photo, reason=refusal)
        if options.show_faces:
            faces = self._translator.faces(photo.pixels)
            if not faces:
                return PhotoOutcome(source.photo, reason=NO_FACE)
            photo_io.write_photo(target, photo.with_pixels(draw_face_numbers(photo.pixels, faces)))
            return PhotoOutcome(source.photo, target, num_faces=len(faces), note=photo.note)
        translation = self._translator.translate(photo.pixels, self._options, step)
        if isinstance(translation, Refusal):
            return PhotoOutcome(source.photo, reason=translation.reason, note=photo.note)
        photo_io.write_photo(target, photo.with_pixels(translation.pixels))
        if options.compare:
            pair = photo.with_pixels(side_by_side(photo.pixels, translation.pixels))
            photo_io.write_photo(_comparison(target), pair)
        note = "; ".join(filter(None, (photo.note, translation.note)))
        return PhotoOutcome(source.photo, target, num_faces=translation.num_faces, note=note)

    def _target(self, path: Path, image_format: ImageFormat) -> Path:
        """The path of a result, with a number if another photograph of this call has it."""
        if path.suffix.lower() not in image_format.suffixes:
            path = path.with_name(path.stem + image_format.suffixes[0])
        target, number = self._out / path, 1
        while target in self._used:
            number += 1
            target = self._out / path.with_name(f"{path.stem}-{number}{path.suffix}")
        self._used.add(target)
        return self._output_name(target)

    def _output_name(self, target: Path) -> Path:
        show_faces = self._output_options.show_faces
        return target.with_stem(f"{target.stem}-faces") if show_faces else target

    def _refusal(self, target: Path) -> str:
        """The reason why ``target`` may not be written; "" when it may."""
        if target.resolve() in self._inputs:
            return f"the result would replace an input ({target}); choose another --out"
        targets = [target, *([_comparison(target)] if self._output_options.compare else [])]
        existing = [path for path in targets if path.exists()]
        if existing and not self._output_options.overwrite:
            return f"{existing[0]} exists; --overwrite replaces it"
        return ""


def _comparison(target: Path) -> Path:
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
