"""What a person sees of a run in the Prefect UI: yields, cards, sample grids and verdicts."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from evaluation.evaluate import Evaluation
from flows.progress import ArtifactProgress, run_logger
from preprocessing.prepare import PrepareSummary
from scraping.crawl import CrawlSummary
from training.train import TrainSummary

_COLUMNS = ("pages", "hits", "new", "stored", "duplicates")
_MAX_IMAGE_BYTES = 300_000  # artifacts live in the server's database


def crawl_yields(summary: CrawlSummary) -> None:
    """A table of phrases with their yields and failures, and a contact sheet of what came in."""
    reasons = ", ".join(f"{reason}: {n}" for reason, n in sorted(summary.reasons.items())) or "none"
    create_table_artifact(
        key=_key(f"crawl-{summary.domain}"),
        table=[_yield(row) for row in summary.phrases],
        description=(
            f"**{summary.domain}**: {summary.num_ok} of {summary.num_hits} hits became originals"
            f"{' (partial: the engine asked us to stop)' if summary.partial else ''}. "
            f"Rejected: {reasons}."
        ),
    )
    if summary.preview.exists():
        _image(f"crawl-{summary.domain}-preview", summary.preview, f"{summary.domain}: the newest")
    log = run_logger().warning if summary.partial else run_logger().info
    log("%s: %d originals (%d new) of %d hits; rejected: %s",
        summary.domain, summary.num_ok, summary.num_added, summary.num_hits, reasons)  # fmt: skip


def _yield(row: Mapping[str, Any]) -> dict[str, str]:
    """A phrase's row in the order that one reads it, its failures as one cell."""
    failures = ", ".join(f"{reason}: {num}" for reason, num in row["rejected"].items())
    shown = {name: str(row[name]) for name in _COLUMNS}
    return {
        "phrase": row["phrase"],
        **shown,
        "rejected": failures,
        "stopped": row["stopped_because"],
    }


def dataset_card(summary: PrepareSummary) -> None:
    """The dataset's card as markdown, and its contact sheets as pictures."""
    card = summary.dataset / "card.md"
    create_markdown_artifact(key=_key(f"dataset-{summary.version}"), markdown=card.read_text())
    for sheet in sorted(summary.dataset.glob("*.jpg")):
        _image(f"dataset-{summary.version}-{sheet.stem}", sheet, f"{summary.version}: {sheet.stem}")
    counts = ", ".join(f"{split}: {n}" for split, n in summary.counts.items())
    again = " (nothing new: made by an earlier run)" if summary.reused else ""
    run_logger().info("dataset %s%s: %s", summary.version, again, counts)
    for side, reasons in summary.rejected.items():
        listed = ", ".join(f"{reason}: {n}" for reason, n in sorted(reasons.items())) or "none"
        run_logger().info("rejected on side %s: %s", side, listed)


class TrainingProgress:
    """A ``scraping.records.Progress`` of a training run: bar, log lines, and new sample grids.

    A new grid is published at most once in ``every_s`` seconds, under one key, so that the UI shows
    the latest one and the way there.
    """

    def __init__(
        self, run: Path, every_s: float = 120.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._run, self._every_s, self._clock = run, every_s, clock
        self._bar = ArtifactProgress(_key(f"progress-{run.name}"))
        self._shown: Path | None = None
        self._shown_at = clock()

    def __call__(self, stage: str, done: int, total: int | None, message: str) -> None:
        self._bar(stage, done, total, message)
        if self._clock() - self._shown_at < self._every_s:
            return
        self._shown_at = self._clock()
        newest = _newest_grid(self._run)
        if newest is not None and newest != self._shown:
            self._shown = newest
            _show_grid(self._run, newest)


def training_samples(summary: TrainSummary) -> None:
    """The last sample grid, and what the run noticed about itself."""
    newest = _newest_grid(summary.run)
    if newest is not None:
        _show_grid(summary.run, newest)
    for event in summary.events:
        run_logger().warning("%s", event)
    if summary.best is not None:
        run_logger().info("best by validation: %s", summary.best.name)


def _newest_grid(run: Path) -> Path | None:
    return max((run / "samples").glob("*.jpg"), default=None)


def _show_grid(run: Path, grid: Path) -> None:
    text = f"{run.name}: input, translated, reconstructed at {grid.stem}"
    _image(f"samples-{run.name}", grid, text)


def verdict(evaluation: Evaluation) -> None:
    """The evaluation's verdict with the way to its report."""
    create_markdown_artifact(
        key=_key(f"evaluation-{evaluation.folder.parent.parent.name}"),
        markdown=f"**{evaluation.verdict}**\n\nReport: `{evaluation.report}`\n",
    )
    run_logger().info("%s", evaluation.verdict)


def _image(key: str, path: Path, description: str) -> None:
    create_image_artifact(key=_key(key), image_url=_data_url(path), description=description)


def _data_url(path: Path) -> str:
    """The picture as a JPEG ``data:`` address of at most ``_MAX_IMAGE_BYTES`` of JPEG."""
    image = Image.open(path).convert("RGB")
    while True:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        if buffer.tell() <= _MAX_IMAGE_BYTES:
            return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))


def _key(text: str) -> str:
    """``text`` as an artifact key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "artifact"
