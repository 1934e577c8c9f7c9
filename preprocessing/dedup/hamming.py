"""Pairs of 64-bit hashes within a Hamming radius, at a cost near n log n.

The number of pairs within ten bits that have nothing to do with one another grows as n²: among a
million photographs of faces each has some 25. So how far apart a pair may be, and how it is looked
for, depends on the place of its later hash:

- below ``ALL`` (131,072) every pair within ``radius`` is found;
- from there to ``NEAR`` (1,048,576) every pair within ``radius`` or ``NEAR_BITS``, the smaller;
- after that most of those (98 % of 16 million's at 6 bits, 95 % of 64 million's).

Hence what is found among the first n hashes stays the same however many follow.

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

Hashes = NDArray[np.uint64]  # [N]
Indices = NDArray[np.int64]  # [P]
Blocks = Iterator[tuple[Indices, Indices]]

ALL = 1 << 17
NEAR = 1 << 20
NEAR_BITS = 6
TABLES = 12
_GROWTH = 4  # from one size of tables to the next
_BLOCK = 1 << 17  # comparisons at a time: what they need stays in the processor's cache
_FAR = 16  # bits from which on comparing all pairs is faster
_FEW = 6000  # hashes (geometric mean of both sides) up to which, for ten bits, that is faster too


@dataclass(frozen=True)
class _Table:
    """Bits of a hash (``first``, ``first + step``, …, modulo 64) by which hashes are sorted, and in
    how many of them two of a pair may differ.
    """

    first: int
    step: int
    bits: int
    threshold: int

    @property
    def mask(self) -> np.uint64:
        """The bits of a hash that it looks at."""
        places = ((self.first + number * self.step) % 64 for number in range(self.bits))
        return np.uint64(sum(1 << place for place in places))

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
    """Every pair ``i < j`` of ``hashes`` that differ in at most ``radius`` bits, each one once; for
    ``j`` from ``ALL`` on, what the module's docstring says.

    Comes in blocks ``(i, j)`` of int64 arrays, so that a dense cluster does not fill the memory.
    """
    yield from _pairs(hashes, hashes, radius, same=True)


def cross_pairs(left: Hashes, right: Hashes, radius: int) -> Blocks:
    """Every pair of a hash of ``left`` and one of ``right`` within ``radius`` bits, each one once;
    from place ``ALL`` on, what the module's docstring says.

    Comes in blocks of int64 arrays: places in ``left``, places in ``right``.
    """
    yield from _pairs(left, right, radius, same=False)


def _pairs(left: Hashes, right: Hashes, radius: int, *, same: bool) -> Blocks:
    if not 0 <= radius < 64:
        raise ValueError(f"radius: got {radius}, needed 0 to 63 bits")
    left, right = np.asarray(left, np.uint64), np.asarray(right, np.uint64)
    if len(left) * len(right) <= _FEW**2 and max(len(left), len(right)) <= ALL:
        yield from _brute(left, right, radius, same=same)
        return
    start = 0
    for stop, bits, tables in _ages(radius):
        for i, j in _joined(left[start:stop], right[:stop], bits, tables, same=same and start == 0):
            if same and start > 0:
                older = j < i + start
                yield j[older], i[older] + start
            else:
                yield i + start, j
        if not same:
            for i, j in _joined(left[:start], right[start:stop], bits, tables, same=False):
                yield i, j + start
        start = stop
        if start >= max(len(left), len(right)):
            return


def _ages(radius: int) -> Iterator[tuple[int, int, list[_Table]]]:
    """How hashes are looked for whose place is below … (and not below the one before): within how
    many bits, by which tables.
    """
    near = min(radius, NEAR_BITS)
    yield ALL, radius, _words(radius, 4)
    yield NEAR, near, _words(near, 3)
    stop = NEAR
    while True:
        stop *= _GROWTH
        yield stop, near, _spread_tables(stop)


def _brute(left: Hashes, right: Hashes, radius: int, *, same: bool) -> Blocks:
    rows = max(1, _BLOCK // max(1, len(right)))
    for start in range(0, len(left), rows):
        near = np.bitwise_count(left[start : start + rows, None] ^ right[None]) <= radius
        i, j = np.divmod(np.flatnonzero(near), len(right))  # np.nonzero takes longer than the rest
        i += start
        keep = i < j if same else slice(None)
        if len(i[keep]):
            yield i[keep], j[keep]


def _words(radius: int, num: int) -> list[_Table]:
    """Tables that miss nothing: ``num`` words; one that need not be looked at has none."""
    edges = [64 * k // num for k in range(num + 1)]
    shares = [(radius + 1 + k) // num for k in range(num)]
    return [
        _Table(low, 1, high - low, share - 1)
        for low, high, share in zip(edges, edges[1:], shares, strict=False)
        if share
    ]


def _spread_tables(num: int) -> list[_Table]:
    """Tables of about a uniform hash a bucket; their bits lie apart, as neighbours agree."""
    bits = min(max(num.bit_length() - 1, 1), 30)
    return [_Table(11 * k % 64, 2 * k + 1, bits, 1) for k in range(TABLES)]


def _joined(
    left: Hashes, right: Hashes, radius: int, tables: Sequence[_Table], *, same: bool
) -> Blocks:
    if len(left) == 0 or len(right) == 0:
        return
    if radius > _FAR:
        yield from _brute(left, right, radius, same=same)
        return
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
    apart, new = one ^ two, np.ones(len(one), bool)
    for table in earlier:
        new &= np.bitwise_count(apart & table.mask) > table.threshold
    return new
