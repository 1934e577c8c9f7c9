"""The ``suyan`` command. Heavy imports wait inside the commands, so that ``--help`` is instant."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from cli import model_commands, translate
from cli.options import (
    DEMO_WORKSPACE,
    WORKSPACE,
    AllowPrivateHosts,
    EngineUrl,
    Images,
    Params,
    Recipe,
    Small,
    WorkspaceOption,
    parameters_of,
    program,
    told,
)
from core.errors import SuyanError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From two sets of search phrases to a working, measured CycleGAN translator.",
)
app.add_typer(model_commands.app)
app.add_typer(translate.app)
_console = Console()
_errors = Console(stderr=True)


@app.command()
def run(
    workspace: WorkspaceOption = WORKSPACE,
    recipe: Recipe = "makeup",
    params: Params = None,
    engine_url: EngineUrl = None,
    allow_private_hosts: AllowPrivateHosts = False,
    images: Images = None,
    small: Small = False,
    show: Annotated[bool, typer.Option("--show", help="Print the parameters and stop.")] = False,
) -> None:
    """Run the whole pipeline: crawl, prepare, train, evaluate, promote."""
    from flows import recipes

    parameters = parameters_of(
        recipe, params, engine_url, images, allow_private=allow_private_hosts
    )
    if small:
        parameters = recipes.with_small_training(parameters)
    if show:
        typer.echo(parameters.model_dump_json(indent=2))
        return
    from cli.run import launch, print_summary

    result = launch(parameters, workspace, _console)
    print_summary(result, _console, program(), workspace)


@app.command()
def demo(workspace: WorkspaceOption = DEMO_WORKSPACE) -> None:
    """Run the whole pipeline offline on drawn people, in about ten minutes."""
    from cli.demo import demo as run_demo

    run_demo(workspace, _console, program())


@app.command()
def crawl(
    workspace: WorkspaceOption = WORKSPACE,
    recipe: Recipe = "makeup",
    params: Params = None,
    domain: Annotated[
        str | None, typer.Option(help="One of the recipe's two domains; both by default.")
    ] = None,
    engine_url: EngineUrl = None,
    allow_private_hosts: AllowPrivateHosts = False,
    images: Images = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Search again, and fetch only what is new.")
    ] = False,
) -> None:
    """Crawl alone: search, and fetch the originals of one or both domains."""
    from cli.crawl import crawl_domains

    parameters = parameters_of(
        recipe, params, engine_url, images, allow_private=allow_private_hosts
    )
    crawl_domains(parameters, workspace, _console, domain=domain, refresh=refresh)


@app.command()
def prepare(
    workspace: WorkspaceOption = WORKSPACE,
    recipe: Recipe = "makeup",
    params: Params = None,
    engine_url: EngineUrl = None,
    allow_private_hosts: AllowPrivateHosts = False,
    images: Images = None,
) -> None:
    """Prepare alone: make a dataset version of what the same options crawled."""
    from cli.prepare import prepare_crawled

    parameters = parameters_of(
        recipe, params, engine_url, images, allow_private=allow_private_hosts
    )
    prepare_crawled(parameters, workspace, _console, program=program())


@app.command()
def status(workspace: WorkspaceOption = WORKSPACE) -> None:
    """Say what is held: originals, hits and failures of each domain and phrase."""
    from cli.crawl import print_status

    print_status(workspace, _console)


@app.command()
def forget(
    what: Annotated[str, typer.Argument(help="Address, sha256 or host of the picture(s).")],
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Remove pictures for good: files, listings, previews; they never come back."""
    from preprocessing.cache import forget_analyses
    from scraping.forget import forget as run_forget

    gone = run_forget(what, workspace)
    forget_analyses(workspace, gone.digests)
    crawls = ", ".join(gone.crawls) or "no crawl"
    typer.echo(f"{gone.kind} {gone.value}: {gone.num_originals} originals forgotten ({crawls})")
    for dataset in gone.datasets:
        typer.echo(f"still in {dataset}, which is immutable: remove that folder and its runs")
    for address in gone.published:
        typer.echo(
            f"still in {address}, and in its runs: aws s3 rm --recursive {address}; other machines "
            "may have copies"
        )


@app.command()
def curate(
    action: Annotated[
        Literal["keep", "drop", "move"], typer.Argument(help="move: to the other domain.")
    ],
    pictures: Annotated[list[str], typer.Argument(help="sha256, or its first 8 digits and more.")],
    recipe: Recipe = "makeup",
    params: Params = None,
    note: Annotated[str, typer.Option(help="Why, for yourself.")] = "",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Overrule what preparation decided about pictures; the next version honours it."""
    from preprocessing.selection.overrides import add_overrides, overrides_file
    from storage import synced_files

    config = parameters_of(recipe, params, None, None, allow_private=False).prepare
    path = overrides_file(workspace, config.domain_a, config.domain_b)
    with synced_files.update(workspace, path, by_hand=True):
        add_overrides(path, pictures, action, note)
    num = "1 picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
    typer.echo(f"{path}: {action} {num} from the next version on")
    for name in pictures:
        digits = name.strip().lower()
        if not any((workspace / "originals" / digits[:2]).glob(f"{digits}*")):
            typer.echo(f"{digits}: no original in this workspace begins so; the decision waits")


@app.command()
def export_dataset(
    dataset: Annotated[str, typer.Argument(help="Name of a version in datasets/, or its folder.")],
    kind: Annotated[
        Literal["zip", "webdataset"], typer.Option("--as", help="zip: folders of images.")
    ] = "zip",
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("exported"),
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write a dataset version for other tools: a zip of image folders, or WebDataset shards."""
    from flows.sync import fetch_dataset
    from preprocessing.version.dataset_export import export as run_export
    from storage.eviction import in_use

    folder = Path(dataset) if Path(dataset).is_dir() else workspace / "datasets" / dataset
    with in_use(workspace):
        if folder != Path(dataset):
            fetch_dataset(workspace, dataset)
        for path in run_export(folder, out, kind):
            typer.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Name of a folder in models/RECIPE.")],
    recipe: Annotated[str, typer.Option(help="Whose champion it is to be.")] = "makeup",
    reason: Annotated[str, typer.Option(help="Kept in champion.json.")] = "",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Make a stored model the champion, whatever its figures say."""
    from evaluation.model_registry.model_versions import crown
    from storage import models

    with models.update(workspace, recipe, version):
        crowned = crown(workspace, recipe, version, reason)
    typer.echo(f"{crowned.name} is the champion of {recipe}")


@app.command()
def rollback(
    recipe: Annotated[str, typer.Option(help="Whose champion to take back.")] = "makeup",
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Make the champion before the present one champion again."""
    from evaluation.model_registry.model_versions import rollback as go_back
    from storage import models

    with models.update(workspace, recipe):
        crowned = go_back(workspace, recipe)
    typer.echo(f"{crowned.name} is the champion of {recipe} again")


@app.command()
def ui(workspace: WorkspaceOption = WORKSPACE) -> None:
    """Serve the Prefect UI over the workspace's runs until Ctrl-C."""
    from flows.server.prefect_server import local_server

    with local_server(workspace) as server:
        _console.print(f"The Prefect UI: [bold]{server.ui_url}/runs[/bold]   (Ctrl-C ends it)")
        _console.print(f"For Prefect's own commands: export PREFECT_API_URL={server.api_url}")
        while True:
            time.sleep(3600)


@app.command()
def up(
    workspace: WorkspaceOption = WORKSPACE,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Of the server; else the first free one.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address the server binds to; others than loopback need a password.")
    ] = "127.0.0.1",
    redeploy: Annotated[
        bool, typer.Option("--redeploy", help="Make the deployments anew, even if up to date.")
    ] = False,
) -> None:
    """Bring up server, work pool, deployments, automations and worker; say where the UI is."""
    from flows.server.services import up as bring_up

    bring_up(workspace, _console, host=host, port=port, redeploy=redeploy)


@app.command()
def down(workspace: WorkspaceOption = WORKSPACE) -> None:
    """Stop what 'up' started: runs save first, and everything is kept."""
    from flows.server.services import down as take_down

    take_down(workspace, _console)


@app.command()
def doctor(workspace: WorkspaceOption = WORKSPACE, recipe: Recipe = "makeup") -> None:
    """Check versions, ports, disk, models, databases, services and the search; say what to do."""
    from cli.doctor import examine, print_findings

    if not print_findings(examine(workspace, recipe), _console):
        raise typer.Exit(1)


@app.command()
def notify(
    workspace: WorkspaceOption = WORKSPACE,
    kind: Annotated[
        Literal["webhook", "dingtalk", "feishu", "wecom", "slack"],
        typer.Option(help="Who reads it; webhook posts JSON {subject, body}."),
    ] = "webhook",
    test: Annotated[bool, typer.Option("--test", help="Send a test message too.")] = False,
    off: Annotated[bool, typer.Option("--off", help="Send no notifications any more.")] = False,
) -> None:
    """Send failed runs, partial crawls and new champions to a webhook ($SUYAN_NOTIFY_URL)."""
    from flows.server.notifications import set_up

    set_up(workspace, _console, kind=kind, test=test, off=off)


@app.command()
def offline_engine(
    domain: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER of your own pictures; without any, drawn people."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8099,
) -> None:
    """Serve pictures the way Baidu image search does, on loopback, until Ctrl-C."""
    from scraping.offline.corpus import folder_corpus, portrait_corpus
    from scraping.offline.server import serve

    pairs = [entry.partition("=") for entry in domain or []]
    for name, _, folder in pairs:
        if not name or not Path(folder).is_dir():
            raise ValueError(f"--domain: got {name}={folder}, needed NAME=FOLDER of a real folder")
    corpus = (
        folder_corpus({name: Path(folder) for name, _, folder in pairs})
        if pairs
        else portrait_corpus()
    )
    _console.print(
        f"The offline engine: [bold]http://127.0.0.1:{port}[/bold]   (Ctrl-C ends it)\n"
        f"Use it: {program()} run --engine-url http://127.0.0.1:{port} --allow-private-hosts",
        soft_wrap=True,
    )
    serve(corpus, port)


def main() -> None:
    """Entry point: a user's error becomes one readable message and status 2, Ctrl-C 130."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app()
    except KeyboardInterrupt:
        _errors.print("\nInterrupted: everything so far is kept; the same command continues.")
        sys.exit(130)
    except (SuyanError, ValueError, OSError) as error:
        _errors.print(f"[red]{type(error).__name__}[/red]: ", end="")
        _errors.print(told(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
