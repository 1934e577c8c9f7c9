"""Presets: sizes of a run, to be chosen in its form instead of setting thirty fields.

A preset is applied to the recipe, beneath what a person changed: a changed value stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal

from flows.forms.field_values import Place, Values
from training.config import TrainConfig
from training.runtime.launcher import Torchrun
from training.standard_configs import demo, hour

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
_NO_SIZES = {"seed", "device", "num_threads"}  # of a training: no preset sets them
_NUM_TRIAL_IMAGES = 60  # per domain


def preset_values(preset: Preset, values: Mapping[Place, Any], torchrun: Torchrun) -> Values:
    """What ``preset`` sets in a run with ``values``, if the processes of ``torchrun`` train it.

    A trial searches for no more pictures than ``values`` ask for.
    """
    if preset == "as given":
        return {}
    training = _TRAININGS[preset]().model_dump(mode="json", exclude=_NO_SIZES)
    if torchrun.is_needed:
        num = torchrun.num_processes
        training |= {"norm": "instance", "batch_size": -(-training["batch_size"] // num) * num}
    sizes: Values = {("train", name): value for name, value in training.items()}
    if preset == "trial":
        for crawl in ("crawl_a", "crawl_b"):
            num_images = values.get((crawl, "num_images"), _NUM_TRIAL_IMAGES)
            sizes[crawl, "num_images"] = min(num_images, _NUM_TRIAL_IMAGES)
        sizes |= {("prepare", "min_images"): 8, ("prepare", "test_fraction"): 0.3}
        sizes |= {("evaluate", "num_bootstrap"): 100, ("evaluate", "inception"): "cached"}
    return sizes
