"""What becomes of each original: crops, clusters, sides, splits. Pure: figures in, rows out."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from preprocessing import align
from preprocessing.alike import alikenesses
from preprocessing.analyse import Analysis, FaceSeen
from preprocessing.candidates import Prints
from preprocessing.config import PrepareConfig
from preprocessing.duplicates import Clusters, Judge, clustered
from preprocessing.judge import View, views
from preprocessing.overrides import Action
from preprocessing.split import held_out, is_held_out
from scraping.records import Original, Picture

LEAST_TEST = 2  # pictures of a side: distances between sets need more than one
_SHARPENED = 1.5  # times its cluster's median sharpness
_OTHER = {"A": "B", "B": "A"}


@dataclass(frozen=True)
class Found:
    """An original as one side's listing has it; ``rows`` are the hits that gave its bytes."""

    sha256: str
    side: str
    rows: tuple[Original, ...]


def found(side: str, listing: Iterable[Original]) -> list[Found]:
    """The originals of a listing, in its order, each one once."""
    rows = defaultdict[str, list[Original]](list)
    for row in listing:
        if row.status == "ok":
            rows[row.sha256].append(row)
    return [Found(name, side, tuple(mine)) for name, mine in rows.items()]


@dataclass(frozen=True)
class Decided:
    """The manifest's rows, sides in the order of their listings, and how the pictures clustered;
    ``names`` are sha256 by number.
    """

    rows: list[Picture]
    names: list[str]
    clusters: Clusters


def decide(
    config: PrepareConfig,
    originals: Sequence[Found],
    analyses: Mapping[str, Analysis],
    overrides: Mapping[str, Action],
    judge: Judge = alikenesses,
) -> Decided:
    """One row for each original of each side, or for each of its faces where all are cropped."""
    names = _by_age(originals)
    clusters = cluster(config, names, analyses, judge)
    founders = {name: names[root] for name, root in zip(names, clusters.founder, strict=True)}
    displaced = {names[k] for k in clusters.displaced}
    state = _State(config, originals, analyses, overrides, founders, displaced)
    rows = [row for original in originals for row in state.rows(original)]
    return Decided(_split(config, rows), names, clusters)


def cluster(
    config: PrepareConfig,
    names: Sequence[str],
    analyses: Mapping[str, Analysis],
    judge: Judge = alikenesses,
) -> Clusters:
    """Near-duplicate clusters of originals in order of age."""
    return clustered(
        [prints(config, analyses[name]) for name in names],
        lambda k: is_held_out(names[k], config.test_fraction),
        bits=config.duplicate_bits,
        alike=config.duplicate_alike,
        doubtful=config.doubtful_alike,
        judge=judge,
    )


def _by_age(originals: Sequence[Found]) -> list[str]:
    """Every original once, in the order in which they were fetched."""
    first: dict[str, str] = {}
    for original in originals:
        at = min(row.fetched_at for row in original.rows)
        first[original.sha256] = min(at, first.get(original.sha256, at))
    return sorted(first, key=lambda name: (first[name], name))


def prints(config: PrepareConfig, seen: Analysis) -> Prints:
    faces = (face.aligned for face in seen.faces if face.side >= config.min_face_px)
    return Prints(seen.whole, tuple(faces))


class _State:
    """What the decision about one original needs to know of the others."""

    def __init__(
        self,
        config: PrepareConfig,
        originals: Sequence[Found],
        analyses: Mapping[str, Analysis],
        overrides: Mapping[str, Action],
        founders: Mapping[str, str],
        displaced: set[str],
    ) -> None:
        self._config, self._analyses, self._overrides = config, analyses, overrides
        self._founders, self._displaced = founders, displaced
        self._views = {
            name: views(seen, config, forced=overrides.get(name) in {"keep", "move"})
            for name, seen in analyses.items()
        }
        num_hits = defaultdict[str, Counter[str]](Counter)
        for original in originals:
            num_hits[original.sha256][original.side] += len(original.rows)
        self._home = {name: max("AB", key=lambda s: hits[s]) for name, hits in num_hits.items()}
        self._shares = defaultdict[str, Counter[str]](Counter)
        for original in originals:
            if overrides.get(original.sha256) != "drop":
                side = self._target(original)
                self._shares[founders[original.sha256]][side] += len(original.rows)
        self._sharpness = defaultdict[str, list[float]](list)
        for name, founder in founders.items():
            self._sharpness[founder].append(self._sharp(name))
        self._best: dict[tuple[str, str], str] = {}
        for original in sorted(originals, key=self._quality, reverse=True):
            if self._eligible(original):
                key = founders[original.sha256], self._target(original)
                self._best.setdefault(key, original.sha256)

    def rows(self, original: Found) -> list[Picture]:
        """The original's rows, without split and file."""
        seen = self._analyses[original.sha256]
        return [
            self._row(original, seen, view, self._reason(original, view))
            for view in self._views[original.sha256]
        ]

    def _target(self, original: Found) -> str:
        """The side that the original belongs to, after a person's wish."""
        action = self._overrides.get(original.sha256)
        home = self._home[original.sha256]
        if action == "move":
            return _OTHER[home]
        return home if action == "keep" else original.side

    def _forced(self, original: Found) -> bool:
        return self._overrides.get(original.sha256) in {"keep", "move"}

    def _eligible(self, original: Found) -> bool:
        name = original.sha256
        return (
            self._overrides.get(name) != "drop"
            and any(not view.reason for view in self._views[name])
            and (self._forced(original) or name not in self._displaced)
        )

    def _quality(self, original: Found) -> tuple[bool, float, str]:
        """A person's choice first, then pixels weighed by sharpness; the name breaks ties.

        A copy that is much sharper than most of its cluster was sharpened, or is noisy.
        """
        name = original.sha256
        seen = self._analyses[name]
        usual = _SHARPENED * statistics.median(self._sharpness[self._founders[name]])
        sharp = self._sharp(name)
        weight = min(sharp, usual**2 / max(sharp, usual, 1e-9))
        return self._forced(original), seen.width * seen.height * weight**0.5, name

    def _sharp(self, name: str) -> float:
        return max((view.sharpness for view in self._views[name]), default=0.0)

    def _reason(self, original: Found, view: View) -> str:
        name, founder = original.sha256, self._founders[original.sha256]
        if self._overrides.get(name) == "drop":
            return "dropped-by-hand"
        if view.reason:
            return view.reason
        if self._forced(original):
            return "" if original.side == self._home[name] else "in-both-domains"
        if name in self._displaced:
            return "would-change-sides"
        shares = self._shares[founder]
        if shares["A"] and shares["B"]:
            lost = shares[original.side] <= shares[_OTHER[original.side]]
            if self._config.both_domains == "drop" or lost:
                return "in-both-domains"
        best = self._best[founder, original.side]
        return "" if best == name else f"duplicate-of:{best}"

    def _row(self, original: Found, seen: Analysis, view: View, reason: str) -> Picture:
        config, first = self._config, original.rows[0]
        side = self._target(original) if not reason else original.side
        face = seen.faces[view.face] if view.face >= 0 else None
        return Picture(
            sha256=original.sha256,
            domain=config.domain_a if side == "A" else config.domain_b,
            side=side,
            split="",
            file="",
            status="rejected" if reason else "ok",
            reason=reason,
            cluster=self._founders[original.sha256] if seen.whole else "",
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
            override=self._overrides.get(original.sha256, ""),
            **_scores(face),
        )


def _scores(face: FaceSeen | None) -> dict[str, float]:
    if face is None:
        return {}
    profile = round(min(align.profile(face.points), 99.0), 3)
    return {"face_score": face.score, "profile": profile, "covered": face.covered}


def _corners(view: View, crop_px: int) -> list[float]:
    """The crop's corners in the original, clockwise from its top left, x0 y0 …"""
    if not view.transform:
        return []
    transform = np.array(view.transform).reshape(2, 3)
    inverse = np.linalg.inv(np.vstack([transform, [0, 0, 1]]))[:2]
    square = np.array([(0, 0), (crop_px, 0), (crop_px, crop_px), (0, crop_px)], np.float64)
    return [round(float(value), 2) for value in align.apply(inverse, square).ravel()]


def _split(config: PrepareConfig, rows: Sequence[Picture]) -> list[Picture]:
    """The rows with a split and a file for those that are used."""
    test = set[str]()
    for side in ("A", "B"):
        names = {row.cluster for row in rows if row.side == side and row.status == "ok"}
        test |= held_out(names, config.test_fraction, LEAST_TEST)
    return [
        replace(row, split=split, file=f"{split}{row.side}/{_stem(row)}.png")
        if row.status == "ok"
        else row
        for row in rows
        for split in ["test" if row.cluster in test else "train"]
    ]


def _stem(row: Picture) -> str:
    return row.sha256[:16] + (f"-{row.face}" if row.face > 0 else "")
