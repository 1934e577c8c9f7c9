"""What a card tells of single pictures, read from the manifest: what was left out, and a few kept.

Nobody looks at what is as it should be: of that, no more is held than a contact sheet's worth.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.tables import iter_rows
from preprocessing.selection.manifest import Decision
from preprocessing.version.sheet_drawing import ON_A_SHEET


@dataclass(frozen=True, slots=True)
class Shown:
    """Columns of ``Picture``."""

    sha256: str
    domain: str
    side: str
    status: str
    reason: str
    cluster: str
    file: str
    width: int
    height: int
    face: int
    transform: list[float]
    phrase: str
    page_url: str
    original: str


@dataclass(frozen=True)
class Told:
    """Rows of a manifest by what there is to tell about them."""

    kept: dict[str, list[Shown]]  # by folder: some, by chance, much the same in each version
    by_reason: dict[str, list[Shown]]  # rejected ones but duplicates, the most frequent first
    clusters: list[list[Shown]]  # of two members and more, the largest first, the kept one first
    doubtful: list[tuple[Shown, Shown, float]]  # the most alike first


def told(manifest: Path, decision: Decision) -> Told:
    """What there is to tell of a manifest that was written by this decision."""
    doubtful = decision.doubtful()
    doubted = {name for one, two, _ in doubtful for name in (one, two)}
    several = decision.several()
    kept, by_reason = defaultdict[str, list[Shown]](list), defaultdict[str, list[Shown]](list)
    members = defaultdict[str, dict[str, Shown]](dict)
    by_name: dict[str, Shown] = {}
    for row in iter_rows(manifest, Shown):
        if row.status == "ok":
            _take(kept[row.file.split("/")[0]], row)
        elif not row.reason.startswith("duplicate-of:"):
            by_reason[row.reason].append(row)
        if row.cluster in several:
            _join(members[row.cluster], row)
        if row.sha256 in doubted:
            by_name[row.sha256] = row
    return Told(
        dict(kept),
        dict(sorted(by_reason.items(), key=lambda pair: (-len(pair[1]), pair[0]))),
        _ordered(list(members.values())),
        [(by_name[one], by_name[two], alike) for one, two, alike in doubtful],
    )


def _take(some: list[Shown], row: Shown) -> None:
    """Keep a sheet's worth of the first by name; files are named by content."""
    if len(some) < ON_A_SHEET or row.file < some[-1].file:
        insort(some, row, key=lambda one: one.file)
        del some[ON_A_SHEET:]


def _join(members: dict[str, Shown], row: Shown) -> None:
    """Of the rows of an original one that is kept, if there is one."""
    if row.sha256 not in members or row.status == "ok":
        members[row.sha256] = row


def _ordered(clusters: Sequence[dict[str, Shown]]) -> list[list[Shown]]:
    ordered = [
        sorted(members.values(), key=lambda row: (row.status != "ok", row.sha256))
        for members in clusters
    ]
    return sorted(ordered, key=lambda members: (-len(members), members[0].sha256))
