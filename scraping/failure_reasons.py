"""The reasons why an address gives no picture: codes in the catalogue, and errors that carry them.

The codes are on disk and in listings: they never change.
"""

from __future__ import annotations

from enum import StrEnum

from core.errors import SuyanError, TransientError


class Reason(StrEnum):
    """The reason why an address gave no picture; ``http_reason`` adds the form
    ``http-<status>``.
    """

    # Final: raised as RejectedError. The address is not requested again.
    BAD_ADDRESS = "bad-address"
    NOT_HTTP = "not-http"
    PRIVATE_ADDRESS = "private-address"
    HOST_UNKNOWN = "host-unknown"
    TOO_MANY_REDIRECTS = "too-many-redirects"
    REDIRECT_WITHOUT_LOCATION = "redirect-without-location"
    TOO_LARGE = "too-large"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not-an-image"
    NO_ADDRESS = "no-address"  # the hit has none
    OPT_OUT = "opt-out"  # X-Robots-Tag
    ROBOTS = "robots"  # robots.txt
    FORGOTTEN = "forgotten"  # a tombstone keeps it out

    # These may pass: raised as FailedError. A later run requests the address again.
    TIMEOUT = "timeout"  # the host kept silent
    TOO_SLOW = "too-slow"  # the time limit for one file was reached
    CUT_SHORT = "cut-short"
    TLS_FAILED = "tls-failed"
    CONNECTION_FAILED = "connection-failed"
    HOST_FAILING = "host-failing"  # requests to it are suspended after several failures in a row
    ROBOTS_UNREACHABLE = "robots-unreachable"
    CLOSED = "closed"  # the crawl ended


FORBIDDEN = frozenset({Reason.OPT_OUT, Reason.ROBOTS, Reason.FORGOTTEN})
"""Reasons that forbid the picture itself: none of its other addresses is tried, now or later."""

NOT_RETRIED_AT_ONCE = frozenset({Reason.HOST_FAILING, Reason.ROBOTS_UNREACHABLE})
"""Reasons that may pass, but not within seconds."""


def http_reason(status: int) -> str:
    """The code for an HTTP status, e.g. ``http-404``."""
    return f"http-{status}"


class RejectedError(SuyanError):
    """The address gives no picture, for a ``reason`` that is final."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FailedError(TransientError):
    """The address gave no picture, for a ``reason`` that may pass."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, retry_after_s)
        self.reason = reason
