"""Judges that no training saw, on drawn faces whose truth is known, and on noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from drawn_faces import ALIGNMENT, DrawnFaces, draw_faces, side_of

from core.progress import Progress, silent
from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.judges.domain_network import DomainNetwork
from evaluation.judges.feature_scale import FeatureScale
from evaluation.judges.invisible_changes import encoded_anew
from evaluation.judges.judge import JudgedPictures
from evaluation.judges.judge_kinds import JudgeKind, View, judge_meaning, judge_name
from evaluation.judges.judge_scores import JudgeScores, Opinion
from evaluation.judges.panel import JudgePanel
from evaluation.judges.random_convolutions import RandomConvolutions
from evaluation.judges.view_distances import ViewDistances, share_figure
from evaluation.metrics.measurement import Side
from evaluation.metrics.regions import contrasts
from preprocessing.analysis.face_windows import Alignment
from scraping.offline.landscapes import draw

CONFIG = EvaluateConfig(num_bootstrap=200)
NUM_TRAIN, NUM_TEST = 60, 30
TINT = (40, 0, 20)


def _noise(seed: int, num: int, tint: tuple[int, int, int] = (0, 0, 0)) -> Pictures:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 150, (num, 6, 6, 3)) + np.array(tint)
    smooth = [cv2.resize(each.astype(np.float32), (24, 24)) for each in coarse]
    return np.asarray(np.rint(smooth), np.uint8).reshape(num, 24, 24, 3)


def _panel(
    folder: Path,
    sides: Mapping[str, Side],
    alignment: Alignment | None = None,
    progress: Progress = silent,
) -> JudgePanel:
    names = {"A": "stripes", "B": "dots"}
    return JudgePanel(CONFIG, sides, alignment, folder, "cpu", progress, names=names)


def _noise_sides(tint: tuple[int, int, int], num_train: int = 44) -> dict[str, Side]:
    return {
        "A": side_of(_noise(0, 16), _noise(1, num_train)),
        "B": side_of(_noise(2, 16, tint), _noise(3, num_train, tint)),
    }


def _scores(panel: JudgePanel, pictures: Pictures) -> dict[str, JudgeScores]:
    no_faces = contrasts(pictures, [None] * len(pictures))
    return {each.judge: each for each in panel.scores("A", pictures, no_faces, "B")}


def test_the_lines_of_the_judges_name_the_domains_and_no_side(tmp_path: Path) -> None:
    lines = set[str]()

    def progress(line: str, *_: object) -> None:
        lines.add(line)

    sides = _noise_sides((0, 0, 0), num_train=8)  # too few to judge by: no network learns
    assert _scores(_panel(tmp_path, sides, progress=progress), sides["A"].pictures) == {}
    assert lines == {
        "evaluate: judges look at pictures of stripes",
        "evaluate: judges look at pictures of dots",
        "evaluate: judges of stripes → dots",
    }


@pytest.mark.slow
def test_pictures_of_one_kind_are_told_apart_by_no_judge(tmp_path: Path) -> None:
    scores = _scores(_panel(tmp_path, _noise_sides((0, 0, 0))), _noise(0, 16, TINT))
    assert scores.keys() == {"domain_network", "random_convolutions", "pixel_statistics"}
    for judge in scores.values():
        assert not judge.can_see
        assert judge.share is None
        assert judge.opinion is Opinion.UNSURE  # whatever was done to the pictures


@pytest.mark.slow
def test_every_judge_sees_a_tint_and_calls_nothing_nothing(tmp_path: Path) -> None:
    panel = _panel(tmp_path, _noise_sides(TINT))
    for judge in _scores(panel, _noise(0, 16)).values():
        assert judge.can_see
        view = judge.views["whole"]
        assert (view.kid_change.value, view.change_error) == (0, 0)
        assert judge.opinion is Opinion.UNSURE
    for judge in _scores(panel, _noise(0, 16, TINT)).values():
        assert judge.opinion is Opinion.BETTER
        assert judge.share is not None
        assert judge.share.value == pytest.approx(1, abs=0.2)
        assert JudgeScores.from_json(judge.to_json()) == judge
    too_far = _scores(panel, _noise(0, 16, (-60, 0, -60)))
    assert all(judge.opinion is Opinion.WORSE for judge in too_far.values())
    assert all(judge.share is not None and judge.share.low >= -1 for judge in too_far.values())


def _summers(first: int, num: int, warmth: int = 0) -> Pictures:
    """Drawn landscapes of 96x96 px as a camera stores them, ``warmth`` grey levels redder."""
    pictures = [draw(first + number, winter=False)[60:252, 40:232] for number in range(num)]
    small = [cv2.resize(each, (96, 96), interpolation=cv2.INTER_AREA) for each in pictures]
    warm = np.clip(np.stack(small).astype(int) + np.array([warmth, 0, -warmth]), 0, 255)
    return np.stack([encoded_anew(picture) for picture in warm.astype(np.uint8)])


@pytest.mark.slow
def test_a_judge_hears_what_people_see_and_not_an_encoding(tmp_path: Path) -> None:
    sides = {
        "A": side_of(_summers(0, 40), _summers(100, 40)),
        "B": side_of(_summers(200, 40, 25), _summers(300, 40, 25)),
    }
    panel, pictures = _panel(tmp_path, sides), sides["A"].pictures.astype(int)
    noise = np.random.default_rng(1).integers(-1, 2, pictures.shape)
    chequers = 5 * (np.indices((96, 96)).sum(axis=0) % 2 * 2 - 1)[..., None]
    opinions = []
    for change in (noise, chequers):
        changed = np.clip(pictures + change, 0, 255).astype(np.uint8)
        judge = _scores(panel, changed)["pixel_statistics"]
        assert judge.can_see
        opinions.append((judge.opinion, judge.share and judge.share.value < -0.5))
    assert opinions == [(Opinion.UNSURE, False), (Opinion.WORSE, True)]


def test_a_network_is_not_trained_on_a_few_pictures(tmp_path: Path) -> None:
    scores = _scores(_panel(tmp_path, _noise_sides(TINT, num_train=20)), _noise(0, 16))
    assert scores.keys() == {"random_convolutions", "pixel_statistics"}
    assert not [path for path in tmp_path.glob("*.npy") if np.load(path).shape[0] == 1]


@pytest.mark.parametrize("num_train", [0, 1, 9])
def test_without_training_pictures_nobody_judges(tmp_path: Path, num_train: int) -> None:
    assert not _scores(_panel(tmp_path, _noise_sides(TINT, num_train)), _noise(0, 16))


def test_aligned_faces_are_judged_by_their_eyes_and_mouth_too(tmp_path: Path) -> None:
    panel = _panel(tmp_path, _noise_sides(TINT, num_train=20), ALIGNMENT)
    for judge in _scores(panel, _noise(0, 16)).values():
        assert list(judge.views) == ["whole", "eyes", "mouth"]


def _domain_network(cache: Path) -> DomainNetwork:
    sides = {"A": lambda: _noise(1, 40), "B": lambda: _noise(3, 40, TINT)}
    return DomainNetwork(sides, (View.WHOLE,), None, cache)


def _judged(pictures: Pictures) -> JudgedPictures:
    meshes = [None] * len(pictures)
    return JudgedPictures(pictures, meshes, contrasts(pictures, meshes))


@pytest.mark.slow
def test_the_same_pictures_train_the_same_network(tmp_path: Path) -> None:
    num_threads = torch.get_num_threads()
    features = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            torch.manual_seed(number)
            judge = _domain_network(tmp_path / str(number))
            features.append(judge.features(_judged(_noise(4, 5)), View.WHOLE))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(num_threads)
    np.testing.assert_allclose(features[0], features[1], rtol=1e-3, atol=1e-4)


def test_networks_that_learn_at_the_same_time_learn_what_each_learns_alone(tmp_path: Path) -> None:
    sides = {"A": lambda: _noise(1, 40), "B": lambda: _noise(3, 40, TINT)}
    views = (View.WHOLE, View.EYES)
    num_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = DomainNetwork(sides, views, ALIGNMENT, tmp_path / "together")
        for view in views:
            alone = DomainNetwork(sides, (view,), ALIGNMENT, tmp_path / view)
            features = [judge.features(_judged(_noise(4, 5)), view) for judge in (alone, together)]
            np.testing.assert_array_equal(*features)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(num_threads)


def test_a_network_is_trained_once_and_never_on_what_it_keeps_back(tmp_path: Path) -> None:
    judge = _domain_network(tmp_path)
    assert len(judge.unlearned(40)) == 10
    first = judge.features(_judged(_noise(4, 5)), View.WHOLE)
    (weights,) = [path for path in tmp_path.glob("*.npy") if np.load(path).shape[0] == 1]
    written = weights.stat().st_ino
    _domain_network(tmp_path).features(_judged(_noise(5, 5)), View.WHOLE)
    assert weights.stat().st_ino == written

    changed = _noise(1, 40)
    changed[judge.unlearned(40)] = 0
    sides = {"A": lambda: changed, "B": lambda: _noise(3, 40, TINT)}
    other = DomainNetwork(sides, (View.WHOLE,), None, tmp_path)
    np.testing.assert_array_equal(other.features(_judged(_noise(4, 5)), View.WHOLE), first)


def test_random_convolutions_do_not_hang_on_threads(tmp_path: Path) -> None:
    num_threads, features = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            judge = RandomConvolutions(None, tmp_path / str(number), "cpu")
            features.append(judge.features(_judged(_noise(0, 8)), View.WHOLE))
    finally:
        torch.set_num_threads(num_threads)
    scale = FeatureScale.fitted(features[0], features[0], decorrelates=True)
    np.testing.assert_allclose(scale(features[0]), scale(features[1]), atol=1e-3)


def test_a_scale_finds_a_small_common_shift_below_a_large_variation() -> None:
    rng = np.random.default_rng(0)
    large = rng.normal(0, 1, (300, 1)) @ np.ones((1, 6))
    a = large + rng.normal(0, 0.05, (300, 6))
    b = a + np.array([0.2, -0.2, 0, 0, 0, 0])
    apart = {}
    for decorrelates in (False, True):
        scale = FeatureScale.fitted(a, b, decorrelates=decorrelates)
        apart[decorrelates] = float(np.linalg.norm(scale(b).mean(axis=0) - scale(a).mean(axis=0)))
    assert apart[True] > 2 * apart[False]
    assert np.abs(FeatureScale.fitted(a, b, decorrelates=True)(a + 1e6)).max() == 4


def test_a_scale_weakens_what_nobody_sees() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (300, 6)), rng.normal(0, 1, (300, 6))
    a[:, 3] *= 0.01
    b[:, 3] *= 0.01
    invisible = np.zeros((50, 6))
    invisible[:, 3] = 0.02
    moved = []
    for changes in ([], [invisible]):
        scale = FeatureScale.fitted(a, b, decorrelates=True, invisible=changes)
        moved.append(float(np.linalg.norm((scale(a + invisible[0]) - scale(a)).mean(axis=0))))
    assert moved[0] > 1
    assert moved[1] <= 1 / 3


def _distances(change: float, gap: float) -> ViewDistances:
    wobble = np.linspace(-0.01, 0.01, 21)
    before: Array = np.append(gap, gap + wobble)
    return ViewDistances(before + change, before, np.zeros(22))


def test_a_share_counts_the_views_that_see() -> None:
    near, far, blind = _distances(-0.5, 1.0), _distances(0.0, 3.0), _distances(-9.0, 0.001)
    assert blind.scores().share is None
    share = share_figure([near, far, blind])
    assert share is not None
    assert share.value == pytest.approx(0.5 / 4)
    assert share_figure([blind]) is None


def test_every_judge_has_a_name_and_a_meaning_in_both_languages() -> None:
    for kind in JudgeKind:
        assert judge_name(kind) != judge_name(kind, "zh") != kind
        assert judge_meaning(kind, "en")
        assert judge_meaning(kind, "zh")
    assert judge_name("a judge of a later version") == "a judge of a later version"


@dataclass(frozen=True)
class _Bench:
    """Judges of drawn faces, bare → made up, and the faces themselves."""

    panel: JudgePanel
    bare: DrawnFaces

    def opinions(self, pictures: Pictures) -> dict[str, Opinion]:
        return {each.judge: each.opinion for each in self.scores(pictures)}

    def scores(self, pictures: Pictures) -> tuple[JudgeScores, ...]:
        colours = contrasts(pictures, self.bare.meshes)
        return self.panel.scores("B", pictures, colours, "A")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> _Bench:
    sides = {}
    bare = draw_faces(2000, NUM_TEST, made_up=False)
    made_up = draw_faces(3000, NUM_TEST, made_up=True)
    for name, held_out, first in (("A", made_up, 1000), ("B", bare, 0)):
        train = draw_faces(first, NUM_TRAIN, made_up=name == "A")
        sides[name] = side_of(held_out.pictures, train.pictures, held_out.meshes, train.meshes)
    return _Bench(_panel(tmp_path_factory.mktemp("judges"), sides, ALIGNMENT), bare)


@pytest.mark.slow
def test_true_make_up_on_bare_faces_is_surely_better_by_every_judge(bench: _Bench) -> None:
    scores = bench.scores(bench.bare.counterparts)
    assert {each.judge for each in scores} == set(JudgeKind)
    for judge in scores:
        assert judge.can_see, judge.judge
        assert judge.opinion is Opinion.BETTER, judge.judge
        assert judge.share is not None
        assert judge.share.value > 0.6, judge.judge


@pytest.mark.slow
def test_half_of_the_true_change_is_between_nothing_and_all(bench: _Bench) -> None:
    mean = (bench.bare.pictures.astype(np.uint16) + bench.bare.counterparts) // 2
    whole = {each.judge: each.share for each in bench.scores(bench.bare.counterparts)}
    for judge in bench.scores(np.asarray(mean, np.uint8)):
        assert judge.share is not None
        most = whole[judge.judge]
        assert most is not None
        assert 0.2 < judge.share.value < most.value, judge.judge


@pytest.mark.slow
def test_grey_squares_on_faces_are_surely_worse_by_two_judges(bench: _Bench) -> None:
    covered = bench.bare.pictures.copy()
    covered[:, 40:56, 40:56] = 128
    opinions = list(bench.opinions(covered).values())
    assert opinions.count(Opinion.WORSE) >= 2


@pytest.mark.slow
def test_untranslated_faces_are_no_better_and_no_worse(bench: _Bench) -> None:
    assert set(bench.opinions(bench.bare.pictures).values()) == {Opinion.UNSURE}
