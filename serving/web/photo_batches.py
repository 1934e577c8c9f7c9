"""Batches of photographs: each is translated by a thread of its own, one turn for each photograph.

A batch lives in a temporary folder, which is removed with it: on request, when nobody asked after
it for ``Limits.abandon_s`` while it was at work, ``Limits.retention_s`` after its end at the
latest, and with the server. As long as it is there, its photographs can be translated again, each
with other faces or another strength.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

import cv2
import numpy as np

from serving import photo_io
from serving.face_selection import FaceChoice
from serving.labelling.visible_mark import VisibleMark
from serving.models import Direction
from serving.photo_io import Photo
from serving.refusals import Note, Reason, Refusal
from serving.translate import TranslateOptions
from serving.web.batch_files import BatchPhoto, Upload, result_name, unpack
from serving.web.session import Limits, PhotoFaces, PhotoTranslation, RefusedError, Session
from serving.web.visitor_queue import Visit

_LOG = logging.getLogger(__name__)
_PREVIEW_PX = 1600  # longer side of the pictures that a page shows; the result has every pixel
_LOOK_PERIOD_S = 1.0


class BatchState(StrEnum):
    """How far a batch is."""

    UNPACKING = "unpacking"
    WAITING = "waiting"  # for its turn
    TRANSLATING = "translating"
    DONE = "done"
    CANCELLED = "cancelled"


class RowState(StrEnum):
    """How far a photograph of a batch is."""

    WAITING = "waiting"
    TRANSLATING = "translating"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class BatchOptions:
    """What is done to the photographs of a batch."""

    session: Session
    direction: Direction
    options: TranslateOptions
    mark: VisibleMark | None = None
    choices: Mapping[str, FaceChoice] = field(default_factory=dict)  # of single ones

    def of(self, photo: BatchPhoto) -> TranslateOptions:
        """The options of a photograph: of its name, or of its upload's number."""
        choice = self.choices.get(photo.name) or self.choices.get(f"#{photo.upload_number}")
        return replace(self.options, mode="faces", faces=choice) if choice else self.options


@dataclass
class BatchRow:
    """A photograph of a batch and its outcome."""

    photo: BatchPhoto
    state: RowState = RowState.WAITING
    refusal: Refusal | None = None
    result_name: str = ""  # in the zip
    result: Path | None = None
    num_faces: int = 0
    notes: tuple[Note, ...] = ()
    unlike: Mapping[int, float] = field(default_factory=dict)  # distances, by number; 0: picture
    skipped_numbers: tuple[int, ...] = ()
    size: tuple[int, int] = (0, 0)  # width and height of the result, px
    num_translations: int = 0

    def refuse(self, refusal: Refusal) -> None:
        """Say why there is no result."""
        self.state, self.refusal = RowState.REFUSED, refusal


class Batch:
    """The photographs of one request, and what has become of them."""

    def __init__(self, folder: Path, options: BatchOptions) -> None:
        self.name = secrets.token_urlsafe(16)  # who knows it has the batch
        self.folder = folder
        self.rows: list[BatchRow] = []
        self._state = BatchState.UNPACKING
        self.visit = Visit(is_impatient=False)
        self.asked_at = time.monotonic()
        self.ended_at: float | None = None
        self._options = options
        self._used_names = {"rows.csv", "rows.json"}
        self._num_bytes = 0  # of results
        self._thread: threading.Thread | None = None

    def start(self, uploads: Sequence[Upload], limits: Limits) -> None:
        """Translate in a thread."""
        self._work(lambda: self._translate_all(uploads, limits))

    def translate_again(self, number: int, options: TranslateOptions, limits: Limits) -> None:
        """Translate photograph ``number`` in a thread, with options of its own.

        If that is cancelled, its former outcome stays. Raises ``RefusedError`` while it is at work.
        """
        row = self.rows[number - 1]
        if self.ended_at is None:
            raise RefusedError(Refusal(Reason.BUSY))
        self.visit, self.ended_at = Visit(is_impatient=False), None
        self._state = BatchState.TRANSLATING
        former = replace(row)
        row.state, row.refusal = RowState.WAITING, None

        def job() -> None:
            self._translate(number, row, options, limits)
            if self.visit.cancelled.is_set() and row.state is RowState.REFUSED:
                self.rows[number - 1] = former

        self._work(job)

    def _work(self, job: Callable[[], None]) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(job,), name="suyan-batch", daemon=True
        )
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    @property
    def model_name(self) -> str:
        """Recipe and version of its model."""
        return self._options.session.model.name

    @property
    def state(self) -> BatchState:
        """How far it is."""
        is_waiting = self._state is BatchState.TRANSLATING and self.place
        return BatchState.WAITING if is_waiting else self._state

    @property
    def place(self) -> int:
        """Photographs of others before its next one; 0 while it is at work."""
        return self.visit.place or 0

    def photo(self, number: int) -> Path | None:
        """Photograph ``number``, as it was sent; ``None`` where there is none."""
        return self.rows[number - 1].photo.path if 0 < number <= len(self.rows) else None

    def preview(self, side: Literal["before", "after"], number: int) -> Path:
        """The path of a JPEG that pages show, which is there once it is made."""
        return self.folder / f"{side}-{number}.jpg"

    def find_faces(self, number: int, path: Path) -> PhotoFaces:
        """The faces of the photograph in ``path``, whose preview is made if it has none yet.

        Raises ``RefusedError``.
        """
        photo_faces = self._options.session.find_faces(path)
        preview = self.preview("before", number)
        if not preview.exists():
            _write(preview, _preview(Photo(photo_faces.pixels)))
        return photo_faces

    def _translate_all(self, uploads: Sequence[Upload], limits: Limits) -> None:
        for photo in unpack(uploads, self.folder, limits):
            self.rows.append(BatchRow(photo))
            if photo.refusal is not None:
                self.rows[-1].refuse(photo.refusal)
            if self.visit.cancelled.is_set():
                break
        self._state = BatchState.TRANSLATING
        for number, row in enumerate(self.rows, start=1):
            if row.state is RowState.WAITING:
                self._translate(number, row, self._options.of(row.photo), limits)

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # e.g. a full disk: it ends this batch alone
            _LOG.exception("a batch failed")
            for row in self.rows:
                if row.state in {RowState.WAITING, RowState.TRANSLATING}:
                    row.refuse(Refusal(Reason.FAILED, {"error": type(error).__name__}))
        finally:
            is_cancelled = self.visit.cancelled.is_set()
            self._state = BatchState.CANCELLED if is_cancelled else BatchState.DONE
            self.ended_at = time.monotonic()

    def _translate(
        self, number: int, row: BatchRow, options: TranslateOptions, limits: Limits
    ) -> None:
        if self.visit.cancelled.is_set():
            row.refuse(Refusal(Reason.CANCELLED))
            return
        assert row.photo.path is not None
        row.state = RowState.TRANSLATING
        batch = self._options
        try:
            result = batch.session.translate(
                row.photo.path, batch.direction, options, batch.mark, self.visit
            )
            self._keep(number, row, result, limits)
        except RefusedError as error:
            self._refuse(row, error.refusal)
        except Exception as error:
            _LOG.exception("a photograph of a batch failed")
            self._refuse(row, Refusal(Reason.FAILED, {"error": type(error).__name__}))

    def _refuse(self, row: BatchRow, refusal: Refusal) -> None:
        """Say why there is no result; an earlier one goes, unless the visitor cancelled."""
        row.refuse(refusal)
        if row.result is not None and not self.visit.cancelled.is_set():
            self._num_bytes -= row.result.stat().st_size
            row.result.unlink()
            row.result = None

    def _keep(self, number: int, row: BatchRow, result: PhotoTranslation, limits: Limits) -> None:
        """Write the result and its previews. Raises ``RefusedError`` if the batch is full."""
        content = photo_io.encode_photo(result.after)
        former_bytes = row.result.stat().st_size if row.result else 0
        if self._num_bytes + len(content) - former_bytes > limits.max_batch_bytes:
            raise RefusedError(limits.batch_full)
        self._num_bytes += len(content) - former_bytes
        suffix = result.after.format.suffixes[0]
        path = self.folder / f"result-{number}{suffix}"
        _write(path, content)
        _write(self.preview("before", number), _preview(result.before))
        _write(self.preview("after", number), _preview(result.after))
        row.result = path
        height, width = result.after.pixels.shape[:2]
        row.size = width, height
        row.num_faces, row.notes = result.translation.num_faces, result.notes
        row.unlike = result.translation.unlike
        row.skipped_numbers = tuple(result.translation.skipped_numbers)
        row.result_name = row.result_name or result_name(row.photo.name, suffix, self._used_names)
        row.num_translations += 1
        row.state = RowState.DONE


def _write(path: Path, content: bytes) -> None:
    """Write a file at once, so that whoever reads the former one reads all of it."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _preview(photo: Photo) -> bytes:
    """A JPEG for a page, labelled as the photograph is."""
    pixels = photo.pixels
    scale = _PREVIEW_PX / max(pixels.shape[:2])
    if scale < 1:
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pixels = np.asarray(small, dtype=np.uint8).reshape(*small.shape[:2], 3)
    return photo_io.encode_photo(Photo(pixels, label=photo.label))


class BatchStore:
    """The batches of a server."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._batches: dict[str, Batch] = {}
        self._lock = threading.Lock()

    @contextmanager
    def reservation(self) -> Iterator[Path]:
        """A folder for the uploads of a new batch; removed if the block raises.

        Raises ``RefusedError`` while there are as many as there may be.
        """
        with self._lock:
            if len(self._batches) >= self._limits.max_batches:
                raise RefusedError(Refusal(Reason.BUSY))
        folder = Path(mkdtemp(prefix="batch-", dir=self._folder))
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def start(self, folder: Path, uploads: Sequence[Upload], options: BatchOptions) -> Batch:
        """A batch at work on ``uploads``, which lie in its ``folder``."""
        batch = Batch(folder, options)
        with self._lock:
            self._batches[batch.name] = batch
        batch.start(uploads, self._limits)
        return batch

    def get(self, name: str) -> Batch | None:
        """The batch of this name, which counts as asked after."""
        with self._lock:
            batch = self._batches.get(name)
        if batch is not None:
            batch.asked_at = time.monotonic()
        return batch

    def translate_again(self, name: str, number: int, options: TranslateOptions) -> Batch | None:
        """The batch of this name, which translates its photograph ``number`` again.

        Raises ``RefusedError`` while it is at work.
        """
        with self._lock:  # it cannot be removed meanwhile
            batch = self._batches.get(name)
            if batch is not None:
                batch.translate_again(number, options, self._limits)
        return batch

    def remove(self, name: str) -> bool:
        """End a batch and remove its files; whether there was one."""
        with self._lock:
            batch = self._batches.pop(name, None)
        if batch is None:
            return False
        batch.visit.cancelled.set()
        batch.join()
        shutil.rmtree(batch.folder, ignore_errors=True)
        return True

    def remove_old(self) -> None:
        """Remove the batches that nobody asked after, and those that ended long ago."""
        now, limits = time.monotonic(), self._limits
        with self._lock:
            batches = list(self._batches.values())
        for batch in batches:
            if batch.ended_at is None:
                is_old = now - batch.asked_at > limits.abandon_s
            else:
                is_old = now - batch.ended_at > limits.retention_s
            if is_old:
                self.remove(batch.name)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """During the block, old batches are removed; after it, all are."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_LOOK_PERIOD_S):
                self.remove_old()

        thread = threading.Thread(target=look, name="suyan-batches", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            for name in list(self._batches):
                self.remove(name)
