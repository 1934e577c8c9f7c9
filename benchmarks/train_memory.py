"""Memory of a training process: its growth, and the need of the paper's network.

Two real trainings, each in a process of its own: a small network for 2,000 steps with checkpoints
and sample grids in between, whose memory must not grow; and the full one (256², batch 1, nine
blocks) for a few steps, whose peak must stay below 4 GiB. Memory is the resident set, which
``log.jsonl`` records every ten steps, and the system's own peak.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from training.config import TrainConfig
from training.run.run_log import read_log
from training.train import train

_PICTURES = 20  # of each side
_FULL_STEPS = 6  # except for the image pool, all memory is allocated in the second quarter
_COLUMNS = 10  # of the printed curve
_SMALL: dict[str, Any] = {
    "crop_px": 64,
    "load_px": 72,
    "num_blocks": 2,
    "ngf": 8,
    "ndf": 8,
    "num_epochs_decay": 0,
    "checkpoint_every": 200,
    "sample_every": 200,
    "ema_decay": 0.999,
}
_FULL: dict[str, Any] = {"num_epochs": 1, "num_epochs_decay": 0, "compile": "off"}


def main() -> None:
    """Measure, print both curves, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="100 small steps, a full one")
    arguments.add_argument("--child", help="(for its own use) configuration to train")
    arguments.add_argument("--folder", type=Path, help="(for its own use)")
    given = arguments.parse_args()
    if given.child:
        config = TrainConfig.model_validate({"device": "cpu", **json.loads(given.child)})
        train(config, given.folder / "data", given.folder / "run")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    num_epochs = 5 if given.quick else 2000 // _PICTURES
    small = _watched("small network", {**_SMALL, "num_epochs": num_epochs}, _PICTURES)
    full = _watched("full network", _FULL, 1 if given.quick else _FULL_STEPS)
    rows = small["curve"]
    half = len(rows) // 2
    growth = statistics.median(rows[-half // 2 :]) - statistics.median(rows[half // 2 : half])
    figures = {
        "steps": small["steps"],
        "growth_mib": round(growth * 1024, 1),  # last quarter less second quarter
        "peak_small_gib": round(small["peak"], 2),
        "peak_full_gib": round(full["peak"], 2),
    }
    print(json.dumps(figures))


def _watched(title: str, config: dict[str, Any], num_pictures: int) -> dict[str, Any]:
    """Train in a process of its own; returns the curve and the peak in GiB."""
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as name:
        folder = Path(name)
        _draw(folder / "data", num_pictures)
        command = [sys.executable, __file__, "--child", json.dumps(config), "--folder", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows = read_log(folder / "run" / "log.jsonl")
        peak = float(done.stdout.strip().splitlines()[-1])
    curve = [float(row["memory_gib"]) for row in rows] or [peak]
    print(f"{title}: resident memory, GiB, and at most {peak:.3f}", flush=True)
    for at in sorted({round(k * (len(rows) - 1) / (_COLUMNS - 1)) for k in range(_COLUMNS)}):
        if rows:
            print(f"  step {rows[at]['step']:5}  {curve[at]:.3f}")
    return {"curve": curve, "peak": peak, "steps": rows[-1]["step"] if rows else 0}


def _draw(folder: Path, num: int) -> None:
    rng = np.random.default_rng(0)
    for side in ("trainA", "trainB"):
        (folder / side).mkdir(parents=True)
        for index in range(num):
            pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
            large = Image.fromarray(pixels).resize((286, 286), Image.Resampling.BICUBIC)
            large.save(folder / side / f"{index}.png")


if __name__ == "__main__":
    main()
