"""The ``suyan`` command. Heavy imports wait inside the commands, so that ``--help`` is instant."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from scraping.records import SuyanError

if TYPE_CHECKING:
    from flows.parameters import PipelineParameters

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="From two sets of search phrases to a working, measured CycleGAN translator.",
)
_console = Console()
_errors = Console(stderr=True)

Direction = Literal["A2B", "B2A"]
Workspace = Annotated[
    Path,
    typer.Option(envvar="SUYAN_HOME", help="Folder that holds originals, datasets, runs, models."),
]
Recipe = Annotated[str, typer.Option(help="makeup or seasons.")]
Params = Annotated[
    Path | None,
    typer.Option(help="JSON file with all parameters (see run --show); replaces --recipe."),
]
EngineUrl = Annotated[
    str | None, typer.Option(help="Address of another search engine, e.g. the offline one.")
]
AllowPrivateHosts = Annotated[
    bool, typer.Option("--allow-private-hosts", help="Fetch from private addresses too.")
]
Images = Annotated[int | None, typer.Option(help="Originals wanted for each domain.")]
_WORKSPACE = Path("workspace")


@app.command()
def run(
    workspace: Workspace = _WORKSPACE,
    recipe: Recipe = "makeup",
    params: Params = None,
    engine_url: EngineUrl = None,
    allow_private_hosts: AllowPrivateHosts = False,
    images: Images = None,
    small: Annotated[
        bool, typer.Option("--small", help="A small, short training that a CPU does in minutes.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the parameters and stop.")] = False,
) -> None:
    """Run the whole pipeline: crawl, prepare, train, evaluate, promote."""
    from flows import recipes

    parameters = _parameters(recipe, params, engine_url, images, allow_private=allow_private_hosts)
    if small:
        parameters = recipes.with_small_training(parameters)
    if show:
        typer.echo(parameters.model_dump_json(indent=2))
        return
    from flows.launch import launch, print_summary

    result = launch(parameters, workspace, _console)
    print_summary(result, _console, _program(), workspace)


@app.command()
def demo(workspace: Workspace = _WORKSPACE / "demo") -> None:
    """Run the whole pipeline offline on drawn people, in about ten minutes."""
    from flows.demo import demo as run_demo

    run_demo(workspace, _console, _program())


@app.command()
def crawl(
    workspace: Workspace = _WORKSPACE,
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
    from flows.gathering import crawl_domains

    parameters = _parameters(recipe, params, engine_url, images, allow_private=allow_private_hosts)
    crawl_domains(parameters, workspace, _console, domain=domain, refresh=refresh)


@app.command()
def status(workspace: Workspace = _WORKSPACE) -> None:
    """Say what is held: originals, hits and failures of each domain and phrase."""
    from flows.gathering import print_status

    print_status(workspace, _console)


@app.command()
def forget(
    what: Annotated[str, typer.Argument(help="Address, sha256 or host of the picture(s).")],
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Remove pictures for good: files, listings, previews; they never come back."""
    from scraping.forget import forget as run_forget

    gone = run_forget(what, workspace)
    crawls = ", ".join(gone.crawls) or "no crawl"
    typer.echo(f"{gone.kind} {gone.value}: {gone.num_originals} originals forgotten ({crawls})")
    for dataset in gone.datasets:
        typer.echo(f"still in {dataset}, which is immutable: remove that folder and its runs")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Name of a folder in models/RECIPE.")],
    recipe: Annotated[str, typer.Option(help="Whose champion it is to be.")] = "makeup",
    reason: Annotated[str, typer.Option(help="Kept in champion.json.")] = "",
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Make a stored model the champion, whatever its figures say."""
    from evaluation.promote import crown

    typer.echo(f"{crown(workspace, recipe, version, reason).name} is the champion of {recipe}")


@app.command()
def rollback(
    recipe: Annotated[str, typer.Option(help="Whose champion to take back.")] = "makeup",
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Make the champion before the present one champion again."""
    from evaluation.promote import rollback as go_back

    typer.echo(f"{go_back(workspace, recipe).name} is the champion of {recipe} again")


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(help="Folder of EPOCH_net_G_A.pth and its kin, or of EPOCH_net_G.pth."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model.")],
    epoch: Annotated[str, typer.Option(help="Which of the files, e.g. latest or 200.")] = "latest",
    crop_px: Annotated[int, typer.Option(help="Side that it was trained at, px.")] = 256,
    domain_a: Annotated[str, typer.Option(help="Name of domain A, e.g. horse.")] = "a",
    domain_b: Annotated[str, typer.Option(help="Name of domain B, e.g. zebra.")] = "b",
    faces: Annotated[bool, typer.Option("--faces", help="It translates aligned faces.")] = False,
) -> None:
    """Read a checkpoint of pytorch-CycleGAN-and-pix2pix; `translate --model` then uses it."""
    from preprocessing.config import PrepareConfig
    from scraping.records import write_json
    from training.exchange import import_reference

    prepare = PrepareConfig(domain_a=domain_a, domain_b=domain_b, faces=faces, crop_px=crop_px)
    config = import_reference(source, out, epoch=epoch, crop_px=crop_px)
    write_json(out / "prepare.json", prepare.model_dump(mode="json"))
    kind = f"{config.generator}, ngf {config.ngf}, {config.norm} norm"
    typer.echo(f"{out}: {kind}\nUse it: {_program()} translate PHOTO --model {out}")


@app.command()
def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="A run's checkpoints/step_… folder, or a model folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the .pth files.")],
    epoch: Annotated[str, typer.Option(help="First part of their names.")] = "latest",
) -> None:
    """Write a checkpoint as pytorch-CycleGAN-and-pix2pix reads it (EPOCH_net_G_A.pth, …)."""
    from training.exchange import export_reference

    for path in export_reference(checkpoint, out, epoch=epoch):
        typer.echo(path)


@app.command()
def ui(workspace: Workspace = _WORKSPACE) -> None:
    """Serve the Prefect UI over the workspace's runs until Ctrl-C."""
    from flows.server import local_server

    with local_server(workspace) as server:
        _console.print(f"The Prefect UI: [bold]{server.ui_url}/runs[/bold]   (Ctrl-C ends it)")
        _console.print(f"For Prefect's own commands: export PREFECT_API_URL={server.api_url}")
        while True:
            time.sleep(3600)


@app.command()
def offline_engine(
    domain: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER of your own pictures; without any, drawn people."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8099,
) -> None:
    """Serve pictures the way Baidu image search does, on loopback, until Ctrl-C."""
    from scraping.offline.corpus import folders, portraits
    from scraping.offline.server import serve

    pairs = [entry.partition("=") for entry in domain or []]
    for name, _, folder in pairs:
        if not name or not Path(folder).is_dir():
            raise ValueError(f"--domain: got {name}={folder}, needed NAME=FOLDER of a real folder")
    corpus = folders({name: Path(folder) for name, _, folder in pairs}) if pairs else portraits()
    _console.print(
        f"The offline engine: [bold]http://127.0.0.1:{port}[/bold]   (Ctrl-C ends it)\n"
        f"Use it: {_program()} run --engine-url http://127.0.0.1:{port} --allow-private-hosts",
        soft_wrap=True,
    )
    serve(corpus, port)


@app.command()
def translate(
    photos: Annotated[list[Path], typer.Argument(help="Photos to translate.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("translated"),
    model: Annotated[
        Path | None, typer.Option(help="Model folder; by default the recipe's champion.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="Whose champion to use.")] = "makeup",
    direction: Annotated[Direction, typer.Option(help="From which side to which.")] = "A2B",
    to: Annotated[
        str | None, typer.Option(help="Name of the wanted domain, e.g. bare; beats --direction.")
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="The whole picture, not faces.")] = False,
    strength: Annotated[float, typer.Option(min=0, max=1, help="0 keeps the photo.")] = 1.0,
    compare: Annotated[bool, typer.Option("--compare", help="Write before/after too.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace old results.")] = False,
    workspace: Workspace = _WORKSPACE,
) -> None:
    """Translate photos with a promoted model, at their full resolution."""
    from serving.models import direction_to, find_model
    from serving.translate import translate as run_translate

    folder = find_model(workspace, recipe, model)
    chosen = direction_to(folder, to) if to else direction
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=_errors, transient=True) as bar:
        task = bar.add_task("translate", total=len(photos))
        outcomes = run_translate(
            photos,
            out,
            folder,
            direction=chosen,
            whole=whole,
            strength=strength,
            compare=compare,
            overwrite=overwrite,
            progress=lambda _stage, done, total, _message: bar.update(
                task, completed=done, total=total
            ),
        )
    for outcome in outcomes:
        typer.echo(f"{outcome.photo} → {outcome.output or outcome.reason}")
    if any(outcome.output is None for outcome in outcomes):
        raise typer.Exit(1)


def _parameters(
    recipe: str,
    params: Path | None,
    engine_url: str | None,
    images: int | None,
    *,
    allow_private: bool,
) -> PipelineParameters:
    """The recipe's or the file's parameters with the changes that options make."""
    from flows import recipes
    from flows.parameters import PipelineParameters

    if params is not None:
        parameters = PipelineParameters.model_validate_json(params.read_bytes())
    elif recipe in recipes.RECIPES:
        parameters = recipes.RECIPES[recipe]()
    else:
        raise ValueError(f"recipe: {recipe!r} is unknown; there are {', '.join(recipes.RECIPES)}")
    if engine_url or allow_private:
        url = engine_url or parameters.crawl_a.engine_url
        parameters = recipes.with_engine(parameters, url, allow_private_hosts=allow_private)
    if images is not None:
        parameters = recipes.with_num_images(parameters, images)
    return parameters


def _program() -> str:
    """This command as the user can type it again."""
    program = Path(sys.argv[0])
    relative = os.path.relpath(program)
    return program.name if relative.startswith("..") else relative


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
        _errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
