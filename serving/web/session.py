"""One model behind a page or an endpoint: strangers' photographs, one at a time, within limits."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.face_detector import Face
from serving import photo_io as photos
from serving.face_selection import fit_numbers, left_to_right
from serving.models import Direction, Model
from serving.photo_io import Photo
from serving.translate import Step, Translation, Translator, Wish

Kind = Literal["unreadable", "too-large", "no-face", "no-fit-face", "busy", "too-slow"]


@dataclass(frozen=True)
class Limits:
    """What a visitor may ask for."""

    max_bytes: int = 25_000_000  # of an uploaded file
    max_megapixels: float = 50.0
    timeout_s: float = 120.0  # for one photograph; judged after each face or tile
    patience_s: float = 60.0  # how long one waits for another's photograph
    keep_s: float = 600.0  # files of a visitor are removed after this time at the latest


LIMITS = Limits()
_SWEEP_S = 30.0


class RefusedError(Exception):
    """A photograph that is not translated: ``kind`` for programs, the message for people."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Developed:
    """A photograph, and its translation."""

    before: Photo
    after: Photo
    translation: Translation


@dataclass(frozen=True)
class Survey:
    """The faces of a photograph, numbered from left to right, from 1."""

    pixels: NDArray[np.uint8]  # [H, W, 3]
    faces: list[Face]
    fit: list[int]  # numbers of those that are translated when nothing is asked for


@dataclass
class Studio:
    """Translates for visitors. Files are only read; nothing of a photograph is kept."""

    model: Model
    limits: Limits = field(default_factory=Limits)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    @functools.cached_property
    def _translators(self) -> dict[Direction, Translator]:
        return {way: Translator(self.model, way) for way in self.model.directions}

    def warm_up(self) -> None:
        """Load the generators now instead of at the first photograph."""
        _ = self._translators

    def survey(self, path: Path) -> Survey:
        """The faces of the photograph in ``path``. Raises ``RefusedError``."""
        photo = self._read(path)
        with self._alone():
            faces = left_to_right(next(iter(self._translators.values())).faces(photo.pixels))
        return Survey(photo.pixels, faces, fit_numbers(faces, self.model.prepare))

    def develop(self, path: Path, direction: Direction, wish: Wish) -> Developed:
        """The photograph in ``path``, translated. Raises ``RefusedError``."""
        photo = self._read(path)
        with self._alone():
            done = self._translators[direction].translate(photo.pixels, wish, self._deadline())
        if isinstance(done, photos.Refusal):
            raise RefusedError(done.kind, done.reason)
        return Developed(photo, photo.with_pixels(done.pixels), done)

    def _read(self, path: Path) -> Photo:
        if path.stat().st_size > self.limits.max_bytes:
            raise RefusedError(
                "too-large",
                f"is too large: {path.stat().st_size / 1e6:.0f} MB; the limit is "
                f"{self.limits.max_bytes / 1e6:.0f}",
            )
        photo = photos.read(path, max_megapixels=self.limits.max_megapixels)
        if isinstance(photo, photos.Refusal):
            raise RefusedError(photo.kind, photo.reason)
        return photo

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(timeout=self.limits.patience_s):
            raise RefusedError("busy", "others' photographs are being translated; try again soon")
        try:
            yield
        finally:
            self._busy.release()

    def _deadline(self) -> Step:
        ends = time.monotonic() + self.limits.timeout_s

        def step(done: int, total: int) -> None:
            if done < total and time.monotonic() > ends:
                raise RefusedError(
                    "too-slow",
                    f"took longer than {self.limits.timeout_s:g} s (part {done} of {total} was "
                    "done); try a smaller photograph",
                )

        return step


@contextmanager
def swept(folder: Path, keep_s: float, spared: frozenset[tuple[str, int]]) -> Iterator[None]:
    """Within, files in ``folder`` and below are removed once they are ``keep_s`` old.

    But not copies of ``spared`` ones, known by their names and lengths.
    """
    ended = threading.Event()

    def sweep() -> None:
        while not ended.wait(min(_SWEEP_S, keep_s)):
            remove_older(folder, keep_s, spared)

    thread = threading.Thread(target=sweep, name="suyan-sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def remove_older(
    folder: Path, keep_s: float, spared: frozenset[tuple[str, int]] = frozenset()
) -> int:
    """Remove the files in ``folder`` that were last written more than ``keep_s`` ago; how many."""
    num = 0
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base) / name
            try:
                about = path.stat()
                if time.time() - about.st_mtime > keep_s and (name, about.st_size) not in spared:
                    path.unlink()
                    num += 1
            except OSError:
                continue  # gone already
    return num
