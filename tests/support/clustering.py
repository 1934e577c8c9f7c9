"""Clusters of analysed pictures, as a preparation builds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from preprocessing.analysis.analyse import Analysis
from preprocessing.analysis.fingerprint import thumbnail_of
from preprocessing.config import PrepareConfig
from preprocessing.dedup.candidates import HashColumns, Pairs
from preprocessing.dedup.overlay import thumbnail_pairs
from preprocessing.dedup.similarity import similarities
from preprocessing.selection.attributes import Attributes
from preprocessing.selection.manifest import cluster_originals
from preprocessing.selection.originals import OriginalIndex

CONFIG = PrepareConfig(domain_a="a", domain_b="b")


def names_of(num: int) -> list[str]:
    """Names for so many originals, in the order of their age."""
    return [f"{number:064x}" for number in range(num)]


def hash_columns(analyses: Sequence[Analysis]) -> HashColumns:
    """The hashes of the pictures that these analyses describe, by their place."""
    names = names_of(len(analyses))
    number = {name: k for k, name in enumerate(names)}
    index = OriginalIndex([], names, number, np.ones((len(names), 2), np.int32))
    attributes = Attributes(CONFIG, index, {})
    for name, analysis in zip(names, analyses, strict=True):
        attributes.add(name, analysis)
    return attributes.hashes


def compare(analyses: Sequence[Analysis], pairs: Pairs) -> NDArray[np.float64]:
    """The similarity of each pair of these pictures, ``[P]``."""

    def thumbnail(number: int, part: int) -> bytes:
        return thumbnail_of(analyses[number].thumbnails, part)

    return similarities(thumbnail_pairs(pairs, thumbnail))


def founders(analyses: Sequence[Analysis]) -> list[int]:
    """The number of the oldest picture of each picture's cluster."""
    names, hashes = names_of(len(analyses)), hash_columns(analyses)
    clusters = cluster_originals(CONFIG, names, hashes, lambda _, pairs: compare(analyses, pairs))
    return [int(founder) for founder in clusters.founder]
