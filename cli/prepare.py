"""The commands around a dataset: ``suyan prepare``, ``suyan curate``, ``suyan export-dataset``."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_line, print_result, print_table, print_text, progress_bar
from cli.inventory.completion import complete_versions
from cli.inventory.newest_crawls import crawls_of, line_of_newest
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
    require_existing,
)
from core.commands import suyan_command
from core.language.messages import localised
from core.progress import counted
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

    from core.progress import Progress
    from core.tables import Picture
    from flows.parameters import PipelineParameters
    from preprocessing.config import PrepareConfig
    from preprocessing.prepare import PrepareSummary
    from scraping.config import CrawlConfig

app = CommandGroup("Datasets")
_NUM_PRINTED_DIGITS = 16  # of a sha256


@app.command()
def prepare(
    recipe: Recipe = "makeup",
    params: Params = None,
    engine_url: EngineUrl = None,
    allow_private_hosts: AllowPrivateHosts = False,
    images: Images = None,
    changes: Changes = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Prepare only: make a dataset version from the crawls with the same options."""
    parameters = load_parameters(
        recipe,
        params,
        workspace=workspace,
        engine_url=engine_url,
        images=images,
        allow_private_hosts=allow_private_hosts,
        changes=changes,
        stage="prepare",
    )
    print_result(prepare_crawled(parameters, workspace, OUTPUT))


@app.command()
def curate(
    action: Annotated[
        Literal["keep", "drop", "move", "different"],
        typer.Argument(
            help="Decision; move: into the other domain; different: no copies of each other."
        ),
    ],
    pictures: Annotated[
        list[str], typer.Argument(help="sha256 of each picture, or its first 8 digits or more.")
    ],
    recipe: Recipe = "makeup",
    params: Params = None,
    note: Annotated[str, typer.Option(help="Reason, for yourself; default: none.")] = "",
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Overrule the preparation's decision about pictures, from the next dataset version on."""
    from preprocessing.selection.overrides import add_overrides, overrides_change

    config = load_parameters(recipe, params, workspace=workspace).prepare
    _require_originals(workspace, pictures)
    with overrides_change(workspace, config.domain_a, config.domain_b) as path:
        add_overrides(path, pictures, action, note)
    num = counted(len(pictures), "picture")
    print_text(
        OUTPUT,
        localised(
            "{path}: {action} {pictures} from the next version on",
            path=path,
            action=action,
            pictures=num,
        ),
    )
    print_result({"file": path, "action": action, "pictures": pictures})


@app.command()
def import_decisions(
    file: Annotated[
        Path,
        typer.Argument(
            help="Export of Label Studio (JSON, CSV) or FiftyOne (samples.json, labels.csv).",
        ),
    ],
    recipe: Recipe = "makeup",
    params: Params = None,
    note: Annotated[str, typer.Option(help="Reason, for yourself; default: the file's name.")] = "",
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Take over what was decided about pictures in another tool, from the next version on."""
    from preprocessing.exports.tool_decisions import read_tool_decisions
    from preprocessing.selection.overrides import add_overrides, overrides_change, read_overrides

    config = load_parameters(recipe, params, workspace=workspace).prepare
    decisions = read_tool_decisions(file)
    _require_originals(workspace, decisions)
    with overrides_change(workspace, config.domain_a, config.domain_b) as path:
        stored = read_overrides(path, decisions)
        new = {name: each for name, each in decisions.items() if stored.get(name) != each}
        for action in dict.fromkeys(new.values()):
            names = [name for name, each in new.items() if each == action]
            add_overrides(path, names, action, note or file.name)
    counts = Counter(new.values())
    num_known = len(decisions) - len(new)
    listed = _listed({action: counts[action] for action in ("keep", "drop", "move")})
    former = counted(num_known, "decision")
    repeated = (
        localised(" ({decisions} stood there already)", decisions=former) if num_known else ""
    )
    print_text(
        OUTPUT,
        localised(
            "{path}: {decisions} from the next version on{repeated}",
            path=path,
            decisions=listed or localised("nothing new"),
            repeated=repeated,
        ),
    )
    print_result({"file": path, "decisions": new, "num_known": num_known})


@app.command()
def export_dataset(
    dataset: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_versions, help="Name of a dataset version, or its folder."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("exported-dataset"),
    kind: Annotated[
        Literal["zip", "imagefolder", "webdataset", "huggingface", "folders"],
        typer.Option(
            "--as",
            metavar="FORMAT",
            help="zip: folders trainA, …; imagefolder: zip of split/domain; webdataset: tar "
            "shards; huggingface: Parquet with card; folders: split/domain with metadata.jsonl.",
        ),
    ] = "zip",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="New files in place of existing ones.")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write a dataset version for other tools, in the form that their loaders read."""
    from flows.removal.training_guard import require_none_forgotten
    from flows.sync import fetch_dataset
    from preprocessing.version.dataset_export import export as run_export
    from preprocessing.version.export_record import record_export
    from storage.eviction import in_use

    folder = Path(dataset)
    with contextlib.ExitStack() as stack:
        if not folder.is_dir():
            stack.enter_context(in_use(require_existing(workspace)))
            folder = workspace.dataset(dataset).path
            fetch_dataset(workspace, dataset)
        if origin := _workspace_of(folder):
            require_none_forgotten(folder, origin)
            record_export(origin, out)
        files = {}
        for path in run_export(folder, out, kind, overwrite=overwrite):
            files[str(path)] = _num_bytes(path)
            print_text(OUTPUT, f"{path}  {files[str(path)] / 1e6:.1f} MB")
    print_result({"dataset": folder.name, "bytes": files})


def _num_bytes(path: Path) -> int:
    """The length of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _workspace_of(dataset: Path) -> Workspace | None:
    """The workspace in which the folder of a dataset version lies."""
    folder = dataset.absolute()
    workspace = Workspace(folder.parents[1])
    is_version = workspace.datasets == folder.parent and DatasetFolder(folder).manifest.is_file()
    return workspace if is_version else None


def _require_originals(workspace: Workspace, pictures: Iterable[str]) -> None:
    """Raise ``ValueError`` for digits of no picture; those in a bucket need not be here."""
    from storage.remote import is_shared

    if is_shared(workspace):
        return
    for name in pictures:
        digits = name.strip().lower()
        if digits.isalnum() and not any((workspace.originals / digits[:2]).glob(f"{digits}*")):
            raise ValueError(
                localised(
                    "pictures: got {digits}, which begins the sha256 of no original in "
                    "{workspace}; card.html of the dataset shows them",
                    digits=digits,
                    workspace=workspace,
                )
            )


def prepare_crawled(
    parameters: PipelineParameters, workspace: Workspace, console: Console
) -> PrepareSummary:
    """Make a dataset version from the crawls of both domains; print its summary.

    Raises ``ValueError`` for a domain that was not crawled with these options, unless it has one
    crawl only, and ``SuyanError`` for one whose crawl has no original as settings refused all.
    """
    from flows.estimates.stage_durations import timed_stage
    from flows.estimates.stage_work import prepare_work
    from scraping.crawl import check_not_all_refused

    crawls = (parameters.crawl_a, parameters.crawl_b)
    listing_a, listing_b = (
        _find_listing(config, parameters.recipe, workspace, console) for config in crawls
    )
    for config in crawls:
        check_not_all_refused(config, workspace)
    work = prepare_work(parameters.prepare, (listing_a, listing_b), workspace)
    with (
        timed_stage("prepare", work, workspace, partial(print_line, console)),
        progress_bar(console) as progress,
    ):
        summary = make_version(parameters, (listing_a, listing_b), workspace, progress)
    _print_summary(summary, parameters.prepare, console)
    return summary


def make_version(
    parameters: PipelineParameters,
    files: tuple[Path, Path],
    workspace: Workspace,
    progress: Progress,
) -> PrepareSummary:
    """Prepare and publish the version of two listings; it becomes the recipe's newest."""
    from flows import latest, sync
    from preprocessing.prepare import prepare as run_prepare
    from storage.eviction import in_use

    with in_use(workspace):
        sync.fetch_originals(parameters.prepare, files, workspace, progress)
        summary = run_prepare(parameters.prepare, *files, workspace, progress=progress)
        sync.publish_dataset(summary, workspace)
        latest.remember_dataset(workspace, parameters.recipe, summary.version)
    return summary


def _find_listing(config: CrawlConfig, recipe: str, workspace: Workspace, console: Console) -> Path:
    """The listing of the crawl with these options, else of the domain's only crawl.

    Raises ``ValueError`` that names the domain's crawls where there are several or none.
    """
    from scraping.crawl import crawl_name
    from storage import synced_files

    path = workspace.crawl(crawl_name(config)).listing
    synced_files.pull(workspace, path)  # the crawl may have run on another machine
    if path.exists():
        return path
    crawls = crawls_of(config.domain, workspace)
    if len(crawls) == 1:
        print_line(
            console,
            localised(
                "{domain}: the options name no crawl; taking the only one, {path}",
                domain=config.domain,
                path=crawls[0].path,
            ),
        )
        return crawls[0].listing
    names = ", ".join(crawl.path.name for crawl in crawls) or localised("none")
    make = suyan_command("crawl", "--domain", config.domain, workspace=workspace, recipe=recipe)
    if line := line_of_newest(recipe, workspace):
        remedy = localised(
            "Prepare the newest crawls with '{line}', or make one with '{make}'",
            line=line,
            make=make,
        )
    elif crawls:
        remedy = localised(
            "Give prepare the options of one of these, or make one with '{make}'", make=make
        )
    else:
        remedy = localised("Make one with '{make}'", make=make)
    raise ValueError(
        localised(
            "{domain}: found no {path}, needed a crawl with the same options (crawls of this "
            "domain: {names}). {remedy}",
            domain=config.domain,
            path=path,
            names=names,
            remedy=remedy,
        )
    )


def _print_summary(summary: PrepareSummary, config: PrepareConfig, console: Console) -> None:
    from core.files import load_json
    from core.tables import Picture, iter_rows

    dataset = DatasetFolder(summary.dataset)
    card = load_json(dataset.card)
    state = localised("there already: nothing has changed") if summary.reused else localised("new")
    print_line(console, f"[bold]{summary.version}[/bold] ({state})")
    _print_counts(summary, config, console)
    if card["before"] and not summary.reused:
        changes = ", ".join(f"{num} {kind}" for kind, num in card["changes"].items() if num)
        console.print(
            localised(
                "Since {before}: {changes}",
                before=card["before"],
                changes=changes or localised("no other pictures"),
            ),
            highlight=False,
        )
    if text := decisions(iter_rows(dataset.manifest, Picture)):
        console.print(text, highlight=False)
    print_line(console, localised("Look at it: {card_page}", card_page=dataset.card_page))


def _print_counts(summary: PrepareSummary, config: PrepareConfig, console: Console) -> None:
    rows = []
    for side, domain in (("A", config.domain_a), ("B", config.domain_b)):
        reasons = sorted(summary.rejected[side].items(), key=lambda pair: -pair[1])
        listed = ", ".join(f"{reason}: {num}" for reason, num in reasons)
        counts = (str(summary.counts[f"{split}{side}"]) for split in ("train", "test"))
        rows.append((f"{side} {domain}", *counts, listed))
    columns: dict[str, JustifyMethod] = {
        "": "left", "train": "right", "test": "right", "rejected because": "left",
    }  # fmt: skip
    print_table(console, columns, rows)


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
    names = ", ".join(failed)
    unable = localised("; still cannot be used: {names}", names=names) if failed else ""
    return localised("Your decisions: {listed}", listed=listed) + unable if listed else ""


def _listed(counts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {num}" for name, num in counts.items() if num)
