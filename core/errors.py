"""The errors that Suyan raises on purpose.

A bad *image* never raises: it becomes a row with ``status`` and ``reason``. The tree::

    SuyanError
    ├── TransientError        a time-out, a 429 or a 5xx: the only error that is retried
    ├── UnknownHostError      a name does not resolve: not retried, since minutes do not mend it
    ├── BlockedError          the search engine refuses: the crawl stops and keeps everything
    │   ├── EmptyPageError    … by pages without the hits that it announces
    │   └── QuotaError        … for longer than a run waits, as its quota is used up
    ├── ResponseFormatError   the search engine's answer cannot be read: never retried
    ├── TooFewImagesError     a domain has too few usable images: the run ends, nothing is lost
    ├── FolderMismatchError   a folder holds the work of another configuration
    ├── CheckpointError       a checkpoint is missing, incomplete, or has other shapes
    ├── MissingModelError     a model file or a package that a stage needs is not installed
    └── BucketError           object storage refuses a request, or lacks an object

``ValueError`` is for wrong input of a user, ``assert`` for invariants of the code.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable

from core.language.messages import localised

_NEAR = 0.6  # similarity of names, of 1
_SPREAD = 0.1  # of the similarities of names that are suggested together


class SuyanError(Exception):
    """Root of every error that Suyan raises on purpose.

    ``problem`` says what was found and what was needed; ``remedy``, which may be empty, says how to
    mend it. The message consists of both.
    """

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        super().__init__(f"{problem}. {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


class TransientError(SuyanError):
    """A time-out, a 429 or a 5xx: another try may succeed.

    ``retry_after_s`` is the pause that the host asked for; ``None`` if it asked for none.
    """

    def __init__(
        self, problem: str, retry_after_s: float | None = None, *, remedy: str = ""
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.retry_after_s = retry_after_s


class UnknownHostError(SuyanError):
    """A host's name does not resolve: the network is down, or the address is wrong."""


class BlockedError(SuyanError):
    """The search engine refuses to answer: an anti-bot body, a redirect, HTML in place of JSON."""


class EmptyPageError(BlockedError):
    """The search engine announces more hits than it has shown, and shows none of them."""


class QuotaError(BlockedError):
    """The search engine's quota is used up: it refuses for longer than a run waits."""


class ResponseFormatError(SuyanError):
    """An answer of the search engine cannot be read; the message quotes the spot."""


class TooFewImagesError(SuyanError):
    """A domain has fewer usable images than the run needs; the message counts the rejected ones."""


class FolderMismatchError(SuyanError):
    """A folder holds the work of another configuration; the message lists the differences."""


class CheckpointError(SuyanError):
    """A checkpoint is missing, incomplete or does not fit; the message names tensor and shapes."""


class MissingModelError(SuyanError):
    """A model that a stage needs is not installed; the message has the command that installs it."""


class BucketError(SuyanError):
    """Object storage refuses a request or lacks an object; the message has a remedy."""


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """At most three of ``names`` that resemble ``name`` about equally, the most similar first."""
    matches = difflib.get_close_matches(name, list(names), cutoff=_NEAR)
    ratios = [difflib.SequenceMatcher(None, each, name).ratio() for each in matches]
    return [
        each for each, ratio in zip(matches, ratios, strict=True) if ratio > ratios[0] - _SPREAD
    ]


def suggestion(names: list[str]) -> str:
    """``names`` as a question after a mistyped name; "" for none."""
    if not names:
        return ""
    either = localised("{name} or {other}")
    named = functools.reduce(lambda name, other: either.format(name=name, other=other), names)
    return localised("; did you mean {names}?").format(names=named)
