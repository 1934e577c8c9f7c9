"""Preparation from the command line, without Prefect: a progress bar, and what became of what."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from core.tables import Picture, iter_rows
from core.workspace import Workspace
from flows import latest, sync
from preprocessing.prepare import PrepareSummary, prepare
from scraping.crawl import crawl_name
from storage import synced_files
from storage.eviction import in_use

if TYPE_CHECKING:
    from rich.console import Console

    from flows.parameters import PipelineParameters


def prepare_crawled(
    parameters: PipelineParameters, workspace: Workspace, console: Console, *, program: str
) -> PrepareSummary:
    """Make the dataset version of what both domains' crawls hold; print what it is.

    Raises ``ValueError`` for a domain that was not crawled yet with these phrases.
    """
    listing_a, listing_b = (
        workspace / "crawls" / crawl_name(config) / "listing.parquet"
        for config in (parameters.crawl_a, parameters.crawl_b)
    )
    for config, path in ((parameters.crawl_a, listing_a), (parameters.crawl_b, listing_b)):
        synced_files.pull(workspace, path)  # another machine may have crawled
        if not path.exists():
            raise ValueError(
                f"{config.domain}: found no {path}, needed a crawl of the same phrases; "
                f"make it with: {program} crawl (with the same options)"
            )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("{task.fields[message]}"))  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("prepare", total=None, message="")

        def show(stage: str, done: int, total: int | None, message: str) -> None:
            bar.update(task, description=stage, completed=done, total=total, message=message)

        with in_use(workspace):
            sync.fetch_originals(parameters.prepare, (listing_a, listing_b), workspace, show)
            summary = prepare(parameters.prepare, listing_a, listing_b, workspace, progress=show)
            sync.publish_dataset(summary, workspace)
            latest.remember_dataset(workspace, parameters.recipe, summary.version)
            card = json.loads((summary.dataset / "card.json").read_text(encoding="utf-8"))
    _print(summary, card, parameters, console)
    return summary


def _print(
    summary: PrepareSummary,
    card: Mapping[str, Any],
    parameters: PipelineParameters,
    console: Console,
) -> None:
    state = "there already: nothing has changed" if summary.reused else "new"
    console.print(f"[bold]{summary.version}[/bold] ({state})", soft_wrap=True, highlight=False)
    table = Table()
    for name in ("", "train", "test", "rejected because"):
        table.add_column(name, justify="left" if not name or " " in name else "right")
    sides = ("A", parameters.prepare.domain_a), ("B", parameters.prepare.domain_b)
    for side, domain in sides:
        reasons = sorted(summary.rejected[side].items(), key=lambda pair: -pair[1])
        told = ", ".join(f"{reason}: {num}" for reason, num in reasons)
        counts = (str(summary.counts[f"{split}{side}"]) for split in ("train", "test"))
        table.add_row(f"{side} {domain}", *counts, told)
    console.print(table)
    if card["before"] and not summary.reused:
        kinds = ", ".join(f"{num} {kind}" for kind, num in card["changes"].items() if num)
        console.print(f"Since {card['before']}: {kinds or 'no other pictures'}", highlight=False)
    rows = iter_rows(summary.dataset / "manifest.parquet", Picture)
    if told := decisions(rows):
        console.print(told, highlight=False)
    console.print(f"Look at it: {summary.dataset / 'card.html'}", soft_wrap=True, highlight=False)


def decisions(rows: Iterable[Picture]) -> str:
    """What became of a person's decisions, in a line; "" where there are none."""
    used, wanted = set[str](), dict[str, tuple[str, str]]()
    for row in rows:
        if row.override:
            wanted[row.sha256] = row.override, row.reason
        if row.override and row.status == "ok":
            used.add(row.sha256)
    num = Counter(action for action, _ in wanted.values())
    failed = [
        f"{sha256[:16]} ({reason})"
        for sha256, (action, reason) in wanted.items()
        if action != "drop" and sha256 not in used
    ]
    listed = ", ".join(
        f"{action} {num[action]}" for action in ("keep", "drop", "move") if num[action]
    )
    unable = f"; cannot be used all the same: {', '.join(failed)}" if failed else ""
    return f"Your decisions: {listed}{unable}" if listed else ""
