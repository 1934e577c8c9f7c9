"""The stage's verb: train a CycleGAN on a dataset version, or resume an interrupted run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.config_identity import identity
from core.files import claim_folder
from core.language.messages import localised
from core.progress import Progress, silent
from training.build import build, windows_of
from training.config import TrainConfig
from training.data.dataset import UnalignedPictures
from training.data.picture_digests import claim_pictures
from training.run.checkpoint import best_checkpoint, latest_checkpoint
from training.run.run_log import TrainingLog
from training.run.sample_grid import SampleGrid
from training.run.signals import DeferredSignals
from training.run.state import restore
from training.runtime.compile import compile_networks, should_compile
from training.runtime.device import prepare_torch
from training.runtime.distributed import World, joined_world
from training.runtime.thread_count import build_thread_count
from training.tracking.hyperparameters import hyperparameters
from training.tracking.tracked_training import tracked
from training.tracking.tracker import require_packages
from training.trainer import Trainer, num_steps

Distance = Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]
"""The distance between two sets of pictures, ``[N, H, W, 3]`` uint8, for example their KID."""


@dataclass(frozen=True)
class TrainSummary:
    """The result of a call of ``train``.

    ``seconds``, ``resumed_from_step`` and ``events`` are those of this call, ``steps`` and
    ``epochs`` those of the whole run. ``best`` is the checkpoint of the best validation, ``None``
    without any. A person should know of the ``events`` (rollbacks, saturation, collapse, early
    stop).
    """

    run: Path
    checkpoint: Path
    steps: int
    epochs: int
    seconds: float
    resumed_from_step: int
    best: Path | None = None
    events: tuple[str, ...] = ()


def train(
    config: TrainConfig,
    dataset: Path,
    run: Path,
    *,
    progress: Progress = silent,
    distance: Distance | None = None,
) -> TrainSummary:
    """Train to the end of the last epoch and return the last checkpoint.

    Called again after an interruption, it resumes from the last whole checkpoint and, on a CPU
    with the same number of threads (``num_threads``; 0 chooses one by measuring), ends with bitwise
    the weights of an uninterrupted run. Started by ``torchrun``, all processes train together, each
    on its share of every batch. ``distance`` measures translations of the pictures held back, where
    the configuration validates.

    Raises ``ValueError`` for a dataset without pictures or a configuration that it does not allow,
    ``FolderMismatchError`` when ``run`` holds the work of another configuration or of other
    pictures, ``SuyanError`` when a checkpoint cannot be read at present and when losses are not
    finite again and again, ``OSError`` when the last checkpoint cannot be written;
    ``MissingModelError`` for a tracker that is not installed.
    """
    require_packages(config.track)
    if config.validate_every and distance is None:
        raise ValueError(
            localised(
                "validate_every: got {validate_every} without a distance to validate by "
                "(--distance MODULE:FUNCTION); 0 trains without",
                validate_every=config.validate_every,
            )
        )
    started = time.monotonic()
    with joined_world(config.device) as world:
        check_world(config, world)
        prepare_torch(config)
        pictures = UnalignedPictures(dataset, config, world)
        if world.is_first:
            claim_folder(run, {"train": identity(config), "dataset": dataset.name})
            claim_pictures(run, dataset)
        samples = SampleGrid(dataset, config.crop_px)
        total = num_steps(config, pictures)
        to_compile = should_compile(config, total)
        gan = build(config, world, windows=windows_of(config, dataset), to_compile=to_compile)
        state = restore(gan, run)
        resumed = state.position.step
        threads = build_thread_count(gan, is_compiled=to_compile)
        with threads, DeferredSignals() as signals:
            if resumed < total:
                threads.choose()  # compiled code has a fixed number of threads
                if to_compile:
                    compile_networks(gan)
            described = hyperparameters(config, dataset.name)
            log = TrainingLog(run, resumed, described) if world.is_first else None
            with tracked(config.track if world.is_first else (), run, described):
                try:
                    trainer = Trainer(
                        gan, run, pictures, samples, log, signals, threads, progress, distance,
                        state,
                    )  # fmt: skip
                    state = trainer.run()
                finally:
                    if log is not None:
                        log.close()
        world.wait()
        checkpoint = latest_checkpoint(run)
        assert checkpoint is not None
    return TrainSummary(
        run=run,
        checkpoint=checkpoint,
        steps=state.position.step,
        epochs=max(0, state.position.epoch - 1),
        seconds=time.monotonic() - started,
        resumed_from_step=resumed,
        best=best_checkpoint(run),
        events=tuple(trainer.events),
    )


def check_world(config: TrainConfig, world: World) -> None:
    """Raise ``ValueError`` for a configuration that several processes cannot train together."""
    if world.size > 1 and config.norm == "batch":
        raise ValueError(
            localised(
                "norm: got batch with {size} processes, whose statistics would differ from "
                "those of one process; needed instance",
                size=world.size,
            )
        )
    if world.size > 1 and ":" in config.device:
        raise ValueError(
            localised(
                "device: got {device} with {size} processes, each of which takes a GPU of "
                "its own; needed cuda or auto",
                device=config.device,
                size=world.size,
            )
        )
