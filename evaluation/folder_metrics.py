"""FID and KID between two folders of pictures, as torch-fidelity and clean-fid compute them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.files import file_sha256
from core.progress import Progress, silent
from evaluation.features.extractor import Extractor, Features, cached, content_key
from evaluation.metrics.distances import fid, kid

_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class FolderDistance:
    """Distances between two folders, and how many pictures each holds."""

    fid: float
    kid: float
    num_first: int
    num_second: int


def compare_folders(
    first: Path, second: Path, extractor: Extractor, *, progress: Progress = silent
) -> FolderDistance:
    """FID and KID between the pictures below ``first`` and ``second``.

    Raises ``ValueError`` for a folder with less than two pictures, or with an unreadable one.
    """
    x, y = (folder_features(folder, extractor, progress=progress) for folder in (first, second))
    return FolderDistance(fid(x, y), kid(x, y), len(x), len(y))


def folder_features(folder: Path, extractor: Extractor, *, progress: Progress = silent) -> Features:
    """Features of every picture below ``folder``, in the order of their names: ``[N, D]``.

    Sizes may differ. They are kept by the files' content, so that a copy is not computed again.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if len(paths) < 2:
        raise ValueError(f"{folder}: found {len(paths)} pictures, needed at least 2")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = list(pool.map(file_sha256, paths))
    key = content_key(extractor, [digest.encode() for digest in digests])

    def compute() -> NDArray[np.float32]:
        alone = extractor.cached_in(None)
        found = np.empty((len(paths), extractor.num_features), np.float32)
        done = 0
        for batch in _batches(paths, extractor.batch_size):
            found[done : done + len(batch)] = alone(batch)
            done += len(batch)
            progress(f"{extractor.key} features of {folder.name}", done, len(paths), "")
        return found

    return cached(extractor, key, compute)


def _batches(paths: Sequence[Path], batch_size: int) -> Iterator[NDArray[np.uint8]]:
    """Neighbours of one size, at most ``batch_size`` of them; decoded ahead, in threads."""
    with ThreadPoolExecutor(2) as pool:
        ahead = 4 * batch_size
        for start in range(0, len(paths), ahead):
            pictures = pool.map(_read, paths[start : start + ahead])
            for _, group in groupby(pictures, key=lambda picture: picture.shape):
                alike = list(group)
                for first in range(0, len(alike), batch_size):
                    yield np.stack(alike[first : first + batch_size])


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises half a dozen types on hostile files
        raise ValueError(
            f"{path}: not a readable picture ({type(error).__name__}: {error}); remove it"
        ) from error
