"""One optimisation step of CycleGAN, in the order of the reference's ``cycle_gan_model.py``.

With instance norm, a generator computes translation and identity mapping in one batch, and a
discriminator judges real and pooled pictures in one batch: the same mathematics in fewer, larger
convolutions. With batch norm the passes are separate, since in one batch each would change the
other's statistics; discriminators with spectral norm have none, and take one batch too.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from preprocessing.analysis.face_windows import Window
from training.algorithm import losses
from training.algorithm.diff_augment import augment
from training.algorithm.ema import MovingAverage
from training.algorithm.image_pool import ImagePool
from training.algorithm.optimizer import load_optimizer, set_learning_rate
from training.config import TrainConfig
from training.models.architecture import Generator
from training.runtime.device import arithmetic_of
from training.runtime.distributed import World

NETWORKS = ("G_A", "G_B", "D_A", "D_B")

# fake_B, rec_A, fake_A, rec_B, same_B, same_A
_Passes = tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None]


@dataclass(frozen=True)
class RealTargets:
    """Pseudo pairs whose target is real, ``[N, 3, H, W]`` in [-1, 1] each.

    ``rendered_A`` are the pictures ``real_B`` with the appearance of A, ``rendered_B`` the pictures
    ``real_A`` with that of B.
    """

    rendered_A: Tensor
    real_B: Tensor
    rendered_B: Tensor
    real_A: Tensor


@dataclass
class CycleGan:
    """Networks, optimisers and pools. G_A: A → B, judged by D_A; G_B: B → A, judged by D_B.

    A step's random numbers depend only on seed and step, so no generator's state is saved.
    """

    config: TrainConfig
    device: torch.device
    G_A: Generator
    G_B: Generator
    D_A: nn.Module
    D_B: nn.Module
    optimizer_G: torch.optim.Optimizer
    optimizer_D: torch.optim.Optimizer
    pool_A: ImagePool  # holds translations into A
    pool_B: ImagePool  # holds translations into B
    layout: torch.memory_format = torch.contiguous_format  # of pictures and weights
    averages: dict[str, MovingAverage] = field(default_factory=dict)  # of G_A and G_B, or empty
    world: World = field(default_factory=World)
    windows: tuple[Window, ...] = ()  # that the discriminators look at, besides the whole
    num_steps: int = field(default=0, init=False)  # steps done so far
    _cycle_share: float = field(default=1.0, init=False)
    _feature_share: float = field(default=0.0, init=False)

    def networks(self) -> dict[str, nn.Module]:
        """The networks by the names of their files, averages as ``G_A_ema`` and ``G_B_ema``."""
        averages = {f"{name}_ema": average.network for name, average in self.averages.items()}
        return {name: getattr(self, name) for name in NETWORKS} | averages

    def set_learning_rate(self, rate: float, *, generator_share: float = 1.0) -> None:
        """Set the learning rate of the discriminators, and a share of it for the generators."""
        set_learning_rate(self.optimizer_D, rate)
        set_learning_rate(self.optimizer_G, generator_share * rate)

    def set_cycle_shares(self, cycle_share: float, feature_share: float) -> None:
        """Set the weight of the cycle loss, a share of λ, and the share of it on D's features."""
        self._cycle_share, self._feature_share = cycle_share, feature_share

    def state_dict(self) -> dict[str, Any]:
        """Optimisers and pools, in types that ``torch.load(weights_only=True)`` reads.

        The networks' weights are saved separately, as files that other programs can read.
        """
        return {
            "optimizer_G": self.optimizer_G.state_dict(),
            "optimizer_D": self.optimizer_D.state_dict(),
            "pool_A": self.pool_A.state_dict(),
            "pool_B": self.pool_B.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any], num_steps: int) -> None:
        """Restore the result of ``state_dict`` after ``num_steps`` steps."""
        load_optimizer(self.optimizer_G, state["optimizer_G"])
        load_optimizer(self.optimizer_D, state["optimizer_D"])
        self.pool_A.load_state_dict(state["pool_A"], self.device)
        self.pool_B.load_state_dict(state["pool_B"], self.device)
        self.num_steps = num_steps

    def step(
        self, real_A: Tensor, real_B: Tensor, targets: RealTargets | None = None
    ) -> dict[str, Tensor]:
        """Train on one batch of each side, ``[N, 3, H, W]`` in [-1, 1]; the losses by name.

        With ``targets`` the generators also learn to restore real pictures, by ``pseudo_weight``.
        With several processes, N counts this process's share, of which the losses are taken.
        """
        rng = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.num_steps)
        if self.config.cuda_graphs and self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        real_A, real_B = self._laid_out(real_A), self._laid_out(real_B)
        with self._dropout_numbers(), self._autocast():
            parts, fake_A, fake_B = self._update_generators(real_A, real_B, targets, rng)
            loss_D_A, loss_D_B = self._update_discriminators(real_A, real_B, fake_A, fake_B, rng)
        self._count_step()
        parts |= {"D_A": loss_D_A, "D_B": loss_D_B}
        return {name: loss.detach() for name, loss in parts.items()}

    def pseudo_step(self, pair_A: Tensor, pair_B: Tensor) -> dict[str, Tensor]:
        """Train the generators on one batch of pseudo pairs, ``[N, 3, H, W]`` in [-1, 1] each.

        Returns the losses by name. The discriminators do not change.
        """
        pair_A, pair_B = self._laid_out(pair_A), self._laid_out(pair_B)
        with self._dropout_numbers(), self._autocast():
            parts = {
                "pseudo_A": losses.supervised(self.G_A(pair_A), pair_B, pair_A),
                "pseudo_B": losses.supervised(self.G_B(pair_B), pair_A, pair_B),
            }
            self._apply_generator_losses(parts)
        self._count_step()
        return {name: loss.detach() for name, loss in parts.items()}

    def forget_moments(self) -> None:
        """Clear Adam's moments of the generators, which belong to losses of another scale."""
        self.optimizer_G.state.clear()

    def _count_step(self) -> None:
        self.num_steps += 1
        for average in self.averages.values():
            average.update(self.num_steps)

    def _apply_generator_losses(self, parts: Mapping[str, Tensor]) -> None:
        self._zero_gradients(self.optimizer_G)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.world.average_gradients(self._parameters(self.G_A, self.G_B))
        self.optimizer_G.step()

    def _update_generators(
        self,
        real_A: Tensor,
        real_B: Tensor,
        targets: RealTargets | None,
        rng: torch.Generator,
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        _require_grad(self._parameters(self.D_A, self.D_B), required=False)
        parts, fake_A, fake_B = self._generator_losses(real_A, real_B, rng)
        if targets is not None:
            parts |= self._target_losses(targets)
        self._apply_generator_losses(parts)
        if self.config.cuda_graphs:  # the next replay overwrites the memory of its outputs
            fake_A, fake_B = fake_A.clone(), fake_B.clone()
        return parts, fake_A.detach(), fake_B.detach()

    def _zero_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Clear the last step's gradients; CUDA graphs need theirs to stay at one address."""
        optimizer.zero_grad(set_to_none=not self.config.cuda_graphs)

    def _update_discriminators(
        self, real_A: Tensor, real_B: Tensor, fake_A: Tensor, fake_B: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        _require_grad(self._parameters(self.D_A, self.D_B), required=True)
        self._zero_gradients(self.optimizer_D)
        network_losses = []
        for network, pool, real, fake in (
            (self.D_A, self.pool_B, real_B, fake_B),
            (self.D_B, self.pool_A, real_A, fake_A),
        ):
            pooled = self.world.share(pool.exchange(self.world.concatenate(fake)))
            loss = self._discriminator_loss(network, real, self._laid_out(pooled), rng)
            loss.backward()  # type: ignore[no-untyped-call]
            network_losses.append(loss)
        self.world.average_gradients(self._parameters(self.D_A, self.D_B))
        self.optimizer_D.step()
        return network_losses[0], network_losses[1]

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

    def _target_losses(self, targets: RealTargets) -> dict[str, Tensor]:
        weight = self.config.pseudo_weight
        rendered_A, rendered_B = (
            self._laid_out(targets.rendered_A),
            self._laid_out(targets.rendered_B),
        )
        to_B, to_A = self.G_A(rendered_A), self.G_B(rendered_B)
        return {
            "pseudo_A": weight * losses.supervised(to_B, targets.real_B, rendered_A),
            "pseudo_B": weight * losses.supervised(to_A, targets.real_A, rendered_B),
        }

    def _cycle(
        self, network: nn.Module, reconstructed: Tensor, original: Tensor, scores: Tensor
    ) -> Tensor:
        """The cycle loss of one side, a scalar, with the changes of Wang & Lin 2018 (configurable).

        ``scores`` are D's for the intermediate translations; ``cycle_quality`` weighs pictures by
        them.
        """
        weights = None
        if self.config.cycle_quality:
            weights = losses.quality(scores.detach(), self.config.gan_loss)
        loss = losses.cycle(reconstructed, original, weights)
        if self._feature_share > 0:
            features = cast("Callable[[Tensor], Tensor]", network.features)
            with torch.no_grad():
                target = features(original)
            feature_loss = losses.cycle(features(reconstructed), target, weights)
            loss = (1 - self._feature_share) * loss + self._feature_share * feature_loss
        return self._cycle_share * loss

    def _forward(self, real_A: Tensor, real_B: Tensor) -> _Passes:
        """Translations, reconstructions and, with an identity loss, identity mappings.

        Separate passes keep the reference's order, on which batch norm's running statistics depend.
        """
        has_identity = self.config.lambda_identity > 0
        same_A = same_B = None
        if has_identity and self._merges:
            fake_B, same_B = self._pass(self.G_A, real_A, real_B)
            fake_A, same_A = self._pass(self.G_B, real_B, real_A)
            return fake_B, self.G_B(fake_B), fake_A, self.G_A(fake_A), same_B, same_A
        fake_B = self.G_A(real_A)
        rec_A = self.G_B(fake_B)
        fake_A = self.G_B(real_B)
        rec_B = self.G_A(fake_A)
        if has_identity:
            same_B, same_A = self.G_A(real_B), self.G_B(real_A)
        return fake_B, rec_A, fake_A, rec_B, same_B, same_A

    def _discriminator_loss(
        self, network: nn.Module, real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        config = self.config
        pictures = self._augmented(real, rng), self._augmented(fake, rng)
        merge = self._merges or (config.merge_passes and config.discriminator_norm == "spectral")
        scores = self._pass(network, *pictures, merge=merge)
        loss = losses.discriminator(*scores, config.gan_loss)
        if config.gan_loss == "wgangp" and config.gradient_penalty > 0:
            mixtures = self.world.share(torch.rand(len(real) * self.world.size, generator=rng))
            penalty = losses.gradient_penalty(network, real, fake, mixtures.to(real))
            loss = loss + config.gradient_penalty * penalty
        return loss

    @property
    def _merges(self) -> bool:
        return self.config.merge_passes and self.config.norm == "instance"

    def _pass(
        self, network: nn.Module, first: Tensor, second: Tensor, *, merge: bool = True
    ) -> tuple[Tensor, Tensor]:
        """The network's outputs for two batches; ``merge``: as one batch."""
        if not merge:
            return network(first), network(second)
        both = network(self._laid_out(torch.cat([first, second])))
        return both[: len(first)], both[len(first) :]

    def _augmented(self, pictures: Tensor, rng: torch.Generator) -> Tensor:
        policy = self.config.diff_augment
        return self._laid_out(augment(pictures, policy, rng, self.world)) if policy else pictures

    def _laid_out(self, pictures: Tensor) -> Tensor:
        return pictures.contiguous(memory_format=self.layout)

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        return torch.autocast(
            self.device.type,
            torch.bfloat16,
            enabled=arithmetic_of(self.config, self.device) == "bfloat16",
        )

    @contextlib.contextmanager
    def _dropout_numbers(self) -> Iterator[None]:
        """Seed torch's global generator by the step, for dropout; restore it after the block."""
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
