import json
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from measured_runs import figure, judge, promote_one, scores_of, write_run

from core.errors import CheckpointError, SuyanError
from core.workspace import Workspace
from evaluation.config import PromoteConfig
from evaluation.judgement import gap_closed
from evaluation.model_registry.model_versions import champion, crown, rollback
from evaluation.model_registry.promote import promote
from evaluation.report.wording import verdict, words
from evaluation.scores import Scores

_FIELD = re.compile(r"{(\w+)}")


def test_the_first_good_model_is_champion(tmp_path: Path) -> None:
    done = promote(*write_run(tmp_path, "one", scores_of(0.03)), Workspace(tmp_path), "makeup")
    assert done.promoted
    assert champion(Workspace(tmp_path), "makeup") == done.model
    assert (done.model / "G_A.safetensors").read_text() == "one G_A"
    assert json.loads((done.model / "scores.json").read_text())["step"] == 8


def test_a_model_worse_than_doing_nothing_is_kept_but_no_champion(tmp_path: Path) -> None:
    done = promote(*write_run(tmp_path, "bad", scores_of(0.06)), Workspace(tmp_path), "makeup")
    assert not done.promoted
    assert "0.0600" in done.reason
    assert "models/makeup" in done.reason
    assert (done.model / "G_B.safetensors").exists()
    with pytest.raises(SuyanError, match="no champion"):
        champion(Workspace(tmp_path), "makeup")


def test_the_champion_gives_way_to_a_better_one_alone(tmp_path: Path) -> None:
    first = promote(*write_run(tmp_path, "one", scores_of(0.03)), Workspace(tmp_path), "makeup")
    worse = promote(*write_run(tmp_path, "two", scores_of(0.04)), Workspace(tmp_path), "makeup")
    assert not worse.promoted
    assert champion(Workspace(tmp_path), "makeup") == first.model
    better = promote(*write_run(tmp_path, "three", scores_of(0.02)), Workspace(tmp_path), "makeup")
    assert better.promoted
    assert champion(Workspace(tmp_path), "makeup") == better.model


def test_promoting_again_changes_nothing(tmp_path: Path) -> None:
    run, evaluation = write_run(tmp_path, "one", scores_of(0.03))
    one, two = (promote(run, evaluation, Workspace(tmp_path), "makeup") for _ in range(2))
    assert one.model == two.model
    assert two.promoted
    assert len([path for path in one.model.parent.iterdir() if path.is_dir()]) == 1


def test_a_lost_checkpoint_is_named(tmp_path: Path) -> None:
    run, evaluation = write_run(tmp_path, "one", scores_of(0.03))
    (run / "checkpoints" / "step_00000008" / "G_B.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"G_B\.safetensors"):
        promote(run, evaluation, Workspace(tmp_path), "makeup")
    assert not list((tmp_path / "models").rglob("*.safetensors"))


@pytest.mark.parametrize("recipe", ["", "../x", "a/b", ".hidden"])
def test_a_recipe_name_is_no_path(tmp_path: Path, recipe: str) -> None:
    with pytest.raises(ValueError, match="recipe"):
        promote(tmp_path, tmp_path, Workspace(tmp_path), recipe)


def test_verdicts_say_what_happened() -> None:
    assert verdict(Scores.from_json(scores_of(0.02))).startswith("Both directions are better")
    assert verdict(Scores.from_json(scores_of(0.07))).startswith("Neither direction is better")
    assert "都优于原图" in verdict(Scores.from_json(scores_of(0.02)), "zh")
    scores = scores_of(0.02)
    for direction, share in zip(scores["directions"].values(), (0.59, -0.32), strict=True):
        direction["truth"] = {"lip_eye_error_reduction": figure(share)}
    assert (
        "the error on lips and eyes falls by 59 % (makeup → bare) and rises by 32 % (bare → makeup)"
        in verdict(Scores.from_json(scores))
    )
    assert "降低 59 %、升高 32 %" in verdict(Scores.from_json(scores), "zh")
    both = Scores.from_json(json.loads(json.dumps(scores).replace("-0.32", "0.32")))
    assert "falls by 59 % (makeup → bare) and by 32 % (bare → makeup)" in verdict(both)
    assert "误差分别降低 59 %、32 %" in verdict(both, "zh")
    unsure = scores_of(0.04)
    unsure["directions"]["A2B"]["kid_change"] = {"value": -0.01, "low": -0.03, "high": 0.01}
    assert verdict(Scores.from_json(unsure)).startswith("Only one direction is better")
    assert "to 0.0400, which may be chance" in verdict(Scores.from_json(unsure))
    unsure["directions"]["B2A"]["kid_change"] = {"value": -0.01, "low": -0.03, "high": 0.01}
    assert verdict(Scores.from_json(unsure)).startswith("Neither direction is surely better")


def test_the_share_of_the_gap_is_between_nothing_and_all() -> None:
    assert gap_closed(Scores.from_json(scores_of(0.03)).directions["A2B"]) == pytest.approx(0.5)
    assert gap_closed(Scores.from_json(scores_of(0.09)).directions["A2B"]) == 0


def test_both_languages_have_the_same_words() -> None:
    assert words("en").keys() == words("zh").keys()
    for key, text in words("en").items():
        assert set(_FIELD.findall(text)) == set(_FIELD.findall(words("zh")[key])), key


def test_better_but_not_surely_is_not_enough_unless_the_rule_says_so(tmp_path: Path) -> None:
    scores = scores_of(0.04)
    for direction in scores["directions"].values():
        direction["kid_change"] = {"value": -0.01, "low": -0.03, "high": 0.01}
    run, evaluation = write_run(tmp_path, "one", scores)
    done = promote(run, evaluation, Workspace(tmp_path), "makeup")
    assert not done.promoted
    assert "not beyond the interval" in done.reason
    assert promote(
        run, evaluation, Workspace(tmp_path), "makeup", PromoteConfig(surely=False)
    ).promoted


_OLD_RULE = PromoteConfig(
    beat_closed_forms=False,
    fid_not_worse=False,
    min_classifier_share=0,
    judges_not_worse=False,
    min_judge_share=0,
)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tint_kid": 0.028, "tint_kid_change": 0.002}, ("0.0300", "constant tint", "0.0280")),
        ({"transport_kid": 0.02, "transport_kid_change": 0.01}, ("colour transport", "0.0200")),
        ({"fid": 125.0, "fid_baseline": 124.0}, ("FID", "125.0", "124.0")),
        ({"domain_success": 0.24}, ("17.5 %", "20.0 %", "classifier")),
    ],
)
def test_each_condition_stops_a_model_and_the_old_rule_lets_it_pass(
    tmp_path: Path, changes: dict[str, float], words: tuple[str, ...]
) -> None:
    scores = scores_of(0.03)
    scores["directions"]["B2A"] |= {key: figure(value) for key, value in changes.items()}
    run, evaluation = write_run(tmp_path, "one", scores)
    done = promote(run, evaluation, Workspace(tmp_path), "makeup")
    assert not done.promoted
    assert all(word in done.reason for word in ("bare → makeup", *words)), done.reason
    assert promote(run, evaluation, Workspace(tmp_path), "makeup", _OLD_RULE).promoted


def test_better_than_a_tint_but_not_surely_is_not_enough(tmp_path: Path) -> None:
    scores = scores_of(0.03)
    unsure = {"value": -0.002, "low": -0.005, "high": 0.001}
    scores["directions"]["A2B"] |= {"tint_kid": figure(0.032), "tint_kid_change": unsure}
    run, evaluation = write_run(tmp_path, "one", scores)
    assert "not surely" in promote(run, evaluation, Workspace(tmp_path), "makeup").reason
    lenient = PromoteConfig(surely=False)
    assert promote(run, evaluation, Workspace(tmp_path), "makeup", lenient).promoted


def test_scores_without_closed_forms_pass_by_the_old_rule_alone(tmp_path: Path) -> None:
    scores = scores_of(0.03)
    for direction in scores["directions"].values():
        for key in ("tint_kid", "tint_kid_change", "fid", "domain_success", "judges"):
            del direction[key]
    run, evaluation = write_run(tmp_path, "old", scores)
    assert "evaluate again" in promote(run, evaluation, Workspace(tmp_path), "makeup").reason
    assert promote(run, evaluation, Workspace(tmp_path), "makeup", _OLD_RULE).promoted


def test_a_blind_classifier_does_not_judge(tmp_path: Path) -> None:
    scores = scores_of(0.03)
    for direction in scores["directions"].values():
        direction["domain_success"] = figure(0.5)
        direction["domain_success_baseline"] = {"value": 0.5, "low": 0.4, "high": 0.6}
        direction["domain_success_ceiling"] = {"value": 0.55, "low": 0.45, "high": 0.65}
    run, evaluation = write_run(tmp_path, "one", scores)
    assert promote(run, evaluation, Workspace(tmp_path), "makeup").promoted


def test_a_network_of_the_loss_does_not_judge(tmp_path: Path) -> None:
    network = {"name": "f", "pretraining": "ImageNet", "use": "validation"}
    for use, promoted in (("loss", False), ("validation", True)):
        scores = scores_of(0.03) | {"training_networks": [network | {"use": use}]}
        done = promote(*write_run(tmp_path, use, scores), Workspace(tmp_path), "makeup")
        assert done.promoted is promoted, done.reason


def _judged(*judges: dict[str, Any]) -> dict[str, Any]:
    scores = scores_of(0.03)
    scores["directions"]["B2A"]["judges"] = list(judges)
    return scores


def test_a_judge_that_sees_it_worse_stops_a_model_and_is_named(tmp_path: Path) -> None:
    scores = _judged(judge("random_convolutions", 0.7), judge("mesh_activations", -0.3))
    run, evaluation = write_run(tmp_path, "one", scores)
    done = promote(run, evaluation, Workspace(tmp_path), "makeup")
    assert not done.promoted
    expected = ("bare → makeup", "surely worse", "the face mesh's activations (whole picture)")
    assert all(text in done.reason for text in (*expected, "0.6500", "0.5000")), done.reason
    assert promote(run, evaluation, Workspace(tmp_path), "makeup", _OLD_RULE).promoted


def test_a_blind_judge_does_not_stop_a_model(tmp_path: Path) -> None:
    scores = _judged(judge("mesh_activations", -0.9, errors_apart=2.9))
    run, evaluation = write_run(tmp_path, "one", scores)
    assert promote(run, evaluation, Workspace(tmp_path), "makeup").promoted


def test_a_judge_of_a_network_of_the_loss_does_not_stop_a_model(tmp_path: Path) -> None:
    scores = _judged(judge("mesh_activations", -0.9) | {"is_independent": False})
    run, evaluation = write_run(tmp_path, "one", scores)
    assert promote(run, evaluation, Workspace(tmp_path), "makeup").promoted


def test_each_judge_that_sees_asks_for_a_least_share(tmp_path: Path) -> None:
    scores = _judged(judge("domain_network", 0.9), judge("random_convolutions", 0.06))
    run, evaluation = write_run(tmp_path, "one", scores)
    done = promote(run, evaluation, Workspace(tmp_path), "makeup")
    assert not done.promoted
    assert "6.0 % of the way from untranslated to real pictures by random conv" in done.reason
    assert "10.0 % (promote.min_judge_share)" in done.reason
    lenient = PromoteConfig(min_judge_share=0.05)
    assert promote(run, evaluation, Workspace(tmp_path), "makeup", lenient).promoted


@pytest.mark.parametrize("name", ["f", "another network"])
def test_two_independent_judges_stand_in_for_a_network_of_the_loss(
    tmp_path: Path, name: str
) -> None:
    network = {"name": name, "pretraining": "ImageNet", "use": "loss"}
    scores = scores_of(0.03) | {"training_networks": [network]}
    done = promote(*write_run(tmp_path, "one", scores), Workspace(tmp_path), "makeup")
    assert not done.promoted
    assert f"{name} was part of a loss" in done.reason
    for direction in scores["directions"].values():
        direction["judges"].append(judge("domain_network", 0.5))
    done = promote(*write_run(tmp_path, "two", scores), Workspace(tmp_path), "makeup")
    assert done.promoted, done.reason


def test_the_champion_stays_within_the_challengers_interval(tmp_path: Path) -> None:
    first = promote(*write_run(tmp_path, "one", scores_of(0.03)), Workspace(tmp_path), "makeup")
    scores = scores_of(0.029)
    for direction in scores["directions"].values():
        direction["kid"] = {"value": 0.029, "low": 0.02, "high": 0.04}
    assert not promote(*write_run(tmp_path, "two", scores), Workspace(tmp_path), "makeup").promoted
    other = promote(
        *write_run(tmp_path, "three", scores_of(0.01, dataset="d2")), Workspace(tmp_path), "makeup"
    )
    assert "other pictures" in other.reason
    assert champion(Workspace(tmp_path), "makeup") == first.model


def test_a_person_promotes_and_rolls_back(tmp_path: Path) -> None:
    one = promote(*write_run(tmp_path, "one", scores_of(0.03)), Workspace(tmp_path), "makeup").model
    bad = promote(*write_run(tmp_path, "bad", scores_of(0.07)), Workspace(tmp_path), "makeup").model
    two = promote(*write_run(tmp_path, "two", scores_of(0.02)), Workspace(tmp_path), "makeup").model
    crown(Workspace(tmp_path), "makeup", bad.name, "I like it")
    assert champion(Workspace(tmp_path), "makeup") == bad
    assert rollback(Workspace(tmp_path), "makeup") == two
    assert rollback(Workspace(tmp_path), "makeup") == one
    with pytest.raises(SuyanError, match="no earlier champion"):
        rollback(Workspace(tmp_path), "makeup")
    assert champion(Workspace(tmp_path), "makeup") == one
    history = json.loads((one.parent / "champion.json").read_text())["history"]
    assert [event["by"] for event in history] == [
        "gate", "gate", "person", "rollback", "rollback",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="step8-"):
        crown(Workspace(tmp_path), "makeup", "none")


def _against(scores: dict[str, Any], champion: str, change: float, half: float) -> dict[str, Any]:
    for direction in scores["directions"].values():
        interval = {"value": change, "low": change - half, "high": change + half}
        direction["champion"] = {"kid": figure(0.03), "kid_change": interval}
    return scores | {"champion": {"model": champion}}


def test_the_paired_comparison_decides_whatever_the_champion_was_trained_on(tmp_path: Path) -> None:
    first = promote(
        *write_run(tmp_path, "one", scores_of(0.03)), Workspace(tmp_path), "makeup"
    ).model
    unsure = _against(scores_of(0.02, dataset="d2"), first.name, -0.01, 0.02)
    done = promote(*write_run(tmp_path, "two", unsure), Workspace(tmp_path), "makeup")
    assert not done.promoted
    assert "on the same pictures" in done.reason
    sure = _against(scores_of(0.021, dataset="d3"), first.name, -0.009, 0.003)
    done = promote(*write_run(tmp_path, "three", sure), Workspace(tmp_path), "makeup")
    assert done.promoted
    assert champion(Workspace(tmp_path), "makeup") == done.model
    # A comparison with an earlier champion does not count for the present one.
    stale = _against(scores_of(0.01, dataset="d4"), first.name, -0.02, 0.001)
    assert (
        "evaluate again"
        in promote(*write_run(tmp_path, "four", stale), Workspace(tmp_path), "makeup").reason
    )


def test_a_failed_evaluation_moves_nothing(tmp_path: Path) -> None:
    first = promote(
        *write_run(tmp_path, "one", scores_of(0.03)), Workspace(tmp_path), "makeup"
    ).model
    before = (first.parent / "champion.json").read_bytes()
    run, evaluation = write_run(tmp_path, "two", scores_of(0.01))
    for torn in ("", "{", '{"directions": {'):
        (evaluation / "scores.json").write_text(torn)
        with pytest.raises(SuyanError, match="evaluate first"):
            promote(run, evaluation, Workspace(tmp_path), "makeup")
    few = scores_of(0.01)
    for direction in few["directions"].values():
        del direction["kid"]
    assert not promote(*write_run(tmp_path, "few", few), Workspace(tmp_path), "makeup").promoted
    nan = scores_of(0.01)
    nan["directions"]["A2B"]["kid_change"] = dict.fromkeys(("value", "low", "high"), float("nan"))
    run, evaluation = write_run(tmp_path, "nan", scores_of(0.01))
    (evaluation / "scores.json").write_text(json.dumps(nan))
    with pytest.raises(ValueError, match="JSON"):
        promote(run, evaluation, Workspace(tmp_path), "makeup")
    assert (first.parent / "champion.json").read_bytes() == before
    assert champion(Workspace(tmp_path), "makeup") == first


def test_a_version_says_what_it_is(tmp_path: Path) -> None:
    scores = scores_of(0.03) | {"config": {"language": "zh"}}
    card = (
        promote(*write_run(tmp_path, "one", scores), Workspace(tmp_path), "makeup").model
        / "card.md"
    )
    text = card.read_text()
    assert text.startswith("---\nlibrary_name: suyan\n")
    assert "\n# 化妆 ⇄ 素颜\n" in text
    assert "`makeup/step8-" in text
    assert "| 与真实图片的 KID | 0.0300 |" in text
    assert "`d1`" in text


def test_a_strength_is_stored_named_and_makes_another_version(tmp_path: Path) -> None:
    plain = scores_of(0.03)
    run, evaluation = write_run(tmp_path, "one", plain)
    first = promote(run, evaluation, Workspace(tmp_path), "makeup").model
    assert not (first / "strengths.json").exists()
    chosen = {"chosen": 1, "kid": figure(0.02), "compared": []}
    for strength in (1, 1.25):
        plain["directions"]["A2B"]["strength"] = chosen | {"chosen": strength}
        (evaluation / "scores.json").write_text(json.dumps(plain))
        model = promote(run, evaluation, Workspace(tmp_path), "makeup").model
        assert (model == first) is (strength == 1)
    assert json.loads((model / "strengths.json").read_text()) == {"G_A": 1.25, "G_B": 1}
    sentence = "The change is applied with a strength of 1.25 (makeup → bare) instead of 1."
    assert sentence in (model / "card.md").read_text(encoding="utf-8")
    assert "a strength of" not in (first / "card.md").read_text(encoding="utf-8")
    # a torn file is written again
    (model / "strengths.json").write_text("{")
    assert promote(run, evaluation, Workspace(tmp_path), "makeup").model == model
    assert json.loads((model / "strengths.json").read_text()) == {"G_A": 1.25, "G_B": 1}


@pytest.mark.slow
@pytest.mark.parametrize("in_processes", [False, True])
def test_promotions_at_once_leave_one_whole_champion(tmp_path: Path, in_processes: bool) -> None:
    kids = [0.04 - 0.005 * index for index in range(6)]
    spawning = multiprocessing.get_context("spawn")
    pools = {False: lambda: ThreadPoolExecutor(6), True: lambda: ProcessPoolExecutor(3, spawning)}
    with pools[in_processes]() as pool:
        done = [pool.submit(promote_one, tmp_path, f"kid{kid:.3f}", kid) for kid in kids]
        for future in done:
            future.result()
    best = champion(Workspace(tmp_path), "makeup")
    figures = json.loads((best / "scores.json").read_text())["directions"]["A2B"]["kid"]
    assert figures["value"] == min(kids)
    pointer = json.loads((best.parent / "champion.json").read_text())
    assert len(pointer["history"]) == len(pointer["previous"]) + 1
    assert not list(best.parent.glob(".step*"))
