"""The code for GPUs, tested without a GPU: devices of tensors, and the memory of CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from training.algorithm.cyclegan import CycleGan
from training.build import build
from training.config import TrainConfig
from training.runtime.compile import allocate_gradients

SMALL: dict[str, Any] = {
    "num_blocks": 1,
    "ngf": 4,
    "ndf": 4,
    "d_layers": 2,
    "load_px": 32,
    "crop_px": 32,
    "pool_size": 1,
}


def _sample_without_content(cells: Tensor, points: Tensor, *, align_corners: bool) -> Tensor:
    """The shape and device of ``grid_sample``, which torch cannot tell without a GPU."""
    assert align_corners
    return cells.mean(dim=(2, 3), keepdim=True) + points[..., 0][:, None]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "batch", "batch_size": 2, "upsampling": "resize", "residual": True},
        {"generator": "bilateral", "residual": True},
        {"cycle_end": 0.5, "cycle_features": 0.5, "cycle_quality": True},
        {"diff_augment": ("color", "cutout")},
        {"gan_loss": "wgangp", "gradient_penalty": 0.0, "discriminator": "pixel"},
        {"fused_adam": False, "merge_passes": False, "cuda_graphs": True},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_all_of_a_step_is_on_the_gpu(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With tensors that have a device but no content: a mix of devices is an error in them.

    Autograd's backward pass needs a real GPU, and is left out.
    """
    # networks are created on the device
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)
    monkeypatch.setattr(Tensor, "backward", lambda *_: None)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    monkeypatch.setattr(nn.functional, "grid_sample", _sample_without_content)
    config = TrainConfig.model_validate(SMALL | {"device": "cuda:0"} | changes)
    with FakeTensorMode():
        with torch.device("cuda:0"):
            gan = build(config)
        gan.set_cycle_shares(0.5, config.cycle_features)
        for _ in range(2):  # the second finds a full pool
            allocate_gradients(gan)
            pictures = torch.zeros(config.batch_size, 3, 32, 32, device="cuda:0")
            losses = gan.step(pictures, pictures.clone())
            assert {loss.device.type for loss in losses.values()} == {"cuda"}


class _Replays:
    """Imitates the memory of CUDA graphs: outputs of networks, and gradients of their backward
    passes, are overwritten as soon as a network runs again after all backward passes.
    """

    def __init__(self, gan: CycleGan) -> None:
        self._in_graphs: list[Tensor] = []
        self._num_pending = 0
        for network in gan.networks().values():
            network.register_forward_pre_hook(self._begin)
            network.register_forward_hook(self._end)
            for parameter in network.parameters():
                parameter.register_post_accumulate_grad_hook(self._noting(parameter.grad))

    def _begin(self, *_: object) -> None:
        if self._num_pending == 0:
            for tensor in self._in_graphs:
                tensor.data.fill_(float("nan"))
            self._in_graphs.clear()

    def _end(self, _network: nn.Module, _inputs: object, output: Tensor) -> None:
        self._in_graphs.append(output)
        self._num_pending += 1
        output.register_hook(self._passed)

    def _passed(self, _gradient: Tensor) -> None:
        self._num_pending -= 1

    def _noting(self, own: Tensor | None) -> Callable[[Tensor], None]:
        place = own.data_ptr() if own is not None else None

        def note(parameter: Tensor) -> None:
            assert parameter.grad is not None
            if parameter.grad.data_ptr() != place:
                self._in_graphs.append(parameter.grad)

        return note


@pytest.mark.parametrize("is_ready", [True, False])
def test_cuda_graphs_may_overwrite_what_they_wrote(*, is_ready: bool) -> None:
    """The same weights if a step copes with overwritten memory; NaN if it does not."""
    config = TrainConfig.model_validate(SMALL | {"device": "cpu", "cuda_graphs": is_ready})
    plain, replayed = build(config), build(config)
    if is_ready:
        allocate_gradients(replayed)
    _Replays(replayed)
    rng = torch.Generator().manual_seed(0)
    for _ in range(3):
        a, b = (torch.rand(1, 3, 32, 32, generator=rng) * 2 - 1 for _ in range(2))
        plain.step(a, b)
        replayed.step(a, b)
    for name, network in plain.networks().items():
        found = replayed.networks()[name].state_dict()
        for key, wanted in network.state_dict().items():
            if is_ready:
                assert torch.equal(found[key], wanted)
            elif name.startswith("D_A"):
                assert bool(found[key].isnan().all())
