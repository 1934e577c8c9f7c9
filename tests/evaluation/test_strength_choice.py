"""A direction's strength is another than 1 only where training pictures say so surely."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_evaluation import config_of, dataset_of, train_on

from core.workspace import Workspace
from evaluation.arrays import Array
from evaluation.champion_record import ComparedChampion, MissingChampion, NoChampion
from evaluation.config import EvaluateConfig
from evaluation.evaluate import evaluate
from evaluation.figures import is_figure
from evaluation.model_registry.promote import promote
from evaluation.report.wording import words
from evaluation.scores import DirectionScores
from evaluation.strength_choice import StrengthChoice, candidates, choose_strength
from evaluation.training_networks import NetworkUse
from training.config import TrainConfig
from training.run.checkpoint import load_generators, save_weights

CONFIG = EvaluateConfig(num_bootstrap=200)


def _features(share: float, num: int = 60, seed: int = 0) -> Array:
    """Features of translations that went ``share`` of the way, of the same inputs each time."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num, 16)) + share * np.linspace(1, 2, 16)


REAL, INPUTS = _features(1.0, seed=1), _features(0.0)


def _choose(at_1: float, **shares: float) -> StrengthChoice:
    by_strength = {
        float(name.replace("_", ".").strip("s")): _features(share) for name, share in shares.items()
    }
    return choose_strength(CONFIG, _features(at_1), by_strength, REAL, INPUTS)


def test_a_change_that_stops_short_gets_the_strength_that_arrives() -> None:
    choice = _choose(0.66, s0_75=0.5, s1_25=0.83, s1_5=1.0)
    assert choice.chosen == 1.5
    assert choice.best is not None
    assert choice.best.kid_change.high < 0
    assert choice.kid is not None
    assert choice.best.kid.value < choice.kid.value


def test_of_several_sure_strengths_the_nearest_is_kept() -> None:
    assert _choose(0.7, s1_25=0.97, s1_5=1.3).chosen == 1.25
    assert _choose(1.4, s0_75=1.02, s1_25=1.8).chosen == 0.75


def test_1_is_kept_where_nothing_is_surely_better() -> None:
    choice = _choose(1.0, s0_75=0.8, s1_25=1.2)
    assert (choice.chosen, choice.best, len(choice.compared)) == (1.0, None, 2)
    for seed in range(20):  # translations that differ by noise alone
        rng = np.random.default_rng(seed)
        translated = _features(0.8, num=30)
        noisy = {s: translated + rng.normal(scale=0.3, size=(30, 16)) for s in (0.75, 1.25)}
        noisy[1.25] -= 0.01  # hardly farther
        before = _features(0.0, num=30)
        assert choose_strength(CONFIG, translated, noisy, REAL, before).chosen == 1


def test_a_way_that_leads_nowhere_is_not_walked_a_shorter_part_of() -> None:
    """Of a hardly trained generator every smaller strength is surely better than 1."""
    choice = _choose(-0.8, s0_75=-0.6, s1_25=-1.0)
    assert choice.compared[0].kid_change.high < 0
    assert choice.chosen == 1
    assert _choose(2.6, s0_75=1.95).chosen == 1  # so far beyond that even this is worse


def test_a_choice_is_read_as_it_was_written() -> None:
    for choice in (_choose(0.7, s1_25=0.97), _choose(1.0, s0_75=0.8), StrengthChoice()):
        stored = json.loads(json.dumps(choice.to_json()))
        assert StrengthChoice.from_json(stored) == choice
        assert not is_figure(stored)  # or earlier versions would take it for one
        direction = DirectionScores("makeup", "bare", strength=choice)
        assert DirectionScores.from_json(direction.to_json()) == direction
    assert DirectionScores.from_json({"from": "makeup", "to": "bare"}).strength is None


def test_too_few_pictures_choose_nothing() -> None:
    assert candidates(CONFIG, REAL, REAL) == (0.75, 1.25, 1.5)
    assert candidates(CONFIG, REAL[:9], REAL) == candidates(CONFIG, REAL, REAL[:9]) == ()
    doubled = EvaluateConfig(strengths=(1.5, 1.0, 1.5))
    assert candidates(doubled, REAL, REAL) == (1.5,)
    assert candidates(EvaluateConfig(strengths=()), REAL, REAL) == ()
    assert choose_strength(CONFIG, REAL, {}, REAL, REAL) == StrengthChoice()


@pytest.mark.parametrize("strength", [0, -1, 3.5, float("nan")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match="strengths"):
        EvaluateConfig(strengths=(strength,))


def _plant(run: Path, shift: float) -> None:
    """Give the run's checkpoint residual generators that add a constant tint: ``shift`` to red and
    take it from blue, or the other way round.
    """
    (checkpoint,) = (run / "checkpoints").glob("step_*")
    config = json.loads((checkpoint / "config.json").read_text()) | {"residual": True}
    TrainConfig.model_validate(config)
    (checkpoint / "config.json").write_text(json.dumps(config))
    G_A, G_B, _ = load_generators(checkpoint)
    for name, network, sign in (("G_A", G_A, 1), ("G_B", G_B, -1)):
        layer = network.output_layer
        assert layer.bias is not None
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor([sign * shift, 0, -sign * shift]).atanh())
        save_weights(checkpoint / f"{name}.safetensors", network)


@pytest.mark.slow
def test_a_planted_strength_is_found_measured_with_stored_and_used(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    dataset = dataset_of(tmp_path / "datasets" / "tiny", num_test=16)
    short, full = (train_on(dataset, tmp_path / "runs" / name) for name in ("short", "full"))
    _plant(short, 0.3)
    _plant(full, 0.45)
    only = config_of(strengths=(1.5,), num_bootstrap=200)
    found = evaluate(only, dataset, short, workspace)
    wanted = evaluate(config_of(strengths=(), num_bootstrap=200), dataset, full, workspace)
    for name, direction in found.scores.directions.items():
        assert direction.strength is not None
        assert direction.strength.chosen == 1.5
        for key in ("kid", "fid", "change_l1", "cycle_l1"):  # measured with it, both ways
            figure, planted = direction.figure(key), wanted.scores.directions[name].figure(key)
            assert figure is not None
            assert planted is not None
            assert figure.value == pytest.approx(planted.value, rel=0.02, abs=1e-3), key
        assert wanted.scores.directions[name].strength == StrengthChoice()
    networks = found.scores.training_networks
    assert networks is not None
    assert NetworkUse.WEIGHTS in {network.use for network in networks}
    assert found.verdict.endswith(
        "The change is applied with a strength of 1.5 (makeup → bare) and 1.5 (bare → makeup) "
        "instead of 1."
    )
    html = found.report.read_text(encoding="utf-8")
    assert "Strength 1.5 is kept: its KID minus that of strength 1 is" in html
    assert words("en")["strength_note"] not in wanted.report.read_text(encoding="utf-8")
    chinese = evaluate(only.model_copy(update={"language": "zh"}), dataset, short, workspace)
    assert chinese.reused
    assert chinese.verdict.endswith(
        "改变的强度为 1.5（化妆 → 素颜）和 1.5（素颜 → 化妆），而不是 1。"
    )
    assert "采用强度 1.5：" in chinese.report.read_text(encoding="utf-8")

    stored = promote(short, found.folder, workspace, "pair").model
    assert json.loads((stored / "strengths.json").read_text()) == {"G_A": 1.5, "G_B": 1.5}
    assert "strength of 1.5 (makeup → bare)" in (stored / "card.md").read_text(encoding="utf-8")
    assert [network.strength for network in load_generators(stored)[:2]] == [1.5, 1.5]

    # the same weights with another strength are another model, which is compared with this one
    plain = evaluate(
        config_of(strengths=(), num_bootstrap=200), dataset, short, workspace, champion=stored
    )
    assert isinstance(plain.scores.champion, ComparedChampion)
    for name, direction in plain.scores.directions.items():
        theirs = found.scores.directions[name].figure("kid")
        assert theirs is not None
        assert direction.champion is not None
        assert direction.champion.kid is not None
        assert direction.champion.kid.value == pytest.approx(theirs.value)
    other = promote(short, plain.folder, workspace, "pair").model
    assert other != stored
    assert not (other / "strengths.json").exists()
    again = evaluate(only, dataset, short, workspace, champion=stored)
    assert again.scores.champion == MissingChampion(NoChampion.ITSELF)
