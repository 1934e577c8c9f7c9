"""Pauses before another try: the host's Retry-After, else exponential back-off with jitter."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import tenacity

from core.errors import QuotaError, TransientError
from core.progress import duration

_MAX_RETRY_AFTER_S = 600.0


def retry_after_s(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header (a number or a date) asks for.

    ``None`` for a missing or malformed header; 600 at most, since a run does not wait longer.
    """
    seconds = asked_pause_s(value)
    return None if seconds is None else min(seconds, _MAX_RETRY_AFTER_S)


def throttled(problem: str, asked_s: float | None) -> TransientError | QuotaError:
    """The error for a refusal until ``asked_s`` seconds have passed; ``None``: it does not say.

    A ``QuotaError``, where that is longer than a run waits.
    """
    if asked_s is None or asked_s <= _MAX_RETRY_AFTER_S:
        return TransientError(problem, asked_s)
    return QuotaError(
        f"{problem}, and asks for a pause of {duration(asked_s)}: its quota is used up",
        remedy="Run it again after that; everything so far is kept",
    )


def asked_pause_s(value: str | None) -> float | None:
    """Like ``retry_after_s``, however long it is."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def pause_s(error: BaseException | None, num_failed: int, first_s: float, most_s: float) -> float:
    """Seconds to pause after failure number ``num_failed``, which was ``error``.

    The host's own ``retry_after_s`` if it sent one; else ``first_s``, doubled by each further
    failure up to ``most_s``, ± 25 %.
    """
    if isinstance(error, TransientError) and error.retry_after_s is not None:
        return error.retry_after_s
    exponential_s = first_s * 2.0 ** (num_failed - 1)
    return random.uniform(0.75, 1.25) * min(most_s, exponential_s)


def wait(first_s: float, most_s: float) -> Callable[[tenacity.RetryCallState], float]:
    """``pause_s`` as a wait function of tenacity."""

    def seconds(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return pause_s(error, state.attempt_number, first_s, most_s)

    return seconds
