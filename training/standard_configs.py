"""The configurations that presets and recipes start from."""

from __future__ import annotations

from training.config import TrainConfig


def reference() -> TrainConfig:
    """The reference's defaults at 256 px, which need a GPU."""
    return TrainConfig()


def demo() -> TrainConfig:
    """A training that takes minutes on two slow cores, and has a visible effect.

    A residual U-Net starts with sharp pictures, and supervised steps on pseudo pairs show it where
    to change them. With the paper's cycle weight it would change nothing (docs/training.md).
    """
    return TrainConfig(
        generator="fine_unet",
        residual=True,
        ngf=16,
        ndf=16,
        norm="batch",
        face_windows=True,
        pseudo_steps=500,
        pseudo_weight=5.0,
        lambda_a=0.5,
        lambda_b=0.5,
        lambda_identity=0.0,
        load_px=136,
        crop_px=128,
        batch_size=4,
        num_epochs=7,
        num_epochs_decay=7,
        learning_rate=1e-3,
        generator_rate=0.3,
        ema_decay=0.99,
        precision="auto",
        checkpoint_every=100,
        sample_every=100,
    )


def hour() -> TrainConfig:
    """A training of about an hour on two cores, for 500 to 600 photographs a side."""
    changes = {
        "ndf": 32, "discriminator_norm": "spectral", "face_exposure": 0.45, "pseudo_steps": 1000,
        "num_epochs": 20, "num_epochs_decay": 20, "ema_decay": 0.995,
        "checkpoint_every": 500, "sample_every": 500,
    }  # fmt: skip
    return TrainConfig.model_validate(demo().model_dump() | changes)
