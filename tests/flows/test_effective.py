"""Effective parameters: recipe, preset, and a person's changes."""

from typing import Any

import pytest

from flows.deployments import build_deployments
from flows.forms.effective import Effective, resolve, with_preset
from flows.forms.form import EVALUATE, PIPELINE, REFRESH, TRAIN
from flows.parameters import PipelineParameters
from flows.recipe_files.library import shipped_recipe
from flows.recipes import RECIPES, makeup, with_engine
from training.config import TrainConfig
from training.standard_configs import demo

DEPLOYED: dict[str, Any] = build_deployments(shipped_recipe("makeup"))[0]["parameters"][
    "parameters"
]


def _run(given: dict[str, Any], preset: Any = "as given") -> Effective[PipelineParameters]:
    """The effective parameters of a run of pipeline/makeup."""
    return resolve(PIPELINE, given, stored=DEPLOYED, preset=preset)


@pytest.mark.parametrize("given", [{}, DEPLOYED, makeup().model_dump(mode="json")])
def test_without_a_change_they_are_the_recipes(given: dict[str, Any]) -> None:
    effective = _run(given)
    assert effective.parameters == makeup()
    assert not effective.changes


def test_a_part_is_merged_over_the_recipe() -> None:
    effective = _run({"train": {"seed": 7}, "crawl_a": {"filters": {"face": True}}})
    expected = makeup().model_dump()
    expected["train"]["seed"] = 7
    expected["crawl_a"]["filters"]["face"] = True
    assert effective.parameters == PipelineParameters.model_validate(expected)
    assert effective.changes == {("train", "seed"): 7, ("crawl_a", "filters", "face"): True}


def test_the_recipe_is_that_of_the_deployment_as_it_is_stored() -> None:
    """People change the parameters of a deployment in the UI."""
    stored = {**DEPLOYED, "num_images": 300, "advanced": {"train": {"batch_size": 4}}}
    effective = resolve(PIPELINE, {"train": {"seed": 7}}, stored=stored)
    assert effective.parameters.crawl_b.num_images == 300
    assert effective.parameters.train == TrainConfig(batch_size=4, seed=7)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": {"num_epoch": 3}}, r"train\.num_epoch: .* nearest is train\.num_epochs"),
        ({"num_epochs": 3}, r"num_epochs: .* nearest is train\.num_epochs$"),
        ({"trian": {}}, r"trian: .* nearest is train$"),
        ({"crawl": {"engin_url": "x"}}, r"crawl\.engin_url: .* nearest is crawl\.engine_url"),
        ({"crawl_a": {"filters": {"faec": True}}}, r"nearest is crawl_a\.filters\.face"),
        ({"xyzzy": 1}, r"xyzzy: .* '.*suyan run --show' lists all"),
        ({"train": 5}, r"train: got 5, needed fields"),
        ({"train": {"num_epochs": -1}}, r"train\.num_epochs: got -1; .* greater than"),
        ({"promotion": "perhaps"}, r"promotion: got 'perhaps', needed one of automatic"),
        ({"seed": 3, "train": {"seed": 4}}, r"seed sets train\.seed too: got 3 and 4"),
        ({"train": {}, "advanced": {"train": {}}}, r"train: got twice"),
    ],
)
def test_a_wrong_part_is_refused_with_the_remedy(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _run(given)


def test_what_both_domains_share_is_set_once_and_one_domain_may_differ() -> None:
    parameters = _run(
        {
            "num_images": 200,
            "crawl": {"engine_url": "http://127.0.0.1:1", "allow_private_hosts": True},
            "crawl_b": {"engine_url": "http://127.0.0.1:2", "num_images": 50},
        }
    ).parameters
    assert [each.engine_url[-1] for each in (parameters.crawl_a, parameters.crawl_b)] == ["1", "2"]
    assert [each.num_images for each in (parameters.crawl_a, parameters.crawl_b)] == [200, 50]
    assert parameters.crawl_a.allow_private_hosts
    assert parameters.crawl_b.allow_private_hosts


def test_a_renamed_domain_is_renamed_in_the_preparation_too() -> None:
    parameters = _run({"crawl_b": {"domain": "plain"}}).parameters
    assert (parameters.prepare.domain_a, parameters.prepare.domain_b) == ("makeup", "plain")


@pytest.mark.parametrize(
    ("answer", "automatic", "approval"),
    [("automatic", True, "none"), ("approval", True, "required"), ("never", False, "none")],
)
def test_one_question_decides_on_promotion(answer: str, automatic: bool, approval: str) -> None:
    parameters = _run({"promotion": answer}).parameters
    assert (parameters.promote.automatic, parameters.approval) == (automatic, approval)


def test_a_preset_lies_beneath_what_a_person_changed() -> None:
    effective = _run({"train": {"num_epochs": 3}, "prepare": {"max_profile": 0.5}}, "small")
    parameters = effective.parameters
    assert parameters.train == demo().model_copy(update={"num_epochs": 3})
    assert (parameters.prepare.crop_px, parameters.prepare.max_profile) == (demo().load_px, 0.5)
    assert not effective.changes.keys() & effective.preset_changes.keys()


def test_a_value_that_a_person_enters_stays_though_it_is_the_recipes() -> None:
    assert makeup().train.num_epochs == 100 != demo().num_epochs
    assert _run({"train": {"num_epochs": 100}}, "small").parameters.train.num_epochs == 100


def test_what_the_form_sends_back_unchanged_is_no_change() -> None:
    """The form shows the deployment's answers, and sends them with every run."""
    effective = _run({**DEPLOYED, "advanced": {"train": None}}, "trial")
    assert effective.parameters.crawl_a.num_images == 60
    assert _run({**DEPLOYED, "num_images": 500}, "trial").parameters.crawl_a.num_images == 500


def test_of_parameters_given_whole_only_what_differs_is_a_change() -> None:
    """As former forms and files of ``suyan run --show`` hold them."""
    values = makeup().model_dump(mode="json")
    values["train"]["num_epochs"] = 33
    values["prepare"]["crop_px"] = 200
    effective = _run(values, "small")
    assert effective.changes == {("train", "num_epochs"): 33, ("prepare", "crop_px"): 200}
    assert effective.parameters.train == demo().model_copy(update={"num_epochs": 33})


def test_pictures_are_prepared_at_the_side_that_the_training_loads() -> None:
    effective = _run({"train": {"load_px": 192}}, "small")
    assert effective.parameters.prepare.crop_px == 192


def test_a_preset_leaves_seed_and_device_alone() -> None:
    stored = {**DEPLOYED, "seed": 5, "train": {"device": "cpu", "batch_size": 2}}
    train = resolve(PIPELINE, {}, stored=stored, preset="small").parameters.train
    assert (train.seed, train.device) == (5, "cpu")
    assert train.batch_size == demo().batch_size


def test_the_small_option_of_the_command_keeps_what_a_file_changed() -> None:
    changed = with_engine(makeup(), "http://127.0.0.1:1", allow_private_hosts=True)
    train = changed.train.model_copy(update={"num_epochs": 3})
    small = with_preset(changed.model_copy(update={"train": train}), "small")
    assert small.train == demo().model_copy(update={"num_epochs": 3})
    assert small.crawl_a.engine_url == "http://127.0.0.1:1"


@pytest.mark.parametrize("preset", ["small", "hour"])
def test_a_preset_sizes_a_recipe_of_ones_own_too(preset: Any) -> None:
    """Its parameters are given whole: there is no shipped recipe to compare them with."""
    values = makeup().model_dump(mode="json") | {"recipe": "pets"}
    values["train"]["num_epochs"] = 3
    result = with_preset(PipelineParameters.model_validate(values), preset)
    expected = with_preset(makeup(), preset)
    assert result.train == expected.train.model_copy(update={"num_epochs": 3})
    assert result.prepare == expected.prepare
    assert result.crawl_a == makeup().crawl_a


def test_former_shapes_mean_what_they_meant() -> None:
    """Parameters of a former deployment: what they leave out has its general default."""
    crawls = {
        "crawl_a": {"domain": "cats", "phrases": ["cat"], "suffixes": ["hd"]},
        "crawl_b": {"domain": "dogs", "phrases": ["dog"]},
    }
    former = {
        "recipe": "pets",
        **crawls,
        "prepare": {"domain_a": "cats", "domain_b": "dogs", "faces": False},
        "train": {},
        "evaluate": {},
        "approval": "required",
    }
    expected = PipelineParameters.model_validate(former)
    assert resolve(PIPELINE, former, stored=former).parameters == expected
    assert resolve(PIPELINE, {}, stored=former).parameters == expected
    assert resolve(PIPELINE, former, stored=DEPLOYED).parameters == expected  # of a script
    changed = resolve(PIPELINE, {"train": {"seed": 7}}, stored=former).parameters
    assert changed == expected.model_copy(update={"train": TrainConfig(seed=7)})
    refresh = {"recipe": "pets", **crawls, "prepare": former["prepare"], "retrain_above": 0.5}
    assert (
        resolve(REFRESH, {}, stored=refresh)
        .parameters.model_dump(exclude_unset=True, mode="json")
        .items()
        >= {"recipe": "pets", "retrain_above": 0.5}.items()
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_and_an_evaluation_alone_take_parts_too(recipe: str) -> None:
    stored = {"recipe": recipe, "train": {}}
    train = resolve(TRAIN, {"train": {"batch_size": 4}}, stored=stored).parameters
    assert (train.recipe, train.train) == (recipe, TrainConfig(batch_size=4))
    stored = {"recipe": recipe, "evaluate": {}}
    evaluate = resolve(EVALUATE, {"evaluate": {"seed": 2}}, stored=stored).parameters
    assert (evaluate.evaluate.seed, evaluate.recipe) == (2, recipe)
