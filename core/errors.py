"""The errors that Suyan raises on purpose.

A bad *image* is never an exception but a row with ``status`` and ``reason``. The tree::

    SuyanError
    ├── TransientError        time-out, 429, 5xx: the only thing that is retried
    ├── BlockedError          the search engine refuses to answer: stop politely, keep everything
    ├── ResponseFormatError   the answer does not follow the wire format: never retried
    ├── TooFewImagesError     a domain yields too few usable images: nothing is lost, the run ends
    ├── FolderMismatchError   a folder holds the work of a different configuration
    ├── CheckpointError       a checkpoint is missing, torn, or of another shape
    ├── MissingModelError     a model file or package that the stage needs is not installed
    └── BucketError           object storage refuses, or lacks what is needed

``ValueError`` stands for what a user gave, ``assert`` for our own invariants.
"""

from __future__ import annotations


class SuyanError(Exception):
    """Root of every error that Suyan raises on purpose.

    ``problem`` says what was found and what was needed, ``remedy`` how to mend it, where that is
    kept apart; the message is both.
    """

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        super().__init__(f"{problem}. {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


class TransientError(SuyanError):
    """A time-out, a 429 or a 5xx: worth trying again. ``retry_after_s`` is the host's own wish."""

    def __init__(
        self, problem: str, retry_after_s: float | None = None, *, remedy: str = ""
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.retry_after_s = retry_after_s


class BlockedError(SuyanError):
    """The search engine wants us to stop (anti-bot body, captcha redirect)."""


class ResponseFormatError(SuyanError):
    """A search answer does not follow the wire format; the message quotes the spot."""


class TooFewImagesError(SuyanError):
    """A domain has fewer usable images than the run needs; the message says what became of them."""


class FolderMismatchError(SuyanError):
    """A folder was written with another configuration; the message lists the differences."""


class CheckpointError(SuyanError):
    """A checkpoint is missing, torn or does not fit; the message says which tensor and shapes."""


class MissingModelError(SuyanError):
    """A model that a stage needs is not there; the message says how to get it."""


class BucketError(SuyanError):
    """Object storage refuses or lacks what is needed; the message says what to do."""
