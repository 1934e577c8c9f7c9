"""Run the pipeline flow in this process, on the workspace's Prefect server; say where to look."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from core.workspace import Workspace
from flows.server.prefect_server import local_server, settings

if TYPE_CHECKING:
    from flows.parameters import PipelineParameters
    from flows.pipeline import PipelineResult


def launch(
    parameters: PipelineParameters, workspace: Workspace, console: Console
) -> PipelineResult:
    """Run the pipeline and return its result; its flow run can be watched in the Prefect UI.

    With ``PREFECT_API_URL`` set, that server is used; else the workspace's own is started.
    Prefect reads its settings when it is imported: import it nowhere before this.
    """
    if os.environ.get("PREFECT_API_URL"):
        return _run(parameters, workspace)
    console.print("Starting the Prefect server of this workspace …")
    with local_server(workspace) as server:
        os.environ.update(settings(server))
        try:
            console.print(f"Watch this run in the Prefect UI: [bold]{server.ui_url}/runs[/bold]")
            return _run(parameters, workspace)
        finally:
            os.environ.pop("PREFECT_API_URL", None)


def _run(parameters: PipelineParameters, workspace: Workspace) -> PipelineResult:
    from prefect.logging.handlers import APILogHandler

    from flows.pipeline import pipeline

    logging.getLogger("prefect.task_runs").setLevel(logging.INFO)
    try:
        return pipeline(parameters=parameters, workspace=str(workspace))
    finally:
        APILogHandler().flush()  # else the last lines are sent to a server that has stopped by then


def print_summary(
    result: PipelineResult, console: Console, program: str, workspace: Workspace
) -> None:
    """Print what a person wants to know at the end: report, score, UI, and how to translate."""
    times = Table(title="Time of each stage", title_justify="left")
    times.add_column("stage")
    times.add_column("seconds", justify="right")
    for stage, seconds in result.seconds.items():
        times.add_row(stage, f"{seconds:.1f}")
    console.print(times)
    console.print(f"\n[bold]{result.verdict}[/bold]\n{result.promotion}\n", soft_wrap=True)
    lines = {
        "The report": result.report,
        "The dataset": result.dataset,
        "The model": result.model,
        "The runs in the Prefect UI": f"{program} ui --workspace {workspace}",
        "Translate a photograph": f"{program} translate PHOTO --model {result.model}",
    }
    for what, where in lines.items():
        console.print(f"{what}:\n    {where}", soft_wrap=True, highlight=False)
