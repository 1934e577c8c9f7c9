"""Which pictures are held out: decided by their names alone, so that a dataset can grow."""

from __future__ import annotations

import hashlib
from collections.abc import Collection


def is_held_out(name: str, test_fraction: float) -> bool:
    """Whether a cluster of this name is held out for evaluation, whatever else there is."""
    return _place(name) < test_fraction


def held_out(names: Collection[str], test_fraction: float, at_least: int) -> set[str]:
    """The names (of near-duplicate clusters) that are held out for evaluation.

    Each name has a fixed place in [0, 1); those below ``test_fraction`` are held out, whatever
    else the dataset holds. Where that gives fewer than ``at_least``, as it may in a tiny dataset,
    the next ones in that order are added, though never the last one left to train on.
    """
    ordered = sorted(names, key=_place)
    num = sum(is_held_out(name, test_fraction) for name in ordered)
    return set(ordered[: min(max(num, at_least), max(0, len(ordered) - 1))])


def _place(name: str) -> float:
    return int.from_bytes(hashlib.sha256(f"split {name}".encode()).digest()[:8]) / 2**64
