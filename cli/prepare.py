"""The commands around a dataset: ``suyan prepare``, ``suyan curate``, ``suyan export-dataset``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.console import OUTPUT, build_table, print_line, progress_bar
from cli.options import (
    WORKSPACE,
    AllowPrivateHosts,
    EngineUrl,
    Images,
    Params,
    Recipe,
    WorkspaceOption,
    load_parameters,
    program,
)
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from core.tables import Picture
    from flows.parameters import PipelineParameters
    from preprocessing.config import PrepareConfig
    from preprocessing.prepare import PrepareSummary

app = typer.Typer()
_NUM_PRINTED_DIGITS = 16  # of a sha256


@app.command()
def prepare(
    workspace: WorkspaceOption = WORKSPACE,
    recipe: Recipe = "makeup",
    params: Params = None,
    engine_url: EngineUrl = None,
    allow_private_hosts: AllowPrivateHosts = False,
    images: Images = None,
) -> None:
    """Prepare only: make a dataset version from the crawls with the same options."""
    parameters = load_parameters(
        recipe,
        params,
        engine_url=engine_url,
        images=images,
        allow_private_hosts=allow_private_hosts,
    )
    prepare_crawled(parameters, workspace, OUTPUT, program=program())


@app.command()
def curate(
    action: Annotated[
        Literal["keep", "drop", "move"],
        typer.Argument(help="Decision; move: into the other domain."),
    ],
    pictures: Annotated[
        list[str], typer.Argument(help="sha256 of each picture, or its first 8 digits or more.")
    ],
    recipe: Recipe = "makeup",
    params: Params = None,
    note: Annotated[str, typer.Option(help="Reason, for yourself; default: none.")] = "",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Overrule the preparation's decision about pictures, from the next dataset version on."""
    from preprocessing.selection.overrides import add_overrides
    from storage import synced_files

    config = load_parameters(recipe, params).prepare
    path = workspace.overrides(config.domain_a, config.domain_b)
    with synced_files.update(workspace, path, by_hand=True):
        add_overrides(path, pictures, action, note)
    num = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
    typer.echo(f"{path}: {action} {num} from the next version on")
    for name in pictures:
        digits = name.strip().lower()
        if not any((workspace.originals / digits[:2]).glob(f"{digits}*")):
            typer.echo(f"{digits}: no original here has these digits yet; the decision is kept")


@app.command()
def export_dataset(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset version, or its folder.")],
    kind: Annotated[
        Literal["zip", "webdataset"],
        typer.Option("--as", help="zip: folders of images; webdataset: shards."),
    ] = "zip",
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("exported"),
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write a dataset version for other tools: a zip of image folders, or WebDataset shards."""
    from flows.sync import fetch_dataset
    from preprocessing.version.dataset_export import export as run_export
    from storage.eviction import in_use

    folder = Path(dataset)
    with in_use(workspace):
        if not folder.is_dir():
            folder = workspace.dataset(dataset).path
            fetch_dataset(workspace, dataset)
        for path in run_export(folder, out, kind):
            typer.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


def prepare_crawled(
    parameters: PipelineParameters, workspace: Workspace, console: Console, *, program: str
) -> PrepareSummary:
    """Make a dataset version from the crawls of both domains; print its summary.

    Raises ``ValueError`` for a domain that was not crawled yet with these phrases, ``SuyanError``
    for one whose crawl has no original as settings refused all of them.
    """
    from flows import latest, sync
    from preprocessing.prepare import prepare as run_prepare
    from scraping.crawl import check_not_all_refused, crawl_name
    from storage import synced_files
    from storage.eviction import in_use

    crawls = (parameters.crawl_a, parameters.crawl_b)
    listing_a, listing_b = (workspace.crawl(crawl_name(config)).listing for config in crawls)
    for config, path in zip(crawls, (listing_a, listing_b), strict=True):
        synced_files.pull(workspace, path)  # the crawl may have run on another machine
        if not path.exists():
            raise ValueError(
                f"{config.domain}: found no {path}, needed a crawl of the same phrases; "
                f"make it with: {program} crawl (with the same options)"
            )
        check_not_all_refused(config, workspace)
    with progress_bar(console) as progress, in_use(workspace):
        sync.fetch_originals(parameters.prepare, (listing_a, listing_b), workspace, progress)
        summary = run_prepare(
            parameters.prepare, listing_a, listing_b, workspace, progress=progress
        )
        sync.publish_dataset(summary, workspace)
        latest.remember_dataset(workspace, parameters.recipe, summary.version)
    _print_summary(summary, parameters.prepare, console)
    return summary


def _print_summary(summary: PrepareSummary, config: PrepareConfig, console: Console) -> None:
    from core.files import load_json
    from core.tables import Picture, iter_rows

    dataset = DatasetFolder(summary.dataset)
    card = load_json(dataset.card)
    state = "there already: nothing has changed" if summary.reused else "new"
    print_line(console, f"[bold]{summary.version}[/bold] ({state})")
    console.print(_count_table(summary, config))
    if card["before"] and not summary.reused:
        changes = ", ".join(f"{num} {kind}" for kind, num in card["changes"].items() if num)
        console.print(f"Since {card['before']}: {changes or 'no other pictures'}", highlight=False)
    if text := decisions(iter_rows(dataset.manifest, Picture)):
        console.print(text, highlight=False)
    print_line(console, f"Look at it: {dataset.card_page}")


def _count_table(summary: PrepareSummary, config: PrepareConfig) -> Table:
    table = build_table({"": "left", "train": "right", "test": "right", "rejected because": "left"})
    for side, domain in (("A", config.domain_a), ("B", config.domain_b)):
        reasons = sorted(summary.rejected[side].items(), key=lambda pair: -pair[1])
        listed = ", ".join(f"{reason}: {num}" for reason, num in reasons)
        counts = (str(summary.counts[f"{split}{side}"]) for split in ("train", "test"))
        table.add_row(f"{side} {domain}", *counts, listed)
    return table


def decisions(rows: Iterable[Picture]) -> str:
    """A line about the effect of a person's decisions; "" where there are none."""
    used = set[str]()
    overrides = dict[str, tuple[str, str]]()
    for row in rows:
        if row.override:
            overrides[row.sha256] = row.override, row.reason
        if row.override and row.status == "ok":
            used.add(row.sha256)
    counts = Counter(action for action, _ in overrides.values())
    failed = [
        f"{sha256[:_NUM_PRINTED_DIGITS]} ({reason})"
        for sha256, (action, reason) in overrides.items()
        if action != "drop" and sha256 not in used
    ]
    listed = _listed({action: counts[action] for action in ("keep", "drop", "move")})
    unable = f"; still cannot be used: {', '.join(failed)}" if failed else ""
    return f"Your decisions: {listed}{unable}" if listed else ""


def _listed(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {num}" for name, num in counts.items() if num)
