"""What a model remembers of its training pictures, and what it makes of others."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_evaluation import Measured
from training_pictures import (
    DRAWN_PAGE,
    PHOTO_PAGE,
    around,
    picture,
    statistics_of,
    write_statistics,
)

from core.workspace_folders import EvaluationFolder, ModelFolder
from evaluation.features.extractor import load_offline
from evaluation.features.likeness import LikenessJudge
from evaluation.features.training_statistics import (
    LEAST_PICTURES,
    DomainStatistics,
    TrainedOn,
    TrainingStatistics,
    load_statistics,
    save_statistics,
    statistics_to_json,
)
from evaluation.model_registry.model_card import load_facts, model_card
from preprocessing.config import PrepareConfig

CENTRE = np.random.default_rng(7).uniform(0, 1, 200)
OTHER = np.random.default_rng(8).uniform(0, 1, 200)


@pytest.mark.parametrize("num", [40, 500], ids=["fewer than features", "more than features"])
def test_others_of_the_kind_are_like_and_those_of_another_are_not(num: int) -> None:
    features = around(CENTRE, 2 * num, 0.3)
    known = statistics_of(features[:num])
    assert np.mean(known.ratios(features[num:]) > 1) < 0.1
    assert known.ratios(around(OTHER, 50, 0.3)).min() > 1
    assert known.ratios(3 * features[num:]) == pytest.approx(known.ratios(features[num:]))


def test_a_picture_like_either_domain_is_like_the_training_pictures() -> None:
    sides = {
        side: DomainStatistics.of([picture(PHOTO_PAGE, side)] * 40, around(centre, 40))
        for side, centre in (("A", CENTRE), ("B", OTHER))
    }
    both = TrainingStatistics("e", 64, sides)
    for centre in (CENTRE, OTHER):
        assert both.ratios(centre[None])[0] < 1
    assert both.ratios((CENTRE + OTHER)[None])[0] > 1


def test_pictures_that_are_all_the_same_know_each_other() -> None:
    same = statistics_of(np.tile(CENTRE, (30, 1)))
    assert np.isfinite(same.ratios(CENTRE[None])).all()
    assert same.ratios(OTHER[None])[0] > 1


def test_too_few_pictures_know_nothing() -> None:
    few = statistics_of(around(CENTRE, LEAST_PICTURES - 1), DRAWN_PAGE)
    assert not few.can_judge
    assert few.trained_on is TrainedOn.DRAWINGS  # which takes no features
    assert LikenessJudge(few).ratios([np.zeros((8, 8, 3), np.uint8)]) is None


def test_who_drew_the_pictures_is_read_from_their_pages() -> None:
    features = around(CENTRE, 4)
    for pages, share, origin in (
        ([DRAWN_PAGE] * 4, 1.0, TrainedOn.DRAWINGS),
        ([DRAWN_PAGE, PHOTO_PAGE, PHOTO_PAGE, PHOTO_PAGE], 0.25, TrainedOn.SOME_DRAWINGS),
        ([PHOTO_PAGE] * 4, 0.0, TrainedOn.NO_DRAWINGS),
        ([""] * 4, None, TrainedOn.UNKNOWN),
    ):
        side = DomainStatistics.of([picture(page) for page in pages], features)
        statistics = TrainingStatistics("e", 64, {"A": side})
        assert statistics.drawn_share == share
        assert statistics.trained_on is origin


def test_a_file_gives_the_same_judgement(tmp_path: Path) -> None:
    known = statistics_of(around(CENTRE), DRAWN_PAGE)
    save_statistics(tmp_path / "s", known)
    read = load_statistics(tmp_path / "s")
    assert read is not None
    assert read.ratios(OTHER[None]) == pytest.approx(known.ratios(OTHER[None]))
    assert (read.extractor, read.px, read.trained_on) == (known.extractor, 64, TrainedOn.DRAWINGS)
    assert replace(read.sides["A"], cloud=None) == replace(known.sides["A"], cloud=None)
    assert (tmp_path / "s").stat().st_size < 100_000


def test_a_file_that_is_missing_damaged_or_newer_is_unknown(tmp_path: Path) -> None:
    file = tmp_path / "s"
    assert load_statistics(file) is None
    save_statistics(file, statistics_of(around(CENTRE)))
    tensors, whole = load_file(file), file.read_bytes()
    file.write_bytes(whole[:-1000])
    assert load_statistics(file) is None
    save_file(tensors, file, {"version": "2"})
    assert load_statistics(file) is None
    save_file({}, file, {"version": "1", "extractor": "e", "px": "64", "sides": '{"A": {}}'})
    assert load_statistics(file) is None


def test_features_of_another_network_are_not_compared() -> None:
    strangers = statistics_of(around(CENTRE), extractor="another network")
    assert LikenessJudge(strangers).ratios([np.zeros((8, 8, 3), np.uint8)]) is None


def test_pictures_of_any_size_are_judged_as_training_saw_them() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
    large = coarse.repeat(32, axis=0).repeat(32, axis=1)
    small = coarse.repeat(8, axis=0).repeat(8, axis=1)
    known = statistics_of(around(load_offline()(small[None])[0]))
    ratios = LikenessJudge(known).ratios([large, rng.integers(0, 256, (90, 90, 3), np.uint8)])
    assert ratios is not None
    assert ratios[0] < ratios[1]
    assert ratios[1] > 1


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "pictures are drawings"), ("zh", "训练图片是绘制的")],
)
def test_the_card_of_a_model_says_that_it_was_trained_on_drawings(
    tmp_path: Path, language: str, words: str
) -> None:
    folder = ModelFolder(tmp_path)
    prepare = PrepareConfig(domain_a="makeup", domain_b="bare")
    folder.prepare.write_text(prepare.model_dump_json())
    for page, is_said in ((DRAWN_PAGE, True), (PHOTO_PAGE, False)):
        write_statistics(folder.training_statistics, knows_them=True, page_url=page)
        card = model_card(load_facts(folder, "makeup/1"), "zh" if language == "zh" else "en")
        assert (words in card) is is_said


@pytest.mark.slow
def test_an_evaluation_writes_them_and_writes_lost_ones_again(measured: Measured) -> None:
    file = EvaluationFolder(measured.done.folder).training_statistics
    first = load_statistics(file)
    assert first is not None
    assert {side: each.num_pictures for side, each in first.sides.items()} == {"A": 14, "B": 14}
    assert first.trained_on is TrainedOn.UNKNOWN  # no page is recorded
    file.unlink()
    assert measured.again().reused
    assert load_statistics(file) == first


def test_another_program_computes_the_distance_by_the_documented_formula(tmp_path: Path) -> None:
    write_statistics(tmp_path / "s", knows_them=True, page_url="")
    statistics = load_statistics(tmp_path / "s")
    assert statistics is not None
    features = np.random.default_rng(0).normal(1, 0.3, (5, 1280))
    told = json.loads(json.dumps(statistics_to_json(statistics)))

    def distance(side: dict[str, Any], vector: np.ndarray) -> float:
        c = vector / np.linalg.norm(vector) - np.array(side["mean"])
        a = np.array(side["directions"]) @ c
        inside = (a**2 / np.array(side["variances"])).mean()
        return float(np.sqrt((inside + (c @ c - a @ a) / side["rest"]) / 2) / side["threshold"])

    found = [min(distance(side, row) for side in told["sides"].values()) for row in features]
    np.testing.assert_allclose(found, statistics.ratios(features), rtol=1e-3)
    assert (told["px"], told["features"]) == (statistics.px, statistics.extractor)
