"""The judges of an evaluation: which there are for these pictures, and what they say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from core.language.messages import localised
from core.progress import Progress
from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.judges.domain_network import DomainNetwork
from evaluation.judges.feature_scale import FeatureScale
from evaluation.judges.invisible_changes import invisibly_changed
from evaluation.judges.judge import Judge, JudgedPictures
from evaluation.judges.judge_kinds import PRETRAINING, View
from evaluation.judges.judge_scores import JudgeScores
from evaluation.judges.mesh_activations import MeshActivations
from evaluation.judges.pixel_statistics import PixelStatistics
from evaluation.judges.random_convolutions import RandomConvolutions
from evaluation.judges.region_colours import RegionColours
from evaluation.judges.view_distances import ViewDistances, measure_view, share_figure
from evaluation.metrics.distances import LEAST_FOR_DISTANCES
from evaluation.metrics.measurement import Contrasts, Side
from preprocessing.analysis.face_mesh import Points
from preprocessing.analysis.face_windows import Alignment

_NUM_CHANGED = 40  # training pictures of each side, for what nobody sees


@dataclass(frozen=True)
class _RealFeatures:
    """A judge's scaled features of real pictures in one view, by side."""

    scale: FeatureScale
    test: Mapping[str, Array]  # [N, D], NaN in rows that it cannot judge
    train: Mapping[str, Array]

    @classmethod
    def of(
        cls,
        judge: Judge,
        view: View,
        train: Mapping[str, Array],
        test: Mapping[str, JudgedPictures],
        invisible: Sequence[Array],
    ) -> Self:
        """Features of held-out pictures, beside the ``train`` ones, on their scale."""
        scale = FeatureScale.fitted(
            train["A"], train["B"], decorrelates=judge.decorrelates, invisible=invisible
        )
        return cls(
            scale,
            {name: scale(judge.features(each, view)) for name, each in test.items()},
            {name: scale(features) for name, features in train.items()},
        )


class JudgePanel:
    """The judges, and their features of the real pictures of both sides, ``A`` and ``B``."""

    def __init__(
        self,
        config: EvaluateConfig,
        sides: Mapping[str, Side],
        alignment: Alignment | None,
        cache: Path,
        device: str,
        progress: Progress,
        *,
        names: Mapping[str, str],
        excluded_pretraining: Collection[str] = (),
    ) -> None:
        """``names``: the domains of the sides, for ``progress``. ``excluded_pretraining``: what the
        networks that shaped the model were trained on.
        """
        self._config, self._sides, self._progress = config, sides, progress
        self._names = names
        self._excluded_pretraining = excluded_pretraining
        self._judges = list(_judges(sides, alignment, cache, device))
        train, invisible = self._train_features()
        test = {
            name: _held_out(side, side.pictures, side.contrasts) for name, side in sides.items()
        }
        self._real = [
            {
                view: _RealFeatures.of(
                    judge, view, train[number, view], test, invisible[number, view]
                )
                for view in views
                if _is_enough(train[number, view])
            }
            for number, (judge, views) in enumerate(self._judges)
        ]

    def _train_features(
        self,
    ) -> tuple[dict[tuple[int, View], dict[str, Array]], dict[tuple[int, View], list[Array]]]:
        """Features of training pictures by the judge's number and the view, then by side; and how
        changes that nobody sees move them.

        The pictures of one side at a time are held in memory.
        """
        features: dict[tuple[int, View], dict[str, Array]] = defaultdict(dict)
        changes: dict[tuple[int, View], list[Array]] = defaultdict(list)
        for name, side in self._sides.items():
            train = _training(side)
            for number, (judge, views) in enumerate(self._judges):
                self._progress(
                    localised(
                        "evaluate: judges look at pictures of {domain}", domain=self._names[name]
                    ),
                    number,
                    len(self._judges),
                    "",
                )
                unlearned = judge.unlearned(len(train.pictures))
                if len(unlearned) < LEAST_FOR_DISTANCES:
                    continue  # before a network is trained in vain
                rows = train.rows(unlearned)
                sample = rows.rows(np.arange(min(_NUM_CHANGED, len(unlearned))))
                changed = invisibly_changed(sample) if judge.decorrelates else ()
                for view in views:
                    features_of_view = judge.features(rows, view)
                    features[number, view][name] = _finite(features_of_view)
                    changes[number, view] += [
                        _finite(judge.features(each, view) - features_of_view[: len(each.pictures)])
                        for each in changed
                    ]
        return features, changes

    def scores(
        self, source: str, translated: Pictures, contrasts: Contrasts, target: str
    ) -> tuple[JudgeScores, ...]:
        """What each judge says of the translations of ``source``'s held-out pictures.

        ``contrasts`` are those of the translations. A judge that has too few pictures is left out.
        """
        judged = _held_out(self._sides[source], translated, contrasts)
        scores = []
        for number, (judge, _) in enumerate(self._judges):
            progress_text = localised(
                "evaluate: judges of {source} → {target}",
                source=self._names[source],
                target=self._names[target],
            )
            self._progress(progress_text, number, len(self._judges), "")
            distances = {
                view: measured
                for view, real in self._real[number].items()
                if (measured := self._distances(judge, view, real, judged, (source, target)))
            }
            if distances:
                scores.append(self._scores_of(judge, distances))
        return tuple(scores)

    def _scores_of(self, judge: Judge, distances: Mapping[View, ViewDistances]) -> JudgeScores:
        pretraining = PRETRAINING.get(judge.kind, "")
        return JudgeScores(
            judge=judge.kind.value,
            pretraining=pretraining,
            views={view.value: each.scores() for view, each in distances.items()},
            share=share_figure(list(distances.values())),
            is_independent=pretraining not in self._excluded_pretraining,
        )

    def _distances(
        self,
        judge: Judge,
        view: View,
        real: _RealFeatures,
        judged: JudgedPictures,
        direction: tuple[str, str],
    ) -> ViewDistances | None:
        """The distances of one view; ``None`` for too few pictures."""
        source, target = direction
        after, before = real.scale(judge.features(judged, view)), real.test[source]
        is_judged = np.isfinite(after).all(axis=1) & np.isfinite(before).all(axis=1)
        sets = (
            after[is_judged],
            before[is_judged],
            _finite(real.test[target]),
            real.train[target],
        )
        if min(map(len, sets)) < LEAST_FOR_DISTANCES:
            return None
        return measure_view(*sets, self._config.num_bootstrap, self._config.seed)


def _judges(
    sides: Mapping[str, Side], alignment: Alignment | None, cache: Path, device: str
) -> Iterator[tuple[Judge, tuple[View, ...]]]:
    """The judges that there are for these pictures, each with its views."""
    views = (View.WHOLE,) if alignment is None else tuple(View)
    loaders = {name: side.load_train_pictures for name, side in sides.items()}
    yield DomainNetwork(loaders, views, alignment, cache), views
    yield RandomConvolutions(alignment, cache, device), views
    yield PixelStatistics(alignment, cache), views
    if all(any(mesh is not None for mesh in side.meshes) for side in sides.values()):
        yield MeshActivations(cache), tuple(View)
        yield RegionColours(), tuple(View)


def _held_out(side: Side, pictures: Pictures, contrasts: Contrasts) -> JudgedPictures:
    return JudgedPictures(pictures, side.meshes or [None] * len(pictures), contrasts)


def _training(side: Side) -> JudgedPictures:
    """The training pictures; those without a known mesh have none."""
    pictures = side.load_train_pictures()
    num_unknown = len(pictures) - len(side.train_meshes)
    meshes: Sequence[Points | None] = [*side.train_meshes, *([None] * num_unknown)]
    unknown = np.full((num_unknown, 3), np.nan)
    contrasts = {
        name: np.concatenate([points, unknown]) for name, points in side.train_contrasts.items()
    }
    return JudgedPictures(pictures, meshes, contrasts)


def _is_enough(train: Mapping[str, Array]) -> bool:
    """Whether both sides have training pictures enough for KID."""
    return len(train) == len("AB") and min(map(len, train.values())) >= LEAST_FOR_DISTANCES


def _finite(features: Array) -> Array:
    return np.asarray(features[np.isfinite(features).all(axis=1)])
