"""The command that reviews a dataset version: ``suyan review``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_text
from cli.inventory.completion import complete_datasets
from cli.options import WORKSPACE, ExistingWorkspace, Params, Recipe, load_parameters
from cli.prepare import make_version
from core.language.messages import localised
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder

if TYPE_CHECKING:
    from core.progress import Progress
    from flows.parameters import PipelineParameters
    from preprocessing.config import PrepareConfig
    from serving.review.next_version import NextVersion

app = CommandGroup("Datasets")


@app.command(has_result=False)
def review(
    dataset: Annotated[
        str,
        typer.Argument(
            autocompletion=complete_datasets,
            help="Name of a dataset version; default: the recipe's newest.",
        ),
    ] = "newest",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 7861,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; with any but loopback, e.g. 0.0.0.0 for your phone, the "
            "printed address has a token, without which nobody gets in."
        ),
    ] = "127.0.0.1",
    recipe: Recipe = "makeup",
    params: Params = None,
    workspace: ExistingWorkspace = WORKSPACE,
) -> None:
    """Look at the pictures of a dataset version and decide: keep, drop, move; until Ctrl-C.

    The page writes each decision to the file that curate and spreadsheets use, and makes the next
    version at its end. Several people may review at once.
    """
    from core.files import load_json
    from flows import latest
    from preprocessing.config import PrepareConfig
    from serving.review.review_access import Access
    from serving.review.review_app import serve
    from storage import synced_files

    parameters = load_parameters(recipe, params, workspace=workspace)
    version = DatasetFolder(latest.dataset_folder(workspace, parameters.recipe, dataset))
    config = PrepareConfig.model_validate(load_json(version.config))
    _require_domains(config, parameters, version)
    synced_files.merge(workspace, workspace.overrides(config.domain_a, config.domain_b))
    access = Access.to(host, port)
    serve(
        workspace,
        version,
        partial(make_next_version, parameters=parameters, workspace=workspace),
        access,
        announce=lambda: print_text(
            OUTPUT,
            localised(
                "{name}: review it at {url}   (Ctrl-C ends it)",
                name=version.path.name,
                url=access.url,
            ),
        ),
    )


def _require_domains(
    config: PrepareConfig, parameters: PipelineParameters, version: DatasetFolder
) -> None:
    """Raise ``ValueError`` for a version of other domains than the recipe's, whose newest version
    its successor would become.
    """
    needed = (parameters.prepare.domain_a, parameters.prepare.domain_b)
    if needed != (config.domain_a, config.domain_b):
        raise ValueError(
            localised(
                "--recipe: got {recipe}, a recipe of {names}; needed that of {name}, whose "
                "domains are {domain_a} and {domain_b}",
                recipe=parameters.recipe,
                names=localised(" and ").join(needed),
                name=version.path.name,
                domain_a=config.domain_a,
                domain_b=config.domain_b,
            )
        )


def make_next_version(
    version: DatasetFolder,
    progress: Progress,
    *,
    parameters: PipelineParameters,
    workspace: Workspace,
) -> NextVersion:
    """The version with the same settings and the decisions of now, from the crawl of each domain
    that has most of this version's originals.
    """
    from core.files import load_json
    from core.tables import Picture, iter_rows
    from preprocessing.config import PrepareConfig
    from scraping.listings import listing_with_most
    from serving.review.next_version import NextVersion

    config = PrepareConfig.model_validate(load_json(version.config))
    names = {row.sha256 for row in iter_rows(version.manifest, Picture)}
    listing_a, listing_b = (
        listing_with_most(domain, names, workspace) for domain in (config.domain_a, config.domain_b)
    )
    parameters = parameters.model_copy(update={"prepare": config})
    summary = make_version(parameters, (listing_a, listing_b), workspace, progress)
    return NextVersion(DatasetFolder(summary.dataset), is_new=not summary.reused)
