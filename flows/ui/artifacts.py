"""The pages of a run in the Prefect UI, one for each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from core.files import load_json
from core.language.messages import localised
from core.picture_grid import Tile, draw_grid, save_jpeg
from core.progress import duration
from core.workspace_folders import DatasetFolder, RunFolder
from evaluation.model_registry.promote import Promotion
from flows.stage_results import StageResult, Status, missing_part
from flows.ui.markdown import Page, pictures, points, table
from flows.ui.page_words import PAGE_WORDS, count, page_language, say
from flows.ui.run_progress import domains, run_logger
from preprocessing.config import PrepareConfig
from preprocessing.selection.reason_words import reason_name
from scraping.crawl import CrawlSummary
from training.config import TrainConfig

if TYPE_CHECKING:
    from evaluation.evaluate import Evaluation
    from preprocessing.prepare import PrepareSummary
    from training.train import TrainSummary

_COUNTS = ("pages", "hits", "new", "stored", "duplicates")
_MAX_LOSS_ROWS = 10
_NO_LOSSES = {"step", "epoch", "seconds", "eta_s", "images_per_s", "memory_gib"}


def crawl_yields(summary: CrawlSummary) -> None:
    """Write the page of a crawl: yield and failures by phrase, a preview of new originals."""
    reasons = _listed(summary.reasons)
    left = say("partial", part=missing_part(summary)) if summary.partial else ""
    newest = {say("newest"): summary.preview} if summary.preview.exists() else {}
    Page(f"crawl-{summary.domain}").write(
        say("crawled", domain=summary.domain, num_ok=summary.num_ok, num_hits=summary.num_hits)
        + left
        + say("other_hits", duplicates=summary.num_duplicates, reasons=reasons),
        table([_yield(row) for row in summary.phrases]),
        points([_end(row) for row in summary.phrases]),
        pictures(newest),
    )
    log = run_logger().warning if summary.partial else run_logger().info
    log(localised("%s: %d originals (%d new) of %d hits; duplicates: %d; rejected: %s"),
        summary.domain, summary.num_ok, summary.num_added, summary.num_hits,
        summary.num_duplicates, reasons)  # fmt: skip


def _yield(row: Mapping[str, Any]) -> dict[str, str]:
    """A phrase's counts, from searching to storing."""
    return {say("phrase"): row["phrase"], **{say(name): str(row[name]) for name in _COUNTS}}


def _end(row: Mapping[str, Any]) -> dict[str, str]:
    """The reason why a phrase's search ended, and the number of failed downloads by reason."""
    return {
        say("phrase"): row["phrase"],
        say("stopped"): localised(str(row["stopped_because"]).replace("-", " ")),
        say("rejected"): _listed(row["rejected"]) if row["rejected"] else "",
    }


def dataset_card(summary: PrepareSummary) -> None:
    """Write the page of a preparation: the dataset's card, and its contact sheets below it."""
    counts = ", ".join(f"{split}: {n}" for split, n in summary.counts.items())
    dataset = DatasetFolder(summary.dataset)
    names = _domain_names(PrepareConfig.model_validate(load_json(dataset.config)))
    card = dataset.card_text(page_language())
    if not card.exists():  # of a version made before cards had this language
        card = dataset.card_text()
    paths = sorted(dataset.path.glob("*.jpg"), key=_train_first)
    sheets = {_sheet_title(path, names): path for path in paths}
    Page(f"dataset-{domains(summary.version)}").write(
        f"{_numbers(summary, names)} · {summary.version}",
        card.read_text(encoding="utf-8"),
        pictures(sheets),
    )
    note = localised(" (nothing new: an earlier run made it)") if summary.reused else ""
    run_logger().info(localised("dataset %s%s: %s"), summary.version, note, counts)
    for side, reasons in summary.rejected.items():
        run_logger().info(localised("rejected on side %s: %s"), side, _listed(reasons))


def _numbers(summary: PrepareSummary, names: Mapping[str, str]) -> str:
    """How many pictures of each domain there are, to train on and held out."""
    parts = []
    for side in names:
        train, test = (summary.counts[f"{split}{side}"] for split in ("train", "test"))
        parts.append(say("dataset_counts", domain=names[side], train=train, test=test))
    return "; ".join(parts)


def _domain_names(config: PrepareConfig) -> Mapping[str, str]:
    """The names of both domains by side, in the language of the run."""
    names = config.chinese_names if page_language() == "zh" else (config.domain_a, config.domain_b)
    return dict(zip("AB", names, strict=True))


def _sheet_title(sheet: Path, names: Mapping[str, str]) -> str:
    """The title of a contact sheet, e.g. ``"makeup, held out"``."""
    kind, _, rest = sheet.stem.partition("-")
    if kind == "contact" and rest[-1:] in names:
        return say("sheet", domain=names[rest[-1]], purpose=say(f"purpose_{rest[:-1]}"))
    if kind == "rejected":
        return say("rejected_sheet", reason=reason_name(rest).in_language(page_language()))
    return say(f"sheet_{kind}") if f"sheet_{kind}" in PAGE_WORDS else sheet.stem


def _train_first(sheet: Path) -> tuple[bool, str]:
    return "train" not in sheet.stem, sheet.stem


class TrainingPage:
    """The page of a training, rewritten while it goes on: sample pictures over time, the newest
    grid, losses, and augmented training pictures.
    """

    def __init__(self, config: TrainConfig, dataset: Path, run: Path) -> None:
        self._run = RunFolder(run)
        self._page = Page(f"training-{domains(run.name)}")
        self._write_augmentation(config, DatasetFolder(dataset))
        self.write(say("begins"))

    def write(self, state: str) -> None:
        """Rewrite the page; ``state`` is the training's progress in a few words."""
        grids = sorted(self._run.samples_folder().glob("*.jpg"))
        titled: dict[str, Path | Image.Image] = {}
        if grids:
            chosen = [grids[i * (len(grids) - 1) // 7] for i in range(8)] if grids[8:] else grids
            steps = ", ".join(_step(grid) for grid in chosen)
            titled[say("over_time", steps=steps)] = _first_rows(chosen)
            titled[say("samples", step=_step(grids[-1]))] = grids[-1]
        titled[say("augmentation")] = self._run.augmentation
        rows = losses(self._run)
        self._page.write(
            f"{state} · {self._run.path.name}",
            pictures(titled),
            say("losses") if rows else "",
            table(rows),
        )

    def _write_augmentation(self, config: TrainConfig, dataset: DatasetFolder) -> None:
        import numpy as np

        from training.data.augment import preview
        from training.data.picture_folder import load_pictures

        samples = [
            load_pictures(dataset.split(name), config.load_px, limit=2)
            for name in ("trainA", "trainB")
        ]
        save_jpeg(self._run.augmentation, preview(np.concatenate(samples), config))


def training_events(summary: TrainSummary) -> None:
    """Log the training's events, e.g. rollbacks, and the checkpoint that validated best."""
    for event in summary.events:
        run_logger().warning("%s", event)
    if summary.best is not None:
        run_logger().info(localised("best by validation: %s"), summary.best.name)


def losses(run: RunFolder) -> list[dict[str, str]]:
    """The training log in at most ten rows, each the mean over a stretch of steps."""
    from training.run.run_log import read_log

    log = read_log(run.log)
    size = max(1, -(-len(log) // _MAX_LOSS_ROWS))
    rows = []
    for start in range(0, len(log), size):
        part = log[start : start + size]
        means = {
            name: f"{sum(row[name] for row in part) / len(part):.4g}"
            for name in part[0]
            if name not in _NO_LOSSES
            and all(isinstance(row.get(name), int | float) for row in part)
        }
        rows.append({say("up_to_step"): str(part[-1]["step"]), **means})
    return rows


def evaluation(done: Evaluation) -> None:
    """Write the page of an evaluation: verdict, and figures and a sheet for each direction."""
    from evaluation.report.summary import draw_sheets, figure_rows, summary

    columns = say("held_out")
    drawn = draw_sheets(done)
    parts = [summary(done)]
    for name, direction in done.scores.directions.items():
        sheet = {columns: drawn[name]} if name in drawn else {}
        parts += [f"## {direction.route}", pictures(sheet), points(figure_rows(done, name))]
    Page(f"evaluation-{domains(done.folder.parent.parent.name)}").write(done.verdict, *parts)
    run_logger().info(localised("%s Report: %s"), done.verdict, done.report)


def lineage(
    recipe: str,
    crawls: Sequence[CrawlSummary],
    config: PrepareConfig,
    prepared: PrepareSummary,
    trained: TrainSummary,
    evaluated: Evaluation,
    promotion: Promotion,
) -> None:
    """Write the page of a model's origin: every step before it, each with its folder."""
    rows = [
        _origin(
            f"{say('crawl')} {summary.domain}",
            count(summary.num_ok, "original"),
            summary.listing.parent,
        )
        for summary in crawls
    ]
    counts = _numbers(prepared, _domain_names(config))
    rows += [
        _origin(say("dataset"), counts, prepared.dataset),
        _origin(
            say("run"),
            f"{count(trained.steps, 'step')}, {count(trained.epochs, 'epoch')}",
            trained.run,
        ),
        _origin(say("evaluation"), evaluated.verdict, evaluated.report),
        _origin(say("model"), promotion.reason, promotion.model),
    ]
    Page(f"lineage-{recipe}").write(
        say("origin", model=promotion.model.name, recipe=recipe), points(rows)
    )


def stages(
    name: str,
    seconds: Mapping[str, float],
    results: Mapping[str, Sequence[StageResult]],
    outcome: str,
) -> None:
    """Write the page of a flow run: its ``outcome``, and that of each stage, with its reason and
    duration.
    """
    Page(f"stages-{name}").write(
        say("outcome", name=name, outcome=outcome), points(_stage_rows(seconds, results))
    )


def failure(
    name: str,
    stage: str,
    error: Exception,
    seconds: Mapping[str, float],
    results: Mapping[str, Sequence[StageResult]],
) -> None:
    """Write the page of a flow run that failed: the stage, the error, and what to do."""
    first, *_ = str(error).splitlines() or [type(error).__name__]
    rows = [row for row in _stage_rows(seconds, results) if row[""]]
    Page(f"failed-{name}").write(
        say("failed", name=name, stage=say(stage), reason=first.rstrip(":：")),
        f"## {say('error')}",
        _quoted(str(error) or type(error).__name__),
        say("after_failure"),
        points(rows),
    )


def _quoted(text: str) -> str:
    """The lines of a text as a quotation, which wraps in the Prefect UI, as code does not."""
    return "\n".join(f"> {line.strip()}  " for line in text.replace("<", "&lt;").splitlines())


def _stage_rows(
    seconds: Mapping[str, float], results: Mapping[str, Sequence[StageResult]]
) -> list[dict[str, str]]:
    return [
        {
            say("stage"): f"{say(stage)}, {duration(stage_s)}",
            "": "; ".join(_result_text(result) for result in results.get(stage, ())),
        }
        for stage, stage_s in seconds.items()
    ]


def _result_text(result: StageResult) -> str:
    """The reason, preceded by the status unless it is the usual one."""
    if result.status is Status.DONE:
        return result.reason
    return f"{say(f'status_{result.status}')}: {result.reason}"


def _origin(step: str, text: str, path: Path) -> dict[str, str]:
    return {say("step"): step, "": text, say("where"): f"`{path}`"}


def _listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {num}" for reason, num in sorted(reasons.items())) or say("none")


def _step(grid: Path) -> str:
    return str(int(grid.stem.rpartition("_")[2]))


def _first_rows(grids: Sequence[Path]) -> Image.Image:
    """The first row of pictures of each sample grid, one below the other."""
    from training.run.sample_grid import first_row

    rows = []
    for path in grids:
        with Image.open(path) as grid:
            rows.append([Tile(first_row(grid.convert("RGB")))])
    return draw_grid(rows)
