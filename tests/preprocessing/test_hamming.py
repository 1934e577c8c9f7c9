"""The fast join finds exactly what comparing every pair finds."""

import numpy as np
import pytest
from numpy.typing import NDArray

from preprocessing.dedup import hamming
from preprocessing.dedup.hamming import cross_pairs, self_pairs

Blocks = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


def planted(seed: int, num: int, radius: int) -> NDArray[np.uint64]:
    """Random hashes; a tenth of them near others, some equal, some with a word in common."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, num, dtype=np.uint64)
    tenth = num // 10
    hashes[:tenth] = hashes[tenth : 2 * tenth]
    for k in range(tenth):
        for bit in rng.choice(64, rng.integers(0, radius + 3), replace=False):
            hashes[k] ^= np.uint64(1) << np.uint64(bit)
    hashes[-50:] &= np.uint64(0xFFFFFFFF)  # crowded buckets
    return hashes


def families(seed: int, num: int) -> NDArray[np.uint64]:
    """Hashes of which every thirtieth are relatives, up to fourteen bits apart."""
    rng = np.random.default_rng(seed)
    hashes = np.resize(rng.integers(0, 2**64, 30, dtype=np.uint64), num)
    for k in range(num):
        for bit in rng.choice(64, rng.integers(0, 8), replace=False):
            hashes[k] ^= np.uint64(1) << np.uint64(bit)
    return hashes


def brute(left: NDArray[np.uint64], right: NDArray[np.uint64], radius: int) -> set[tuple[int, int]]:
    i, j = np.nonzero(np.bitwise_count(left[:, None] ^ right[None]) <= radius)
    return set(zip(i.tolist(), j.tolist(), strict=True))


def listed(blocks: Blocks) -> list[tuple[int, int]]:
    return [pair for i, j in blocks for pair in zip(i.tolist(), j.tolist(), strict=True)]


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 6, 7, 10, 13])
def test_every_pair_is_found_once(monkeypatch: pytest.MonkeyPatch, radius: int) -> None:
    monkeypatch.setattr(hamming, "_MAX_HASHES_BY_BRUTE_FORCE", 1)
    monkeypatch.setattr(hamming, "_COMPARISONS_PER_BLOCK", 64)
    hashes = planted(radius, 400, radius)
    expected = {(i, j) for i, j in brute(hashes, hashes, radius) if i < j}
    found = listed(list(self_pairs(hashes, radius)))
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert len(expected) >= 10
    left, right = hashes[:150], hashes[40:]
    crossed = listed(list(cross_pairs(left, right, radius)))
    assert len(crossed) == len(set(crossed))
    assert set(crossed) == brute(left, right, radius)


def test_later_hashes_find_their_near_ones_and_change_nothing_before_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hamming, "_MAX_HASHES_BY_BRUTE_FORCE", 1)
    monkeypatch.setattr(hamming, "_COMPARISONS_PER_BLOCK", 64)
    monkeypatch.setattr(hamming, "ALL", 100)
    monkeypatch.setattr(hamming, "NEAR", 400)  # then tables for 1,600
    hashes = families(5, 900)
    wanted = {
        (i, j): int(hashes[i] ^ hashes[j]).bit_count()
        for i, j in brute(hashes, hashes, 10)
        if i < j
    }
    found = listed(list(self_pairs(hashes, 10)))
    assert len(found) == len(set(found))
    exact = {(i, j) for (i, j), bits in wanted.items() if j < 100 or (j < 400 and bits <= 6)}
    assert {pair for pair in found if max(pair) < 400} == exact
    assert any(wanted[pair] > 6 for pair in exact)
    late = {pair for pair, bits in wanted.items() if max(pair) >= 400 and bits <= 6}
    told = {pair for pair in found if max(pair) >= 400}
    assert told <= late
    assert len(told) > 0.97 * len(late) > 1000
    for first in (100, 250, 400, 600):
        before = listed(list(self_pairs(hashes[:first], 10)))
        assert set(before) == {pair for pair in found if max(pair) < first}
    crossed = listed(list(cross_pairs(hashes, hashes, 10)))
    assert len(crossed) == len(set(crossed))
    assert set(crossed) == {(i, i) for i in range(900)} | set(found) | {(j, i) for i, j in found}
    monkeypatch.setattr(hamming, "_MAX_HASHES_BY_BRUTE_FORCE", 2000)  # a short side changes nothing
    few = listed(list(cross_pairs(hashes[:3], hashes, 10)))
    assert sorted(few) == sorted((i, j) for i, j in crossed if i < 3)


def test_small_sets_are_compared_pair_by_pair() -> None:
    hashes = planted(1, 300, 6)
    expected = {(i, j) for i, j in brute(hashes, hashes, 6) if i < j}
    assert set(listed(list(self_pairs(hashes, 6)))) == expected


def test_equal_hashes_do_not_come_as_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "_MAX_HASHES_BY_BRUTE_FORCE", 1)
    blocks = list(self_pairs(np.full(1200, 7, np.uint64), 6))
    assert sum(len(i) for i, _ in blocks) == 1200 * 1199 // 2
    assert max(len(i) for i, _ in blocks) <= hamming._COMPARISONS_PER_BLOCK


def test_nothing_has_no_pairs_and_odd_radii_are_refused() -> None:
    empty = np.zeros(0, np.uint64)
    assert list(self_pairs(empty, 6)) == []
    assert list(cross_pairs(empty, np.ones(3, np.uint64), 6)) == []
    with pytest.raises(ValueError, match="radius: got 64"):
        list(self_pairs(np.ones(3, np.uint64), 64))
