"""One optimisation step of CycleGAN, in the reference's order (``cycle_gan_model.py``).

With instance norm, both passes of a generator over real pictures (translation and identity) go
through it as one batch, and so do the real and pooled pictures of a discriminator: the same
mathematics in fewer, larger convolutions. With batch norm they would see each other's statistics.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from training.algorithm import losses
from training.algorithm.diff_augment import augment
from training.algorithm.ema import MovingAverage
from training.algorithm.image_pool import ImagePool
from training.config import TrainConfig
from training.runtime.distributed import World

NETWORKS = ("G_A", "G_B", "D_A", "D_B")

# fake_B, rec_A, fake_A, rec_B, same_B, same_A
_Passes = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]


@dataclass
class CycleGan:
    """Networks, optimisers and pools. G_A: A → B, judged by D_A; G_B: B → A, judged by D_B.

    Random numbers of a step are a function of seed and step alone: a run resumes without a state.
    """

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
    layout: torch.memory_format = torch.contiguous_format  # of pictures and weights
    averages: dict[str, MovingAverage] = field(default_factory=dict)  # of G_A and G_B, if wanted
    world: World = field(default_factory=World)
    num_steps: int = 0  # that are done
    cycle_share: float = 1.0  # of λ, in this epoch
    feature_share: float = 0.0  # of the cycle loss, in this epoch

    def networks(self) -> dict[str, nn.Module]:
        """The networks by the names of their files, averages as ``G_A_ema`` and ``G_B_ema``."""
        averages = {f"{name}_ema": average.network for name, average in self.averages.items()}
        return {name: getattr(self, name) for name in NETWORKS} | averages

    def set_learning_rate(self, rate: float) -> None:
        """Give both optimisers this rate."""
        for optimizer in (self.optimizer_G, self.optimizer_D):
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].fill_(rate)
                else:
                    group["lr"] = rate

    def step(self, real_A: Tensor, real_B: Tensor) -> dict[str, Tensor]:
        """Train on one batch of each side, ``[N, 3, H, W]`` in [-1, 1]; the losses by name.

        With several processes, N is this one's share, and so are the losses.
        """
        rng = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.num_steps)
        if self.config.cuda_graphs and self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        real_A, real_B = self._laid_out(real_A), self._laid_out(real_B)
        with self._dropout_numbers(), self._autocast():
            parts, fake_A, fake_B = self._update_generators(real_A, real_B, rng)
            loss_D_A, loss_D_B = self._update_discriminators(real_A, real_B, fake_A, fake_B, rng)
        self.num_steps += 1
        for average in self.averages.values():
            average.update(self.num_steps)
        found = {name: loss.detach() for name, loss in parts.items()}
        return found | {"D_A": loss_D_A.detach(), "D_B": loss_D_B.detach()}

    def _update_generators(
        self, real_A: Tensor, real_B: Tensor, rng: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        _require_grad(self._parameters(self.D_A, self.D_B), required=False)
        parts, fake_A, fake_B = self._generator_losses(real_A, real_B, rng)
        self._zero_gradients(self.optimizer_G)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.world.average_gradients(self._parameters(self.G_A, self.G_B))
        self.optimizer_G.step()
        if self.config.cuda_graphs:  # the next replay writes where these lie
            fake_A, fake_B = fake_A.clone(), fake_B.clone()
        return parts, fake_A.detach(), fake_B.detach()

    def _zero_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Forget the last step's; with CUDA graphs they stay where no replay writes."""
        optimizer.zero_grad(set_to_none=not self.config.cuda_graphs)

    def _update_discriminators(
        self, real_A: Tensor, real_B: Tensor, fake_A: Tensor, fake_B: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        _require_grad(self._parameters(self.D_A, self.D_B), required=True)
        self._zero_gradients(self.optimizer_D)
        found = []
        for network, pool, real, fake in (
            (self.D_A, self.pool_B, real_B, fake_B),
            (self.D_B, self.pool_A, real_A, fake_A),
        ):
            judged = self.world.share(pool.exchange(self.world.gather(fake)))
            loss = self._discriminator_loss(network, real, self._laid_out(judged), rng)
            loss.backward()  # type: ignore[no-untyped-call]
            found.append(loss)
        self.world.average_gradients(self._parameters(self.D_A, self.D_B))
        self.optimizer_D.step()
        return found[0], found[1]

    def _generator_losses(
        self, real_A: Tensor, real_B: Tensor, rng: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        config = self.config
        fake_B, rec_A, fake_A, rec_B, same_B, same_A = self._forward(real_A, real_B)

        scores_B = self.D_A(self._augmented(fake_B, rng))
        scores_A = self.D_B(self._augmented(fake_A, rng))
        parts = {
            "G_A": losses.adversarial(scores_B, real=True, kind=config.gan_loss),
            "G_B": losses.adversarial(scores_A, real=True, kind=config.gan_loss),
            "cycle_A": config.lambda_a * self._cycle(self.D_B, rec_A, real_A, scores_B),
            "cycle_B": config.lambda_b * self._cycle(self.D_A, rec_B, real_B, scores_A),
        }
        if same_A is not None and same_B is not None:
            weight = config.lambda_identity
            parts["identity_A"] = config.lambda_b * weight * losses.identity(same_B, real_B)
            parts["identity_B"] = config.lambda_a * weight * losses.identity(same_A, real_A)
        return parts, fake_A, fake_B

    def _cycle(
        self, network: nn.Module, reconstructed: Tensor, original: Tensor, scores: Tensor
    ) -> Tensor:
        """The cycle loss; with better cycles it weighs less, and in part D's features.

        ``scores``: those of the translations in between, by which it may be weighed.
        """
        weights = None
        if self.config.cycle_quality:
            weights = losses.quality(scores.detach(), self.config.gan_loss)
        loss = losses.cycle(reconstructed, original, weights)
        if self.feature_share > 0:
            features = cast("Callable[[Tensor], Tensor]", network.features)
            with torch.no_grad():
                wanted = features(original)
            apart = losses.cycle(features(reconstructed), wanted, weights)
            loss = (1 - self.feature_share) * loss + self.feature_share * apart
        return self.cycle_share * loss

    def _forward(self, real_A: Tensor, real_B: Tensor) -> _Passes:
        """Translations, reconstructions and, where the identity loss wants them, identities.

        Unmerged passes keep the reference's order, on which batch norm's running statistics depend.
        """
        wants_identity = self.config.lambda_identity > 0
        same_A = same_B = None
        if wants_identity and self._merges:
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

    def _discriminator_loss(
        self, network: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        config = self.config
        scores = self._pass(network, self._augmented(real, rng), self._augmented(fake, rng))
        loss = losses.discriminator(*scores, config.gan_loss)
        if config.gan_loss == "wgangp" and config.gradient_penalty > 0:
            shares = self.world.share(torch.rand(len(real) * self.world.size, generator=rng))
            penalty = losses.gradient_penalty(network, real, fake, shares.to(real))
            loss = loss + config.gradient_penalty * penalty
        return loss

    @property
    def _merges(self) -> bool:
        return self.config.merge_passes and self.config.norm == "instance"

    def _pass(self, network: nn.Module, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
        """Both batches through a network: as one where that is the same."""
        if not self._merges:
            return network(one), network(two)
        both = network(self._laid_out(torch.cat([one, two])))
        return both[: len(one)], both[len(one) :]

    def _augmented(self, pictures: Tensor, rng: torch.Generator) -> Tensor:
        policy = self.config.diff_augment
        return self._laid_out(augment(pictures, policy, rng, self.world)) if policy else pictures

    def _laid_out(self, pictures: Tensor) -> Tensor:
        return pictures.contiguous(memory_format=self.layout)

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
        )

    @contextlib.contextmanager
    def _dropout_numbers(self) -> Iterator[None]:
        """Dropout draws from torch's global generator: lent to it, seeded by the step."""
        if not self.config.dropout:
            yield
            return
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(
                (self.config.seed * 1_000_003 + self.num_steps) * 64 + self.world.rank
            )
            yield

    @staticmethod
    def _parameters(*networks: nn.Module) -> Iterable[Parameter]:
        return itertools.chain(*(network.parameters() for network in networks))


def _require_grad(parameters: Iterable[Parameter], *, required: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(required)
