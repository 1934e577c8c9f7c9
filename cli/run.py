"""The commands that run the whole pipeline: ``suyan run``, ``suyan demo``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command_group import CommandGroup
from cli.console import (
    ERRORS,
    OUTPUT,
    print_line,
    print_result,
    print_table,
    progress_bar,
    question,
)
from cli.inventory.completion import complete_recipes
from cli.options import (
    DEFAULT_RECIPE,
    DEMO_WORKSPACE,
    WORKSPACE,
    AllowPrivateHosts,
    Changes,
    EngineUrl,
    Images,
    InitFrom,
    LongTraining,
    Params,
    Small,
    TrainingPreset,
    WorkspaceOption,
    load_parameters,
)
from core.commands import suyan_command
from core.language.messages import localised
from core.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from flows.parameters import PipelineParameters
    from flows.pipeline import PipelineResult

app = CommandGroup("The whole pipeline")
_NUM_DRAWN = 350  # people of each domain: enough originals to hold out more than 100 a side
_CANCELLED_STATUS = 143  # as after SIGTERM
_DEMO_DURATION = "about ten minutes"  # on two cores; README and Makefile say the same
_RunRecipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        autocompletion=complete_recipes,
        help="Recipe: makeup or seasons, one of the workspace, or a YAML file; with folders, the "
        "one from which theirs differs; default: makeup, with folders seasons (whole pictures).",
    ),
]
_DEMO_PORT = 8765  # fixed, so that a second demonstration goes on with the same crawl


@app.command()
def run(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Two folders or archives of pictures, A and B, which get a recipe of their own "
            "in the workspace; default: the sources of --recipe."
        ),
    ] = None,
    recipe: _RunRecipe = None,
    params: Params = None,
    engine_url: EngineUrl = None,
    allow_private_hosts: AllowPrivateHosts = False,
    images: Images = None,
    small: Small = False,
    preset: TrainingPreset = None,
    changes: Changes = None,
    init_from: InitFrom = "",
    yes: LongTraining = False,
    show: Annotated[
        bool, typer.Option("--show", help="The parameters as JSON, and no run.")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Run the whole pipeline: crawl, prepare, train, evaluate, promote."""
    parameters = load_parameters(
        _recipe(folders, recipe, params, workspace),
        params,
        workspace=workspace,
        engine_url=engine_url,
        images=images,
        allow_private_hosts=allow_private_hosts,
        small=small,
        preset=preset,
        changes=changes,
        init_from=init_from,
    )
    if show:
        typer.echo(parameters.model_dump_json(indent=None if OUTPUT.stderr else 2))
        return
    parameters = _with_agreement(parameters, workspace, OUTPUT, is_agreed=yes)
    result = run_pipeline(parameters, workspace, OUTPUT)
    print_summary(result, OUTPUT, workspace)
    _print_result(result)


@app.command(help=f"Run the whole pipeline offline on drawn people, in {_DEMO_DURATION}.")
def demo(workspace: WorkspaceOption = DEMO_WORKSPACE) -> None:
    """Draw people, serve them as a search engine does, and run the pipeline on them."""
    from flows.recipes import demo as demo_recipe
    from scraping.offline.corpus import portrait_corpus
    from scraping.offline.ground_truth import has_truth, write_truth
    from scraping.offline.server import OfflineEngine

    OUTPUT.print(
        localised(
            "Suyan, offline: drawn people replace the internet; everything else is real.\n"
            "It takes {demo_duration}. Ctrl-C stops it, and the same command goes on.\n",
            demo_duration=localised("about ten minutes"),
        )
    )
    corpus = portrait_corpus(num_good=_NUM_DRAWN)

    def draw() -> None:
        if not has_truth(corpus, workspace.truth_table):
            with progress_bar(OUTPUT) as progress:
                write_truth(corpus, workspace.truth, progress=progress)

    with OfflineEngine(corpus, port=_DEMO_PORT) as engine:
        recipe = demo_recipe(engine.url, workspace.truth)
        result = run_pipeline(recipe, workspace, OUTPUT, meanwhile=draw)
    print_summary(result, OUTPUT, workspace)
    _print_result(result)


def _recipe(
    folders: list[Path] | None, recipe: str | None, params: Path | None, workspace: Workspace
) -> str:
    """The recipe to run, by name or file: that of the folders, or the one that was named."""
    if not folders:
        return recipe or DEFAULT_RECIPE
    from flows.recipe_files.two_folders import DEFAULT_BASE, recipe_of_folders

    if params is not None:
        raise ValueError(localised("--params: got folders too; needed one of them"))
    name = recipe_of_folders(folders, recipe or DEFAULT_BASE, workspace)
    print_line(
        ERRORS,
        localised(
            "The recipe {name}: {recipe_file}", name=name, recipe_file=workspace.recipe_file(name)
        ),
    )  # not into --show
    return name


def _with_agreement(
    parameters: PipelineParameters, workspace: Workspace, console: Console, *, is_agreed: bool
) -> PipelineParameters:
    """The parameters, in which a long training is allowed if a person at the terminal agrees.

    The question comes before the crawl, so that nobody finds it hours later; the first run of a
    recipe in a workspace asks. Raises ``SuyanError`` after a "no".
    """
    from flows.parameters import MOST_TRAINING_H

    if is_agreed:
        return parameters.model_copy(update={"max_training_h": MOST_TRAINING_H})
    ask = question()
    if ask is None or workspace.pointer(parameters.recipe, "run").exists():
        return parameters  # the training itself says and refuses
    from flows.estimates.long_training import require_yes
    from flows.estimates.stage_durations import estimate_steps
    from flows.estimates.stage_work import expected_originals
    from training.runtime.step_time import count_steps

    share = 1 - parameters.prepare.test_fraction
    num_pictures = share * max(map(expected_originals, (parameters.crawl_a, parameters.crawl_b)))
    num_steps = count_steps(parameters.train, round(num_pictures))
    estimate = estimate_steps(parameters.train, num_steps, 0, parameters.torchrun)
    print_line(
        console,
        localised("train will take {estimate}, if all originals can be used", estimate=estimate),
    )
    require_yes(estimate, parameters.max_training_h, ask=ask)
    is_long = estimate.seconds > 3600 * parameters.max_training_h
    return (
        parameters.model_copy(update={"max_training_h": MOST_TRAINING_H}) if is_long else parameters
    )


def run_pipeline(
    parameters: PipelineParameters,
    workspace: Workspace,
    console: Console,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> PipelineResult:
    """Run the pipeline in this process and return its result; the Prefect UI shows the run.

    The server is the one of ``PREFECT_API_URL``, else the workspace's own, which is started;
    ``meanwhile`` is called before the run, while the server starts. Prefect reads its settings when
    it is imported, so no other code may import it before.
    """
    if os.environ.get("PREFECT_API_URL"):
        meanwhile()
        return _run_flow(parameters, workspace)
    from flows.server.prefect_server import client_environment, local_server

    console.print(localised("Starting the Prefect server of this workspace …"))
    with local_server(workspace, meanwhile=meanwhile) as server:
        os.environ.update(client_environment(server))
        try:
            console.print(
                localised(
                    "Watch this run in the Prefect UI: [bold]{ui_url}/runs[/bold]",
                    ui_url=server.ui_url,
                )
            )
            return _run_flow(parameters, workspace)
        finally:
            os.environ.pop("PREFECT_API_URL", None)


def _run_flow(parameters: PipelineParameters, workspace: Workspace) -> PipelineResult:
    from prefect.exceptions import CancelledRun
    from prefect.logging.handlers import APILogHandler

    from flows.pipeline import pipeline

    logging.getLogger("prefect.task_runs").setLevel(logging.INFO)
    try:
        return pipeline(parameters=parameters, workspace=str(workspace))
    except CancelledRun as error:
        print_line(OUTPUT, str(error))
        raise typer.Exit(_CANCELLED_STATUS) from error
    finally:
        APILogHandler().flush()  # otherwise the last log lines miss the server


def _caveats(result: PipelineResult) -> list[str]:
    """What to make of the figures: whether drawings gave them, and which contradict others."""
    from core.workspace_folders import ModelFolder
    from evaluation.features.training_statistics import load_statistics
    from evaluation.report.wording import contradiction_sentences, origin_sentence

    language = result.scores.language
    statistics = load_statistics(ModelFolder(result.model).training_statistics)
    sentences = [
        f"{direction.route}: {sentence}"
        for direction in result.scores.directions.values()
        for sentence in contradiction_sentences(direction, language)
    ]
    return [*filter(None, [origin_sentence(statistics, language)]), *sentences]


def print_summary(result: PipelineResult, console: Console, workspace: Workspace) -> None:
    """Print the outcome: times, verdict, promotion, their words, and the paths of the products."""
    from evaluation.report.wording import explanations

    print_table(
        console,
        {"stage": "left", "seconds": "right"},
        [(stage, f"{seconds:.1f}") for stage, seconds in result.seconds.items()],
        localised("Time of each stage"),
    )
    console.print(f"\n[bold]{result.verdict}[/bold]\n{result.promotion}\n", soft_wrap=True)
    print_line(console, " ".join(explanations(result.scores.language)) + "\n")
    for sentence in _caveats(result):
        print_line(console, f"{sentence}\n")
    lines = {
        localised("The report"): result.report,
        localised("The dataset"): result.dataset,
        localised("The model"): result.model,
        localised("The runs in the Prefect UI"): suyan_command("ui", workspace=workspace),
        localised("Translate a photograph"): suyan_command(
            "translate", "PHOTO", "--model", result.model
        ),
    }
    for label, text in lines.items():
        print_line(console, localised("{label}:\n    {text}", label=label, text=text))


def _print_result(result: PipelineResult) -> None:
    print_result(
        {
            "dataset": result.dataset,
            "run": result.run,
            "report": result.report,
            "model": result.model,
            "verdict": result.verdict,
            "promotion": result.promotion,
            "seconds": result.seconds,
            "kid": {
                name: direction.figure("kid")
                for name, direction in result.scores.directions.items()
            },
        }
    )
