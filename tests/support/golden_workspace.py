"""Writes the golden workspace again, from its own crawls, after a stage version was raised.

``python tests/support/golden_workspace.py`` replaces ``tests/golden/workspace.tar.xz``, and in
``tests/golden/names.json`` the names of the dataset, the run and the model.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from test_golden import EVALUATE, GOLDEN, NAMES, PREPARE, TRAIN, listings  # noqa: E402

from core.workspace import Workspace  # noqa: E402
from evaluation.config import PromoteConfig  # noqa: E402
from evaluation.evaluate import evaluate  # noqa: E402
from evaluation.model_registry.model_versions import crown  # noqa: E402
from evaluation.model_registry.promote import promote  # noqa: E402
from flows import latest  # noqa: E402
from preprocessing.cache import libraries  # noqa: E402
from preprocessing.prepare import prepare  # noqa: E402
from training.train import train  # noqa: E402

_ARCHIVE = GOLDEN / "workspace.tar.xz"
_LEFT_OUT = {"crops", "features", "samples", "samples_ema", "tensorboard", ".lock"}
_WRITTEN_AGAIN = ("cache", "datasets", "models", "recipes", "runs")


def main() -> None:
    """Prepare, train, evaluate and promote; then replace the archive and the names."""
    with tempfile.TemporaryDirectory(prefix="suyan-golden-") as scratch:
        folder = Path(scratch)
        with tarfile.open(_ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
        for name in _WRITTEN_AGAIN:
            shutil.rmtree(folder / name)
        names = _write(Workspace(folder))
        with tarfile.open(_ARCHIVE, "w:xz") as archive:
            for path in sorted(folder.rglob("*")):
                place = path.relative_to(folder)
                if path.is_file() and _LEFT_OUT.isdisjoint(place.parts):
                    archive.add(path, place)
    text = json.dumps(
        NAMES | names | {"libraries": dict(libraries())}, indent=2, ensure_ascii=False
    )
    (GOLDEN / "names.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(names) + "\n")


def _write(workspace: Workspace) -> dict[str, str]:
    summary = prepare(PREPARE, *listings(workspace), workspace)
    latest.remember_dataset(workspace, "makeup", summary.version)
    run_name = latest.run_name(TRAIN, summary.version)
    run = workspace.run(run_name).path
    train(TRAIN, summary.dataset, run)
    latest.remember_run(workspace, "makeup", run_name)
    evaluation = evaluate(EVALUATE, summary.dataset, run, workspace)
    promotion = promote(run, evaluation.folder, workspace, "makeup", PromoteConfig())
    crown(workspace, "makeup", promotion.model.name, "golden")  # ten steps pass no gate
    return {"dataset": summary.version, "run": run_name, "model": promotion.model.name}


if __name__ == "__main__":
    main()
