"""Losses of CycleGAN (Zhu et al. 2017): adversarial in three kinds, cycle, identity.

Source of the weights: ``models/cycle_gan_model.py`` of the reference; of the adversarial kinds:
``GANLoss`` and ``cal_gradient_penalty`` in its ``models/networks.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

_CHANGED_WEIGHT = 9.0
_LEAST_CHANGE = 0.012  # of a colour in [-1, 1]: 1.5 grey levels
_HUBER_BETA = 0.1  # of a colour in [-1, 1]: 13 grey levels

GanLoss = Literal["lsgan", "vanilla", "wgangp"]


def adversarial(scores: Tensor, *, real: bool, kind: GanLoss = "lsgan") -> Tensor:
    """The loss of D's scores, a scalar; ``real`` says whether D should call the pictures real.

    ``lsgan``: mean squared distance from 1 (or 0) (Mao et al. 2017; §4). ``vanilla``: binary cross
    entropy of the scores as logits (Goodfellow et al. 2014). ``wgangp``: minus (or plus) their mean
    (Arjovsky et al. 2017). bfloat16 scores are converted to float32 first.
    """
    if scores.dtype == torch.bfloat16:
        scores = scores.float()
    if kind == "lsgan":
        return (scores - 1).square().mean() if real else scores.square().mean()
    if kind == "vanilla":
        return F.softplus(-scores if real else scores).mean()
    return -scores.mean() if real else scores.mean()


def cycle(reconstructed: Tensor, original: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean absolute difference, a scalar (equation 2), with a weight for each picture, ``[N]``."""
    if weights is None:
        return F.l1_loss(reconstructed, original)
    return (weights * (reconstructed - original).abs().flatten(1).mean(dim=1)).mean()


def quality(scores: Tensor, kind: GanLoss = "lsgan") -> Tensor:
    """How real D judges each picture, ``[N]`` in [0, 1], by its scores ``[N, 1, h, w]``.

    Source: Wang & Lin 2018, "CycleGAN with Better Cycles", arXiv 2408.15374, §4.3 (weight cycle
    consistency by the quality of the generated image): cycle consistency of an unreal translation
    hinders training. Their formula has D_X(x), the score of the original, as the weight, which
    contradicts the text of the section; here it is the translation's, D_Y(G(x)), without gradient
    and clipped to [0, 1]. Not for ``wgangp``, whose scores have no scale.
    """
    probabilities = torch.sigmoid(scores) if kind == "vanilla" else scores
    return probabilities.flatten(1).mean(dim=1).clamp(0, 1)


def identity(mapped: Tensor, original: Tensor) -> Tensor:
    """Mean absolute difference of G(target) from the target itself, a scalar (§5.2)."""
    return F.l1_loss(mapped, original)


def supervised(translated: Tensor, target: Tensor, source: Tensor) -> Tensor:
    """Weighted Huber distance of translations from the pseudo targets of ``source``, a scalar.

    Pixels in which source and target differ count ``_CHANGED_WEIGHT`` times: lips are two per cent
    of a picture, and the others, which stay as they are, would decide. Below ``_HUBER_BETA`` the
    distance is squared: an absolute one holds corrections at zero unless most pairs agree on them.
    """
    is_changed = (source - target).abs().amax(dim=1, keepdim=True) > _LEAST_CHANGE
    weights = 1 + (_CHANGED_WEIGHT - 1) * is_changed.to(translated.dtype)
    distances = F.smooth_l1_loss(translated, target, beta=_HUBER_BETA, reduction="none")
    return (distances * (weights / weights.mean())).mean()


def discriminator(scores_real: Tensor, scores_fake: Tensor, kind: GanLoss = "lsgan") -> Tensor:
    """Half the sum of the losses of real and fake pictures, a scalar, to slow D down (§7.1)."""
    real = adversarial(scores_real, real=True, kind=kind)
    return 0.5 * (real + adversarial(scores_fake, real=False, kind=kind))


def gradient_penalty(
    network: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mixtures: Tensor
) -> Tensor:
    """Mean squared distance of D's gradient norm from 1, a scalar (Gulrajani et al. 2017, eq. 3).

    The gradient is taken at ``mixture · real + (1 - mixture) · fake`` for each picture;
    ``mixtures``: ``[N]`` in [0, 1].
    """
    mixture = mixtures.view(-1, 1, 1, 1)
    mixed = (mixture * real + (1 - mixture) * fake).detach().requires_grad_()
    scores = network(mixed)
    (gradient,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
    norms = torch.linalg.vector_norm(gradient.flatten(1) + 1e-16, dim=1)
    distance: Tensor = (norms - 1).square().mean()
    return distance
