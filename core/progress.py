"""How a stage reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None, str], None]
"""``progress(stage, done, total, message)``: called a few times a second at most.

``total`` is ``None`` while unknown. Called from the thread that called the glue function.
"""


def silent(stage: str, done: int, total: int | None, message: str) -> None:
    """A ``Progress`` that shows nothing."""
