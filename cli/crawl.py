"""Crawling from the command line, without Prefect: a progress bar, and tables of what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core.workspace import Workspace
from flows.parameters import PipelineParameters
from flows.sync import drop_forgotten
from scraping.catalogue import queries
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.crawl import CrawlSummary, crawl, phrase_yields
from storage.eviction import in_use

_NUMBERS = ("pages", "hits", "new", "stored", "duplicates")


def crawl_domains(
    parameters: PipelineParameters,
    workspace: Workspace,
    console: Console,
    *,
    domain: str | None = None,
    refresh: bool = False,
) -> list[CrawlSummary]:
    """Crawl one or both domains with a progress bar; print what each phrase brought.

    Raises ``ValueError`` for a domain that the parameters do not have.
    """
    configs = [parameters.crawl_a, parameters.crawl_b]
    names = [config.domain for config in configs]
    if domain is not None and domain not in names:
        raise ValueError(f"--domain: got {domain!r}, needed one of {', '.join(names)}")
    summaries = []
    for config in configs:
        if domain not in {None, config.domain}:
            continue
        due = config.model_copy(update={"refresh_after_h": 0.0}) if refresh else config
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}"),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(f"crawl {config.domain}", total=None, message="")

            def show(_stage: str, done: int, total: int | None, message: str) -> None:
                bar.update(task, completed=done, total=total, message=message)  # noqa: B023

            drop_forgotten(workspace)
            with in_use(workspace):
                summary = crawl(due, workspace, progress=show)
        summaries.append(summary)
        title = f"{config.domain}: {summary.num_ok} originals, {summary.num_added} new"
        console.print(_table(title, summary.phrases))
        if summary.partial:
            console.print("[yellow]Partial[/yellow]: the same command tries the rest again.")
        if summary.preview.exists():
            console.print(f"What came in: {summary.preview}", soft_wrap=True, highlight=False)
    return summaries


def print_status(workspace: Workspace, console: Console) -> None:
    """Print every crawl of the workspace: originals, bytes, phrases, failures.

    Raises ``ValueError`` for a workspace that has never been crawled into.
    """
    url = catalogue_url(workspace)
    own = workspace / "catalogue.sqlite"
    if url == f"sqlite:///{own}" and not own.exists():
        raise ValueError(f"--workspace: found no catalogue in {workspace}; crawl something first")
    with Catalogue(url) as catalogue:
        for crawled in queries.crawls(catalogue):
            begun = datetime.fromtimestamp(crawled["started_at"], UTC)
            state = "finished" if crawled["finished_at"] else "under way, or interrupted"
            title = (
                f"{crawled['domain']}: {crawled['num_originals']} originals, "
                f"{crawled['num_bytes'] / 1e6:.1f} MB; round {crawled['round']} of "
                f"{begun:%Y-%m-%d %H:%M} UTC {state} ({crawled['name']})"
            )
            console.print(_table(title, phrase_yields(catalogue, crawled["name"])))
        stones = len(catalogue.tombstones())
        console.print(f"Forgotten for good: {stones} addresses, hosts and pictures.")


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("phrase", overflow="fold")
    for name in _NUMBERS:
        table.add_column(name.replace("duplicates", "dupli-\ncates"), justify="right")
    table.add_column("rejected", no_wrap=True)
    table.add_column("stopped because")
    for row in rows:
        failures = "\n".join(f"{reason}: {num}" for reason, num in row["rejected"].items())
        numbers = [str(row[name]) for name in _NUMBERS]
        why = escape(str(row["stopped_because"])[:60].replace("-", " "))
        table.add_row(escape(row["phrase"]), *numbers, failures, why)
    return table
