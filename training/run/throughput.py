"""How fast a training goes, how long it still takes, and the memory that it uses."""

from __future__ import annotations

import time

import psutil
import torch


class Throughput:
    """Images a second since the last update, time still needed, and memory in use."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self._batch_size, self._device = batch_size, device
        self._process = psutil.Process()
        self.start(0)

    def start(self, step: int) -> None:
        """Measure from ``step`` on."""
        self._began = self._updated_at = time.monotonic()
        self._step, self._images_per_s = step, 0.0

    def update(self, step: int) -> None:
        """Take the rate of the steps since the last update."""
        now = time.monotonic()
        if step > self._step:
            num_images = (step - self._step) * self._batch_size
            self._images_per_s = num_images / max(now - self._updated_at, 1e-9)
        self._step, self._updated_at = step, now

    def figures(self, num_left: int) -> dict[str, float]:
        """Columns of a row of the log; memory of the GPU where there is one, else the process's."""
        rate = self._images_per_s
        left_s = num_left * self._batch_size / rate if rate else 0.0
        return {
            "seconds": round(time.monotonic() - self._began, 3),
            "images_per_s": round(rate, 3),  # of each side
            "eta_s": round(left_s, 1),
            "memory_gib": round(self.memory_gib(), 3),
        }

    def memory_gib(self) -> float:
        """The most GiB that torch has held on the GPU, or what the process holds now."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**30
        return float(self._process.memory_info().rss) / 2**30

    def __str__(self) -> str:
        return f"{self._images_per_s:.2g} images/s, {self.memory_gib():.1f} GiB"
