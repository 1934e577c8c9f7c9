"""More epochs for a finished run: another run of the same pictures that goes on where it ended.

Its folder gets the last checkpoint and the logs of the former one, so that its curves are those of
one training. The former run stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.commands import suyan_command
from core.errors import SuyanError
from core.files import load_json
from core.language.messages import localised
from core.workspace import Workspace
from core.workspace_folders import RunFolder
from flows import latest
from training.config import TrainConfig
from training.run.starting_point import StartingPoint


@dataclass(frozen=True)
class Continuation:
    """The training that goes on with a run: its configuration, its dataset, and the checkpoint."""

    config: TrainConfig
    dataset: str  # name, as the run records it
    start: StartingPoint


def continuation(workspace: Workspace, recipe: str, run: str, num_epochs: int) -> Continuation:
    """``num_epochs`` more for a run by name, or the recipe's newest.

    The first half of them has the full learning rate; over the second it falls to zero again.
    Raises ``SuyanError`` for a run that is not at its end.
    """
    from training.run.checkpoint import latest_checkpoint, load_config
    from training.run.state import load_train_state

    folder = RunFolder(latest.run_folder(workspace, recipe, run))
    checkpoint = latest_checkpoint(folder.path)
    if checkpoint is None:
        raise SuyanError(
            localised("{path} has no checkpoint yet; train it first", path=folder.path)
        )
    config = load_config(checkpoint)
    num_done = config.num_epochs + config.num_epochs_decay
    state = load_train_state(checkpoint)
    if state.position.epoch <= num_done and not state.is_stopped:
        raise SuyanError(
            localised(
                "{path} is in epoch {epoch} of {num_done}, and goes on with the command that "
                "started it; more epochs are for a finished run",
                path=folder.path,
                epoch=state.position.epoch,
                num_done=num_done,
            ),
            remedy=suyan_command("train", workspace=workspace, recipe=recipe),
        )
    num_done = state.position.epoch - 1  # fewer than planned, where it stopped early
    start = StartingPoint(checkpoint, f"{folder.path.name}/{checkpoint.name}")
    values = config.model_dump() | {
        "continues": start.origin,
        "init_from": "",
        "num_epochs": num_done + (num_epochs + 1) // 2,
        "num_epochs_decay": num_epochs // 2,
    }
    dataset = str(load_json(folder.config)["dataset"])
    return Continuation(TrainConfig.model_validate(values), dataset, start)
