"""Presets: sizes of a run, to be chosen in its form instead of setting thirty fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from flows.parameters import PipelineParameters, TrainParameters
from training.config import TrainConfig, demo, hour
from training.runtime.launcher import Torchrun

Preset = Literal["as given", "small", "hour", "trial"]
_TRIAL_TRAINING = {
    "load_px": 64,
    "crop_px": 64,
    "num_blocks": 1,
    "ngf": 8,
    "ndf": 8,
    "d_layers": 2,
    "norm": "batch",
    "batch_size": 4,
    "num_epochs": 1,
    "num_epochs_decay": 1,
    "checkpoint_every": 50,
    "sample_every": 50,
}
_TRAININGS: Mapping[str, Callable[[], TrainConfig]] = MappingProxyType(
    {
        "small": demo,
        "hour": hour,
        "trial": lambda: TrainConfig.model_validate(_TRIAL_TRAINING),
    }
)
_NUM_TRIAL_IMAGES = 60  # per domain


def with_preset(parameters: PipelineParameters, preset: Preset) -> PipelineParameters:
    """``parameters`` at the size of ``preset``; ``"as given"`` changes nothing.

    Raises ``ValueError`` for a training that several processes cannot do: without this check the
    run would fail hours later.
    """
    if preset == "as given":
        parameters.torchrun.check(parameters.train)
        return parameters
    training = _training(preset, parameters.torchrun)
    values: dict[str, Any] = parameters.model_dump()
    values["train"] = training
    values["prepare"] |= {"crop_px": training.load_px}
    if preset == "trial":
        for side in ("crawl_a", "crawl_b"):
            values[side] |= {"num_images": min(values[side]["num_images"], _NUM_TRIAL_IMAGES)}
        values["prepare"] |= {"min_images": 8, "test_fraction": 0.3}
        values["evaluate"] |= {"num_bootstrap": 100, "inception": "cached"}
    return PipelineParameters.model_validate(values)


def train_with_preset(parameters: TrainParameters, preset: Preset) -> TrainParameters:
    """Like ``with_preset``, for a training only."""
    if preset == "as given":
        parameters.torchrun.check(parameters.train)
        return parameters
    return parameters.model_copy(update={"train": _training(preset, parameters.torchrun)})


def _training(preset: Preset, torchrun: Torchrun) -> TrainConfig:
    """The preset's training, changed so that the processes of ``torchrun`` can share it."""
    training = _TRAININGS[preset]()
    if not torchrun.is_needed:
        return training
    num = torchrun.num_processes
    shared = {"norm": "instance", "batch_size": -(-training.batch_size // num) * num}
    return TrainConfig.model_validate(training.model_dump() | shared)
