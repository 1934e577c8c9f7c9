"""Simulated perceptual hashes whose mutual distances are distributed like those of photographs.

Bits of photographs' hashes are set with unequal frequency and are correlated, so that chance
neighbours are hundreds of times as frequent as among uniform hashes. Here correlated normal
variables stand for the coefficients, and a bit is set where one exceeds their median, as pHash has
it: half of the bits are set, and hashes differ by an even number of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

_BITS = 64
_AT_ONCE = 1 << 16
_FACTORS, _LOADING, _SPREAD = 6, 0.4, 0.4  # like(…) of 321 photographs has as many neighbours


@dataclass(frozen=True)
class Crowd:
    """Coefficients are ``mean + noise @ mixing``; ``mean`` is ``[64]``, ``mixing`` ``[D, 64]``."""

    mean: NDArray[np.float32]
    mixing: NDArray[np.float32]

    def hashes(self, num: int, rng: np.random.Generator) -> NDArray[np.uint64]:
        """``[num]`` hashes."""
        found = [np.zeros(0, np.uint64)]
        for start in range(0, num, _AT_ONCE):
            size = min(_AT_ONCE, num - start), len(self.mixing)
            values = self.mean + rng.standard_normal(size, np.float32) @ self.mixing
            bits = values > np.median(values, axis=1, keepdims=True)
            found.append(np.packbits(bits, axis=1, bitorder="little").view(np.uint64)[:, 0])
        return np.concatenate(found)


def usual(seed: int = 0) -> Crowd:
    """A crowd that needs no photographs: a few factors, and noise for each bit."""
    rng = np.random.default_rng(seed)
    factors = _LOADING * rng.standard_normal((_FACTORS, _BITS))
    mean = _SPREAD * rng.standard_normal(_BITS)
    mixing = np.concatenate([factors, np.eye(_BITS)])
    return Crowd(mean.astype(np.float32), mixing.astype(np.float32))


def like(hashes: NDArray[np.uint64]) -> Crowd:
    """A crowd whose bits have the frequencies and correlations of these hashes."""
    bits = (hashes[:, None] >> np.arange(_BITS, dtype=np.uint64) & np.uint64(1)).astype(np.float64)
    shares = (bits.sum(axis=0) + 1) / (len(bits) + 2)
    centred = bits - bits.mean(axis=0)
    scale = np.maximum(centred.std(axis=0), 1e-3)
    together = (centred / scale).T @ (centred / scale) / len(bits)
    together = np.sin(np.pi / 2 * np.clip(together, -1, 1))  # of the variables, not of the bits
    np.fill_diagonal(together, 1)
    values, vectors = np.linalg.eigh(together)
    mixing = np.sqrt(np.maximum(values, 1e-3))[:, None] * vectors.T
    mixing /= np.sqrt((mixing**2).sum(axis=0))
    return Crowd(norm.ppf(shares).astype(np.float32), mixing.astype(np.float32))
