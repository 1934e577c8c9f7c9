"""Thumbnails of a version's pictures: each is made once, when the page asks for it, and cached.

Originals are untrusted: worker processes with limits decode them (``preprocessing/sandbox.py``).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image

from core.files import digest
from core.picture_grid import save_jpeg
from core.pictures import Rejected, read_reduced
from core.workspace import Workspace
from preprocessing.sandbox import WorkerPool
from serving.review.version_pictures import ReviewPicture, VersionPictures

THUMBNAIL_PX = 256  # longer side
_JPEG_QUALITY = 82
_NUM_WORKERS = 2
_MAX_BATCH = 16  # files at a time; the newest requests are for what is on the screen now
_TIMEOUT_S = 20.0  # processor time for a file
_FORMAT = 1  # a number in the names of files, for other sizes and qualities


@dataclass(frozen=True)
class ThumbnailTask:
    """A picture file and the thumbnail to make of it."""

    source: Path
    target: Path
    box: tuple[float, ...] = ()  # of a part in the source: left, top, right, bottom


def make_thumbnail(task: ThumbnailTask) -> bool:
    """Write the thumbnail, atomically; returns whether the source could be read."""
    if task.target.exists():
        return True
    enough_px = (3 if task.box else 1) * THUMBNAIL_PX  # a part is at least a third of its file
    decoded = read_reduced(task.source, enough_px=enough_px)
    if isinstance(decoded, Rejected):
        return False
    picture = Image.fromarray(decoded.pixels)
    if task.box:
        left, top, right, bottom = (round(edge / decoded.factor) for edge in task.box)
        picture = picture.crop((left, top, right, bottom))
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    save_jpeg(task.target, picture, quality=_JPEG_QUALITY)
    return True


def thumbnail_task(
    workspace: Workspace, version: VersionPictures, picture: ReviewPicture, *, is_whole: bool
) -> ThumbnailTask | None:
    """The thumbnail of the only crop of an original, or else (and if ``is_whole``) of the original;
    ``None`` where the files of neither are here.
    """
    row = picture.row
    source, kind = original_file(workspace, row.original), "original"
    box = tuple(row.part_box)
    if picture.num_used_faces == 1 and (source is None or not is_whole):
        crop = version.dataset.path / row.file
        if is_inside(crop, version.dataset.path):
            source, kind = crop, digest([row.transform, version.config.crop_px])
            box = ()
    if source is None:
        return None
    name = f"{row.sha256}-{kind}-{_FORMAT}.jpg"
    return ThumbnailTask(source, workspace.thumbnails / row.sha256[:2] / name, box)


def original_file(workspace: Workspace, original: str) -> Path | None:
    """The file of an original, a path of a manifest; ``None`` where it is not here, or outside the
    folder of originals.
    """
    path = workspace.folder / original
    return path if original and is_inside(path, workspace.originals) else None


def is_inside(path: Path, folder: Path) -> bool:
    """Whether ``path`` is a file below ``folder``, after links and ``..`` are followed."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


class ThumbnailMaker:
    """Makes thumbnails in worker processes, the last requested first; a context manager."""

    def __init__(self) -> None:
        self._waiting = dict[ThumbnailTask, Future[bool]]()
        self._changed = threading.Condition()
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="thumbnails", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_open = False
            self._changed.notify()
        self._thread.join()

    def request(self, task: ThumbnailTask) -> Future[bool]:
        """Whether the thumbnail could be made, as soon as it is known."""
        with self._changed:
            future = self._waiting.pop(task, None) or Future[bool]()
            self._waiting[task] = future
            self._changed.notify()
        return future

    def _run(self) -> None:
        with WorkerPool(_NUM_WORKERS, _TIMEOUT_S) as workers:
            while (batch := self._next_batch()) is not None:
                self._make(batch, workers)

    def _next_batch(self) -> dict[ThumbnailTask, Future[bool]] | None:
        """The newest requests that are still wanted; ``None`` when the maker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._is_open)
            if not self._is_open:
                for future in self._waiting.values():
                    future.cancel()
                return None
            newest = list(self._waiting)[-_MAX_BATCH:]
            batch = {task: self._waiting.pop(task) for task in reversed(newest)}
        return {
            task: future for task, future in batch.items() if future.set_running_or_notify_cancel()
        }

    def _make(self, batch: dict[ThumbnailTask, Future[bool]], workers: WorkerPool) -> None:
        left = dict(batch)
        try:
            for task, outcome in workers.map_unordered(make_thumbnail, list(batch)):
                left.pop(task).set_result(outcome is True)
        except Exception as error:  # a full disk: the next request may succeed
            _fail(left.values(), error)


def _fail(futures: Collection[Future[bool]], error: Exception) -> None:
    for future in futures:
        future.set_exception(error)


@functools.cache
def placeholder() -> bytes:
    """An SVG for a picture that cannot be shown."""
    return (
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><path d="M20 24h56v48H20z'
        b'M20 64l16-18 12 12 10-10 18 18M28 82 70 14" fill="none" stroke="#999" '
        b'stroke-width="3"/></svg>'
    )
