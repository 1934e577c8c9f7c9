"""All pairs of 64-bit hashes within a Hamming radius: exact, and fast up to millions.

Multi-index hashing (Norouzi, Punjani, Fleet 2012) with the general pigeonhole principle (Qin et al.
2018): cut 64 bits into four words of 16 and give word k a threshold t_k with Σ (t_k + 1) = r + 1;
two hashes within r bits then agree in some word up to t_k bits. So for each word and each mask of
at most t_k bits, only the hashes whose words differ by exactly that mask are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]  # [N]
Indices = NDArray[np.int64]  # [P]

_WORDS = 4
_WORD_BITS = 16
_BLOCK = 1 << 18  # comparisons at a time: what they need stays in the processor's cache
_FEW = 2000  # hashes (geometric mean of both sides) up to which comparing all pairs is faster


def self_pairs(hashes: Hashes, radius: int) -> Iterator[tuple[Indices, Indices]]:
    """Every pair ``i < j`` of ``hashes`` that differ in at most ``radius`` bits, each one once.

    Comes in blocks ``(i, j)`` of int64 arrays, so that a dense cluster does not fill the memory.
    """
    yield from _pairs(hashes, hashes, radius, same=True)


def cross_pairs(left: Hashes, right: Hashes, radius: int) -> Iterator[tuple[Indices, Indices]]:
    """Every pair of a hash of ``left`` and one of ``right`` within ``radius`` bits, each one once.

    Comes in blocks of int64 arrays: places in ``left``, places in ``right``.
    """
    yield from _pairs(left, right, radius, same=False)


def _pairs(
    left: Hashes, right: Hashes, radius: int, *, same: bool
) -> Iterator[tuple[Indices, Indices]]:
    if not 0 <= radius < 64:
        raise ValueError(f"radius: got {radius}, needed 0 to 63 bits")
    left, right = np.asarray(left, np.uint64), np.asarray(right, np.uint64)
    if len(left) == 0 or len(right) == 0:
        return
    if len(left) * len(right) <= _FEW**2 or radius > 16:
        yield from _brute(left, right, radius, same=same)
        return
    thresholds = _thresholds(radius)
    for word, threshold in enumerate(thresholds):
        if threshold >= 0:
            yield from _word_pairs(left, right, radius, word, thresholds, same=same)


def _brute(
    left: Hashes, right: Hashes, radius: int, *, same: bool
) -> Iterator[tuple[Indices, Indices]]:
    rows = max(1, _BLOCK // len(right))
    for start in range(0, len(left), rows):
        near = np.bitwise_count(left[start : start + rows, None] ^ right[None]) <= radius
        i, j = np.nonzero(near)
        i += start
        keep = i < j if same else slice(None)
        if len(i[keep]):
            yield i[keep], j[keep]


def _thresholds(radius: int) -> list[int]:
    """Bits by which each word may differ; -1 for a word that need not be looked at."""
    shares = [(radius + 1 + k) // _WORDS for k in range(_WORDS)]
    return [share - 1 for share in shares]


def _word(hashes: Hashes, word: int) -> NDArray[np.int32]:
    return ((hashes >> np.uint64(_WORD_BITS * word)) & np.uint64(0xFFFF)).astype(np.int32)


def _word_pairs(
    left: Hashes, right: Hashes, radius: int, word: int, thresholds: list[int], *, same: bool
) -> Iterator[tuple[Indices, Indices]]:
    """The pairs that no earlier word has found."""
    order = {"left": np.argsort(_word(left, word), kind="stable")}
    order["right"] = order["left"] if same else np.argsort(_word(right, word), kind="stable")
    ours, theirs = left[order["left"]], right[order["right"]]
    values = _word(ours, word)
    starts = np.searchsorted(_word(theirs, word), np.arange((1 << _WORD_BITS) + 1)).astype(np.int64)
    for mask in _masks(thresholds[word]):
        others = values ^ np.int32(mask)
        first, end = starts[others], starts[others + 1]
        if same:  # each pair of buckets once; within a bucket, each pair of its hashes once
            if mask == 0:
                first = np.arange(1, len(ours) + 1)
            else:
                end = np.where(others > values, end, first)
        for i, j in _expanded(first, end):
            one, two = ours[i], theirs[j]
            near = np.flatnonzero(np.bitwise_count(one ^ two) <= radius)
            if len(near) == 0:
                continue
            new = near[_is_new(one[near], two[near], word, thresholds)]
            if len(new):
                a, b = order["left"][i[new]], order["right"][j[new]]
                yield (np.minimum(a, b), np.maximum(a, b)) if same else (a, b)


def _masks(most: int) -> Iterator[int]:
    for num in range(most + 1):
        for places in combinations(range(_WORD_BITS), num):
            yield sum(1 << place for place in places)


def _expanded(first: Indices, end: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Blocks of all ``(i, j)`` with ``first[i] <= j < end[i]``."""
    counts = np.maximum(end - first, 0)
    sources = np.flatnonzero(counts)
    counts = counts[sources]
    totals = np.concatenate([[0], np.cumsum(counts)])
    at = 0
    while at < len(sources):
        stop = int(np.searchsorted(totals, totals[at] + _BLOCK, side="right")) - 1
        if stop <= at:  # one hash with more partners than a block holds
            source, begin = sources[at], first[sources[at]]
            for low in range(0, int(counts[at]), _BLOCK):
                size = min(_BLOCK, int(counts[at]) - low)
                yield np.full(size, source), np.arange(begin + low, begin + low + size)
            at += 1
            continue
        part, num = sources[at:stop], counts[at:stop]
        shift = first[part] - (totals[at:stop] - totals[at])
        yield np.repeat(part, num), np.repeat(shift, num) + np.arange(totals[stop] - totals[at])
        at = stop


def _is_new(one: Hashes, two: Hashes, word: int, thresholds: list[int]) -> NDArray[np.bool_]:
    """Whether no word before ``word`` already brought these pairs together."""
    new = np.ones(len(one), bool)
    for earlier in range(word):
        apart = np.bitwise_count(_word(one, earlier) ^ _word(two, earlier))
        new &= apart > thresholds[earlier] if thresholds[earlier] >= 0 else new
    return new
