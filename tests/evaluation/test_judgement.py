"""What figures say of a translation: shares of the way, floors, power."""

from dataclasses import replace

import pytest
from measured_runs import judge, scores_of

from evaluation.figures import Figure
from evaluation.judgement import (
    Judge,
    Share,
    best_closed_form,
    classifier_share,
    closed_forms,
    gap_closed,
    least_share,
    power,
)
from evaluation.metrics.metric_meanings import ClosedForm
from evaluation.report.judge_table import judge_table
from evaluation.report.wording import power_sentences, share_sentence, verdict
from evaluation.scores import DirectionScores, Scores


def _direction(kid: float = 0.02, **figures: Figure) -> DirectionScores:
    direction = Scores.from_json(scores_of(kid)).directions["A2B"]
    return replace(direction, figures=direction.figures | figures)


def _point(value: float) -> Figure:
    return Figure(value, value, value)


def test_the_least_of_the_judges_counts() -> None:
    direction = _direction(0.02)  # 0.05 → 0.02 of 0.01; the classifier 0.1 → 0.6 of 0.9
    assert gap_closed(direction) == pytest.approx(0.75)
    assert classifier_share(direction) == pytest.approx(0.625)
    assert least_share(direction) == Share(Judge.CLASSIFIER, pytest.approx(0.625))
    assert "62 % of the way by the classifier" in verdict(Scores.from_json(scores_of(0.02)))
    assert "按分类器走完 62 % 的路程" in verdict(Scores.from_json(scores_of(0.02)), "zh")


def test_the_least_of_all_judges_that_see_counts() -> None:
    scores = scores_of(0.02)
    for direction in scores["directions"].values():
        direction["judges"] = [
            judge("domain_network", 0.3),
            judge("random_convolutions", 0.1, errors_apart=1.0),
            judge("mesh_activations", 0.2) | {"is_independent": False},
        ]
    read = Scores.from_json(scores)
    assert least_share(read.directions["A2B"]) == Share("domain_network", 0.3)
    assert "30 % of the way by a fresh network" in verdict(read)
    assert "按新训练的网络走完 30 % 的路程" in verdict(read, "zh")
    sentence = share_sentence(read.directions["A2B"], "en")
    assert "random convolutions cannot tell the domains apart and does not count" in sentence
    assert Scores.from_json(read.to_json()) == read


def test_the_table_of_judges_says_what_each_sees() -> None:
    direction = Scores.from_json(scores_of(0.02)).directions["A2B"]
    table = judge_table(direction, "en")
    assert "| Random convolutions | whole picture | yes (9.00 standard errors) | 90 % | " in table
    assert "| Pixel statistics | whole picture | no (2.00 standard errors) | – | – |" in table
    assert "surely better" in table
    assert "确定更好" in judge_table(direction, "zh")
    assert judge_table(replace(direction, judges=None), "en") == ""


def test_a_classifier_that_cannot_tell_the_domains_apart_does_not_judge() -> None:
    direction = _direction(
        domain_success_baseline=Figure(0.45, 0.35, 0.55),
        domain_success_ceiling=Figure(0.55, 0.45, 0.65),
    )
    assert classifier_share(direction) is None
    assert least_share(direction) == Share(Judge.KID, pytest.approx(0.75))
    assert "cannot tell the domains apart" in share_sentence(direction, "en")
    assert "无法区分" in share_sentence(direction, "zh")


def test_the_verdict_says_what_the_model_adds_to_the_best_closed_form() -> None:
    scores = scores_of(0.02)
    for direction in scores["directions"].values():
        direction["transport_kid"] = {"value": 0.03, "low": 0.02, "high": 0.04}
        direction["transport_kid_change"] = {"value": -0.01, "low": -0.02, "high": 0.01}
    read = Scores.from_json(scores)
    direction = read.directions["A2B"]
    assert [each.form for each in closed_forms(direction)] == ["tint", "transport"]
    best = best_closed_form(direction)
    assert best is not None
    assert best.form is ClosedForm.TRANSPORT
    assert verdict(read).startswith(
        "Both directions are better than leaving pictures as they are, but not surely better than "
        "translations without a network: "
    )
    assert "0.0100 below that of colour transport (which may be chance)" in verdict(read)
    assert "但不能确定优于不用网络的转换" in verdict(read, "zh")
    assert "比整图颜色迁移低 0.0100（可能出于偶然）" in verdict(read, "zh")


def test_scores_of_older_versions_have_no_closed_forms() -> None:
    old = DirectionScores("a", "b", 20, 20, {"kid": _point(0.02)})
    assert closed_forms(old) == []
    assert best_closed_form(old) is None
    assert least_share(old) is None
    assert power(old) is None


def test_four_times_as_many_pictures_are_sure_of_half_the_change() -> None:
    direction = replace(
        _direction(kid_sure_change=_point(0.0022), kid_likely_change=_point(0.0031)),
        num_pictures=104,
        num_target=120,
    )
    now = power(direction)
    assert now is not None
    assert now.num_pictures == 104
    assert now.at(416).sure_change == pytest.approx(0.0011)
    sentences = power_sentences(direction, "en")
    assert "With 104 pictures a side a change of KID of 0.0022 or more is sure" in sentences
    assert "416 a side (312 more to hold out), would be sure of 0.0011" in sentences
    assert "每侧 104 张图片时，KID 变化达到 0.0022 才可确定" in power_sentences(direction, "zh")


def test_older_scores_tell_their_power_by_the_interval() -> None:
    direction = _direction(kid_change=Figure(-0.01, -0.012, -0.008))
    now = power(direction)
    assert now is not None
    assert now.sure_change == pytest.approx(0.002)
    assert now.likely_change == pytest.approx(0.002 * 2.8 / 1.96)
