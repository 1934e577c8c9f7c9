"""The manifest's rows that a card shows: all rejected pictures, and a sample of accepted ones."""

from __future__ import annotations

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.tables import iter_rows
from preprocessing.selection.manifest import Manifest
from preprocessing.selection.originals import SIDES
from preprocessing.selection.rejection_reasons import Reason, reason_kind

MAX_TILES_PER_SHEET = 60
_MAX_ACCEPTED_PER_SPLIT = 1000
_LIKELY = 0.5  # side score from which a picture looks more like its own side than the other


@dataclass(frozen=True, slots=True)
class CardRow:
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
    license: str = ""
    attribution: str = ""
    side_score: float = -1.0
    part_of: str = ""


@dataclass(frozen=True)
class CardRows:
    """Rows of a manifest by section of the card.

    All rejected pictures are held, and at most a thousand accepted ones a split.
    """

    accepted: dict[str, list[CardRow]]  # by split; all, or a sample that changes little by version
    by_reason: dict[str, list[CardRow]]  # rejected, but no duplicates; the most frequent first
    clusters: list[list[CardRow]]  # of several members, the largest first, the accepted one first
    doubtful: list[tuple[CardRow, CardRow, float]]  # with the similarity; the most similar first
    unlikely: list[CardRow]  # accepted, with the lowest side scores, the lowest first
    licenses: dict[str, dict[str, int]]  # accepted pictures by side and licence, the most first


def load_card_rows(path: Path, manifest: Manifest) -> CardRows:
    """The rows of the manifest file at ``path``, which was written from ``manifest``."""
    pairs, several = manifest.doubtful_pairs(), manifest.clusters_of_several()
    doubtful_names = {name for older, newer, _ in pairs for name in (older, newer)}
    accepted = defaultdict[str, list[CardRow]](list)
    by_reason = defaultdict[str, list[CardRow]](list)
    members = defaultdict[str, dict[str, CardRow]](dict)
    by_name: dict[str, CardRow] = {}
    unlikely = list[CardRow]()
    licenses = {side: Counter[str]() for side in SIDES}
    for row in iter_rows(path, CardRow):
        if row.status == "ok":
            licenses[row.side][row.license] += 1
            _add_to_sample(accepted[row.file.split("/")[0]], row)
            if 0 <= row.side_score < _LIKELY:
                insort(unlikely, row, key=lambda member: (member.side_score, member.sha256))
                del unlikely[MAX_TILES_PER_SHEET:]
        elif reason_kind(row.reason) != Reason.DUPLICATE_OF:
            by_reason[row.reason].append(row)
        if row.cluster in several:
            _add_member(members[row.cluster], row)
        if row.sha256 in doubtful_names:
            by_name[row.sha256] = row
    return CardRows(
        accepted=dict(accepted),
        by_reason=dict(sorted(by_reason.items(), key=lambda pair: (-len(pair[1]), pair[0]))),
        clusters=_sort_clusters(list(members.values())),
        doubtful=[(by_name[older], by_name[newer], value) for older, newer, value in pairs],
        unlikely=unlikely,
        licenses={side: dict(num.most_common()) for side, num in licenses.items()},
    )


def _add_to_sample(sample: list[CardRow], row: CardRow) -> None:
    """Hold the first ones by file name, which is a digest: a random sample."""
    if len(sample) < _MAX_ACCEPTED_PER_SPLIT or row.file < sample[-1].file:
        insort(sample, row, key=lambda member: member.file)
        del sample[_MAX_ACCEPTED_PER_SPLIT:]


def _add_member(members: dict[str, CardRow], row: CardRow) -> None:
    """Hold one row of each original, an accepted one if there is any."""
    if row.sha256 not in members or row.status == "ok":
        members[row.sha256] = row


def _sort_clusters(clusters: Sequence[dict[str, CardRow]]) -> list[list[CardRow]]:
    ordered = [
        sorted(members.values(), key=lambda row: (row.status != "ok", row.sha256))
        for members in clusters
    ]
    return sorted(ordered, key=lambda members: (-len(members), members[0].sha256))
