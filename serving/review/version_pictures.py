"""The pictures of a dataset version as a person reviews them: one for each original."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.commands import suyan_command
from core.files import load_json
from core.language.messages import localised
from core.tables import iter_rows
from core.workspace_folders import DatasetFolder
from preprocessing.config import PrepareConfig
from preprocessing.selection.rejection_reasons import Reason, reason_kind

UNKNOWN = -1.0
_DOUBTFUL: Collection[str] = {  # what a used picture may be near, and a person can see
    Reason.UNSAFE, Reason.BLURRED, Reason.PROFILE, Reason.COVERED, Reason.LEAVES_THE_FRAME,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """Columns of ``core.tables.Picture``, and those that later versions may write."""

    sha256: str
    domain: str
    side: str
    file: str
    status: str
    reason: str
    cluster: str
    width: int
    height: int
    transform: list[float]
    sharpness: float
    phrase: str
    original: str
    page_url: str = ""
    face: int = -1
    box: list[float] = field(default_factory=list)
    crop_box: list[float] = field(default_factory=list)
    profile: float = 0.0
    outside: float = 0.0
    covered: float = 0.0
    unsafe: float = UNKNOWN
    override: str = ""
    license: str = ""
    attribution: str = ""
    side_score: float | None = UNKNOWN  # likelihood of its side, 0 to 1; below 0: none
    part_of: str = ""
    part_box: list[float] = field(default_factory=list)

    @property
    def is_used(self) -> bool:
        """Whether the version uses the original, or this face of it."""
        return self.status == "ok"


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a picture, and the limit of the configuration beyond which it is rejected."""

    name: str  # the reason for which a picture beyond the limit is rejected
    value: float
    limit: float
    excess: float  # above 1 beyond the limit, below 1 within it


@dataclass(frozen=True, slots=True)
class ReviewPicture:
    """An original with its rows: one for each side that found it, or for each of its faces."""

    rows: tuple[ReviewRow, ...]  # those that are used first
    measure: Measure | None  # what it was rejected for; of a used picture what is nearest a limit

    @property
    def row(self) -> ReviewRow:
        """The row that stands for the original."""
        return self.rows[0]

    @property
    def side(self) -> str:
        """``A`` or ``B``; "" for an original that both sides found and neither uses."""
        sides = {row.side for row in self.rows}
        return self.row.side if self.row.is_used or len(sides) == 1 else ""

    @property
    def reason(self) -> str:
        """The reason for which it is not used, without particulars; "" for a used one."""
        return reason_kind(self.row.reason)

    @property
    def num_used_faces(self) -> int:
        """The number of its crops in the version."""
        return sum(row.is_used for row in self.rows)

    @property
    def side_score(self) -> float:
        """The likelihood that it belongs to its side, 0 to 1; below 0 where no score is known."""
        scores = [row.side_score for row in self.rows if row.is_used and row.side_score is not None]
        return min(scores, default=UNKNOWN)


@dataclass(frozen=True)
class VersionPictures:
    """A dataset version and its pictures, in the order of the manifest."""

    dataset: DatasetFolder
    config: PrepareConfig
    pictures: Sequence[ReviewPicture]
    doubtful: Sequence[tuple[int, int, float]]  # numbers of two pictures, and their similarity

    @property
    def name(self) -> str:
        """The name of the version."""
        return self.dataset.path.name

    def file_size(self, row: ReviewRow) -> tuple[int, int]:
        """Width and height of the picture in the file of a row: of a part those of its collage."""
        rows = (row,) if not row.part_of else (picture.row for picture in self.pictures)
        sha256 = row.part_of or row.sha256
        return next(((each.width, each.height) for each in rows if each.sha256 == sha256), (0, 0))

    def clusters(self) -> list[list[int]]:
        """Near-duplicate clusters of several originals by the pictures' numbers, used ones first.

        Clusters over both sides come first, then the larger ones.
        """
        members = defaultdict[str, list[int]](list)
        for number, picture in enumerate(self.pictures):
            if picture.row.cluster:
                members[picture.row.cluster].append(number)
        several = [numbers for numbers in members.values() if len(numbers) > 1]
        for numbers in several:
            numbers.sort(key=lambda number: not self.pictures[number].row.is_used)
        return sorted(
            several, key=lambda numbers: (not self._has_both_sides(numbers), -len(numbers))
        )

    def _has_both_sides(self, numbers: Iterable[int]) -> bool:
        rows = (row for number in numbers for row in self.pictures[number].rows)
        return len({row.side for row in rows}) > 1


def load_version(dataset: DatasetFolder) -> VersionPictures:
    """The version in this folder.

    Raises ``ValueError`` for a folder without a manifest, and for one of another version of Suyan.
    """
    if not dataset.manifest.exists() or not dataset.config.exists():
        raise ValueError(
            localised(
                "{path}: found no manifest of a dataset version, needed a version that "
                "'{prepare}' made ('{list_command}' names them)",
                path=dataset.path,
                prepare=suyan_command("prepare"),
                list_command=suyan_command("list", "datasets"),
            )
        )
    config = PrepareConfig.model_validate(load_json(dataset.config))
    rows = defaultdict[str, list[ReviewRow]](list)
    for row in iter_rows(dataset.manifest, ReviewRow):
        rows[row.sha256].append(row)
    pictures = [_picture(of_original, config) for of_original in rows.values()]
    numbers = {name: number for number, name in enumerate(rows)}
    doubtful = list(_doubtful_pairs(dataset.doubtful_pairs, numbers))
    return VersionPictures(dataset, config, pictures, doubtful)


def _picture(rows: list[ReviewRow], config: PrepareConfig) -> ReviewPicture:
    rows.sort(key=lambda row: not row.is_used)
    names = _DOUBTFUL if rows[0].is_used else {rows[0].reason}
    measures = [measure for measure in _measures(rows[0], config) if measure.name in names]
    nearest = max(measures, key=lambda measure: measure.excess, default=None)
    return ReviewPicture(tuple(rows), nearest)


def _measures(row: ReviewRow, config: PrepareConfig) -> Iterator[Measure]:
    """Every figure of the row that has a limit."""
    if row.unsafe >= 0 and config.max_unsafe:
        yield _at_most(Reason.UNSAFE, row.unsafe, config.max_unsafe)
    if row.width and row.height:
        shorter, longer = sorted((row.width, row.height))
        yield _at_most(Reason.ODD_SHAPE, longer / shorter, config.max_aspect)
        yield _at_least(Reason.TOO_SMALL, shorter, config.min_side_px)
    if row.transform:
        yield _at_least(Reason.BLURRED, row.sharpness, config.min_sharpness)
    if row.box:
        yield _at_most(Reason.PROFILE, row.profile, config.max_profile)
        yield _at_most(Reason.COVERED, row.covered, config.max_covered)
        yield _at_most(Reason.LEAVES_THE_FRAME, row.outside, config.max_outside)


def _at_most(name: Reason, value: float, limit: float) -> Measure:
    return Measure(name, value, limit, value / max(limit, 1e-9))


def _at_least(name: Reason, value: float, limit: float) -> Measure:
    return Measure(name, value, limit, limit / max(value, 1e-9))


def _doubtful_pairs(path: Path, numbers: Mapping[str, int]) -> Iterator[tuple[int, int, float]]:
    """The pairs of ``doubtful.csv``; none in a version that was made before it was written."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            older, newer = numbers.get(row["older"]), numbers.get(row["newer"])
            if older is not None and newer is not None:
                yield older, newer, float(row["similarity"])
