"""What a GPU is good for, in at most 12 minutes: seconds of a step, then the best recipe at 256 px.

First ``train_step.py --only gpu``: steps of the paper's network at batch 1 and 8, with each switch,
TF32, bfloat16, compiled and with CUDA graphs, and the share of the floor. Then ``real_faces.py`` at
256 px for the minutes that are left, evaluated on people that the training never saw. Without a
GPU, ``--rehearse`` does both at the least size on the CPU, so that no minute of a lent one is lost
to a mistake.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from photographs import DATA
from real_faces import measure

from core.workspace import Workspace

_MINUTES = 12.0
_EVALUATION_MINUTES = 2.5  # preparing and evaluating, beside the training
_LEAST_MINUTES = 1.0


def main() -> None:
    """Measure steps, train, evaluate, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=_MINUTES, help="longest time in all, default 12"
    )
    parser.add_argument("--out", type=Path, help="folder that keeps dataset, run and sheet")
    parser.add_argument(
        "--rehearse", "--quick", action="store_true", help="least sizes, on the CPU if need be"
    )
    given = parser.parse_args()
    if not given.rehearse and not torch.cuda.is_available():
        print("skipped: there is no GPU (--rehearse tries this script without one)")
        print(json.dumps({"skipped": "no GPU"}))
        return
    started = time.monotonic()
    figures: dict[str, object] = dict(_step_figures(rehearse=given.rehearse))
    if not (DATA / "makeup128").is_dir():
        print(f"no training: {DATA / 'makeup128'} (photographs of faces) is not there")
    else:
        logging.getLogger("training").setLevel(logging.ERROR)
        left = given.minutes - (time.monotonic() - started) / 60 - _EVALUATION_MINUTES
        minutes = 0.05 if given.rehearse else max(_LEAST_MINUTES, left)
        px = 128 if given.rehearse else 256
        with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
            workspace = Workspace((given.out or Path(scratch)).resolve())
            figures |= measure(workspace, minutes, 0, px, quick=given.rehearse)
    print(json.dumps(figures))


def _step_figures(*, rehearse: bool) -> dict[str, float]:
    """The figures of ``train_step.py``, in a process of its own, whose memory it frees."""
    command = [sys.executable, str(Path(__file__).with_name("train_step.py")), "--only", "gpu"]
    result = subprocess.run(
        command + (["--quick"] if rehearse else []), check=True, stdout=subprocess.PIPE, text=True
    )
    print(result.stdout, flush=True)
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


if __name__ == "__main__":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    main()
