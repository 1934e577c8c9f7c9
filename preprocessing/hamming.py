"""All pairs of 64-bit hashes within a Hamming radius: exact up to a million hashes.

Among the first ``EXACT`` hashes every pair is found, by multi-index hashing (Norouzi, Punjani,
Fleet 2012) with the general pigeonhole principle (Qin et al. 2018): cut 64 bits into four words of
16 and give word k a threshold t_k with Σ (t_k + 1) = r + 1; two hashes within r bits then agree in
some word up to t_k bits. So for each word and each mask of at most t_k bits, only the hashes whose
words differ by exactly that mask are compared.

No exact search grows as slowly as n log n at such a radius: buckets fill up, or masks multiply. So
hashes after the first million are looked for in ``TABLES`` tables of as many bits as keep buckets
small, each bit flipped once: locality-sensitive hashing (Indyk, Motwani 1998) with probes (Lv et
al. 2007). Of sixteen million hashes that finds 95 % of the pairs at 6 bits, 72 % at 8, 40 % at 10.
Which tables are asked depends on the later hash of a pair alone: what is found among the first n
hashes is the same however many follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]  # [N]
Indices = NDArray[np.int64]  # [P]
Blocks = Iterator[tuple[Indices, Indices]]

EXACT = 1 << 20  # hashes among which every pair is found
TABLES = 8  # for later ones
_GROWTH = 4  # from one size of tables to the next
_WORDS = 4
_WORD_BITS = 16
_BLOCK = 1 << 17  # comparisons at a time: what they need stays in the processor's cache
_FEW = 2000  # hashes (geometric mean of both sides) up to which comparing all pairs is faster


@dataclass(frozen=True)
class _Table:
    """Bits of a hash (``first``, ``first + step``, …, modulo 64) by which hashes are sorted, and in
    how many of them two of a pair may differ.
    """

    first: int
    step: int
    bits: int
    threshold: int

    def keys(self, hashes: Hashes) -> NDArray[np.int64]:
        """The key of each hash, ``[N]``, 0 to 2^bits - 1."""
        if self.step == 1 and self.first + self.bits <= 64:
            found = (hashes >> np.uint64(self.first)) & np.uint64((1 << self.bits) - 1)
            return found.astype(np.int64)
        found = np.zeros(len(hashes), np.uint64)
        for number in range(self.bits):
            place = (self.first + number * self.step) % 64
            found |= ((hashes >> np.uint64(place)) & np.uint64(1)) << np.uint64(number)
        return found.astype(np.int64)

    def masks(self) -> Iterator[int]:
        """Every way in which two keys may differ, the fewest bits first."""
        for num in range(self.threshold + 1):
            for places in combinations(range(self.bits), num):
                yield sum(1 << place for place in places)


def self_pairs(hashes: Hashes, radius: int) -> Blocks:
    """Every pair ``i < j`` of ``hashes`` that differ in at most ``radius`` bits, each one once; of
    pairs whose ``j`` is ``EXACT`` or more, most.

    Comes in blocks ``(i, j)`` of int64 arrays, so that a dense cluster does not fill the memory.
    """
    yield from _pairs(hashes, hashes, radius, same=True)


def cross_pairs(left: Hashes, right: Hashes, radius: int) -> Blocks:
    """Every pair of a hash of ``left`` and one of ``right`` within ``radius`` bits, each one once;
    of pairs with a place from ``EXACT`` on, most.

    Comes in blocks of int64 arrays: places in ``left``, places in ``right``.
    """
    yield from _pairs(left, right, radius, same=False)


def _pairs(left: Hashes, right: Hashes, radius: int, *, same: bool) -> Blocks:
    if not 0 <= radius < 64:
        raise ValueError(f"radius: got {radius}, needed 0 to 63 bits")
    left, right = np.asarray(left, np.uint64), np.asarray(right, np.uint64)
    if len(left) == 0 or len(right) == 0:
        return
    if len(left) * len(right) <= _FEW**2 or radius > 16:
        yield from _brute(left, right, radius, same=same)
        return
    yield from _joined(left[:EXACT], right[:EXACT], radius, _words(radius), same=same)
    start, num = EXACT, max(len(left), len(right))
    while start < num:
        stop = start * _GROWTH
        tables = _spread_tables(stop)
        for i, j in _joined(left[start:stop], right[:stop], radius, tables, same=False):
            i += start  # noqa: PLW2901
            if same:
                older = j < i
                yield j[older], i[older]
            else:
                yield i, j
        if not same:
            for i, j in _joined(left[:start], right[start:stop], radius, tables, same=False):
                yield i, j + start
        start = stop


def _brute(left: Hashes, right: Hashes, radius: int, *, same: bool) -> Blocks:
    rows = max(1, _BLOCK // len(right))
    for start in range(0, len(left), rows):
        near = np.bitwise_count(left[start : start + rows, None] ^ right[None]) <= radius
        i, j = np.nonzero(near)
        i += start
        keep = i < j if same else slice(None)
        if len(i[keep]):
            yield i[keep], j[keep]


def _words(radius: int) -> list[_Table]:
    """Tables that miss nothing; a word that need not be looked at has none."""
    shares = [(radius + 1 + k) // _WORDS for k in range(_WORDS)]
    return [
        _Table(_WORD_BITS * k, 1, _WORD_BITS, share - 1) for k, share in enumerate(shares) if share
    ]


def _spread_tables(num: int) -> list[_Table]:
    """Tables of about two uniform hashes a bucket; their bits lie apart, as neighbours agree."""
    bits = min(max(num.bit_length() - 2, 1), 30)
    return [_Table(11 * k % 64, 2 * k + 1, bits, 1) for k in range(TABLES)]


def _joined(
    left: Hashes, right: Hashes, radius: int, tables: Sequence[_Table], *, same: bool
) -> Blocks:
    if len(left) and len(right):
        for number, table in enumerate(tables):
            for i, j in _table_pairs(left, right, radius, table, same=same):
                new = _is_new(left[i], right[j], tables[:number])
                if new.any():
                    yield i[new], j[new]


def _table_pairs(left: Hashes, right: Hashes, radius: int, table: _Table, *, same: bool) -> Blocks:
    """The pairs that this table brings together."""
    values, order = _sorted(table.keys(left))
    ours = left[order]
    if same:
        others, theirs, their_order = values, ours, order
    else:
        others, their_order = _sorted(table.keys(right))
        theirs = right[their_order]
    starts = np.zeros((1 << table.bits) + 1, np.int64)
    np.cumsum(np.bincount(others, minlength=1 << table.bits), out=starts[1:])
    for mask in table.masks():
        for low in range(0, len(values), _BLOCK):
            mine = values[low : low + _BLOCK]
            wanted = mine ^ mask
            first, end = starts[wanted], starts[wanted + 1]
            if same:  # each pair of buckets once; within a bucket, each pair of its hashes once
                if mask == 0:
                    first = np.arange(low + 1, low + len(mine) + 1)
                else:
                    end = np.where(wanted > mine, end, first)
            for source, num, j in _expanded(first, end):
                part = ours[low + source]
                near = np.bitwise_count(np.repeat(part, num) ^ theirs[j]) <= radius
                found = np.flatnonzero(near)
                if len(found):
                    from_ = source[np.searchsorted(np.cumsum(num), found, side="right")]
                    a, b = order[low + from_], their_order[j[found]]
                    yield (np.minimum(a, b), np.maximum(a, b)) if same else (a, b)


def _sorted(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], Indices]:
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def _expanded(first: Indices, end: Indices) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Blocks of all ``j`` with ``first[i] <= j < end[i]``: ``i``, how many each has, and ``j``."""
    counts = np.maximum(end - first, 0)
    sources = np.flatnonzero(counts)
    counts = counts[sources]
    totals = np.concatenate([[0], np.cumsum(counts)])
    at = 0
    while at < len(sources):
        stop = int(np.searchsorted(totals, totals[at] + _BLOCK, side="right")) - 1
        if stop <= at:  # one hash with more partners than a block holds
            begin = first[sources[at]]
            for low in range(0, int(counts[at]), _BLOCK):
                size = min(_BLOCK, int(counts[at]) - low)
                yield sources[at : at + 1], np.array([size]), np.arange(size) + begin + low
            at += 1
            continue
        part, num = sources[at:stop], counts[at:stop]
        shift = first[part] - (totals[at:stop] - totals[at])
        yield part, num, np.repeat(shift, num) + np.arange(totals[stop] - totals[at])
        at = stop


def _is_new(one: Hashes, two: Hashes, earlier: Sequence[_Table]) -> NDArray[np.bool_]:
    """Whether none of these tables already brought these pairs together."""
    new = np.ones(len(one), bool)
    for table in earlier:
        apart = np.bitwise_count(table.keys(one) ^ table.keys(two))
        new &= apart > table.threshold
    return new
