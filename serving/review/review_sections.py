"""The order in which a person reviews a version: sections by reason, doubtful pictures first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from preprocessing.selection.rejection_reasons import Reason
from serving.review.version_pictures import ReviewPicture, VersionPictures

_MAX_SIDE_SCORE = 0.5  # of a picture that is shown as one of the other side
_REASONS = (  # the judgements of a person first, facts of the file last
    Reason.WRONG_SIDE, Reason.IN_BOTH_DOMAINS, Reason.COVERED, Reason.ENLARGED, Reason.BLURRED,
    Reason.PROFILE,
    Reason.LEAVES_THE_FRAME, Reason.SEVERAL_FACES, Reason.FACE_TOO_SMALL, Reason.WOULD_CHANGE_SIDES,
    Reason.COLLAGE, Reason.FRAMED, Reason.BLACK_AND_WHITE, Reason.TOO_DARK, Reason.TOO_BRIGHT,
    Reason.UNIFORM, Reason.UNSAFE, Reason.NO_FACE, Reason.ODD_SHAPE, Reason.TOO_SMALL,
)  # fmt: skip


@dataclass(frozen=True)
class Section:
    """Pictures by their numbers, in groups; a group of several stands side by side."""

    key: str  # side, pairs, clusters, used-A, used-B, or rejected:<reason>
    groups: Sequence[Sequence[int]]
    captions: Sequence[str] = ()  # one for each group; empty for none


def build_sections(version: VersionPictures) -> list[Section]:
    """Every section that has a picture; each picture of the version is in at least one of them."""
    return [section for section in _sections(version) if section.groups]


def _sections(version: VersionPictures) -> Iterator[Section]:
    numbered = list(enumerate(version.pictures))
    unlikely = [
        (picture.side_score, number)
        for number, picture in numbered
        if 0 <= picture.side_score < _MAX_SIDE_SCORE
    ]
    ordered = sorted(unlikely)
    yield Section(
        "side", [(number,) for _, number in ordered], [f"{score:.2f}" for score, _ in ordered]
    )
    yield Section(
        "pairs",
        [(older, newer) for older, newer, _ in version.doubtful],
        [f"{similarity:.3f}" for _, _, similarity in version.doubtful],
    )
    clusters = version.clusters()
    yield Section("clusters", clusters)
    in_cluster = {number for cluster in clusters for number in cluster}
    rejected = defaultdict[str, list[int]](list)
    used = defaultdict[str, list[int]](list)
    for number, picture in numbered:
        if picture.row.is_used:
            used[picture.side].append(number)
        elif picture.reason != Reason.DUPLICATE_OF or number not in in_cluster:
            rejected[picture.reason].append(number)
    for reason in sorted(rejected, key=_reason_order):
        numbers = sorted(rejected[reason], key=lambda number: _excess(version.pictures[number]))
        yield Section(f"rejected:{reason}", [(number,) for number in numbers])
    for side in sorted(used):
        numbers = sorted(used[side], key=lambda number: -_excess(version.pictures[number]))
        yield Section(f"used-{side}", [(number,) for number in numbers])


def _reason_order(reason: str) -> tuple[int, str]:
    """Reasons that are not listed follow those that are; a person's own decisions are last."""
    if reason == Reason.DROPPED_BY_HAND:
        return len(_REASONS) + 1, reason
    listed: Sequence[str] = _REASONS
    return (listed.index(reason) if reason in listed else len(_REASONS)), reason


def _excess(picture: ReviewPicture) -> float:
    return picture.measure.excess if picture.measure else 0.0


def version_json(version: VersionPictures, sections: Sequence[Section]) -> dict[str, Any]:
    """The version for the page; a picture is a list, in the order of ``FIELDS``."""
    return {
        "version": version.name,
        "sections": [
            {"key": section.key, "groups": section.groups, "captions": section.captions}
            for section in sections
        ],
        "fields": FIELDS,
        "pictures": [_short_form(picture) for picture in version.pictures],
    }


FIELDS = ("digits", "side", "reason", "decision", "measure", "faces", "isCrop")
"""First 16 digits of the sha256, side, reason ("" for a used picture), the decision that the
version follows, figure and limit in a text, number of crops, whether its thumbnail is a crop."""


def _short_form(picture: ReviewPicture) -> list[Any]:
    measure = picture.measure
    return [
        picture.row.sha256[:16],
        picture.side,
        picture.reason,
        picture.row.override,
        f"{measure.value:.3g} / {measure.limit:g}" if measure and picture.reason else "",
        picture.num_used_faces,
        int(picture.num_used_faces == 1),
    ]


def _in_file(points: Sequence[float], corner: Sequence[float]) -> list[float]:
    """Points (x0 y0 …) of a picture in its file, where a part lies at ``corner``."""
    return (
        [value + corner[place % 2] for place, value in enumerate(points)] if corner else [*points]
    )


def picture_json(version: VersionPictures, number: int) -> dict[str, Any]:
    """Everything that the large view shows of a picture."""
    picture = version.pictures[number]
    row, measure = picture.row, picture.measure
    width, height = version.file_size(row)
    corner = row.part_box[:2]
    is_linked = row.page_url.startswith(("http://", "https://"))
    return {
        "number": number,
        "sha256": row.sha256,
        "width": width,
        "height": height,
        "partOf": row.part_of[:16],
        "phrase": row.phrase,
        "page": row.page_url if is_linked else "",
        "license": row.license,
        "attribution": row.attribution,
        "sideScore": picture.side_score,
        "measure": [measure.name, f"{measure.value:.3g}", f"{measure.limit:g}"]
        if measure
        else None,
        "duplicateOf": row.reason.partition(":")[2][:16],
        "faces": [_in_file(face.box, corner) for face in picture.rows if face.box],
        "crops": [_in_file(face.crop_box, corner) for face in picture.rows if face.crop_box],
        "files": sum(bool(face.file) for face in picture.rows),
    }
