"""FID and KID between two folders of pictures, as torch-fidelity and clean-fid compute them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.files import file_sha256
from core.language.messages import localised
from core.pictures import Picture, Rejected, find_pictures, read_picture
from core.progress import Progress, silent
from evaluation.arrays import Array, Pictures
from evaluation.features.extractor import Extractor, cached, content_key
from evaluation.figures import Figure
from evaluation.metrics.distances import fid_figure, kid_figure

_log = logging.getLogger(__name__)
_BATCHES_AHEAD = 4  # decoded at a time


@dataclass(frozen=True)
class FolderFeatures:
    """Features ``[N, D]`` of a folder's readable pictures, and the number of unreadable files."""

    features: Array
    num_unreadable: int


@dataclass(frozen=True)
class FolderDistance:
    """Distances between two folders, and the numbers of pictures read and left out."""

    fid: Figure
    kid: Figure
    num_first: int
    num_second: int
    num_unreadable: int = 0  # in both


def compare_folders(
    first: Path,
    second: Path,
    extractor: Extractor,
    *,
    num_bootstrap: int = 0,
    seed: int = 0,
    progress: Progress = silent,
) -> FolderDistance:
    """FID and KID between the pictures below ``first`` and ``second``.

    Their intervals come from ``num_bootstrap`` resamplings; with 0 they have no width. A broken
    file is named in a warning and left out. Raises ``ValueError`` for a folder with fewer than two
    readable pictures.
    """
    x, y = (folder_features(folder, extractor, progress=progress) for folder in (first, second))
    return FolderDistance(
        fid_figure(x.features, y.features, num_bootstrap, seed),
        kid_figure(x.features, y.features, num_bootstrap, seed),
        len(x.features),
        len(y.features),
        x.num_unreadable + y.num_unreadable,
    )


def folder_features(
    folder: Path, extractor: Extractor, *, progress: Progress = silent
) -> FolderFeatures:
    """Features of every readable picture below ``folder``, in the order of their names.

    Sizes may differ. Features are cached by the content of the files, so that those of copies are
    computed once. Raises ``ValueError`` for fewer than two readable pictures.
    """
    paths = find_pictures(folder)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = list(pool.map(file_sha256, paths))
    key = content_key(extractor, [digest.encode() for digest in digests])

    def compute() -> NDArray[np.float32]:
        uncached = extractor.cached_in(None)
        rows = [np.empty((0, extractor.num_features), np.float32)]
        for batch in _batches(paths, extractor.batch_size):
            rows.append(uncached(batch).astype(np.float32))
            num_done = sum(map(len, rows))
            progress(f"{extractor.key} features of {folder.name}", num_done, len(paths), "")
        return np.concatenate(rows)

    features = cached(extractor, key, compute)
    if len(features) < 2:
        raise ValueError(
            localised(
                "{folder}: found {num} readable pictures, needed at least 2",
                folder=folder,
                num=len(features),
            )
        )
    num_unreadable = len(paths) - len(features)
    if num_unreadable:
        _log.warning(localised("%s: %d unreadable pictures were left out"), folder, num_unreadable)
    return FolderFeatures(features, num_unreadable)


def _batches(paths: Sequence[Path], batch_size: int) -> Iterator[Pictures]:
    """Batches of neighbouring pictures of one size, decoded ahead in threads."""
    with ThreadPoolExecutor(2) as pool:
        num_ahead = _BATCHES_AHEAD * batch_size
        for start in range(0, len(paths), num_ahead):
            pictures = _readable(paths[start : start + num_ahead], pool)
            for _, group in groupby(pictures, key=lambda picture: picture.shape):
                same_size = list(group)
                for first in range(0, len(same_size), batch_size):
                    yield np.stack(same_size[first : first + batch_size])


def _readable(paths: Sequence[Path], pool: ThreadPoolExecutor) -> Iterator[Picture]:
    for path, picture in zip(paths, pool.map(read_picture, paths), strict=True):
        if isinstance(picture, Rejected):
            _log.warning(
                localised("%s: not a readable picture (%s); left out"), path, picture.reason
            )
        else:
            yield picture
