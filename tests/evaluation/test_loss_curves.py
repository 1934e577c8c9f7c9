"""The training curves of a report, drawn wherever a training may run."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_DRAWS = """
from evaluation.report.loss_curves import loss_curves
log = [{"step": step, "cycle_A": 1 / step, "G_A": 1.0, "D_A": 0.5} for step in (1, 2, 3)]
print(loss_curves(log)[:4], loss_curves(log[:1]) == "")
"""


def test_curves_are_drawn_where_a_notebook_names_a_backend_of_its_own() -> None:
    """As Jupyter does, for the commands that a cell starts too; matplotlib refuses unknown ones."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "a-notebook-s-own"}
    done = subprocess.run(
        [sys.executable, "-c", _DRAWS], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "<svg True\n"), done.stderr
