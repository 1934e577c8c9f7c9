"""One optimisation step of CycleGAN, in the reference's order (``cycle_gan_model.py``).

With instance norm, both passes of a generator over real pictures (translation and identity) go
through it as one batch, and so do the real and pooled pictures of a discriminator: the same
mathematics in fewer, larger convolutions. With batch norm they would see each other's statistics.

Batch-norm networks run channels-last, which convolutions like better (on two CPU cores: 13 % less
time a step). Instance-norm ones must not: on a CPU its gradients are wrong in that layout.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training import losses
from training.config import TrainConfig
from training.networks import PatchDiscriminator, ResnetGenerator, init_weights
from training.pool import ImagePool

NETWORKS = ("G_A", "G_B", "D_A", "D_B")


# fake_B, rec_A, fake_A, rec_B, same_B, same_A
_Passes = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]


@dataclass
class CycleGan:
    """Networks, optimisers and pools. G_A: A → B, judged by D_A; G_B: B → A, judged by D_B."""

    config: TrainConfig
    device: torch.device
    G_A: nn.Module
    G_B: nn.Module
    D_A: nn.Module
    D_B: nn.Module
    optimizer_G: torch.optim.Optimizer
    optimizer_D: torch.optim.Optimizer
    pool_A: ImagePool  # holds translations into A
    pool_B: ImagePool  # holds translations into B

    def networks(self) -> dict[str, nn.Module]:
        """The four networks by the names of their files."""
        return {name: getattr(self, name) for name in NETWORKS}

    def set_learning_rate(self, rate: float) -> None:
        """Give both optimisers this rate."""
        for optimizer in (self.optimizer_G, self.optimizer_D):
            for group in optimizer.param_groups:
                group["lr"] = rate

    def step(self, real_A: Tensor, real_B: Tensor) -> dict[str, float]:
        """Train on one batch of each side, ``[N, 3, H, W]`` in [-1, 1]; the losses by name."""
        layout = _memory_format(self.config)
        real_A = real_A.contiguous(memory_format=layout)
        real_B = real_B.contiguous(memory_format=layout)
        self._require_discriminator_grad(required=False)
        parts, fake_A, fake_B = self._generator_losses(real_A, real_B)
        self.optimizer_G.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer_G.step()

        self._require_discriminator_grad(required=True)
        self.optimizer_D.zero_grad(set_to_none=True)
        loss_D_A = self._discriminator_loss(self.D_A, real_B, self.pool_B.exchange(fake_B))
        loss_D_A.backward()  # type: ignore[no-untyped-call]
        loss_D_B = self._discriminator_loss(self.D_B, real_A, self.pool_A.exchange(fake_A))
        loss_D_B.backward()  # type: ignore[no-untyped-call]
        self.optimizer_D.step()
        return {name: float(loss.detach()) for name, loss in parts.items()} | {
            "D_A": float(loss_D_A.detach()),
            "D_B": float(loss_D_B.detach()),
        }

    def _generator_losses(
        self, real_A: Tensor, real_B: Tensor
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        config = self.config
        fake_B, rec_A, fake_A, rec_B, same_B, same_A = self._forward(real_A, real_B)
        parts = {
            "G_A": losses.adversarial(self.D_A(fake_B), real=True),
            "G_B": losses.adversarial(self.D_B(fake_A), real=True),
            "cycle_A": config.lambda_a * losses.cycle(rec_A, real_A),
            "cycle_B": config.lambda_b * losses.cycle(rec_B, real_B),
        }
        if same_A is not None and same_B is not None:
            weight = config.lambda_identity
            parts["identity_A"] = config.lambda_b * weight * losses.identity(same_B, real_B)
            parts["identity_B"] = config.lambda_a * weight * losses.identity(same_A, real_A)
        return parts, fake_A, fake_B

    def _forward(self, real_A: Tensor, real_B: Tensor) -> _Passes:
        """Translations, reconstructions and, where the identity loss wants them, identities.

        Batch norm keeps the reference's order of passes, on which its running statistics depend.
        """
        wants_identity = self.config.lambda_identity > 0
        same_A = same_B = None
        if wants_identity and self.config.norm == "instance":
            fake_B, same_B = self._pass(self.G_A, real_A, real_B)
            fake_A, same_A = self._pass(self.G_B, real_B, real_A)
            return fake_B, self.G_B(fake_B), fake_A, self.G_A(fake_A), same_B, same_A
        fake_B = self.G_A(real_A)
        rec_A = self.G_B(fake_B)
        fake_A = self.G_B(real_B)
        rec_B = self.G_A(fake_A)
        if wants_identity:
            same_B, same_A = self.G_A(real_B), self.G_B(real_A)
        return fake_B, rec_A, fake_A, rec_B, same_B, same_A

    def _discriminator_loss(self, network: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        fake = fake.contiguous(memory_format=_memory_format(self.config))  # the pool gives any
        return losses.discriminator(*self._pass(network, real, fake))

    def _pass(self, network: nn.Module, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
        """Both batches through a network: as one where that is the same."""
        if self.config.norm == "batch":
            return network(one), network(two)
        both = network(torch.cat([one, two]))
        return both[: len(one)], both[len(one) :]

    def _require_discriminator_grad(self, *, required: bool) -> None:
        for parameter in itertools.chain(self.D_A.parameters(), self.D_B.parameters()):
            parameter.requires_grad_(required)


def build(config: TrainConfig) -> CycleGan:
    """A freshly initialised CycleGAN of this configuration, on its device."""
    device = choose_device(config.device)
    generator = torch.Generator().manual_seed(config.seed)
    G_A, G_B = (ResnetGenerator(config.num_blocks, config.ngf, config.norm) for _ in range(2))
    D_A, D_B = (PatchDiscriminator(config.d_layers, config.ndf, config.norm) for _ in range(2))
    for network in (G_A, G_B, D_A, D_B):
        init_weights(network, generator)
        network.to(device).to(memory_format=_memory_format(config))
    return CycleGan(
        config=config,
        device=device,
        G_A=G_A,
        G_B=G_B,
        D_A=D_A,
        D_B=D_B,
        optimizer_G=_adam(config, G_A, G_B),
        optimizer_D=_adam(config, D_A, D_B),
        pool_A=ImagePool(config.pool_size, random.Random(f"{config.seed} A")),
        pool_B=ImagePool(config.pool_size, random.Random(f"{config.seed} B")),
    )


def _memory_format(config: TrainConfig) -> torch.memory_format:
    return torch.channels_last if config.norm == "batch" else torch.contiguous_format


def _adam(config: TrainConfig, *networks: nn.Module) -> torch.optim.Adam:
    parameters = itertools.chain(*(network.parameters() for network in networks))
    betas = (config.beta1, 0.999)
    return torch.optim.Adam(parameters, lr=config.learning_rate, betas=betas, fused=True)


def choose_device(name: str) -> torch.device:
    """The named device; ``auto`` takes CUDA, then Apple's MPS, then the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
