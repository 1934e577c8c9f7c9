"""The commands around a crawl: ``suyan crawl``, ``suyan status``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_line, print_table, progress_bar
from cli.options import (
    WORKSPACE,
    AllowPrivateHosts,
    Changes,
    EngineUrl,
    ExistingWorkspace,
    Images,
    Params,
    Recipe,
    WorkspaceOption,
    load_parameters,
)
from core.progress import counted
from core.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

    from flows.parameters import PipelineParameters
    from scraping.crawl import CrawlSummary

app = CommandGroup("Pictures")
_COUNTS = ("pages", "hits", "new", "stored", "duplicates")
_MAX_REASON_LENGTH = 60


@app.command()
def crawl(
    recipe: Recipe = "makeup",
    params: Params = None,
    domain: Annotated[
        str | None, typer.Option(help="One of the recipe's two domains; default: both.")
    ] = None,
    engine_url: EngineUrl = None,
    allow_private_hosts: AllowPrivateHosts = False,
    images: Images = None,
    changes: Changes = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="New search of a finished crawl, for new originals.")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Crawl only: search, and fetch the originals of one or both domains."""
    parameters = load_parameters(
        recipe,
        params,
        workspace=workspace,
        engine_url=engine_url,
        images=images,
        allow_private_hosts=allow_private_hosts,
        changes=changes,
        stage="crawl",
    )
    crawl_domains(parameters, workspace, OUTPUT, domain=domain, refresh=refresh)


@app.command()
def status(workspace: ExistingWorkspace = WORKSPACE) -> None:
    """Print the state of the workspace: originals, hits and failures of each domain and phrase."""
    print_status(workspace, OUTPUT)


def crawl_domains(
    parameters: PipelineParameters,
    workspace: Workspace,
    console: Console,
    *,
    domain: str | None = None,
    refresh: bool = False,
) -> list[CrawlSummary]:
    """Crawl one or both domains with a progress bar; print the yield of each phrase.

    Raises ``ValueError`` for a domain that the parameters do not have.
    """
    from flows.estimates.stage_durations import pictures_to_crawl, timed_stage
    from flows.sync import drop_forgotten
    from scraping.crawl import crawl as run_crawl
    from storage.eviction import in_use

    configs = [parameters.crawl_a, parameters.crawl_b]
    names = [config.domain for config in configs]
    if domain is not None and domain not in names:
        raise ValueError(f"--domain: got {domain!r}, needed one of {', '.join(names)}")
    summaries = []
    for config in configs:
        if domain not in {None, config.domain}:
            continue
        changes = {"refresh_after_h": 0.0} if refresh else {}
        refreshed = config.model_copy(update=changes)
        num = pictures_to_crawl(refreshed, workspace)
        with (
            timed_stage("crawl", num, workspace, partial(print_line, console)) as timing,
            progress_bar(console) as progress,
        ):
            drop_forgotten(workspace)
            with in_use(workspace):
                summary = run_crawl(refreshed, workspace, progress=progress)
            timing.num_pictures = summary.num_added
        summaries.append(summary)
        title = f"{config.domain}: {counted(summary.num_ok, 'original')}, {summary.num_added} new"
        _print_phrases(console, title, summary.phrases)
        if summary.partial:
            console.print("[yellow]Partial[/yellow]: the same command tries the rest again.")
        if summary.preview.exists():
            print_line(console, f"Preview of the newest originals: {summary.preview}")
    return summaries


def print_status(workspace: Workspace, console: Console) -> None:
    """Print every crawl of the workspace: originals, bytes, phrases, failures.

    Raises ``ValueError`` for a workspace without any crawl.
    """
    from scraping.catalogue import queries
    from scraping.catalogue.database import catalogue_url
    from scraping.catalogue.repository import Catalogue
    from scraping.crawl import phrase_yields

    url = catalogue_url(workspace)
    if url == f"sqlite:///{workspace.catalogue}" and not workspace.catalogue.exists():
        raise ValueError(f"--workspace: found no catalogue in {workspace}; crawl something first")
    with Catalogue(url) as catalogue:
        running = queries.running_crawls(catalogue, time.time())
        for row in queries.crawls(catalogue):
            started = datetime.fromtimestamp(row["started_at"], UTC)
            unfinished = "under way" if row["name"] in running else "interrupted"
            state = "finished" if row["finished_at"] else unfinished
            title = (
                f"{row['domain']}: {counted(row['num_originals'], 'original')}, "
                f"{row['num_bytes'] / 1e6:.1f} MB ({row['name']})\n"
                f"round {row['round']} of {started:%Y-%m-%d %H:%M} UTC: {state}"
            )
            _print_phrases(console, title, phrase_yields(catalogue, row["name"]))
        num_tombstones = len(catalogue.tombstones())
        console.print(f"Forgotten for good: {num_tombstones} addresses, hosts and pictures.")


def _print_phrases(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row for each phrase: its counts, its failures, and the reason why its search stopped."""
    columns: dict[str, JustifyMethod] = {"phrase": "left"}
    columns |= {name.replace("duplicates", "dupli-\ncates"): "right" for name in _COUNTS}
    columns |= {"rejected": "left", "stopped because": "left"}
    print_table(console, columns, map(_phrase_cells, rows), title)


def _phrase_cells(row: Mapping[str, Any]) -> list[str]:
    failures = "\n".join(f"{reason}: {num}" for reason, num in row["rejected"].items())
    reason = str(row["stopped_because"])[:_MAX_REASON_LENGTH].replace("-", " ")
    return [row["phrase"], *(str(row[name]) for name in _COUNTS), failures, reason]
