import pytest

from flows.forms.effective import resolve, with_preset
from flows.forms.form import TRAIN
from flows.parameters import TrainParameters
from flows.presets import Preset
from flows.recipes import RECIPES, makeup
from training.runtime.launcher import Torchrun
from training.standard_configs import demo, hour


@pytest.mark.parametrize("name", RECIPES)
def test_as_given_changes_nothing(name: str) -> None:
    parameters = RECIPES[name]()
    assert with_preset(parameters, "as given") is parameters


def test_small_is_the_training_of_the_demo_on_all_pictures() -> None:
    changed = with_preset(makeup(), "small")
    assert changed.train == demo()
    assert changed.prepare.crop_px == demo().load_px
    assert changed.crawl_a == makeup().crawl_a


def test_a_trial_is_small_everywhere_and_never_asks_for_more_pictures() -> None:
    changed = with_preset(makeup(), "trial")
    assert changed.crawl_a.num_images <= 60
    assert changed.train.num_epochs + changed.train.num_epochs_decay == 2
    assert changed.crawl_a.phrases == makeup().crawl_a.phrases
    fewer = resolve(
        TRAIN, TrainParameters(recipe="makeup", train=makeup().train), preset="trial"
    ).parameters
    assert fewer.train == changed.train


def test_the_recipe_stays_when_training_alone() -> None:
    parameters = TrainParameters(recipe="seasons", train=makeup().train)
    small = resolve(TRAIN, parameters, preset="small").parameters
    assert (small.recipe, small.train) == ("seasons", demo())
    assert resolve(TRAIN, parameters, preset="hour").parameters.train == hour()
    assert resolve(TRAIN, parameters).parameters == parameters


@pytest.mark.parametrize("preset", ["small", "trial"])
def test_a_preset_is_what_several_processes_can_train(preset: Preset) -> None:
    torchrun = Torchrun(processes_per_node=3)
    parameters = makeup().model_copy(update={"torchrun": torchrun})
    changed = with_preset(parameters, preset).train
    assert (changed.norm, changed.batch_size) == ("instance", 6)
    with pytest.raises(ValueError, match=r"train\.batch_size: got 1, needed a multiple of .* 3"):
        with_preset(parameters, "as given")
    alone = TrainParameters(recipe="a", train=demo().model_copy(update={"batch_size": 3}))
    alone = alone.model_copy(update={"torchrun": torchrun})
    with pytest.raises(ValueError, match=r"train\.norm: got batch .* needed instance"):
        resolve(TRAIN, alone)
