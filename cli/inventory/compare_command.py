"""The command that compares two runs: ``suyan compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.command_group import CommandGroup
from cli.console import (
    OUTPUT,
    print_line,
    print_result,
    print_table,
    print_text,
    progress_bar,
)
from cli.inventory.completion import complete_runs
from cli.options import WORKSPACE, ExistingWorkspace, Recipe, recipe_name
from core.language.messages import localised

if TYPE_CHECKING:
    from rich.console import Console

    from evaluation.figures import Figure
    from evaluation.report.run_comparison import RunComparison

app = CommandGroup("Trainings and models")
_GROUPS = ("group_distance", "group_target", "group_kept", "group_truth", "group_pairs")
_Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", autocompletion=complete_runs, help="Name of a measured run, or newest."
    ),
]


@app.command()
def compare(
    first: _Run,
    second: _Run,
    out: Annotated[Path, typer.Option(metavar="FILE", help="HTML file of the comparison.")] = Path(
        "comparison.html"
    ),
    pictures: Annotated[
        int, typer.Option(min=0, max=100, help="Most pictures of each direction, side by side.")
    ] = 8,
    language: Annotated[
        Literal["en", "zh"] | None,
        typer.Option(help="Language of the page; default: that of the first run's report."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="New page in place of an existing file.")
    ] = False,
    unpaired: Annotated[
        bool,
        typer.Option(
            "--unpaired",
            help="No paired difference of KID, for which both runs translate every held-out "
            "picture.",
        ),
    ] = False,
    recipe: Recipe = "makeup",
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Compare two runs: settings, figures with intervals, the same pictures by both; one page."""
    from evaluation.report.comparison_page import write_comparison
    from evaluation.report.run_comparison import compare_runs, load_measured_run
    from flows import latest
    from flows.sync import fetch_dataset
    from storage import runs
    from storage.eviction import in_use

    if out.exists() and not overwrite:
        raise ValueError(
            localised("--out: {out} is there already; choose another file, or --overwrite", out=out)
        )
    name = recipe_name(recipe, workspace)
    with in_use(workspace):
        measured = []
        for run in (first, second):
            folder = workspace.run(latest.run_folder(workspace, name, run).name)
            runs.fetch(workspace, folder.path.name)
            measured.append(load_measured_run(folder, workspace))
            fetch_dataset(workspace, measured[-1].scores.dataset)
        with progress_bar(OUTPUT, transient=True) as progress:
            comparison = compare_runs(
                measured[0], measured[1], workspace, pictures, is_paired=not unpaired,
                progress=progress,
            )  # fmt: skip
        write_comparison(out, comparison, language or measured[0].scores.language)
    print_comparison(comparison, OUTPUT)
    print_line(OUTPUT, localised("All figures, and the same pictures side by side: {out}", out=out))
    print_result(
        {
            "first": comparison.first.name,
            "second": comparison.second.name,
            "same_pictures": comparison.same_pictures,
            "settings": comparison.settings,
            "figures": [
                {
                    "direction": row.direction,
                    "figure": row.metric.key,
                    "better": row.metric.better or None,
                    "first": row.first,
                    "second": row.second,
                    "surely_better": row.surely_better,
                }
                for row in comparison.figures
            ],
            "paired_kid": comparison.paired_kid,
            "no_paired_kid": comparison.no_paired_kid or None,
            "num_pictures": {route: len(rows) for route, rows in comparison.pictures.items()},
            "page": out,
        }
    )


def print_comparison(comparison: RunComparison, console: Console) -> None:
    """Print the settings and the main figures of two runs as tables."""
    from evaluation.report.comparison_page import figure_cells, setting_text

    for title, run in (
        (localised("first:"), comparison.first),
        (localised("second:"), comparison.second),
    ):
        print_text(
            console,
            localised(
                "{run:<8}{name}, step {step}",
                run=title,
                name=run.name,
                step=run.scores.step,
            ),
        )
    if not comparison.same_pictures:
        print_text(
            console,
            localised("The figures are not of the same held-out pictures, or not measured alike."),
        )
    if comparison.settings:
        print_table(
            console,
            {"setting": "left", "first": "right", "second": "right"},
            [
                (each.name, setting_text(each.first), setting_text(each.second))
                for each in comparison.settings
            ],
            localised("Settings that differ"),
        )
    else:
        print_text(console, localised("All settings are the same"))
    figures = [
        row for row in comparison.figures if row.metric.group in _GROUPS and row.metric.better
    ]
    for route in dict.fromkeys(row.direction for row in figures):
        print_table(
            console,
            {"figure": "left", "first": "right", "second": "right", "surely better": "left"},
            [
                (
                    f"{row.metric.name.en} ({row.metric.better})",
                    *(
                        f"{value}\n{interval}" if interval else value
                        for value, interval in figure_cells(row)
                    ),
                    localised(row.surely_better or ""),
                )
                for row in figures
                if row.direction == route
            ],
            route,
        )
        if route in comparison.paired_kid:
            print_text(console, _paired_line(comparison.paired_kid[route]))
    if comparison.no_paired_kid:
        print_text(
            console,
            localised(
                "No paired difference of KID: {reason}. Where intervals overlap, no "
                "run is surely better.",
                reason=comparison.no_paired_kid,
            ),
        )
    if comparison.no_pictures:
        print_text(
            console,
            localised("No pictures side by side: {reason}", reason=comparison.no_pictures),
        )


def _paired_line(change: Figure) -> str:
    """The paired difference and what it says, e.g. for a terminal."""
    from evaluation.report.comparison_page import surely_better_by
    from evaluation.report.wording import figure_parts

    value, interval = figure_parts(change, as_share=False)
    better = surely_better_by(change)
    verdict = localised("neither is surely better")
    if better:
        verdict = localised("{run} is surely better", run=localised(better))
    return localised(
        "KID on the same pictures, second − first: {value} {interval}: {verdict}",
        value=value,
        interval=interval,
        verdict=verdict,
    )
