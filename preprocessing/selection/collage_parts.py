"""The parts of a collage as pictures of their own: their names, and whether to split is safe. Pure.

A part has a name of 64 hex digits as an original has, so that decisions, clusters, crops and
``suyan forget`` treat it as one. The name follows from the original's sha256 and the part's number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from preprocessing.analysis.analyse import Analysis
from preprocessing.config import PrepareConfig

NUM_PARTS = 2
_MAX_SIZE_RATIO = 2.0  # of the faces of both parts: a face in the background is no other picture


def part_names(sha256: str) -> tuple[str, ...]:
    """The names of both parts of an original, if it is split: 64 hex digits each."""
    return tuple(
        hashlib.sha256(f"{sha256} part {number}".encode()).hexdigest()
        for number in range(1, NUM_PARTS + 1)
    )


def with_parts(digests: Collection[str]) -> frozenset[str]:
    """These sha256 of originals, and the names that parts of them have."""
    return frozenset(digests).union(*map(part_names, digests))


def is_candidate(original: Analysis, config: PrepareConfig) -> bool:
    """Whether the parts of an original are worth an analysis."""
    return (
        not original.reason
        and original.defects.seam > config.split_seam
        and (not config.faces or bool(original.faces))  # more are found in the parts
    )


def is_split(parts: Sequence[Analysis], config: PrepareConfig) -> bool:
    """Whether these analyses of two parts show two pictures: the seam between them is clear, each
    is large enough, and each has one face of about the same size where faces are cropped.
    """
    return (
        len(parts) == NUM_PARTS
        and all(
            part.place is not None
            and part.place.seam > config.split_seam
            and min(part.height, part.width) >= config.min_side_px
            for part in parts
        )
        and (not config.faces or _has_a_face_each(parts, config.min_face_px))
    )


def _has_a_face_each(parts: Sequence[Analysis], min_face_px: int) -> bool:
    sizes = [[face.side for face in part.faces if face.side >= min_face_px] for part in parts]
    if any(len(of_part) != 1 for of_part in sizes):
        return False
    smaller, larger = sorted(size for [size] in sizes)
    return larger <= _MAX_SIZE_RATIO * smaller
