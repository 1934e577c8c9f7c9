"""What a person sees of a run in the Prefect UI: yields, cards, sample grids and verdicts."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from evaluation.promote import Promotion
from flows.outcome import what_is_left
from flows.progress import run_logger, shown
from scraping.crawl import CrawlSummary
from scraping.records import atomic_file
from training.config import TrainConfig

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from training.train import TrainSummary

_COLUMNS = ("pages", "hits", "new", "stored", "duplicates")
_MAX_IMAGE_BYTES = 300_000  # artifacts live in the server's database


def crawl_yields(summary: CrawlSummary) -> None:
    """A table of phrases with their yields and failures, and a contact sheet of what came in."""
    reasons = ", ".join(f"{reason}: {n}" for reason, n in sorted(summary.reasons.items())) or "none"
    left = f" **Partial**: {what_is_left(summary)}." if summary.partial else ""
    with shown():
        create_table_artifact(
            key=_key(f"crawl-{summary.domain}"),
            table=[_yield(row) for row in summary.phrases],
            description=(
                f"**{summary.domain}**: {summary.num_ok} of {summary.num_hits} hits became "
                f"originals.{left} Rejected: {reasons}."
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
    with shown():
        create_markdown_artifact(key=_key(f"dataset-{summary.version}"), markdown=card.read_text())
    for sheet in sorted(summary.dataset.glob("*.jpg")):
        _image(f"dataset-{summary.version}-{sheet.stem}", sheet, f"{summary.version}: {sheet.stem}")
    counts = ", ".join(f"{split}: {n}" for split, n in summary.counts.items())
    again = " (nothing new: made by an earlier run)" if summary.reused else ""
    run_logger().info("dataset %s%s: %s", summary.version, again, counts)
    for side, reasons in summary.rejected.items():
        listed = ", ".join(f"{reason}: {n}" for reason, n in sorted(reasons.items())) or "none"
        run_logger().info("rejected on side %s: %s", side, listed)


def augmentations(config: TrainConfig, dataset: Path, run: Path) -> None:
    """What training will see of a few pictures, as ``augmentation.jpg`` in the run's folder."""
    import numpy as np

    from training.augment import preview
    from training.data import load_pictures

    pictures = [load_pictures(dataset / f"train{side}", config.load_px, limit=2) for side in "AB"]
    with atomic_file(run / "augmentation.jpg") as file:
        preview(np.concatenate(pictures), config).save(file, "JPEG", quality=88)
    text = f"{run.name}: two pictures of each domain, and as training may see them"
    _image(f"augmentation-{run.name}", run / "augmentation.jpg", text)


def samples(run: Path, grid: Path) -> None:
    """A sample grid of a training: each one is a new version of the same artifact."""
    text = f"{run.name}: input, translated, reconstructed at {grid.stem}"
    _image(f"samples-{run.name}", grid, text)


def training_summary(summary: TrainSummary) -> None:
    """The first pictures of up to eight sample grids over time, and the losses beside them."""
    with shown():
        grids = sorted((summary.run / "samples").glob("*.jpg"))
        if grids:
            chosen = [grids[i * (len(grids) - 1) // 7] for i in range(8)] if grids[8:] else grids
            steps = ", ".join(str(int(grid.stem.rpartition("_")[2])) for grid in chosen)
            text = (
                f"{summary.run.name}: the same picture of each side at steps {steps} (downwards); "
                "each time the input, translated, and translated back"
            )
            _picture(f"training-{summary.run.name}-over-time", _first_rows(chosen), text)
        create_table_artifact(
            key=_key(f"training-{summary.run.name}-losses"),
            table=losses(summary.run),
            description=f"**{summary.run.name}**: losses, means of a tenth of the training each",
        )
    for event in summary.events:
        run_logger().warning("%s", event)
    if summary.best is not None:
        run_logger().info("best by validation: %s", summary.best.name)


def losses(run: Path) -> list[dict[str, str]]:
    """The training log in at most ten rows, each the mean of a stretch of steps."""
    from training.log import read_log

    rows = read_log(run / "log.jsonl")
    size = max(1, -(-len(rows) // 10))
    shown_rows = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        names = [key for key in part[0] if key not in {"step", "epoch", "seconds"}]
        means = {
            name: f"{sum(row[name] for row in part) / len(part):.4g}"
            for name in names
            if all(isinstance(row.get(name), int | float) for row in part)
        }
        shown_rows.append({"up to step": str(part[-1]["step"]), **means})
    return shown_rows


def evaluation(done: Evaluation) -> None:
    """The report's core: verdict, and a table and a sheet of pictures for each direction."""
    from evaluation.core import figures, route, sheets, summary

    key = f"evaluation-{done.folder.parent.parent.name}"
    with shown():
        create_markdown_artifact(key=_key(key), markdown=summary(done))
        for name in done.scores["directions"]:
            _list(f"{key}-{name}", figures(done, name), f"**{route(done.scores, name)}**")
    for name, sheet in sheets(done).items():
        columns = "held-out pictures: input, (champion,) translated, translated back, (truth)"
        _image(f"{key}-{name}-pictures", sheet, f"{route(done.scores, name)}, {columns}")
    run_logger().info("%s; report: %s", done.verdict, done.report)


def approval_pictures(evaluation: Evaluation) -> None:
    """The last sample grid, for who decides on the model."""
    grids = sorted((evaluation.folder.parent.parent / "samples").glob("*.jpg"))
    if grids:
        samples(evaluation.folder.parent.parent, grids[-1])


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
    pictures = ", ".join(f"{split} {num}" for split, num in prepared.counts.items())
    rows += [
        _origin("dataset", pictures, prepared.dataset),
        _origin("run", f"{trained.steps} steps, {trained.epochs} epochs", trained.run),
        _origin("evaluation", evaluated.verdict, evaluated.report),
        _origin("model", promotion.reason, promotion.model),
    ]
    with shown():
        _list(f"lineage-{recipe}", rows, f"Lineage of **{recipe}**")


def stages(name: str, seconds: Mapping[str, float], outcomes: Mapping[str, str]) -> None:
    """What each stage of a run did, why, and for how long."""
    table = [
        {"stage": stage, "what and why": outcomes.get(stage, ""), "seconds": f"{took:.1f}"}
        for stage, took in seconds.items()
    ]
    with shown():
        _list(f"stages-{name}", table, f"**{name}**: what each stage did, and why")


def _origin(step: str, what: str, where: Path) -> dict[str, str]:
    return {"step": step, "what": what, "where": str(where)}


def _first_rows(grids: Sequence[Path]) -> Image.Image:
    """The first row of pictures of each grid, one under the other."""
    opened = [Image.open(path).convert("RGB") for path in grids]
    side = max(1, (opened[0].width + 4) // 6)  # six columns of square pictures
    rows = [image.crop((0, 0, image.width, min(side, image.height))) for image in opened]
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _list(key: str, rows: Sequence[Mapping[str, str]], title: str) -> None:
    """A point for each row, which wraps: tables are cut off on the right in the Prefect UI."""
    points = []
    for row in rows:
        head, *cells = row.values()
        names = list(row)[1:]
        told = " · ".join(
            f"{name}: {cell}" for name, cell in zip(names, cells, strict=True) if cell
        )
        points.append(f"- **{head}** · {told}")
    create_markdown_artifact(key=_key(key), markdown="\n".join([title, "", *points, ""]))


def _image(key: str, path: Path, description: str) -> None:
    with shown(), Image.open(path) as image:
        _picture(key, image.convert("RGB"), description)


def _picture(key: str, image: Image.Image, description: str) -> None:
    """As markdown: the page of an image artifact also spells out the whole ``data:`` address."""
    create_markdown_artifact(
        key=_key(key), markdown=f"{description}\n\n![{description}]({_data_url(image)})\n"
    )


def _data_url(image: Image.Image) -> str:
    """The picture as a JPEG ``data:`` address of at most ``_MAX_IMAGE_BYTES`` of JPEG."""
    while True:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        if buffer.tell() <= _MAX_IMAGE_BYTES:
            return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))


def _key(text: str) -> str:
    """``text`` as an artifact key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "artifact"
