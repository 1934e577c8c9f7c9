"""The training after a refresh: from the champion, in a share of the steps."""

from __future__ import annotations

import logging

from core.errors import SuyanError
from core.language.messages import localised
from core.workspace import Workspace
from flows.parameters import TrainParameters
from flows.warm_start.starting_points import CHAMPION
from training.config import TrainConfig

_RATE_SHARE = 0.3  # of the learning rate
_FIELDS = ("generator", "num_blocks", "upsampling", "residual", "norm", "ngf", "crop_px")


def retraining(
    parameters: TrainParameters,
    workspace: Workspace,
    logger: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> TrainConfig:
    """The configuration of a training that follows a refresh.

    It starts from the recipe's champion with ``retrain_share`` of the epochs and without supervised
    steps, unless ``retrain_from`` is nothing, the recipe names another model to start from, or the
    champion has another network; then it is the recipe's.
    """
    config = parameters.train
    if parameters.retrain_from == "nothing" or config.init_from:
        return config
    from evaluation.model_registry.model_versions import champion
    from storage import models
    from training.run.checkpoint import load_config

    try:
        models.fetch(workspace, parameters.recipe)
        model = champion(workspace, parameters.recipe)
        former = load_config(model)
    except SuyanError as error:
        logger.info(localised("the training starts from nothing: %s"), error)
        return config
    differing = [name for name in _FIELDS if getattr(former, name) != getattr(config, name)]
    if differing:
        logger.warning(
            localised("the training starts from nothing: the champion %s has another %s"),
            model.name, ", ".join(differing),
        )  # fmt: skip
        return config
    logger.info(
        localised(
            "the training starts from the champion %s, with %.0f %% of the epochs (retrain_from)"
        ),
        model.name, 100 * parameters.retrain_share,
    )  # fmt: skip
    return warm(config, parameters.retrain_share).model_copy(update={"init_from": CHAMPION})


def warm(config: TrainConfig, share: float) -> TrainConfig:
    """``config`` with ``share`` of its epochs, one at least, without supervised steps, and with a
    lower learning rate: at the full one, trained weights get worse first (docs/training.md).
    """
    num = max(1, round(share * (config.num_epochs + config.num_epochs_decay)))
    num_decay = (num + 1) // 2 if config.num_epochs_decay else 0
    values = {
        "num_epochs": num - num_decay,
        "num_epochs_decay": num_decay,
        "pseudo_steps": 0,
        "learning_rate": _RATE_SHARE * config.learning_rate,
    }
    return TrainConfig.model_validate(config.model_dump() | values)
