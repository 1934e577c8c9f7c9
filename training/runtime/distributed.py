"""Several processes on one run: each takes its share of a batch, and all stay bitwise the same.

Started by ``torchrun``, which tells each process its place; gloo between CPUs, NCCL between GPUs.
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
    """How many processes train together (``size``), and which of them this is (``rank``)."""

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

    def gather(self, part: Tensor) -> Tensor:
        """The whole batch from everybody's part, in order, ``[n, …]`` → ``[n · size, …]``."""
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
        """Replace every gradient by its mean over all processes, as one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view(gradient.shape))

    def any(self, value: bool) -> bool:  # a yes-or-no that all processes must agree on
        """Whether ``value`` holds in any process."""
        if self.size == 1:
            return value
        flag = torch.tensor(float(value), device=_device())
        distributed.all_reduce(flag)
        return bool(flag > 0)

    def wait(self) -> None:
        """Return once every process is here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined_world(device: str = "auto") -> Iterator[World]:
    """The processes that ``torchrun`` started with this one; alone without it.

    Each takes the GPU of its place on its machine, where ``device`` is ``"auto"`` or ``"cuda"``.
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
