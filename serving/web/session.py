"""Translation of visitors' photographs by one model: one at a time, within limits."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.labels.ai_label import DEFAULT_PRODUCER, AiLabel
from evaluation.features.training_statistics import TrainedOn
from preprocessing.analysis.face_detector import Face
from serving import photo_io
from serving.face_selection import FaceDefect, face_defects, left_to_right, suitable_numbers
from serving.labelling.visible_mark import VisibleMark
from serving.models import Direction, Model
from serving.photo_io import Photo
from serving.refusals import Interface, Kind, Note, Reason, Refusal
from serving.tiling import Step
from serving.translate import TranslateOptions, Translation, Translator
from serving.web.visitor_queue import Visit, VisitorQueue


@dataclass(frozen=True)
class Limits:
    """Limits on visitors' requests."""

    max_bytes: int = 25_000_000  # of an uploaded file
    max_megapixels: float = 50.0
    timeout_s: float = 120.0  # for one photograph; checked after each face or tile
    max_wait_s: float = 60.0  # waiting time for the photographs of other visitors
    retention_s: float = 600.0  # a visitor's files are removed after this time at the latest
    max_batch_bytes: int = (
        500_000_000  # of a batch's uploads; of its photographs, unpacked; of its results
    )
    max_photos: int = 200  # of a batch
    max_batches: int = 16  # at the same time, finished ones that are not yet removed too
    abandon_s: float = 60.0  # a batch that nobody asks after for this time leaves the queue

    @property
    def batch_full(self) -> Refusal:
        """The refusal of what does not fit into a batch."""
        return Refusal(Reason.BATCH_FULL, {"limit": self.max_batch_bytes / 1e6})

    def refusal(self, num_bytes: int) -> Refusal:
        """The refusal of an upload of this size."""
        values = {"megabytes": num_bytes / 1e6, "limit": self.max_bytes / 1e6}
        return Refusal(Reason.TOO_MANY_BYTES, values)


LIMITS = Limits()
_SWEEP_PERIOD_S = 30.0


class RefusedError(Exception):
    """A photograph was refused; the message is that of the HTTP interface."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence(Interface.HTTP))
        self.refusal = refusal

    @property
    def kind(self) -> Kind:
        """The class of the reason, for programs."""
        return self.refusal.kind


@dataclass(frozen=True)
class PhotoTranslation:
    """A photograph and its translation."""

    before: Photo
    after: Photo
    translation: Translation
    notes: tuple[Note, ...]  # about the file, the likeness and the model


@dataclass(frozen=True)
class PhotoFaces:
    """The faces in a photograph, from left to right; their numbers start at 1."""

    pixels: NDArray[np.uint8]  # [H, W, 3]
    faces: list[Face]
    suitable: list[int]  # numbers of the faces that the choice "all" translates
    defects: dict[int, FaceDefect]  # of the others, by number


@dataclass
class Session:
    """Translates visitors' photographs. It writes no file, and keeps no data of a photograph."""

    model: Model
    limits: Limits = field(default_factory=Limits)
    producer: str | None = DEFAULT_PRODUCER  # in the label of translations; None: no label
    queue: VisitorQueue = field(default_factory=VisitorQueue)  # shared by the sessions of a server

    @functools.cached_property
    def _translators(self) -> dict[Direction, Translator]:
        return {direction: Translator(self.model, direction) for direction in self.model.directions}

    @functools.cached_property
    def _label(self) -> AiLabel | None:
        return None if self.producer is None else AiLabel(self.model.name, self.producer)

    def warm_up(self) -> None:
        """Load the generators now instead of with the first photograph.

        Raises ``ValueError`` for a producer that a label cannot name.
        """
        _ = self._label, self._translators

    def find_faces(self, path: Path) -> PhotoFaces:
        """The faces of the photograph in ``path``. Raises ``RefusedError``."""
        photo = self._read(path)
        with self._exclusive(Visit()):
            faces = left_to_right(next(iter(self._translators.values())).faces(photo.pixels))
        prepare = self.model.prepare
        suitable, defects = suitable_numbers(faces, prepare), face_defects(faces, prepare)
        return PhotoFaces(photo.pixels, faces, suitable, defects)

    def translate(
        self,
        path: Path,
        direction: Direction,
        options: TranslateOptions,
        mark: VisibleMark | None = None,
        visit: Visit | None = None,
    ) -> PhotoTranslation:
        """The photograph in ``path``, translated, labelled, and marked if ``mark`` is given.

        ``visit`` knows its place in the queue, and may be cancelled.

        Raises ``RefusedError``, also for a chosen number that no face has.
        """
        visit = visit or Visit()
        photo = self._read(path)
        with self._exclusive(visit):
            translator = self._translators[direction]
            translation = translator.translate(photo.pixels, options, self._deadline(visit))
        if isinstance(translation, Refusal):
            raise RefusedError(translation)
        if translation.selection is not None and translation.selection.missing:
            raise RefusedError(translation.selection.refusal)
        after = replace(photo.with_pixels(translation.pixels), label=self._label)
        if mark is not None:
            after = mark.draw(after)
        notes = [*after.notes, *[Note.UNLIKE] * bool(translation.unlike)]
        notes += [Note.DRAWINGS] * (self.model.trained_on is TrainedOn.DRAWINGS)
        return PhotoTranslation(photo, after, translation, tuple(notes))

    def _read(self, path: Path) -> Photo:
        num_bytes = path.stat().st_size if path.is_file() else 0
        if num_bytes > self.limits.max_bytes:
            raise RefusedError(self.limits.refusal(num_bytes))
        photo = photo_io.read_photo(path, max_megapixels=self.limits.max_megapixels)
        if isinstance(photo, Refusal):
            raise RefusedError(photo)
        return photo

    @contextmanager
    def _exclusive(self, visit: Visit) -> Iterator[None]:
        max_wait_s = self.limits.max_wait_s if visit.is_impatient else None
        with self.queue.turn(visit, max_wait_s) as has_turn:
            if visit.cancelled.is_set():
                raise RefusedError(Refusal(Reason.CANCELLED))
            if not has_turn:
                raise RefusedError(Refusal(Reason.BUSY))
            yield

    def _deadline(self, visit: Visit) -> Step:
        """A ``Step`` that raises ``RefusedError`` once the time limit has passed, or ``visit`` is
        cancelled.
        """
        ends_at = time.monotonic() + self.limits.timeout_s

        def step(done: int, total: int) -> None:
            if visit.cancelled.is_set():
                raise RefusedError(Refusal(Reason.CANCELLED))
            if done < total and time.monotonic() > ends_at:
                values = {"limit": self.limits.timeout_s, "part": done, "num_parts": total}
                raise RefusedError(Refusal(Reason.TOO_SLOW, values))

        return step


@contextmanager
def sweeper(folder: Path, retention_s: float, exempt: frozenset[tuple[str, int]]) -> Iterator[None]:
    """During the block, remove files below ``folder`` once they are ``retention_s`` old.

    Copies of ``exempt`` files, recognised by name and length in bytes, stay.
    """
    ended = threading.Event()

    def sweep() -> None:
        while not ended.wait(min(_SWEEP_PERIOD_S, retention_s)):
            remove_older(folder, retention_s, exempt)

    thread = threading.Thread(target=sweep, name="suyan-sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def remove_older(
    folder: Path, retention_s: float, exempt: frozenset[tuple[str, int]] = frozenset()
) -> int:
    """Remove files below ``folder`` older than ``retention_s``; returns their number."""
    num_removed = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent) / name
            try:
                stat = path.stat()
                is_old = time.time() - stat.st_mtime > retention_s
                if is_old and (name, stat.st_size) not in exempt:
                    path.unlink()
                    num_removed += 1
            except OSError:
                continue  # another thread has removed it
    return num_removed
