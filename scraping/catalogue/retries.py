"""The hits and addresses that a run tries again, as conditions on the catalogue's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa

from scraping.catalogue import schema as db
from scraping.catalogue.entities import FILE_ENGINE, Attempt, Status
from scraping.config import CrawlConfig
from scraping.failure_reasons import LIFTED_BY, MAY_PASS, Reason, may_pass

_MAX_FAILURES = 3  # runs of a round in which a hit may fail; then it waits for the next round
_NO_LIMIT = -1  # every attempt has exceeded it: no rejection by a limit is lifted


@dataclass(frozen=True)
class RetryRules:
    """The settings of a crawl that decide which earlier rejections still hold.

    A rejection by a limit holds if the attempt exceeded a limit as large as the present one.
    """

    lifted: frozenset[str] = frozenset()  # reasons that do not occur with these settings
    max_bytes: int = _NO_LIMIT
    max_redirects: int = _NO_LIMIT

    @classmethod
    def from_config(cls, config: CrawlConfig) -> Self:
        """The rules of a crawl."""
        fields = {
            name
            for name, is_lifting in (
                ("allow_private_hosts", config.allow_private_hosts),
                ("respect_opt_out", not config.respect_opt_out),
            )
            if is_lifting
        }
        return cls(
            frozenset(reason for reason, name in LIFTED_BY.items() if name in fields),
            int(config.max_megabytes * 1e6),
            config.max_redirects,
        )

    def holds(self, attempt: Attempt) -> bool:
        """Whether the attempt's outcome stands, so that its address is not requested again."""
        if attempt.status != Status.REJECTED:
            return attempt.status == Status.OK
        if may_pass(attempt.reason) or attempt.reason in self.lifted:
            return False
        return attempt.num_bytes >= self._limits().get(attempt.reason, _NO_LIMIT)

    def unsettled(self, since: float) -> sa.ColumnElement[bool]:
        """The condition that a hit is to be fetched, by a run that began at ``since``."""
        hits = db.hits.c
        passing = self.passing() & (hits.settled_at < since) & (hits.failures < _MAX_FAILURES)
        condition = hits.status.is_(None) | passing
        if self.lifted:
            condition |= (hits.status != Status.OK) & hits.reason.in_(sorted(self.lifted))
        for reason, limit in self._limits().items():
            if limit != _NO_LIMIT:
                is_rejected = (hits.status == Status.REJECTED) & (hits.reason == reason)
                condition |= is_rejected & ~_was_exceeded(reason, limit)
        return condition

    @staticmethod
    def passing() -> sa.ColumnElement[bool]:
        """The condition that a hit failed for a reason that may pass.

        Earlier versions stored some of these as rejections.
        """
        hits = db.hits.c
        status = hits.reason.like("http-%") & ~hits.reason.like("http-4%")
        may_pass_now = hits.reason.in_(sorted(MAY_PASS)) | status
        return (hits.status == Status.FAILED) | ((hits.status == Status.REJECTED) & may_pass_now)

    def _limits(self) -> dict[str, int]:
        return {
            Reason.TOO_LARGE: self.max_bytes,
            Reason.TOO_MANY_REDIRECTS: self.max_redirects,
        }


def not_of_files() -> sa.ColumnElement[bool]:
    """The condition that a hit has addresses to download, and is no file of this machine."""
    return db.hits.c.engine.not_like(f"{FILE_ENGINE}%")


def _was_exceeded(reason: str, limit: int) -> sa.ColumnElement[bool]:
    """The condition that the hit's address has exceeded a limit of at least ``limit`` before."""
    attempts = db.attempts.c
    return sa.exists().where(
        attempts.url == db.hits.c.url, attempts.reason == reason, attempts.num_bytes >= limit
    )
