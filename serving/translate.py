"""The stage's verb: translate photographs at their full resolution."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from core.errors import SuyanError
from core.files import printable_name
from core.labels.ai_label import DEFAULT_PRODUCER, AiLabel
from core.progress import Progress, silent
from preprocessing.analysis.face_detector import MIN_FACE_PX, Face, FaceDetector
from preprocessing.images import geometry
from serving import photo_io
from serving.annotate import draw_face_numbers, side_by_side, side_by_side_shape
from serving.blending import blend_change, crop_face, face_change, face_mask
from serving.face_selection import ALL, FaceChoice, FaceSelection, select_faces
from serving.labelling.visible_mark import VisibleMark
from serving.models import Direction, Model
from serving.photo_io import Photo
from serving.photo_paths import Input, ResultFolder, ResultPaths
from serving.refusals import Note, Reason, Refusal, note_text
from serving.slicing import Slicer
from serving.tiling import Step, no_step, translate_whole
from training.data.tensors import to_levels, to_tensor
from training.models.architecture import SliceableGenerator

_LOG = logging.getLogger(__name__)
_FACES_PER_BATCH = 8
# What code and libraries raise about a picture that they cannot work on. An error of ours passes,
# and so does one of ``step``.
_FAILURES = (
    ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError, ValueError,
    cv2.error,
)  # fmt: skip


@dataclass(frozen=True)
class TranslateOptions:
    """Settings of the translation of a picture."""

    mode: Literal["model", "faces", "whole"] = "model"  # model: as it was trained
    faces: FaceChoice = ALL
    strength: float = 1.0  # times the model's change; 0 keeps the photograph
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
    producer: str | None = DEFAULT_PRODUCER  # in the label of translated pictures; None: no label
    mark: VisibleMark | None = None  # in a corner of translated pictures


@dataclass(frozen=True)
class Translation:
    """A translated picture."""

    pixels: NDArray[np.uint8]  # [H, W, 3]
    selection: FaceSelection | None = None  # None when the whole picture was translated
    # Of each translated face, or of the picture, from the training pictures; above 1 it is unlike
    # them. None: unknown.
    distances: tuple[float, ...] | None = None

    @property
    def num_faces(self) -> int:
        """Translated faces; 0 when the whole picture was translated."""
        return len(self.selection.faces) if self.selection else 0

    @property
    def num_skipped(self) -> int:
        """Faces that were left unchanged, though no number left them out."""
        return self.selection.num_skipped if self.selection else 0

    @property
    def skipped_numbers(self) -> list[int]:
        """The numbers of these faces."""
        return [number for number, *_ in self.selection.skipped.faces] if self.selection else []

    @property
    def unlike(self) -> dict[int, float]:
        """Distances of the faces that are unlike the training pictures, by number; 0: the picture.

        None where it is unknown.
        """
        numbers = self.selection.numbers if self.selection else (0,)
        distances = zip(numbers, self.distances or (), strict=False)
        return {number: distance for number, distance in distances if distance > 1}

    @property
    def note(self) -> str:
        """For people, about faces that were left unchanged or may be translated badly, or ""."""
        left_out = self.selection.note if self.selection else ""
        return "; ".join(filter(None, (left_out, _unlike_note(self.unlike))))


@dataclass(frozen=True)
class PhotoOutcome:
    """The result for one photograph: its ``output``, or the reason why there is none."""

    photo: Path
    output: Path | None = None
    refusal: Refusal | None = None
    num_faces: int = 0
    note: str = ""

    @property
    def reason(self) -> str:
        """The refusal for people; "" for none."""
        return self.refusal.reason if self.refusal else ""


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

        ``step`` is called after each part of the picture; an exception of it ends the work. No
        other is raised because of the picture.
        """
        try:
            return self._translate(picture, options, step)
        except _FAILURES as error:
            return _failure(error)

    def _translate(
        self, picture: NDArray[np.uint8], options: TranslateOptions, step: Step
    ) -> Translation | Refusal:
        has_faces = self.model.prepare.faces
        if options.mode == "whole" or (options.mode == "model" and not has_faces):
            distances = self._distances(picture, ())
            if self._slicer is not None:
                pixels = self._slicer.slice_whole(picture, options.strength, step)
                return Translation(pixels, distances=distances)
            change = translate_whole(
                picture, self._generator, self.model.tiling, work_px=options.work_px, step=step
            )
            levels = np.clip(np.rint(picture + change * options.strength), 0, 255)
            return Translation(levels.astype(np.uint8), distances=distances)
        faces = self.faces(picture)
        if not faces:
            return Refusal(Reason.NO_FACE)
        selection = select_faces(faces, options.faces, self.model.prepare)
        if not selection.faces:
            return selection.refusal
        distances = self._distances(picture, selection.faces)
        strengths = [
            options.faces.strength(number, options.strength) for number in selection.numbers
        ]
        pixels = self._translate_faces(picture, selection.faces, strengths, step)
        return Translation(pixels, selection, distances)

    def _distances(
        self, picture: NDArray[np.uint8], faces: Sequence[Face]
    ) -> tuple[float, ...] | None:
        """The distance of each face, or of the picture, as training would have cropped it."""
        height, width = picture.shape[:2]
        side = self.model.prepare.crop_px
        transforms = [self._transform(face) for face in faces]
        transforms = transforms or [geometry.centre_transform(height, width, side)]
        return self.model.likeness.ratios(
            geometry.crop(picture, transform, side) for transform in transforms
        )

    def _transform(self, face: Face) -> geometry.Transform:
        prepare = self.model.prepare
        return geometry.eye_transform(
            face.keypoints, prepare.crop_px, prepare.eye_distance, prepare.eye_height
        )

    def _translate_faces(
        self,
        picture: NDArray[np.uint8],
        faces: Sequence[Face],
        strengths: Sequence[float],
        step: Step,
    ) -> NDArray[np.uint8]:
        if self._slicer is not None:
            return self._slicer.slice_faces(picture, faces, strengths, step)
        side = self.model.prepare.crop_px
        result = picture
        for first in range(0, len(faces), _FACES_PER_BATCH):
            batch = faces[first : first + _FACES_PER_BATCH]
            transforms = [self._transform(face) for face in batch]
            crops = np.stack([crop_face(picture, transform, side) for transform in transforms])
            translated = self._translate_crops(crops)
            for face, transform, before, after, strength in zip(
                batch, transforms, crops, translated, strengths[first:][: len(batch)], strict=True
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


def _unlike_note(unlike: Mapping[int, float]) -> str:
    """For people, about the faces that are unlike the training pictures; "" for none."""
    if not unlike:
        return ""
    numbers = ", ".join(map(str, filter(None, unlike)))
    subject = "the picture is" if not numbers else f"face {numbers} is"
    if len(unlike) > 1:
        subject = f"faces {numbers} are"
    return note_text(Note.UNLIKE, subject=subject, distance=max(unlike.values()))


def _failure(error: Exception) -> Refusal:
    """The refusal for an exception that a photograph caused."""
    text = f"{type(error).__name__}: {error}".partition("\n")[0]
    if isinstance(error, MemoryError) or "memory" in text.lower():
        return Refusal(Reason.OUT_OF_MEMORY)
    _LOG.debug("a photograph failed", exc_info=error)
    return Refusal(Reason.FAILED, {"error": text})


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
    job = _Job(inputs, out, translator, options, output_options)
    outcomes = []
    for number, source in enumerate(inputs):
        name = printable_name(Path(source.photo.name))
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
        self._translator = translator
        self._options, self._output_options = options, output_options
        producer = output_options.producer
        self._label = None if producer is None else AiLabel(translator.model.name, producer)
        self._folder = ResultFolder(
            out,
            inputs,
            compare=output_options.compare,
            show_faces=output_options.show_faces,
            overwrite=output_options.overwrite,
        )

    def run(self, source: Input, step: Step) -> PhotoOutcome:
        """The outcome of one photograph, whatever it raises."""
        try:
            refusal = self._folder.early_refusal(source.relative_path)
            if refusal is not None:
                return PhotoOutcome(source.photo, refusal=refusal)
            return self._run(source, step)
        except SuyanError:  # e.g. a missing model, which every photograph needs
            raise
        except OSError as error:
            text = error.strerror or str(error)
            return PhotoOutcome(source.photo, refusal=Refusal(Reason.NOT_WRITTEN, {"error": text}))
        except Exception as error:
            return PhotoOutcome(source.photo, refusal=_failure(error))

    def _run(self, source: Input, step: Step) -> PhotoOutcome:
        options = self._output_options
        photo = photo_io.read_photo(
            source.photo,
            max_megapixels=options.max_megapixels,
            keep_location=options.keep_location,
        )
        if isinstance(photo, Refusal):
            return PhotoOutcome(source.photo, refusal=photo)
        pair_format = photo.format_for(side_by_side_shape(photo.pixels.shape))
        targets = self._folder.free_paths(source.relative_path, photo.format, pair_format)
        refusal = self._folder.refusal(targets)
        if refusal:
            return PhotoOutcome(source.photo, refusal=refusal)
        if options.show_faces:
            faces = self._translator.faces(photo.pixels)
            if not faces:
                refusal = Refusal(Reason.NO_FACE)
                return PhotoOutcome(source.photo, refusal=refusal, note=photo.note)
            numbered = photo.with_pixels(draw_face_numbers(photo.pixels, faces))
            photo_io.write_photo(targets.result, numbered)
            return PhotoOutcome(source.photo, targets.result, num_faces=len(faces), note=photo.note)
        translation = self._translator.translate(photo.pixels, self._options, step)
        if isinstance(translation, Refusal):
            return PhotoOutcome(source.photo, refusal=translation, note=photo.note)
        self._write(targets, photo, translation)
        note = "; ".join(filter(None, (photo.note, translation.note)))
        num_faces = translation.num_faces
        return PhotoOutcome(source.photo, targets.result, num_faces=num_faces, note=note)

    def _write(self, targets: ResultPaths, photo: Photo, translation: Translation) -> None:
        """Write the comparison and then the result, so that a result never lacks the other."""
        options = self._output_options
        translated = replace(photo.with_pixels(translation.pixels), label=self._label)
        if options.mark:
            translated = options.mark.draw(translated)
        result = photo_io.encode_photo(translated)
        if targets.comparison:
            pair = translated.with_pixels(side_by_side(photo.pixels, translated.pixels))
            photo_io.write_photo(targets.comparison, pair)
        photo_io.write_photo_bytes(targets.result, result)
