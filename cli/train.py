"""Training and evaluation from the command line, without Prefect: progress, and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from core.errors import SuyanError
from core.files import digest
from core.progress import Progress
from core.workspace import Workspace
from flows import latest
from flows.pipeline import run_name
from flows.ui.run_progress import LogProgress
from storage import models, runs
from storage.eviction import in_use
from training.config import TrainConfig
from training.runtime.launcher import Torchrun, train_together

if TYPE_CHECKING:
    from rich.console import Console

    from evaluation.config import EvaluateConfig, PromoteConfig


def with_changes(config: TrainConfig, changes: Sequence[str]) -> TrainConfig:
    """``config`` with changes such as ``"ngf=32"``; values are JSON, or text as it is.

    Raises ``ValueError`` for an option that there is not, and for a value that does not do.
    """
    values: dict[str, Any] = config.model_dump()
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or name not in values:
            raise ValueError(f"--set: got {change!r}, needed OPTION=VALUE, of: {', '.join(values)}")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return TrainConfig.model_validate(values)


def train_alone(
    config: TrainConfig,
    recipe: str,
    dataset: str,
    workspace: Workspace,
    console: Console,
    torchrun: Torchrun,
    *,
    program: str,
) -> Path:
    """Train on a dataset version by name, the newest, or any folder with trainA and trainB.

    Prints what came out of it; the folder of the run, which is the one that the flows would use.
    """
    from evaluation.validation import kid_distance
    from training.train import train

    with in_use(workspace):
        folder = Path(dataset)
        if not (folder / "trainA").is_dir():
            folder = latest.dataset_folder(workspace, recipe, dataset)
        name = folder.name
        if not (folder / "manifest.parquet").exists():  # another folder may have this name too
            name += f"-{digest(str(folder.resolve()), 8)}"
        run = workspace / "runs" / run_name(config, name)
        console.print(f"{folder} → {run}", soft_wrap=True, highlight=False)
        with _alone(run), _bar(console) as progress:
            runs.fetch(workspace, run.name)
            with runs.publisher(workspace, run.name):
                if torchrun.is_needed:
                    distance = "evaluation.validation:kid_distance" if config.validate_every else ""
                    told = train_together(
                        config, folder, run, torchrun, progress=progress, distance=distance
                    )
                else:
                    judge = kid_distance() if config.validate_every else None
                    told = train(config, folder, run, progress=progress, distance=judge)
        latest.remember_run(workspace, recipe, run.name)
    for event in told.events:
        console.print(event, soft_wrap=True, highlight=False)
    work = f"{told.steps} steps"
    if told.resumed_from_step:
        work += f", {told.steps - told.resumed_from_step} of them now"
    console.print(f"[bold]{told.checkpoint}[/bold]: {work}", soft_wrap=True, highlight=False)
    console.print(
        f"Samples: {run / 'samples'}\nUse it: {program} translate PHOTO --model {told.checkpoint}",
        soft_wrap=True,
        highlight=False,
    )
    return run


def evaluate_alone(
    config: EvaluateConfig,
    rule: PromoteConfig,
    recipe: str,
    name: str,
    workspace: Workspace,
    console: Console,
) -> Path:
    """Measure a run by name, or the recipe's newest, and keep the model as a version of the recipe.

    Prints the verdict, and whether the model became champion; the report. Raises ``SuyanError`` for
    a run whose pictures are no dataset version: what was held out of them is not known.
    """
    from evaluation.evaluate import evaluate
    from evaluation.model_registry.model_versions import find_champion
    from evaluation.model_registry.promote import promote

    with in_use(workspace):
        run = latest.run_folder(workspace, recipe, name)
        trained_on = json.loads((run / "config.json").read_text(encoding="utf-8"))["dataset"]
        try:
            dataset = latest.dataset_folder(workspace, recipe, str(trained_on))
        except SuyanError as error:
            raise SuyanError(
                f"{run} is measured on the dataset version of its training: {error}"
            ) from error
        models.fetch(workspace, recipe)
        with _bar(console) as progress:
            champion = find_champion(workspace, recipe)
            found = evaluate(config, dataset, run, workspace, champion=champion, progress=progress)
        runs.publish_evaluation(workspace, run.name, found.folder.name)
        with models.update(workspace, recipe):
            promotion = promote(run, found.folder, workspace, recipe, rule)
    for line in (found.verdict, promotion.reason, f"Look at it: {found.report}"):
        console.print(line, soft_wrap=True, highlight=False)
    return found.report


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """The lock that flows hold too while they train ``run``. Raises ``SuyanError``."""
    run.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run.parent / f".{run.name}.lock").acquire(timeout=0):
            yield
    except Timeout:
        raise SuyanError(f"{run}: another process trains it now") from None


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    """Progress with the time left: a bar on a terminal, lines elsewhere."""
    if not console.is_terminal:
        yield LogProgress(lambda line: console.print(line, soft_wrap=True, highlight=False))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn(), TextColumn("{task.fields[message]}"))  # fmt: skip
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("", total=None, message="")

        def show(stage: str, done: int, total: int | None, message: str) -> None:
            bar.update(task, description=stage, completed=done, total=total, message=message)

        yield show
