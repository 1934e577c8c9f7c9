"""What becomes of each original: crops, clusters, sides, splits. Pure: figures in, rows out.

Of each picture some three hundred bytes are kept (``Survey``); its analysis and its hits are looked
at in batches, once for these figures and once for its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from core.tables import Picture, groups
from preprocessing.analysis.analyse import Analysis, FaceSeen
from preprocessing.config import PrepareConfig
from preprocessing.dedup.candidates import Pairs
from preprocessing.dedup.clusters import Clusters, clustered
from preprocessing.dedup.hash_columns import Prints
from preprocessing.images import geometry
from preprocessing.selection.assignment import Standing
from preprocessing.selection.attributes import Survey
from preprocessing.selection.listing import Found
from preprocessing.selection.originals import Register
from preprocessing.selection.overrides import Action
from preprocessing.selection.rules import View
from preprocessing.selection.split import is_held_out

_AT_ONCE = 500  # originals whose analyses are in memory

Find = Callable[[Sequence[str]], Mapping[str, Analysis]]
"""The analyses of some originals, by sha256; they may be without looks and previews."""

Judge = Callable[[Sequence[str], Pairs], NDArray[np.float64]]
"""How alike the pictures of each pair are; the first argument has their sha256 by number."""


@dataclass(frozen=True)
class Decision:
    """What was decided about all originals; ``clusters`` go by the register's numbers."""

    config: PrepareConfig
    register: Register
    find: Find
    overrides: Mapping[str, Action]
    survey: Survey
    clusters: Clusters
    standing: Standing

    def several(self) -> set[str]:
        """The names of the clusters of more than one picture."""
        founders = self.clusters.founder[self.clusters.several()]
        return {self.register.names[founder] for founder in np.unique(founders).tolist()}

    def doubtful(self) -> list[tuple[str, str, float]]:
        """Pairs that are nearly alike enough to be one, by sha256; the most alike first."""
        names = self.register.names
        matches = sorted(self.clusters.doubtful, key=lambda match: -match.alike)
        return [(names[m.older], names[m.newer], round(m.alike, 3)) for m in matches]

    def rows(self) -> Iterator[Picture]:
        """The manifest's rows, sides in the order of their listings: one for each original of each
        side, or for each of its faces where all are cropped.
        """
        for batch in groups(self.register.originals, _AT_ONCE):
            seen = self.find([original.sha256 for original in batch])
            for original in batch:
                number = self.register.number[original.sha256]
                for view in self.survey.crops(original.sha256):
                    yield self._row(original, number, seen[original.sha256], view)

    def _row(self, original: Found, number: int, seen: Analysis, view: View) -> Picture:
        config, first = self.config, original.rows[0]
        reason = self.standing.reason(number, original.side, view.reason)
        side = original.side if reason else self.standing.target(number, original.side)
        split = "" if reason else "test" if self.standing.is_test(number) else "train"
        face = seen.faces[view.face] if view.face >= 0 else None
        return Picture(
            sha256=original.sha256,
            domain=config.domain_a if side == "A" else config.domain_b,
            side=side,
            split=split,
            file=f"{split}{side}/{_stem(original.sha256, view.face)}.png" if split else "",
            status="rejected" if reason else "ok",
            reason=reason,
            cluster=self.standing.founder(number) if seen.whole else "",
            phash=f"{seen.whole.phash:016x}" if seen.whole else "",
            face_phash=f"{face.aligned.phash:016x}" if face else "",
            width=seen.width,
            height=seen.height,
            keypoints=face.keypoints if face else [],
            transform=list(view.transform),
            sharpness=view.sharpness,
            phrase=first.phrase,
            url=first.url,
            original=first.path,
            page_url=first.page_url,
            phrases=list(dict.fromkeys(row.phrase for row in original.rows)),
            sources=list(dict.fromkeys(row.url for row in original.rows)),
            face=view.face,
            box=face.box if face else [],
            crop_box=_corners(view, config.crop_px),
            mirrored_phash=f"{seen.whole.mirrored:016x}" if seen.whole else "",
            outside=view.outside,
            unsafe=-1.0 if seen.unsafe is None else seen.unsafe,
            override=self.overrides.get(original.sha256, ""),
            **_scores(face),
        )


def decide(
    config: PrepareConfig,
    register: Register,
    survey: Survey,
    find: Find,
    overrides: Mapping[str, Action],
    judge: Judge,
) -> Decision:
    """What becomes of the originals of both sides, all of which are in the ``survey``."""
    clusters = cluster(config, register.names, survey.prints, judge)
    standing = Standing(config, register, clusters, survey, overrides)
    return Decision(config, register, find, overrides, survey, clusters, standing)


def cluster(config: PrepareConfig, names: Sequence[str], prints: Prints, judge: Judge) -> Clusters:
    """Near-duplicate clusters of originals in order of age."""
    return clustered(
        prints,
        lambda k: is_held_out(names[k], config.test_fraction),
        partial(judge, names),
        bits=config.duplicate_bits,
        alike=config.duplicate_alike,
        doubtful=config.doubtful_alike,
    )


def _scores(face: FaceSeen | None) -> dict[str, float]:
    if face is None:
        return {}
    profile = round(min(geometry.profile(face.points), 99.0), 3)
    return {"face_score": face.score, "profile": profile, "covered": face.covered}


def _corners(view: View, crop_px: int) -> list[float]:
    """The crop's corners in the original, clockwise from its top left, x0 y0 …"""
    if not view.transform:
        return []
    corners = geometry.corners(np.array(view.transform).reshape(2, 3), crop_px)
    return [round(value, 2) for value in corners.ravel().tolist()]


def _stem(sha256: str, face: int) -> str:
    return sha256[:16] + (f"-{face}" if face > 0 else "")
