"""The throughput of a training, its remaining time, and its memory."""

from __future__ import annotations

import time

import psutil
import torch


class Throughput:
    """Measures images a second since the last update, the remaining time, and the memory in use."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self._batch_size, self._device = batch_size, device
        self._process = psutil.Process()
        self.start(0)

    def start(self, step: int) -> None:
        """Start the measurement at ``step``."""
        self._began = self._updated_at = time.monotonic()
        self._step, self._images_per_s = step, 0.0

    def update(self, step: int) -> None:
        """Measure the rate of the steps since the last update."""
        now = time.monotonic()
        if step > self._step:
            num_images = (step - self._step) * self._batch_size
            self._images_per_s = num_images / max(now - self._updated_at, 1e-9)
        self._step, self._updated_at = step, now

    def figures(self, num_left: int) -> dict[str, float]:
        """Columns for a row of the log."""
        rate = self._images_per_s
        left_s = num_left * self._batch_size / rate if rate else 0.0
        return {
            "seconds": round(time.monotonic() - self._began, 3),
            "images_per_s": round(rate, 3),  # of each side
            "eta_s": round(left_s, 1),
            "memory_gib": round(self.memory_gib(), 3),
        }

    def memory_gib(self) -> float:
        """Peak memory of torch on the GPU, or the present memory of the process, GiB."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**30
        return float(self._process.memory_info().rss) / 2**30

    def __str__(self) -> str:
        rate = f"{self._images_per_s:.2g} images/s, " if self._images_per_s else ""
        return f"{rate}{self.memory_gib():.1f} GiB"
