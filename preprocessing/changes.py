"""What a dataset version has that the one before had not: pure, over two manifests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scraping.records import Picture


@dataclass(frozen=True)
class Change:
    """A picture's file in the version before and now ("" where it is not used), and why."""

    sha256: str
    kind: str  # "added", "removed", "moved" (another side or split), "recut"
    before: str
    now: str
    reason: str  # of its removal


def changes(before: Sequence[Picture], now: Sequence[Picture]) -> list[Change]:
    """Pictures that came, went, moved, or are cropped otherwise; in the order of their digests."""
    old = {(row.sha256, row.face): row for row in before if row.status == "ok"}
    new = {(row.sha256, row.face): row for row in now if row.status == "ok"}
    reasons = {row.sha256: row.reason for row in now if row.status != "ok"}
    found = []
    for key in sorted(old.keys() | new.keys()):
        was, is_ = old.get(key), new.get(key)
        if was is None and is_ is not None:
            found.append(Change(key[0], "added", "", is_.file, ""))
        elif was is not None and is_ is None:
            reason = reasons.get(key[0], "no longer listed")
            found.append(Change(key[0], "removed", was.file, "", reason))
        elif was is not None and is_ is not None and was.file != is_.file:
            found.append(Change(key[0], "moved", was.file, is_.file, ""))
        elif was is not None and is_ is not None and was.transform != is_.transform:
            found.append(Change(key[0], "recut", was.file, is_.file, ""))
    return found
