"""Configuration of training, and its presets."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TrainConfig(BaseModel):
    """The CycleGAN and how it is trained; the defaults are those of Zhu et al. 2017 (§4, §7)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_blocks: int = Field(
        9, ge=1, le=16, description="Residual blocks of a generator: 9 for 256 px, 6 for 128 px"
    )
    ngf: int = Field(64, ge=1, le=256, description="Channels after a generator's first layer")
    ndf: int = Field(64, ge=1, le=256, description="Channels after a discriminator's first layer")
    d_layers: int = Field(
        3, ge=1, le=5, description="Strided layers of a discriminator: 3 judges 70x70 px patches"
    )
    norm: Literal["instance", "batch"] = Field(
        "instance",
        description="Normalisation: instance is the paper's and forgets a picture's mean colour; "
        "batch keeps it and wants a batch_size of 4 or more",
    )
    load_px: int = Field(286, ge=32, le=2048, description="Side that pictures are resized to, px")
    crop_px: int = Field(
        256,
        ge=32,
        le=2048,
        description="Side of the random crop that is trained on, px; 4 divides it",
    )
    flip: bool = Field(True, description="Mirror every other picture, at random")
    augmentation: Literal["reference", "mild"] = Field(
        "reference",
        description="reference crops and mirrors; mild also turns and scales a little, which helps "
        "with few pictures and is safe for make-up",
    )
    colour_jitter: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Random change of brightness and contrast, at most this share",
    )
    batch_size: int = Field(1, ge=1, le=256, description="Pictures of each side in one step")
    num_epochs: int = Field(100, ge=0, le=10_000, description="Epochs at the full learning rate")
    num_epochs_decay: int = Field(
        100, ge=0, le=10_000, description="Epochs after these, over which the rate falls to zero"
    )
    decay: Literal["after-epoch", "before-epoch"] = Field(
        "after-epoch",
        description="When the falling rate steps: after-epoch lets the last epoch learn; "
        "before-epoch is what the reference's releases of 2020 to 2025 do",
    )
    learning_rate: float = Field(2e-4, gt=0, le=0.1, description="Adam's rate at the start")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the first moment")
    lambda_a: float = Field(10.0, ge=0, description="Weight of the cycle loss A to B to A")
    lambda_b: float = Field(10.0, ge=0, description="Weight of the cycle loss B to A to B")
    lambda_identity: float = Field(
        0.5, ge=0, description="Weight of the identity loss, as a share of the cycle loss; 0: none"
    )
    pool_size: int = Field(50, ge=0, le=10_000, description="Past translations that D also judges")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights, order and augmentation")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$",
        description="auto takes a GPU if there is one",
    )
    num_threads: int = Field(0, ge=0, le=256, description="CPU threads; 0 lets torch choose")
    checkpoint_every: int = Field(500, ge=1, description="Steps between two checkpoints")
    keep_checkpoints: int = Field(3, ge=1, le=1000, description="How many of the last are kept")
    sample_every: int = Field(500, ge=1, description="Steps between two sample grids")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.crop_px % 4:
            raise ValueError(f"crop_px: got {self.crop_px}, needed a multiple of 4 (two halvings)")
        if self.crop_px > self.load_px:
            raise ValueError(
                f"crop_px: got {self.crop_px}, needed at most load_px = {self.load_px}"
            )
        if self.num_epochs + self.num_epochs_decay < 1:
            raise ValueError("num_epochs + num_epochs_decay: got 0, needed at least 1")
        return self


def reference() -> TrainConfig:
    """The reference's defaults at 256 px: what a GPU is for."""
    return TrainConfig()


def demo() -> TrainConfig:
    """Small enough for seven minutes on two slow cores, large enough to see what happens."""
    return TrainConfig(
        num_blocks=3,
        ngf=16,
        ndf=16,
        d_layers=2,
        norm="batch",
        load_px=100,
        crop_px=96,
        batch_size=4,
        num_epochs=7,
        num_epochs_decay=7,
        learning_rate=1e-3,
        checkpoint_every=100,
        sample_every=100,
    )
