"""Pairs of 64-bit hashes within a Hamming radius, at a cost near n log n.

The number of unrelated pairs within ten bits grows as n²: among a million photographs of faces each
has some 25. How far apart a pair may be, and how it is searched, therefore depends on the place of
its later hash:

- below ``ALL`` (131,072) every pair within ``radius`` is found;
- from there to ``NEAR`` (1,048,576) every pair within ``radius`` or ``NEAR_BITS``, the smaller;
- after that most of those (98 % of 16 million's at 6 bits, 95 % of 64 million's).

Hence the pairs of the first n hashes do not depend on the hashes that follow.

The exact part is multi-index hashing (Norouzi, Punjani, Fleet 2012) with the general pigeonhole
principle (Qin et al. 2018): cut 64 bits into words and give word k a threshold t_k with
Σ (t_k + 1) = r + 1; two hashes within r bits then agree in some word up to t_k bits. So for each
word and each mask of at most t_k bits, only the hashes whose words differ by exactly that mask are
compared. The last part is locality-sensitive hashing (Indyk, Motwani 1998) with probes (Lv et al.
2007): ``TABLES`` tables of as many bits as keep buckets small, each bit flipped once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from core.language.messages import localised

Hashes = NDArray[np.uint64]  # [N]
Indices = NDArray[np.int64]  # [P]
Blocks = Iterator[tuple[Indices, Indices]]

ALL = 1 << 17
NEAR = 1 << 20
NEAR_BITS = 6
TABLES = 12
_TABLE_GROWTH = 4  # from one size of tables to the next
_COMPARISONS_PER_BLOCK = 1 << 17  # whose data fit the processor's cache
_MAX_TABLE_BITS = 16  # radius above which comparing all pairs is faster
_MAX_HASHES_BY_BRUTE_FORCE = 6000  # geometric mean of both sides: faster up to this many


@dataclass(frozen=True)
class _Table:
    """A table of hashes: the bits (``first``, ``first + step``, …, modulo 64) that are the key, and
    the number of key bits in which the two hashes of a pair may differ.
    """

    first: int
    step: int
    bits: int
    threshold: int

    @property
    def mask(self) -> np.uint64:
        """A 64-bit mask of the bits that make the key."""
        places = ((self.first + number * self.step) % 64 for number in range(self.bits))
        return np.uint64(sum(1 << place for place in places))

    def keys(self, hashes: Hashes) -> NDArray[np.int64]:
        """The key of each hash, ``[N]``, 0 to 2^bits - 1."""
        if self.step == 1 and self.first + self.bits <= 64:
            keys = (hashes >> np.uint64(self.first)) & np.uint64((1 << self.bits) - 1)
            return keys.astype(np.int64)
        keys = np.zeros(len(hashes), np.uint64)
        for number in range(self.bits):
            place = (self.first + number * self.step) % 64
            keys |= ((hashes >> np.uint64(place)) & np.uint64(1)) << np.uint64(number)
        return keys.astype(np.int64)

    def masks(self) -> Iterator[int]:
        """Every difference of two keys that the table searches, the fewest bits first."""
        for num in range(self.threshold + 1):
            for places in combinations(range(self.bits), num):
                yield sum(1 << place for place in places)


def self_pairs(hashes: Hashes, radius: int) -> Blocks:
    """Every pair ``i < j`` of ``hashes`` that differ in at most ``radius`` bits, once; for ``j``
    from ``ALL`` on, the pairs that the module's docstring describes.

    They come in blocks ``(i, j)`` of int64 arrays: a dense cluster does not fill the memory.
    """
    yield from _pairs(hashes, hashes, radius, same=True)


def cross_pairs(left: Hashes, right: Hashes, radius: int) -> Blocks:
    """Every pair of a hash of ``left`` and one of ``right`` within ``radius`` bits, once; from
    place ``ALL`` on, the pairs that the module's docstring describes.

    They come in blocks of int64 arrays: places in ``left``, places in ``right``.
    """
    yield from _pairs(left, right, radius, same=False)


def _pairs(left: Hashes, right: Hashes, radius: int, *, same: bool) -> Blocks:
    if not 0 <= radius < 64:
        raise ValueError(localised("radius: got {radius}, needed 0 to 63 bits", radius=radius))
    left, right = np.asarray(left, np.uint64), np.asarray(right, np.uint64)
    if (
        len(left) * len(right) <= _MAX_HASHES_BY_BRUTE_FORCE**2
        and max(len(left), len(right)) <= ALL
    ):
        yield from _compare_all(left, right, radius, same=same)
        return
    start = 0
    for stop, bits, tables in _search_stages(radius):
        for i, j in _search(left[start:stop], right[:stop], bits, tables, same=same and start == 0):
            if same and start > 0:
                older = j < i + start
                yield j[older], i[older] + start
            else:
                yield i + start, j
        if not same:
            for i, j in _search(left[:start], right[start:stop], bits, tables, same=False):
                yield i, j + start
        start = stop
        if start >= max(len(left), len(right)):
            return


def _search_stages(radius: int) -> Iterator[tuple[int, int, list[_Table]]]:
    """The ranges of places, ascending: the end of each, its radius in bits, and its tables."""
    near = min(radius, NEAR_BITS)
    yield ALL, radius, _word_tables(radius, 4)
    yield NEAR, near, _word_tables(near, 3)
    stop = NEAR
    while True:
        stop *= _TABLE_GROWTH
        yield stop, near, _lsh_tables(stop)


def _compare_all(left: Hashes, right: Hashes, radius: int, *, same: bool) -> Blocks:
    rows = max(1, _COMPARISONS_PER_BLOCK // max(1, len(right)))
    for start in range(0, len(left), rows):
        near = np.bitwise_count(left[start : start + rows, None] ^ right[None]) <= radius
        i, j = np.divmod(np.flatnonzero(near), len(right))  # np.nonzero takes longer than the rest
        i += start
        keep = i < j if same else slice(None)
        if len(i[keep]):
            yield i[keep], j[keep]


def _word_tables(radius: int, num: int) -> list[_Table]:
    """Tables of ``num`` words that miss no pair; a word that need not be searched has no table."""
    edges = [64 * k // num for k in range(num + 1)]
    shares = [(radius + 1 + k) // num for k in range(num)]
    return [
        _Table(low, 1, high - low, share - 1)
        for low, high, share in zip(edges, edges[1:], shares, strict=False)
        if share
    ]


def _lsh_tables(num: int) -> list[_Table]:
    """Tables with about one uniform hash per bucket; neighbouring bits of a hash are correlated, so
    each key takes bits at a distance.
    """
    bits = min(max(num.bit_length() - 1, 1), 30)
    return [_Table(11 * k % 64, 2 * k + 1, bits, 1) for k in range(TABLES)]


def _search(
    left: Hashes, right: Hashes, radius: int, tables: Sequence[_Table], *, same: bool
) -> Blocks:
    if len(left) == 0 or len(right) == 0:
        return
    if radius > _MAX_TABLE_BITS:
        yield from _compare_all(left, right, radius, same=same)
        return
    for number, table in enumerate(tables):
        for i, j in _table_pairs(left, right, radius, table, same=same):
            new = _is_new(left[i], right[j], tables[:number])
            if new.any():
                yield i[new], j[new]


def _table_pairs(left: Hashes, right: Hashes, radius: int, table: _Table, *, same: bool) -> Blocks:
    """The pairs within ``radius`` bits whose keys the table considers near."""
    left_keys, left_order = _sort(table.keys(left))
    sorted_left = left[left_order]
    if same:
        right_keys, right_order, sorted_right = left_keys, left_order, sorted_left
    else:
        right_keys, right_order = _sort(table.keys(right))
        sorted_right = right[right_order]
    starts = np.zeros((1 << table.bits) + 1, np.int64)  # of each bucket of the right side
    np.cumsum(np.bincount(right_keys, minlength=1 << table.bits), out=starts[1:])
    for mask in table.masks():
        for low in range(0, len(left_keys), _COMPARISONS_PER_BLOCK):
            keys = left_keys[low : low + _COMPARISONS_PER_BLOCK]
            buckets = keys ^ mask
            first, end = starts[buckets], starts[buckets + 1]
            if same:  # each pair of buckets once; within a bucket, each pair of its hashes once
                if mask == 0:
                    first = np.arange(low + 1, low + len(keys) + 1)
                else:
                    end = np.where(buckets > keys, end, first)
            for source, num, j in _expand(first, end):
                repeated = np.repeat(sorted_left[low + source], num)
                near = np.flatnonzero(np.bitwise_count(repeated ^ sorted_right[j]) <= radius)
                if len(near):
                    i = source[np.searchsorted(np.cumsum(num), near, side="right")]
                    a, b = left_order[low + i], right_order[j[near]]
                    yield (np.minimum(a, b), np.maximum(a, b)) if same else (a, b)


def _sort(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], Indices]:
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def _expand(first: Indices, end: Indices) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Blocks of all ``j`` with ``first[i] <= j < end[i]``: the ``i``, the number of ``j`` that each
    has, and the ``j``.
    """
    counts = np.maximum(end - first, 0)
    sources = np.flatnonzero(counts)
    counts = counts[sources]
    totals = np.concatenate([[0], np.cumsum(counts)])
    at = 0
    while at < len(sources):
        stop = int(np.searchsorted(totals, totals[at] + _COMPARISONS_PER_BLOCK, side="right")) - 1
        if stop <= at:  # a hash may have more partners than a block holds
            begin = first[sources[at]]
            for low in range(0, int(counts[at]), _COMPARISONS_PER_BLOCK):
                size = min(_COMPARISONS_PER_BLOCK, int(counts[at]) - low)
                yield sources[at : at + 1], np.array([size]), np.arange(size) + begin + low
            at += 1
            continue
        part, num = sources[at:stop], counts[at:stop]
        shift = first[part] - (totals[at:stop] - totals[at])
        yield part, num, np.repeat(shift, num) + np.arange(totals[stop] - totals[at])
        at = stop


def _is_new(left: Hashes, right: Hashes, earlier: Sequence[_Table]) -> NDArray[np.bool_]:
    """Whether each pair is new: no ``earlier`` table has given it, ``[P]`` bool."""
    difference, new = left ^ right, np.ones(len(left), bool)
    for table in earlier:
        new &= np.bitwise_count(difference & table.mask) > table.threshold
    return new
