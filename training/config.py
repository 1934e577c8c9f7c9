"""Configuration of training."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from core.config_identity import INCIDENTAL, LATER
from core.language.messages import localised
from training.models.factory import GENERATORS
from training.tracking.tracker import TrackerName

_LEAST_WINDOW_CROP_PX = 64  # below, the mouth's window is smaller than a patch


def _list_generators(schema: dict[str, Any]) -> None:
    """Add the names of the generators to the field's schema, so that a form offers them."""
    schema["enum"] = list(GENERATORS)


class TrainConfig(BaseModel):
    """A CycleGAN and its training; the defaults are those of Zhu et al. 2017 (§4, §7)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generator: str = Field(
        "resnet",
        json_schema_extra=_list_generators,
        description="Architecture of the generators: resnet with num_blocks (the paper's), "
        "a U-Net that halves a picture 7 or 8 times, which needs crop_px to be a "
        "multiple of 128 or 256; fine_unet, a U-Net of 7 halvings that draws at the picture's own "
        "resolution; or bilateral, which changes colours locally and translates photographs at "
        "their own resolution (crop_px: a multiple of 8)",
    )
    num_blocks: int = Field(
        9, ge=1, le=16, description="Residual blocks of a resnet: 9 for 256 px, 6 for 128 px"
    )
    upsampling: Literal["transposed", "resize"] = Field(
        "transposed",
        description="Layers of a generator that enlarge: transposed convolutions (the "
        "paper's), or resize with a convolution, which leaves no grid (Odena et "
        "al. 2016)",
    )
    residual: bool = Field(
        False,
        description="Generators that add a correction to their input instead of drawing the "
        "whole picture; at first they change nothing. For small changes, such as "
        "make-up, and for short trainings (Kupyn et al. 2018); needs lambda_a and "
        "lambda_b of 0.5 to 2",
    )
    dropout: bool = Field(False, description="Dropout of half of a generator's features")
    discriminator: Literal["n_layers", "pixel"] = Field(
        "n_layers",
        description="Architecture of the discriminators: n_layers with d_layers (3: the "
        "reference's basic), or pixel, which judges only the colour of each pixel",
    )
    ngf: int = Field(64, ge=1, le=256, description="Channels after a generator's first layer")
    ndf: int = Field(64, ge=1, le=256, description="Channels after a discriminator's first layer")
    d_layers: int = Field(
        3,
        ge=1,
        le=5,
        description="Strided layers of an n_layers discriminator: with 3 it judges patches of "
        "70x70 px",
    )
    face_windows: Annotated[bool, LATER] = Field(
        False,
        description="Discriminators of the eyes and of the mouth beside that of the whole picture, "
        "each with a third of the loss; only for datasets of aligned faces, others ignore it",
    )
    norm: Literal["instance", "batch"] = Field(
        "instance",
        description="Normalisation layers: instance is the paper's and forgets a picture's "
        "mean colour; batch keeps it and needs a batch_size of 4 or more",
    )
    discriminator_norm: Annotated[Literal["same", "spectral"], LATER] = Field(
        "same",
        description="Normalisation in the discriminators: same as norm (the reference's), or "
        "spectral, of their weights: they then see colours, which norm layers hide from them "
        "(Miyato et al. 2018)",
    )
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = Field(
        "normal", description="Distribution of the initial weights"
    )
    init_gain: float = Field(
        0.02, gt=0, le=10, description="Scale of the initial weights; kaiming ignores it"
    )
    gan_loss: Literal["lsgan", "vanilla", "wgangp"] = Field(
        "lsgan",
        description="Adversarial loss: lsgan, least squares (the paper's); vanilla, cross "
        "entropy; or wgangp, Wasserstein",
    )
    gradient_penalty: float = Field(
        10.0, ge=0, description="Weight of the gradient penalty of wgangp (the reference uses none)"
    )
    preprocess: Literal[
        "resize_and_crop", "crop", "scale_width", "scale_width_and_crop", "none"
    ] = Field(
        "resize_and_crop",
        description="Resizing and cropping of pictures, by the reference's names: "
        "resize_and_crop resizes to a square of load_px, then crops crop_px at "
        "random; scale_width keeps the shape; none only rounds sides to what the "
        "generator needs (multiples of 4 for a resnet). Without crop, pictures of "
        "several sizes need batch_size 1",
    )
    load_px: int = Field(286, ge=32, le=2048, description="Side in px that pictures are resized to")
    crop_px: int = Field(
        256,
        ge=32,
        le=2048,
        description="Side in px of the random crop that is trained on, a multiple of 4 (8 for "
        "bilateral, 128 or 256 for a U-Net)",
    )
    flip: bool = Field(True, description="Mirroring of every other picture, at random")
    augmentation: Literal["reference", "mild"] = Field(
        "reference",
        description="Random changes of pictures: reference crops and mirrors; mild also turns "
        "and scales a little, which helps with few pictures and is safe for "
        "make-up",
    )
    colour_jitter: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="Largest random change of brightness and contrast, as a share",
    )
    face_exposure: Annotated[float, LATER] = Field(
        0.0,
        ge=0,
        le=0.9,
        description="Largest random darkening of pictures of aligned faces, as a share; they are "
        "lightened by a third of it at most. Datasets of other pictures ignore it",
    )
    serial_batches: bool = Field(
        False,
        description="Pictures of both sides in order instead of at random (to overfit on purpose)",
    )
    batch_size: int = Field(1, ge=1, le=256, description="Pictures of each side in one step")
    num_epochs: int = Field(100, ge=0, le=10_000, description="Epochs at the full learning rate")
    num_epochs_decay: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Epochs after these, over which the learning rate falls to zero",
    )
    pseudo_steps: Annotated[int, LATER] = Field(
        0,
        ge=0,
        le=100_000,
        description="Supervised steps before the adversarial training, on pseudo pairs: training "
        "pictures with the make-up or, without faces, the colours of the other side; 0: none",
    )
    pseudo_weight: Annotated[float, LATER] = Field(
        0.0,
        ge=0,
        description="Weight of the loss on pseudo pairs whose target is a real picture, during the "
        "adversarial training; 0: none. With 2, lambda_identity may be 0",
    )
    lr_policy: Literal["linear", "step", "plateau", "cosine"] = Field(
        "linear",
        description="Course of the learning rate: linear falls over num_epochs_decay, step "
        "every decay_step epochs, plateau when the validation (without one, the cycle "
        "loss) stops improving, cosine over num_epochs",
    )
    decay_step: int = Field(
        50,
        ge=1,
        le=10_000,
        description="Epochs after which lr_policy step divides the learning rate by 10",
    )
    decay: Literal["after-epoch", "before-epoch"] = Field(
        "after-epoch",
        description="When a linear rate falls: after-epoch lets the last epoch learn; "
        "before-epoch is what the reference's releases of 2020 to 2025 do",
    )
    learning_rate: float = Field(
        2e-4, gt=0, le=0.1, description="Adam's learning rate at the start"
    )
    generator_rate: Annotated[float, LATER] = Field(
        1.0,
        gt=0,
        le=10,
        description="Learning rate of the generators in the adversarial training, as a share of "
        "learning_rate; below 1 the discriminators stay ahead (Heusel et al. 2017), which "
        "generators that start from pseudo pairs need",
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="Decay of Adam's first moment")
    lambda_a: float = Field(10.0, ge=0, description="Weight of the cycle loss A to B to A")
    lambda_b: float = Field(10.0, ge=0, description="Weight of the cycle loss B to A to B")
    lambda_identity: float = Field(
        0.5, ge=0, description="Weight of the identity loss, as a share of the cycle loss; 0: none"
    )
    cycle_end: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of the cycle loss's weight in the last epoch, reached linearly from "
        "1; below 1: better cycles (Wang & Lin 2018)",
    )
    cycle_features: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the cycle loss that compares the discriminator's features "
        "instead of pixels in the last epoch, reached linearly from 0 (Wang & Lin "
        "2018)",
    )
    cycle_quality: bool = Field(
        False,
        description="Weighting of each picture's cycle loss by how real the discriminator "
        "finds its translation, 0 to 1 (Wang & Lin 2018)",
    )
    diff_augment: tuple[Literal["color", "translation", "cutout"], ...] = Field(
        (),
        description="Random changes of all pictures that the discriminators judge, which help "
        "with few pictures (DiffAugment, Zhao et al. 2020)",
    )
    ema_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay per step of moving averages of the generators' weights, such as "
        "0.999, saved beside the raw weights; 0: no averages",
    )
    pool_size: int = Field(
        50, ge=0, le=10_000, description="Past translations that the discriminators judge again"
    )
    init_from: Annotated[str, LATER] = Field(
        "",
        max_length=400,
        description="Model whose weights the training starts from: champion, a version, a run, or "
        "the folder of a checkpoint or of the reference's files; empty: random weights. A run "
        "records it with a digest of the weights",
    )
    continues: Annotated[str, LATER] = Field(
        "",
        max_length=400,
        description="Checkpoint of a finished run that this one continues, with a digest; set by "
        "--more-epochs",
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights, order and augmentation")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$",
        description="Device to compute on: auto takes a GPU if there is one, else the CPU",
    )
    num_threads: int = Field(
        0,
        ge=0,
        le=256,
        description="CPU threads; 0: the fastest of all, half of them and one, measured again and "
        "again. Another number changes the last bits of the weights",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="torch.compile: takes a minute or two at the start and makes steps faster; "
        "auto compiles runs that are long enough to gain by it",
    )
    winograd: bool = Field(
        True,
        description="Winograd's algorithm for 3x3 convolutions of compiled runs on a CPU; "
        "relative error about 2e-6",
    )
    merge_passes: bool = Field(
        True, description="Passes through one network as one batch, where the result is the same"
    )
    channels_last: bool = Field(
        True,
        description="Store activations channels-last, which convolutions run faster in; "
        "ignored for instance norm on a CPU unless compiled, where it is slower",
    )
    fused_adam: bool = Field(True, description="One kernel for all weights of an optimiser")
    precision: Literal["float32", "tf32", "bfloat16", "auto"] = Field(
        "float32",
        description="Arithmetic of convolutions; tf32 and bfloat16 are faster on GPUs and less "
        "exact (gradients differ by up to a third in bfloat16); auto is bfloat16 on CPUs with "
        "instructions for it (AMX, AVX-512 BF16), else float32",
    )
    cuda_graphs: bool = Field(
        False,
        description="CUDA graphs for compiled runs on a GPU: a step's kernels are launched as one",
    )
    validate_every: int = Field(
        0,
        ge=0,
        description="Epochs between two validations (KID on training pictures held back); 0: none",
    )
    num_validation: int = Field(
        50,
        ge=2,
        le=5000,
        description="Training pictures of each side that are held back for validation",
    )
    patience: int = Field(
        0,
        ge=0,
        description="Validations without a new best after which training stops; 0: it never "
        "stops early",
    )
    max_rollbacks: int = Field(
        3,
        ge=0,
        le=100,
        description="Rollbacks to the last checkpoint, at half the learning rate, after a loss "
        "that is not finite, before training fails",
    )
    checkpoint_every: int = Field(500, ge=1, description="Steps between two checkpoints")
    keep_checkpoints: int = Field(
        3, ge=1, le=1000, description="Newest checkpoints that are kept, beside the best one"
    )
    sample_every: int = Field(500, ge=1, description="Steps between two sample grids")
    track: Annotated[tuple[TrackerName, ...], INCIDENTAL] = Field(
        (),
        description="Trackers that get figures, sample grids and hyperparameters, as TensorBoard "
        "does; each needs the extra of its name, and its API key in the environment",
    )

    @field_validator("generator")
    @classmethod
    def _is_registered(cls, name: str) -> str:
        if name not in GENERATORS:
            raise ValueError(
                localised(
                    "got {name!r}, needed one of {names}", name=name, names=", ".join(GENERATORS)
                )
            )
        return name

    @field_validator("track")
    @classmethod
    def _is_unique(cls, names: tuple[TrackerName, ...]) -> tuple[TrackerName, ...]:
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _face_options_fit(self) -> Self:
        values = (self.discriminator, self.preprocess)
        fit = values == ("n_layers", "resize_and_crop") and self.crop_px >= _LEAST_WINDOW_CROP_PX
        if self.face_windows and not fit:
            raise ValueError(
                localised(
                    "face_windows: got discriminator={discriminator}, preprocess={preprocess} "
                    "and crop_px={crop_px}, needed n_layers, resize_and_crop and "
                    "{least} px or more",
                    discriminator=self.discriminator,
                    preprocess=self.preprocess,
                    crop_px=self.crop_px,
                    least=_LEAST_WINDOW_CROP_PX,
                )
            )
        if self.face_exposure and "crop" not in self.preprocess:
            raise ValueError(
                localised(
                    "face_exposure: got preprocess={preprocess}, needed one that crops",
                    preprocess=self.preprocess,
                )
            )
        return self

    @model_validator(mode="after")
    def _check_fields_together(self) -> Self:
        multiple = GENERATORS[self.generator].multiple
        if self.crop_px % multiple:
            raise ValueError(
                localised(
                    "crop_px: got {crop_px}, needed a multiple of {multiple} for {generator}",
                    crop_px=self.crop_px,
                    multiple=multiple,
                    generator=self.generator,
                )
            )
        least_px = 3 * 2**self.d_layers
        if (
            self.discriminator == "n_layers"
            and "crop" in self.preprocess
            and self.crop_px < least_px
        ):
            raise ValueError(
                localised(
                    "d_layers: got {d_layers}, which needs a crop_px of {least_px} or more, and "
                    "crop_px is {crop_px}",
                    d_layers=self.d_layers,
                    least_px=least_px,
                    crop_px=self.crop_px,
                )
            )
        if self.cycle_quality and self.gan_loss == "wgangp":
            raise ValueError(
                localised("cycle_quality: needs gan_loss lsgan or vanilla, got wgangp")
            )
        if "crop" not in self.preprocess and self.batch_size > 1:
            raise ValueError(
                localised(
                    "batch_size: got {batch_size}, needed 1 with preprocess={preprocess}, which "
                    "leaves pictures at several sizes",
                    batch_size=self.batch_size,
                    preprocess=self.preprocess,
                )
            )
        if (self.pseudo_steps or self.pseudo_weight) and self.preprocess != "resize_and_crop":
            raise ValueError(
                localised(
                    "pseudo_steps, pseudo_weight: got preprocess={preprocess}, needed "
                    "resize_and_crop, since both pictures of a pair have one size",
                    preprocess=self.preprocess,
                )
            )
        if self.crop_px > self.load_px:
            raise ValueError(
                localised(
                    "crop_px: got {crop_px}, needed at most load_px = {load_px}",
                    crop_px=self.crop_px,
                    load_px=self.load_px,
                )
            )
        if self.patience and not self.validate_every:
            raise ValueError(
                localised(
                    "patience: got {patience} without validations; set validate_every too",
                    patience=self.patience,
                )
            )
        if self.init_from and self.continues:
            raise ValueError(
                localised(
                    "init_from, continues: got {init_from} and {continues}, needed one of them",
                    init_from=self.init_from,
                    continues=self.continues,
                )
            )
        if self.num_epochs + self.num_epochs_decay < 1:
            raise ValueError(localised("num_epochs + num_epochs_decay: got 0, needed at least 1"))
        return self
