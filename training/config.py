"""Configuration of training, and its presets."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from training.models.factory import GENERATORS


def _list_generators(schema: dict[str, Any]) -> None:
    """Make a form offer the generators that there are."""
    schema["enum"] = list(GENERATORS)


class TrainConfig(BaseModel):
    """The CycleGAN and how it is trained; the defaults are those of Zhu et al. 2017 (§4, §7)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str = Field(
        "resnet",
        json_schema_extra=_list_generators,
        description="Kind of generator: resnet with num_blocks (the paper's), or a U-Net that "
        "halves 7 or 8 times and so needs crop_px to be a multiple of 128 or 256",
    )
    num_blocks: int = Field(
        9, ge=1, le=16, description="Residual blocks of a resnet: 9 for 256 px, 6 for 128 px"
    )
    upsampling: Literal["transposed", "resize"] = Field(
        "transposed",
        description="How a generator enlarges: transposed convolutions (the paper's), or resize, "
        "which leaves no grid (Odena et al. 2016)",
    )
    residual: bool = Field(
        False,
        description="A generator adds a correction to its input instead of drawing it anew, and "
        "starts by changing nothing: for changes that are small, such as make-up, and for short "
        "trainings (Kupyn et al. 2018); wants lambda_a and lambda_b of 0.5 to 2",
    )
    dropout: bool = Field(False, description="Drop half of a generator's features at random")
    discriminator: Literal["n_layers", "pixel"] = Field(
        "n_layers",
        description="Kind of discriminator: n_layers with d_layers (3: the reference's basic), or "
        "pixel, which judges colours alone",
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
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = Field(
        "normal", description="Distribution of the first weights"
    )
    init_gain: float = Field(
        0.02, gt=0, le=10, description="Scale of the first weights; kaiming has its own"
    )
    gan_loss: Literal["lsgan", "vanilla", "wgangp"] = Field(
        "lsgan", description="Adversarial loss: least squares (the paper's), cross entropy, or WGAN"
    )
    gradient_penalty: float = Field(
        10.0, ge=0, description="Weight of wgangp's gradient penalty (the reference has none)"
    )
    preprocess: Literal[
        "resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"
    ] = Field(
        "resize_and_crop",
        description="What is done to pictures, by the reference's names: resize_and_crop to a "
        "square of load_px, then crop_px at random; scale_width keeps the shape; none only rounds "
        "sides to multiples of 4. Without crop, pictures of several sizes need batch_size 1",
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
    serial_batches: bool = Field(
        False, description="Take both sides in order instead of at random (to overfit on purpose)"
    )
    batch_size: int = Field(1, ge=1, le=256, description="Pictures of each side in one step")
    num_epochs: int = Field(100, ge=0, le=10_000, description="Epochs at the full learning rate")
    num_epochs_decay: int = Field(
        100, ge=0, le=10_000, description="Epochs after these, over which the rate falls to zero"
    )
    lr_policy: Literal["linear", "step", "plateau", "cosine"] = Field(
        "linear", description="How the learning rate falls"
    )
    decay_step: int = Field(
        50, ge=1, le=10_000, description="Epochs after which the policy step divides the rate by 10"
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
    cycle_end: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the cycle weight that is left in the last epoch, reached linearly; "
        "below 1: better cycles (Wang & Lin 2018)",
    )
    cycle_features: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the cycle loss that compares the discriminator's features instead of "
        "pixels in the last epoch, reached linearly from 0 (Wang & Lin 2018)",
    )
    cycle_quality: bool = Field(
        False,
        description="Weigh each picture's cycle loss by how real the discriminator takes its "
        "translation for, 0 to 1 (Wang & Lin 2018)",
    )
    diff_augment: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        (),
        description="Changes made to all that the discriminators see, which helps with few "
        "pictures (DiffAugment, Zhao et al. 2020)",
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay a step of the moving average of the generators, e.g. 0.999, kept beside "
        "the raw ones; 0: none",
    )
    pool_size: int = Field(50, ge=0, le=10_000, description="Past translations that D also judges")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights, order and augmentation")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$",
        description="auto takes a GPU if there is one",
    )
    num_threads: int = Field(0, ge=0, le=256, description="CPU threads; 0 lets torch choose")
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="torch.compile: a minute or two at the start, then faster steps; auto compiles "
        "runs that are long enough to gain by it",
    )
    winograd: bool = Field(
        True,
        description="On a CPU, compiled: 3x3 convolutions by Winograd's algorithm, right to 2e-6",
    )
    merge_passes: bool = Field(
        True, description="Run passes through one network as one batch where that is the same"
    )
    channels_last: bool = Field(
        True,
        description="Memory layout that convolutions like better; not used on a CPU with instance "
        "norm unless compiled, where it is slower",
    )
    fused_adam: bool = Field(True, description="One kernel for all weights of an optimiser")
    precision: Literal["float32", "tf32", "bfloat16"] = Field(
        "float32",
        description="Arithmetic of convolutions; tf32 and bfloat16 are faster on GPUs, and less "
        "exact (gradients differ by up to a third in bfloat16)",
    )
    cuda_graphs: bool = Field(
        False, description="On a GPU, compiled: replay the kernels of a step without launching them"
    )
    validate_every: int = Field(
        0,
        ge=0,
        description="Epochs between two validations (KID on training pictures held back); 0: none",
    )
    num_validation: int = Field(
        50, ge=2, le=5000, description="Training pictures of each side held back for validation"
    )
    patience: int = Field(
        0,
        ge=0,
        description="Stop after this many validations without a new best; 0: train to the end",
    )
    max_rollbacks: int = Field(
        3,
        ge=0,
        le=100,
        description="How often a loss that is not finite takes the run back to its last "
        "checkpoint, at half the learning rate, before it gives up",
    )
    checkpoint_every: int = Field(500, ge=1, description="Steps between two checkpoints")
    keep_checkpoints: int = Field(
        3, ge=1, le=1000, description="How many of the last are kept, beside the best"
    )
    sample_every: int = Field(500, ge=1, description="Steps between two sample grids")

    @field_validator("generator")
    @classmethod
    def _is_registered(cls, name: str) -> str:
        if name not in GENERATORS:
            raise ValueError(f"got {name!r}, needed one of {', '.join(GENERATORS)}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> Self:
        multiple = GENERATORS[self.generator].multiple
        if self.crop_px % multiple:
            raise ValueError(
                f"crop_px: got {self.crop_px}, needed a multiple of {multiple} for {self.generator}"
            )
        least = 3 * 2**self.d_layers
        if self.discriminator == "n_layers" and "crop" in self.preprocess and self.crop_px < least:
            raise ValueError(
                f"d_layers: got {self.d_layers}, which needs a crop_px of {least} or more, and "
                f"crop_px is {self.crop_px}"
            )
        if self.cycle_quality and self.gan_loss == "wgangp":
            raise ValueError("cycle_quality: needs gan_loss lsgan or vanilla, got wgangp")
        if "crop" not in self.preprocess and self.batch_size > 1:
            raise ValueError(
                f"batch_size: got {self.batch_size}, needed 1 with preprocess={self.preprocess}, "
                "which leaves pictures at several sizes"
            )
        if self.crop_px > self.load_px:
            raise ValueError(
                f"crop_px: got {self.crop_px}, needed at most load_px = {self.load_px}"
            )
        if self.patience and not self.validate_every:
            raise ValueError(
                f"patience: got {self.patience} without validations; set validate_every too"
            )
        if self.num_epochs + self.num_epochs_decay < 1:
            raise ValueError("num_epochs + num_epochs_decay: got 0, needed at least 1")
        return self


def reference() -> TrainConfig:
    """The reference's defaults at 256 px: what a GPU is for."""
    return TrainConfig()


def demo() -> TrainConfig:
    """Small enough for minutes on two slow cores, large enough to see what happens.

    A U-Net that corrects its input starts with sharp pictures; a resnet learns to draw them in many
    more steps than these. At the paper's cycle weight it would change nothing: docs/training.md.
    """
    return TrainConfig(
        generator="unet_128",
        upsampling="resize",
        residual=True,
        ngf=16,
        ndf=16,
        norm="batch",
        lambda_a=0.5,
        lambda_b=0.5,
        load_px=136,
        crop_px=128,
        batch_size=4,
        num_epochs=8,
        num_epochs_decay=8,
        learning_rate=1e-3,
        ema_decay=0.99,
        checkpoint_every=100,
        sample_every=100,
    )
