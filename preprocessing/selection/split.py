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
    found = {name for name in names if is_held_out(name, test_fraction)}
    most = max(0, len(names) - 1)
    if at_least <= len(found) <= most:
        return found
    return set(sorted(names, key=_place)[: min(max(len(found), at_least), most)])


def _place(name: str) -> float:
    return int.from_bytes(hashlib.sha256(f"split {name}".encode()).digest()[:8]) / 2**64
