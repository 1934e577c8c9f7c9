"""The reasons why an address or a file gives no picture: codes in the catalogue, and their errors.

The codes are on disk and in listings: they never change. A reason is final or may pass. Final is
only what another request cannot change: the text of the address, a whole answer of the host that
holds no picture, and a decision (of the host, of a person, or of a setting). Everything else may
pass, and a later run requests the address again. A setting that is changed lifts its rejections.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from core.errors import SuyanError, TransientError


class Reason(StrEnum):
    """The reason why an address gave no picture; ``http_reason`` adds the form
    ``http-<status>``.
    """

    # The text of the address is wrong, or the hit has none.
    NO_ADDRESS = "no-address"
    BAD_ADDRESS = "bad-address"
    NOT_HTTP = "not-http"
    # The host answered in full, without a picture.
    TOO_MANY_REDIRECTS = "too-many-redirects"
    REDIRECT_WITHOUT_LOCATION = "redirect-without-location"
    EMPTY = "empty"
    NOT_AN_IMAGE = "not-an-image"  # may pass after a redirect to another host, e.g. a portal
    # The host, a person or a setting decided.
    OPT_OUT = "opt-out"  # X-Robots-Tag
    ROBOTS = "robots"  # robots.txt
    FORGOTTEN = "forgotten"  # a tombstone keeps it out
    # A file of a person's archive is no picture that can be taken out of it.
    ENCRYPTED = "encrypted"
    NESTED_ARCHIVE = "nested-archive"
    BROKEN_ARCHIVE = "broken-archive"
    ARCHIVE_BOMB = "archive-bomb"  # it expands beyond the limit
    LINK = "link"
    VANISHED = "gone"  # a file that failed, and is no longer there
    TOO_LARGE = "too-large"
    PRIVATE_ADDRESS = "private-address"  # of a name it may pass: names get other addresses

    # These may pass.
    HOST_UNKNOWN = "host-unknown"  # the name did not resolve
    TIMEOUT = "timeout"  # the host kept silent
    TOO_SLOW = "too-slow"  # the time limit for one file was reached
    CUT_SHORT = "cut-short"
    TLS_FAILED = "tls-failed"
    CONNECTION_FAILED = "connection-failed"
    BAD_RESPONSE = "bad-response"  # the answer is not HTTP
    PROXY_FAILED = "proxy-failed"  # the proxy was not reached, or refused
    HOST_FAILING = "host-failing"  # requests to it are suspended after several failures in a row
    ROBOTS_UNREACHABLE = "robots-unreachable"
    UNEXPECTED = "unexpected"  # an error in Suyan, which the log describes
    CLOSED = "closed"  # the crawl ended
    UNREADABLE = "unreadable"  # a file that the system does not let us read, or that changes


FORBIDDEN = frozenset({Reason.OPT_OUT, Reason.ROBOTS, Reason.FORGOTTEN})
"""Reasons that forbid the picture itself: none of its other addresses is tried."""

NOT_RETRIED_AT_ONCE = frozenset(
    {
        Reason.HOST_FAILING,
        Reason.ROBOTS_UNREACHABLE,
        Reason.HOST_UNKNOWN,
        Reason.PRIVATE_ADDRESS,
        Reason.NOT_AN_IMAGE,
    }
)
"""Reasons that may pass, but not within seconds."""

LIFTED_BY: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.PRIVATE_ADDRESS: "allow_private_hosts",
        Reason.TOO_LARGE: "max_megabytes",
        Reason.TOO_MANY_REDIRECTS: "max_redirects",
        Reason.OPT_OUT: "respect_opt_out",
        Reason.ROBOTS: "respect_opt_out",
    }
)
"""The field of ``CrawlConfig`` whose change lifts a rejection: its address is requested again."""

_PASSING_STATUSES = frozenset({407, 408, 420, 421, 423, 425, 429, 430, 499})
"""Statuses between 400 and 499 that do not speak of the picture: of a proxy, of time and load (420,
430 and 499 are no standard: "calm down", too many requests, a client that left).
"""

MAY_PASS = frozenset(
    {
        Reason.HOST_UNKNOWN,
        Reason.TIMEOUT,
        Reason.TOO_SLOW,
        Reason.CUT_SHORT,
        Reason.TLS_FAILED,
        Reason.CONNECTION_FAILED,
        Reason.BAD_RESPONSE,
        Reason.PROXY_FAILED,
        Reason.HOST_FAILING,
        Reason.ROBOTS_UNREACHABLE,
        Reason.UNEXPECTED,
        Reason.CLOSED,
        Reason.UNREADABLE,
        *(f"http-{status}" for status in _PASSING_STATUSES),
    }
)
"""Reasons that may pass, always; statuses outside 400 to 499 do so too."""


def may_pass(reason: str) -> bool:
    """Whether ``reason`` may pass, whatever its error was: earlier versions rejected for some."""
    return reason in MAY_PASS or (reason.startswith("http-") and not reason.startswith("http-4"))


def http_reason(status: int) -> str:
    """The code for an HTTP status, e.g. ``http-404``."""
    return f"http-{status}"


class RejectedError(SuyanError):
    """The address gives no picture, for a ``reason`` that is final.

    ``limit`` is the limit that it exceeded: bytes for ``too-large``, a number of redirects for
    ``too-many-redirects``, else 0.
    """

    def __init__(self, reason: str, limit: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.limit = limit


class FailedError(TransientError):
    """The address gave no picture, for a ``reason`` that may pass."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, retry_after_s)
        self.reason = reason
