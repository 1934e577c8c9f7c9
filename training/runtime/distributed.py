"""Data-parallel training: each process takes its share of a batch, and all have the same weights.

``torchrun`` starts them and gives each its rank; CPUs communicate by gloo, GPUs by NCCL.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed
from torch.nn import Parameter


@dataclass(frozen=True)
class World:
    """The processes that train together, as torch.distributed's "world": ``size`` of them, of
    which this one is number ``rank`` (from 0).
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, tensor: Tensor) -> Tensor:
        """This process's part of a whole batch, ``[N, …]`` → ``[N / size, …]``."""
        num = len(tensor) // self.size
        return tensor[self.rank * num : (self.rank + 1) * num]

    def concatenate(self, part: Tensor) -> Tensor:
        """The whole batch from every process's part, by rank, ``[n, …]`` → ``[n · size, …]``."""
        if self.size == 1:
            return part
        parts = [
            torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.size)
        ]
        distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes, the same shape."""
        if self.size > 1:
            values = values.clone()
            distributed.all_reduce(values)
            values /= self.size
        return values

    def average_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Replace every gradient by its mean over all processes; one message carries them all."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view(gradient.shape))

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true in any process; all processes get the same answer."""
        if self.size == 1:
            return value
        flag = torch.tensor(float(value), device=_device())
        distributed.all_reduce(flag)
        return bool(flag > 0)

    def wait(self) -> None:
        """Return once every process has called this."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined_world(device: str = "auto") -> Iterator[World]:
    """The processes that ``torchrun`` started with this one; without it, only this one.

    With ``device`` ``"auto"`` or ``"cuda"``, each takes the GPU of its ``LOCAL_RANK``.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or distributed.is_initialized():
        yield World()
        return
    if device in ("auto", "cuda") and torch.cuda.is_available():
        own = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(own)
        distributed.init_process_group("nccl", device_id=own)
    else:
        distributed.init_process_group("gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def _device() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
