"""The held-out clusters, chosen only by their names, so that a dataset can grow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection


def is_held_out(name: str, test_fraction: float) -> bool:
    """Whether the cluster of this name is held out for evaluation; other clusters do not matter."""
    return _position(name) < test_fraction


def choose_held_out(
    names: Collection[str],
    test_fraction: float,
    at_least: int,
    original: Callable[[str], str] = str,
) -> set[str]:
    """The names (of near-duplicate clusters) that are held out for evaluation.

    ``original`` gives the name that decides: both parts of a collage are held out, or neither.

    Each name has a fixed position in [0, 1); those below ``test_fraction`` are held out, whatever
    other names there are. Where these are fewer than ``at_least``, as in a tiny dataset, the next
    ones in that order are added, but one is always left to train on.
    """
    chosen = {name for name in names if is_held_out(original(name), test_fraction)}
    limit = max(0, len(names) - 1)
    if at_least <= len(chosen) <= limit:
        return chosen
    ordered = sorted(names, key=lambda name: (_position(original(name)), name))
    return set(ordered[: min(max(len(chosen), at_least), limit)])


def _position(name: str) -> float:
    return int.from_bytes(hashlib.sha256(f"split {name}".encode()).digest()[:8]) / 2**64
