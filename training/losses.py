"""Losses of CycleGAN (Zhu et al. 2017): least-squares adversarial, cycle, identity.

Source of the weights: ``models/cycle_gan_model.py`` of the reference.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def adversarial(scores: Tensor, *, real: bool) -> Tensor:
    """Mean squared distance of D's scores from 1 (``real``) or 0, a scalar (LSGAN; §4)."""
    return (scores - 1).square().mean() if real else scores.square().mean()


def cycle(reconstructed: Tensor, original: Tensor) -> Tensor:
    """Mean absolute difference, a scalar (equation 2)."""
    return F.l1_loss(reconstructed, original)


def identity(mapped: Tensor, original: Tensor) -> Tensor:
    """Mean absolute difference of G(target) from the target itself, a scalar (§5.2)."""
    return F.l1_loss(mapped, original)


def discriminator(scores_real: Tensor, scores_fake: Tensor) -> Tensor:
    """Half the sum over real and fake pictures, a scalar: halving slows D down (§7.1)."""
    return 0.5 * (adversarial(scores_real, real=True) + adversarial(scores_fake, real=False))
