"""The yardstick of faults: a small recipe, an undisturbed run of it, and the files of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.workspace import Workspace

_ENGINE_PORT = 8790
ENGINE_URL = f"http://127.0.0.1:{_ENGINE_PORT}"
TRAINING = {
    "load_px": 64,
    "crop_px": 64,
    "num_blocks": 1,
    "ngf": 8,
    "ndf": 8,
    "d_layers": 2,
    "batch_size": 4,
    "num_epochs": 5,
    "num_epochs_decay": 5,
    "checkpoint_every": 6,
    "sample_every": 500,
    "num_threads": 1,
    "device": "cpu",
}


@dataclass(frozen=True)
class Reference:
    """The results of the same stages when no fault is inflicted."""

    originals: dict[str, set[str]]  # file names by domain
    dataset: Path
    weights: str


def reference(home: Path) -> Reference:
    """The results of the stages, called directly in ``home``."""
    from flows.parameters import PipelineParameters
    from preprocessing.prepare import prepare
    from scraping.crawl import crawl
    from training.train import train

    parameters = PipelineParameters.model_validate(recipe())
    workspace = Workspace(home)
    with engine():
        crawls = [crawl(config, workspace) for config in (parameters.crawl_a, parameters.crawl_b)]
    names = {summary.domain: _original_names(summary.listing) for summary in crawls}
    prepared = prepare(parameters.prepare, crawls[0].listing, crawls[1].listing, workspace)
    train(parameters.train, prepared.dataset, workspace.run("reference").path)
    return Reference(names, prepared.dataset, weights(home))


def _original_names(listing: Path) -> set[str]:
    from core.tables import Original, read_rows

    rows = read_rows(listing, Original)
    return {Path(row.path).name for row in rows if row.status == "ok"}


def recipe() -> dict[str, Any]:
    """Parameters: summer and winter, every picture of the engine, at the least size."""
    from flows.recipes import seasons, with_engine

    values = with_engine(seasons(), ENGINE_URL, allow_private_hosts=True).model_dump(mode="json")
    for side in ("crawl_a", "crawl_b"):
        values[side] |= {
            "phrases": values[side]["phrases"][:2],
            "suffixes": [],
            "num_images": 500,  # more than there are: every crawl ends with the same
            "requests_per_s_per_host": 100.0,
            "search_interval_s": 0.05,
        }
    values["prepare"] |= {"crop_px": 64, "min_images": 8, "test_fraction": 0.3}
    values["evaluate"] |= {"num_bootstrap": 200, "inception": "never"}
    values["train"] = TRAINING
    return values


def engine() -> Any:
    from scraping.offline.corpus import landscape_corpus
    from scraping.offline.server import OfflineEngine

    return OfflineEngine(landscape_corpus(num_good=16), port=_ENGINE_PORT)


def originals(home: Path) -> dict[str, int]:
    """Stored originals and the inode of each; a file that is fetched again gets another inode."""
    return {str(path.relative_to(home)): path.stat().st_ino
            for path in home.glob("originals/*/*") if not path.name.startswith(".")}  # fmt: skip


def newest_step(home: Path) -> int:
    steps = [int(path.name[5:]) for path in home.glob("runs/*/checkpoints/step_*")]
    return max(steps, default=0)


def last_logged(home: Path) -> int:
    from training.run.run_log import read_log

    rows = [row for path in home.glob("runs/*/log.jsonl") for row in read_log(path)]
    return max((int(row["step"]) for row in rows), default=0)


def weights(home: Path) -> str:
    """Digest of the newest checkpoint's generators."""
    from core.files import digest, file_sha256

    newest = max(home.glob("runs/*/checkpoints/step_*"), key=lambda path: path.name, default=None)
    if newest is None:
        return ""
    return digest([file_sha256(newest / f"{name}.safetensors") for name in ("G_A", "G_B")])
