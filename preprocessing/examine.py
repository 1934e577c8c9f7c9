"""What one original is good for: decoded, its face found, cut out and fingerprinted.

Runs in worker processes: hostile files are opened here and nowhere else.
"""

from __future__ import annotations

import faulthandler
import functools
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing import align
from preprocessing.config import PrepareConfig
from preprocessing.decode import Rejected, decode
from preprocessing.duplicates import Fingerprint, fingerprint
from preprocessing.faces import Face, FaceDetector
from scraping.records import SuyanError, atomic_file

_BATCH = 16  # originals a worker gets at a time

Named = tuple[str, Path]  # sha256 of an original, and its file


@dataclass(frozen=True)
class Examined:
    """The outcome for one original. ``reason`` is "" for one that was cut out."""

    sha256: str
    reason: str
    height: int = 0  # px, 0 when it could not be decoded
    width: int = 0
    whole: Fingerprint | None = None
    aligned: Fingerprint | None = None
    keypoints: list[float] = field(default_factory=list)
    transform: list[float] = field(default_factory=list)
    sharpness: float = 0.0


def examine_all(
    originals: Sequence[Named], config: PrepareConfig, crops: Path
) -> Iterator[Examined]:
    """Examine ``(sha256, file)`` pairs in worker processes; outcomes come as they are ready.

    Crops are written as ``crops/<sha256>.png``. A file that kills or hangs its worker costs itself
    alone: what ran at that moment is tried again one by one, and it gets ``decoder-died``.
    """
    waiting = deque(originals[at : at + _BATCH] for at in range(0, len(originals), _BATCH))
    suspects: list[Named] = []
    while waiting:
        running: dict[Future[list[Examined]], Sequence[Named]] = {}
        with _pool(config.num_workers) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * config.num_workers:
                        running[pool.submit(_examine_batch, waiting[0], config, crops)] = waiting[0]
                        waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        outcomes = future.result()
                        del running[future]
                        yield from outcomes
            except BrokenProcessPool:
                suspects += (original for batch in running.values() for original in batch)
    yield from _one_by_one(suspects, config, crops)


def _one_by_one(
    originals: Sequence[Named], config: PrepareConfig, crops: Path
) -> Iterator[Examined]:
    waiting = deque(originals)
    while waiting:
        with _pool(1) as pool:
            try:
                while waiting:
                    outcomes = pool.submit(_examine_batch, [waiting[0]], config, crops).result()
                    waiting.popleft()
                    yield from outcomes
            except BrokenProcessPool:
                yield Examined(waiting.popleft()[0], "decoder-died")


def _pool(num_workers: int) -> ProcessPoolExecutor:
    # spawn: a forked copy of a process with threads (torch, OpenCV, Prefect) can hang
    return ProcessPoolExecutor(num_workers, mp_context=get_context("spawn"), initializer=_quiet)


def _quiet() -> None:
    cv2.setNumThreads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


def _examine_batch(
    originals: Sequence[Named], config: PrepareConfig, crops: Path
) -> list[Examined]:
    return [_examine_guarded(sha256, path, config, crops) for sha256, path in originals]


def _examine_guarded(sha256: str, path: Path, config: PrepareConfig, crops: Path) -> Examined:
    # ends this worker even where a decoder loops inside C, as no signal handler could
    faulthandler.dump_traceback_later(config.timeout_s, exit=True, file=sys.__stderr__ or 2)
    try:
        return examine(sha256, path, config, crops)
    except (SuyanError, OSError):  # a missing model, a full disk: not the picture's fault
        raise
    except Exception:
        return Examined(sha256, "unexpected-error")
    finally:
        faulthandler.cancel_dump_traceback_later()


@functools.cache
def _detector() -> FaceDetector:
    return FaceDetector()


def examine(sha256: str, path: Path, config: PrepareConfig, crops: Path) -> Examined:
    """Examine one original and write its crop, if it is good for one."""
    picture = decode(path, max_pixels=config.max_megapixels * 1e6, min_side_px=config.min_side_px)
    if isinstance(picture, Rejected):
        return Examined(sha256, picture.reason)
    height, width = picture.shape[:2]
    whole = fingerprint(picture)
    seen = Examined(sha256, "", height, width, whole)
    if max(height, width) > config.max_aspect * min(height, width):
        return _rejected(seen, "odd-shape")
    keypoints: NDArray[np.float64] | None = None
    if config.faces:
        face = _only_face(_detector().detect(picture), config)
        if isinstance(face, str):
            return _rejected(seen, face)
        keypoints = face.keypoints
        transform = align.eye_transform(
            keypoints, config.crop_px, config.eye_distance, config.eye_height
        )
        if align.outside_share(transform, height, width, config.crop_px) > config.max_outside:
            return _rejected(seen, "leaves-the-frame")
    else:
        transform = align.centre_transform(height, width, config.crop_px)
    cut = align.crop(picture, transform, config.crop_px)
    sharp = align.sharpness(cut)
    if sharp < config.min_sharpness:
        return _rejected(seen, "blurred")
    with atomic_file(crops / f"{sha256}.png") as file:
        Image.fromarray(cut).save(file, "PNG", compress_level=3)
    return Examined(
        sha256,
        "",
        height,
        width,
        whole,
        fingerprint(cut) if config.faces else None,
        [] if keypoints is None else [float(value) for value in keypoints.ravel()],
        [float(value) for value in transform.ravel()],
        sharp,
    )


def _rejected(seen: Examined, reason: str) -> Examined:
    return Examined(seen.sha256, reason, seen.height, seen.width, seen.whole)


def _only_face(faces: list[Face], config: PrepareConfig) -> Face | str:
    """The face to crop, or why there is none."""
    if not faces:
        return "no-face"
    large = [face for face in faces if face.side >= config.min_face_px]
    if not large:
        return "face-too-small"
    if len(large) > 1 and config.faces_policy == "single":
        return "several-faces"
    face = large[0]
    if align.profile(face.keypoints) > config.max_profile:
        return "profile"
    return face
