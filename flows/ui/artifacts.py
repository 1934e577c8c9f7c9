"""What a person sees of a run in the Prefect UI: a page for each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from core.files import atomic_file
from evaluation.model_registry.promote import Promotion
from flows.outcomes import what_is_left
from flows.ui.markdown import Page, pictures, points, table
from flows.ui.run_progress import domains, duration, run_logger
from scraping.crawl import CrawlSummary
from training.config import TrainConfig

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from training.train import TrainSummary

_NUMBERS = ("pages", "hits", "new", "stored", "duplicates")
_NO_LOSSES = {"step", "epoch", "seconds", "eta_s", "images_per_s", "memory_gib"}


def crawl_yields(summary: CrawlSummary) -> None:
    """A table of phrases with their yields, what failed, and a contact sheet of what came in."""
    reasons = _listed(summary.reasons)
    left = f" **Partial**: {what_is_left(summary)}." if summary.partial else ""
    newest = {"The newest": summary.preview} if summary.preview.exists() else {}
    Page(f"crawl-{summary.domain}").show(
        f"**{summary.domain}**: {summary.num_ok} of {summary.num_hits} hits became originals."
        f"{left} Rejected: {reasons}.",
        table([_yield(row) for row in summary.phrases]),
        points([_end(row) for row in summary.phrases]),
        pictures(newest),
    )
    log = run_logger().warning if summary.partial else run_logger().info
    log("%s: %d originals (%d new) of %d hits; rejected: %s",
        summary.domain, summary.num_ok, summary.num_added, summary.num_hits, reasons)  # fmt: skip


def _yield(row: Mapping[str, Any]) -> dict[str, str]:
    """A phrase's numbers, in the order that one reads them: as many columns as the page is wide."""
    return {"phrase": row["phrase"], **{name: str(row[name]) for name in _NUMBERS}}


def _end(row: Mapping[str, Any]) -> dict[str, str]:
    """Why a phrase's search ended, and what failed."""
    return {
        "phrase": row["phrase"],
        "stopped": str(row["stopped_because"]),
        "rejected": _listed(row["rejected"]) if row["rejected"] else "",
    }


def dataset_card(summary: PrepareSummary) -> None:
    """The dataset's card, and its contact sheets below it."""
    counts = ", ".join(f"{split}: {n}" for split, n in summary.counts.items())
    found = sorted(
        summary.dataset.glob("*.jpg"), key=lambda path: ("train" not in path.stem, path.stem)
    )
    sheets = {sheet.stem: sheet for sheet in found}
    Page(f"dataset-{domains(summary.version)}").show(
        f"{counts} · {summary.version}",
        (summary.dataset / "card.md").read_text(encoding="utf-8"),
        pictures(sheets),
    )
    again = " (nothing new: made by an earlier run)" if summary.reused else ""
    run_logger().info("dataset %s%s: %s", summary.version, again, counts)
    for side, reasons in summary.rejected.items():
        run_logger().info("rejected on side %s: %s", side, _listed(reasons))


class TrainingPage:
    """The page of a training, written again as it goes on: pictures over time, the newest grid,
    losses, and what the training sees of a few pictures.
    """

    def __init__(self, config: TrainConfig, dataset: Path, run: Path) -> None:
        self._run = run
        self._page = Page(f"training-{domains(run.name)}")
        self._seen = self._augmentations(config, dataset)
        self.show("begins")

    def show(self, state: str) -> None:
        """The page as it stands; ``state`` says in a few words how far the training is."""
        grids = sorted((self._run / "samples").glob("*.jpg"))
        titled: dict[str, Path | Image.Image] = {}
        if grids:
            chosen = [grids[i * (len(grids) - 1) // 7] for i in range(8)] if grids[8:] else grids
            steps = ", ".join(_step(grid) for grid in chosen)
            titled[f"The same picture of each side at steps {steps} (downwards); each time the "
                   "input, translated, and translated back"] = _first_rows(chosen)  # fmt: skip
            titled[f"All sample pictures at step {_step(grids[-1])}"] = grids[-1]
        titled["Two pictures of each domain, and as the training may see them"] = self._seen
        rows = losses(self._run)
        self._page.show(
            f"{state} · {self._run.name}",
            pictures(titled),
            "Losses, means of a tenth of the steps each" if rows else "",
            table(rows),
        )

    def _augmentations(self, config: TrainConfig, dataset: Path) -> Path:
        """``augmentation.jpg`` in the run's folder."""
        import numpy as np

        from training.data.augment import preview
        from training.data.picture_folder import load_pictures

        few = [load_pictures(dataset / f"train{side}", config.load_px, limit=2) for side in "AB"]
        path = self._run / "augmentation.jpg"
        with atomic_file(path) as file:
            preview(np.concatenate(few), config).save(file, "JPEG", quality=88)
        return path


def training_events(summary: TrainSummary) -> None:
    """In the log: what went wrong and was mended, and which checkpoint validated best."""
    for event in summary.events:
        run_logger().warning("%s", event)
    if summary.best is not None:
        run_logger().info("best by validation: %s", summary.best.name)


def losses(run: Path) -> list[dict[str, str]]:
    """The training log in at most ten rows, each the mean of a stretch of steps."""
    from training.run.run_log import read_log

    rows = read_log(run / "log.jsonl")
    size = max(1, -(-len(rows) // 10))
    shown_rows = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        means = {
            name: f"{sum(row[name] for row in part) / len(part):.4g}"
            for name in part[0]
            if name not in _NO_LOSSES
            and all(isinstance(row.get(name), int | float) for row in part)
        }
        shown_rows.append({"up to step": str(part[-1]["step"]), **means})
    return shown_rows


def evaluation(done: Evaluation) -> None:
    """The report's core: verdict, and figures and a sheet of pictures for each direction."""
    from evaluation.report.summary import draw_sheets, figure_rows, summary

    columns = "Held-out pictures: input, (champion,) translated, translated back, (truth)"
    drawn = draw_sheets(done)
    parts = [summary(done)]
    for name, direction in done.scores.directions.items():
        sheet = {columns: drawn[name]} if name in drawn else {}
        parts += [f"## {direction.route}", pictures(sheet), points(figure_rows(done, name))]
    Page(f"evaluation-{domains(done.folder.parent.parent.name)}").show(done.verdict, *parts)
    run_logger().info("%s; report: %s", done.verdict, done.report)


def lineage(
    recipe: str,
    crawled: Sequence[CrawlSummary],
    prepared: PrepareSummary,
    trained: TrainSummary,
    evaluated: Evaluation,
    promotion: Promotion,
) -> None:
    """Where a model comes from, step by step, each with its folder."""
    rows = [
        _origin(f"crawl {summary.domain}", f"{summary.num_ok} originals", summary.listing.parent)
        for summary in crawled
    ]
    counts = ", ".join(f"{split} {num}" for split, num in prepared.counts.items())
    rows += [
        _origin("dataset", counts, prepared.dataset),
        _origin("run", f"{trained.steps} steps, {trained.epochs} epochs", trained.run),
        _origin("evaluation", evaluated.verdict, evaluated.report),
        _origin("model", promotion.reason, promotion.model),
    ]
    Page(f"lineage-{recipe}").show(
        f"Where model **{promotion.model.name}** of {recipe} comes from", points(rows)
    )


def stages(name: str, seconds: Mapping[str, float], outcomes: Mapping[str, str]) -> None:
    """What each stage of a run did, why, and for how long."""
    rows = [
        {
            "stage": f"{stage}, {duration(took)}",
            "": outcomes.get(stage, "").removeprefix("Completed: ").replace("; Completed: ", "; "),
        }
        for stage, took in seconds.items()
    ]
    Page(f"stages-{name}").show(f"**{name}**: what each stage did, and why", points(rows))


def _origin(step: str, what: str, where: Path) -> dict[str, str]:
    return {"step": step, "": what, "where": f"`{where}`"}


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {num}" for reason, num in sorted(reasons.items())) or "none"


def _step(grid: Path) -> str:
    return str(int(grid.stem.rpartition("_")[2]))


def _first_rows(grids: Sequence[Path]) -> Image.Image:
    """The first row of pictures of each grid, one under the other."""
    from training.run.sample_grid import first_row

    rows = [first_row(Image.open(path).convert("RGB")) for path in grids]
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet
