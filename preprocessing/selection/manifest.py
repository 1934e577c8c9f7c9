"""The manifest: the row of each original, the counts of the rows, and the version's name. Pure.

Some three hundred bytes of each original are held in memory (``Attributes``); analyses and hits are
read in batches, once for the attributes and once for the rows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.files import canonical_json, digest
from core.language.messages import localised
from core.tables import Picture, groups
from core.workspace_folders import SPLITS
from preprocessing.analysis.analyse import Analysis, FaceAnalysis
from preprocessing.config import PrepareConfig
from preprocessing.dedup.candidates import HashColumns, Pairs
from preprocessing.dedup.clusters import NO_DIFFERENCES, Clusters, Differences, build_clusters
from preprocessing.images import geometry
from preprocessing.images.side_features import NUM_FACE_FEATURES, NUM_PICTURE_FEATURES
from preprocessing.selection.assignment import MIN_TEST_PICTURES, ClusterAssignment
from preprocessing.selection.attributes import Attributes
from preprocessing.selection.originals import SIDES, ListedOriginal, OriginalIndex
from preprocessing.selection.overrides import Action
from preprocessing.selection.rejection_reasons import Reason, reason_kind
from preprocessing.selection.rules import Crop
from preprocessing.selection.side_scores import LoadFeatures, ScoredPicture, score_sides
from preprocessing.selection.split import is_held_out

_ORIGINALS_PER_BATCH = 500  # with analyses in memory
_DIGEST_BYTES = 16  # of a row
NO_SIDE_SCORE = -1.0
_MIN_PART_SCORE = 0.5  # side score of a collage's part that is used
_MAX_PROFILE = 99.0  # in the manifest, which holds no infinity

LoadAnalyses = Callable[[Sequence[str]], Mapping[str, Analysis]]
"""The analyses of originals by sha256; they may lack thumbnails and previews."""

CompareOriginals = Callable[[Sequence[str], Pairs], NDArray[np.float64]]
"""The similarity of each pair; the first argument has the sha256 of each number."""


@dataclass(frozen=True)
class Manifest:
    """The decisions about all originals; ``rows`` turns them into rows of the manifest."""

    config: PrepareConfig
    index: OriginalIndex
    load_analyses: LoadAnalyses
    overrides: Mapping[str, Action]
    attributes: Attributes
    clusters: Clusters  # by the numbers of the index
    assignment: ClusterAssignment
    side_scores: Mapping[ScoredPicture, float] = field(default_factory=dict)

    def with_side_scores(self, load_features: LoadFeatures) -> Manifest:
        """The same decisions, with the score of every picture that is used; those that score less
        than ``min_side_score`` are rejected, unless a person decided to keep them.
        """
        num_features = NUM_FACE_FEATURES if self.config.faces else NUM_PICTURE_FEATURES
        pictures = [
            self._picture(original, crop)
            for original in self.index.originals
            for crop in self.attributes.crops(original.sha256)
            if not self._reason(original, crop)
        ]
        return replace(self, side_scores=score_sides(pictures, load_features, num_features))

    def clusters_of_several(self) -> set[str]:
        """The names of the clusters of more than one picture."""
        founders = self.clusters.founder[self.clusters.has_several_members()]
        return {self.index.names[founder] for founder in np.unique(founders).tolist()}

    def doubtful_pairs(self) -> list[tuple[str, str, float]]:
        """Pairs that are nearly similar enough to be one picture: both sha256 and the similarity,
        the most similar first.
        """
        names = self.index.names
        matches = sorted(self.clusters.doubtful, key=lambda match: -match.similarity)
        return [(names[m.older], names[m.newer], round(m.similarity, 3)) for m in matches]

    def rows(self) -> Iterator[Picture]:
        """The rows in the order of the listings: one for each original of each side, or for each of
        its faces where all faces are cropped.
        """
        for batch in groups(self.index.originals, _ORIGINALS_PER_BATCH):
            analyses = self.load_analyses([original.sha256 for original in batch])
            for original in batch:
                for crop in self.attributes.crops(original.sha256):
                    yield self._row(original, analyses[original.sha256], crop)

    def _row(self, original: ListedOriginal, analysis: Analysis, crop: Crop) -> Picture:
        config, assignment, hit = self.config, self.assignment, original.rows[0]
        number = self.index.number[original.sha256]
        score = self.side_scores.get(self._picture(original, crop), NO_SIDE_SCORE)
        reason = self._reason(original, crop)
        # which domain a part shows is not known: one of a before and after is on the wrong side
        least = max(config.min_side_score, _MIN_PART_SCORE if original.part_of else 0)
        if not reason and 0 <= score < least and not assignment.is_forced(number):
            reason = Reason.WRONG_SIDE
        side = original.side if reason else assignment.target_side(number, original.side)
        split = "" if reason else "test" if assignment.is_test(number) else "train"
        face = analysis.faces[crop.face] if crop.face >= 0 else None
        whole = analysis.whole
        credited = next((row for row in original.rows if row.license), hit)
        return Picture(
            sha256=original.sha256,
            domain=config.domain_a if side == "A" else config.domain_b,
            side=side,
            split=split,
            file=f"{split}{side}/{_stem(original.sha256, crop.face)}.png" if split else "",
            status="rejected" if reason else "ok",
            reason=reason,
            cluster=assignment.founder(number) if whole else "",
            phash=f"{whole.phash:016x}" if whole else "",
            face_phash=f"{face.aligned.phash:016x}" if face else "",
            width=analysis.width,
            height=analysis.height,
            keypoints=face.keypoints if face else [],
            transform=list(crop.transform),
            sharpness=crop.sharpness,
            phrase=hit.phrase,
            url=hit.url,
            original=hit.path,
            page_url=credited.page_url,
            phrases=list(dict.fromkeys(row.phrase for row in original.rows)),
            sources=list(dict.fromkeys(row.url for row in original.rows)),
            face=crop.face,
            box=face.box if face else [],
            crop_box=_corners(crop, config.crop_px),
            mirrored_phash=f"{whole.mirrored:016x}" if whole else "",
            outside=crop.outside,
            unsafe=-1.0 if analysis.unsafe is None else analysis.unsafe,
            override=self.overrides.get(original.sha256, ""),
            license=credited.license,
            license_url=credited.license_url,
            creator=credited.creator,
            attribution=credited.attribution,
            side_score=score,
            part_of=original.part_of,
            part_box=list(analysis.place.box) if analysis.place else [],
            **_face_columns(face),
        )

    def _reason(self, original: ListedOriginal, crop: Crop) -> str:
        number = self.index.number[original.sha256]
        return self.assignment.reason(number, original.side, crop.reason)

    def _picture(self, original: ListedOriginal, crop: Crop) -> ScoredPicture:
        number = self.index.number[original.sha256]
        side = self.assignment.target_side(number, original.side)
        return ScoredPicture(original.sha256, crop.face, side)


def build_manifest(
    config: PrepareConfig,
    index: OriginalIndex,
    attributes: Attributes,
    load_analyses: LoadAnalyses,
    overrides: Mapping[str, Action],
    compare: CompareOriginals,
    differences: Differences = NO_DIFFERENCES,
) -> Manifest:
    """The decisions about the originals of both sides, all of which are in ``attributes``."""
    clusters = cluster_originals(
        config, index.names, attributes.hashes, compare, differences, index.original
    )
    return Manifest(
        config=config,
        index=index,
        load_analyses=load_analyses,
        overrides=overrides,
        attributes=attributes,
        clusters=clusters,
        assignment=ClusterAssignment(config, index, clusters, attributes, overrides),
    )


def cluster_originals(
    config: PrepareConfig,
    names: Sequence[str],
    hashes: HashColumns,
    compare: CompareOriginals,
    differences: Differences = NO_DIFFERENCES,
    original: Callable[[str], str] = str,
) -> Clusters:
    """Near-duplicate clusters of originals, whose ``names`` (sha256) are in order of age.

    ``original`` gives the name that decides whether one is held out.
    """
    return build_clusters(
        hashes,
        lambda k: is_held_out(original(names[k]), config.test_fraction),
        partial(compare, names),
        bits=config.duplicate_bits,
        min_similarity=config.duplicate_alike,
        min_doubtful=config.doubtful_alike,
        differences=differences,
    )


class ManifestStats:
    """Counts of a manifest's rows, and the version's name; ``count`` takes in every row."""

    def __init__(self, config: PrepareConfig) -> None:
        self._config = config
        self._num_pictures = Counter[str]()  # by split and side
        self._reasons: dict[str, Counter[str]] = {side: Counter() for side in SIDES}
        self._row_digests = bytearray()

    def count(self, rows: Iterable[Picture]) -> Iterator[Picture]:
        """The same rows; each one is counted when it is taken."""
        for row in rows:
            if row.status == "ok":
                self._num_pictures[f"{row.split}{row.side}"] += 1
            else:
                self._reasons[row.side][reason_kind(row.reason)] += 1
            self._row_digests += _digest(row)
            yield row

    def counts(self) -> dict[str, int]:
        """The number of usable pictures of each of ``SPLITS``."""
        return {name: self._num_pictures[name] for name in SPLITS}

    def rejected(self) -> dict[str, dict[str, int]]:
        """The number of rejected pictures by side and kind of reason, the most frequent first."""
        return {side: dict(reasons.most_common()) for side, reasons in self._reasons.items()}

    def version(self, settings: Any) -> str:
        """The version's name, of settings and decisions.

        Neither the order of the rows nor figures in them matter: the last digits of a figure differ
        between processors.
        """
        halves = np.frombuffer(self._row_digests, ">u8").reshape(-1, 2)
        ordered = halves[np.lexsort((halves[:, 1], halves[:, 0]))]
        decisions = hashlib.sha256(ordered.tobytes()).hexdigest()
        name = f"{self._config.domain_a}-{self._config.domain_b}-{digest([settings, decisions])}"
        return name.replace("_", "-")

    def problems(self) -> list[str]:
        """A sentence about each domain with too few usable pictures; empty if both have enough."""
        problems = []
        for side, domain in zip(SIDES, (self._config.domain_a, self._config.domain_b), strict=True):
            train, test = self._num_pictures[f"train{side}"], self._num_pictures[f"test{side}"]
            usable, rejected = train + test, self._reasons[side]
            if usable < self._config.min_images or train < 2 or test < MIN_TEST_PICTURES:
                reasons = ", ".join(f"{reason}: {num}" for reason, num in rejected.most_common())
                problems.append(
                    localised(
                        "domain {domain!r}: {found} originals found, {usable} usable ({train} to "
                        "train on, {test} to test on), needed {least}; rejected: {reasons}",
                        domain=domain,
                        found=usable + rejected.total(),
                        usable=usable,
                        train=train,
                        test=test,
                        least=self._config.min_images,
                        reasons=reasons or localised("none"),
                    )
                )
        return problems


def _digest(row: Picture) -> bytes:
    decision = row.sha256, row.side, row.face, row.file, row.reason, row.cluster, row.override
    return hashlib.blake2b(canonical_json(decision).encode(), digest_size=_DIGEST_BYTES).digest()


def _face_columns(face: FaceAnalysis | None) -> dict[str, float]:
    if face is None:
        return {}
    profile = round(min(geometry.profile(face.points), _MAX_PROFILE), 3)
    return {"face_score": face.score, "profile": profile, "covered": face.covered}


def _corners(crop: Crop, crop_px: int) -> list[float]:
    """The crop's corners in the original, clockwise from its top left, x0 y0 …"""
    if not crop.transform:
        return []
    corners = geometry.corners(np.array(crop.transform).reshape(2, 3), crop_px)
    return [round(value, 2) for value in corners.ravel().tolist()]


def _stem(sha256: str, face: int) -> str:
    return sha256[:16] + (f"-{face}" if face > 0 else "")
