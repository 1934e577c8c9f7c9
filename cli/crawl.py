"""The commands around a crawl: ``suyan crawl``, ``suyan add``, ``suyan status``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.command_group import CommandGroup
from cli.console import (
    OUTPUT,
    error_text,
    print_line,
    print_result,
    print_table,
    progress_bar,
)
from cli.inventory.crawl_states import OF_SOURCES, crawl_states
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
from core.errors import SuyanError, nearest, suggestion
from core.language.messages import localised
from core.progress import counted
from core.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod

    from flows.parameters import PipelineParameters
    from scraping.config import CrawlConfig
    from scraping.crawl import CrawlSummary
    from scraping.search.search_preview import PhrasePreview
    from scraping.sources.source_import import Sources

app = CommandGroup("Pictures")
_COUNTS = ("pages", "hits", "new", "stored", "duplicates")  # of a phrase, in its table
_MAX_REASON_LENGTH = 60
_MAX_PRINTED_HOSTS = 3


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
    search_only: Annotated[
        bool,
        typer.Option("--search-only", help="First page of each search as a table; no download."),
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
    if search_only:
        print_result(preview_domains(parameters, workspace, OUTPUT, domain=domain))
        return
    crawls = crawl_domains(parameters, workspace, OUTPUT, domain=domain, refresh=refresh)
    print_result({"crawls": crawls})


@app.command()
def add(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Folder or archive (zip, tar) of pictures, list of their addresses (txt, csv, "
            "tsv, jsonl, parquet), or - for a list from standard input.",
        ),
    ],
    *,
    recipe: Recipe = "makeup",
    params: Params = None,
    domain: Annotated[str, typer.Option(help="Domain of the pictures, e.g. bare.")],
    url_column: Annotated[
        str,
        typer.Option(
            help="Column of the addresses in lists; default: url or the like, or the only one."
        ),
    ] = "",
    allow_private_hosts: AllowPrivateHosts = False,
    changes: Changes = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Add pictures of your own to a domain: from folders, archives and lists of addresses."""
    from scraping.sources.source_import import Sources

    parameters = load_parameters(
        recipe,
        params,
        workspace=workspace,
        allow_private_hosts=allow_private_hosts,
        changes=changes,
        stage="crawl",
    )
    summary = add_pictures(
        _crawl_of_domain(parameters, domain, OUTPUT, allow_private_hosts=allow_private_hosts),
        Sources.of_names(sources, url_column),
        workspace,
        OUTPUT,
    )
    print_result({"crawls": [summary]})


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
    from flows.estimates.stage_durations import timed_stage
    from flows.estimates.stage_work import crawl_work, pictures_to_crawl
    from flows.sync import drop_forgotten
    from scraping.crawl import crawl as run_crawl
    from storage.eviction import in_use

    summaries = []
    for config in _chosen(parameters, domain):
        changes = {"refresh_after_h": 0.0} if refresh else {}
        refreshed = config.model_copy(update=changes)
        num = pictures_to_crawl(refreshed, workspace)
        work = crawl_work(refreshed, workspace)
        with (
            timed_stage("crawl", work, workspace, partial(print_line, console)) as timing,
            progress_bar(console) as progress,
        ):
            drop_forgotten(workspace)
            with in_use(workspace):
                summary = run_crawl(refreshed, workspace, progress=progress)
            timing.share = summary.num_added / max(1, num)
        summaries.append(summary)
        _print_crawl(console, summary)
    return summaries


def _chosen(parameters: PipelineParameters, domain: str | None) -> list[CrawlConfig]:
    """The crawls of the domain, or both. Raises ``ValueError`` for an unknown domain."""
    configs = {config.domain: config for config in (parameters.crawl_a, parameters.crawl_b)}
    if domain is None:
        return [*configs.values()]
    if domain not in configs:
        raise ValueError(
            localised(
                "--domain: got {domain!r}, needed one of {names}",
                domain=domain,
                names=", ".join(configs),
            )
        )
    return [configs[domain]]


def preview_domains(
    parameters: PipelineParameters,
    workspace: Workspace,
    console: Console,
    *,
    domain: str | None = None,
) -> dict[str, list[PhrasePreview]]:
    """Print what one or both domains' phrases show on their first page, and store nothing.

    Returns the previews by domain. Raises ``ValueError`` for a domain that the parameters do not
    have, and for one without phrases; ``SuyanError`` when the engine answered no search.
    """
    from scraping.search.engines import build_searches, engine_urls
    from scraping.search.search_preview import preview_searches

    columns: dict[str, JustifyMethod] = {
        "phrase": "left", "announced": "right", "first page": "right", "new": "right",
        "median size": "right", "hosts": "left",
    }  # fmt: skip
    results = {}
    for config in _chosen(parameters, domain):
        if not config.searches:
            raise ValueError(
                localised(
                    "--search-only: {domain} has no phrases to search; its pictures come from "
                    "folders and lists",
                    domain=config.domain,
                )
            )
        previews, num_searches = [], len(build_searches(config))
        with progress_bar(console) as progress:
            for number, preview in enumerate(preview_searches(config, workspace), 1):
                previews.append(preview)
                progress(
                    localised("search {domain}", domain=config.domain),
                    number,
                    num_searches,
                    preview.phrase,
                )
        num_new = sum(preview.num_new for preview in previews)
        title = localised(
            "{domain}: {num} new on the first pages; nothing was downloaded",
            domain=config.domain,
            num=num_new,
        )
        print_table(console, columns, map(_preview_cells, previews), title)
        if all(preview.error for preview in previews):
            raise SuyanError(
                localised(
                    "{names} answered no search", names=localised(" and ").join(engine_urls(config))
                ),
                remedy=localised(
                    "Look at the reasons in the table, and try again later or elsewhere"
                ),
            )
        results[config.domain] = previews
    return results


def _preview_cells(preview: PhrasePreview) -> list[str]:
    if preview.error:
        return [preview.phrase, "", "", "", "", preview.error[:_MAX_REASON_LENGTH]]
    hosts = ", ".join(
        f"{host} {num}" for host, num in preview.hosts.most_common(_MAX_PRINTED_HOSTS)
    )
    num_more = len(preview.hosts) - _MAX_PRINTED_HOSTS
    announced = "" if preview.num_announced is None else str(preview.num_announced)
    return [
        preview.phrase,
        announced,
        str(preview.num_hits),
        str(preview.num_new),
        f"{preview.width} × {preview.height}" if preview.width else "",
        hosts + (localised(", {num} more", num=num_more) if num_more > 0 else ""),
    ]


def _crawl_of_domain(
    parameters: PipelineParameters, domain: str, console: Console, *, allow_private_hosts: bool
) -> CrawlConfig:
    """The parameters' crawl of the domain, or one of its own for a domain that they do not have."""
    from pydantic import ValidationError

    from scraping.config import CrawlConfig

    configs = {config.domain: config for config in (parameters.crawl_a, parameters.crawl_b)}
    if domain in configs:
        return configs[domain]
    try:
        config = CrawlConfig(domain=domain, allow_private_hosts=allow_private_hosts)
    except ValidationError as error:
        raise ValueError(
            localised("--domain: {error_text}", error_text=error_text(error, CrawlConfig))
        ) from None
    similar = suggestion(nearest(domain, configs))
    print_line(
        console,
        localised(
            "{domain} is none of the domains of the recipe {recipe} ({names}){end} Its "
            "pictures are kept for a recipe that has it.",
            domain=domain,
            recipe=parameters.recipe,
            names=", ".join(configs),
            end=similar or localised("."),
        ),
    )
    return config


def add_pictures(
    config: CrawlConfig, sources: Sources, workspace: Workspace, console: Console
) -> CrawlSummary:
    """Add the pictures of ``sources`` to a crawl with a progress bar; print what came of them."""
    from flows.sync import drop_forgotten
    from scraping.crawl import add as run_add
    from storage.eviction import in_use

    with progress_bar(console) as progress:
        drop_forgotten(workspace)
        with in_use(workspace):
            summary = run_add(config, sources, workspace, progress=progress)
    _print_crawl(console, summary, sources.printed_names())
    if summary.num_added == 0 and not summary.partial:
        console.print(localised("Nothing was added: the domain has these pictures already."))
    return summary


def _print_crawl(console: Console, summary: CrawlSummary, names: Sequence[str] = ("",)) -> None:
    """Print the yield of each phrase and source, and what a person should know of the sources whose
    names begin with any of ``names``.
    """
    title = localised(
        "{domain}: {originals}, {num} new",
        domain=summary.domain,
        originals=counted(summary.num_ok, "original"),
        num=summary.num_added,
    )
    _print_phrases(console, title, summary.phrases)
    for row in summary.phrases:
        reason, _, note = str(row["stopped_because"]).partition(": ")
        is_named = row["phrase"].partition(": ")[2].startswith(tuple(names))
        if note and reason in OF_SOURCES and is_named:
            print_line(console, f"{row['phrase']}: {note}")
    if summary.partial:
        console.print(localised("[yellow]Partial[/yellow]: the same command tries the rest again."))
    if summary.preview.exists():
        print_line(
            console,
            localised("Preview of the newest originals: {preview}", preview=summary.preview),
        )


def print_status(workspace: Workspace, console: Console) -> None:
    """Print every crawl of the workspace: originals, bytes, phrases, failures.

    Raises ``ValueError`` for a workspace without any crawl.
    """
    crawls, num_forgotten = crawl_states(workspace)
    for crawl in crawls:
        title = localised(
            "{domain}: {originals}, {size:.1f} MB ({crawl})\nround {round} of {time} UTC: {state}",
            domain=crawl["domain"],
            originals=counted(crawl["num_originals"], "original"),
            size=crawl["num_bytes"] / 1e6,
            crawl=crawl["crawl"],
            round=crawl["round"],
            time=f"{crawl['started_at']:%Y-%m-%d %H:%M}",
            state=localised(crawl["state"]),
        )
        _print_phrases(console, title, crawl["phrases"])
    console.print(
        localised(
            "Forgotten for good: {num} addresses, hosts and pictures.",
            num=num_forgotten,
        )
    )
    print_result({"crawls": crawls, "num_forgotten": num_forgotten})


def _print_phrases(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row for each phrase: its counts, its failures, and the reason why its search stopped."""
    columns: dict[str, JustifyMethod] = {
        "phrase": "left", "pages": "right", "hits": "right", "new": "right", "stored": "right",
        "dupli-\ncates": "right", "rejected": "left", "stopped because": "left",
    }  # fmt: skip
    print_table(console, columns, map(_phrase_cells, rows), title)


def _phrase_cells(row: Mapping[str, Any]) -> list[str]:
    failures = "\n".join(f"{reason}: {num}" for reason, num in row["rejected"].items())
    reason = str(row["stopped_because"])[:_MAX_REASON_LENGTH].replace("-", " ")
    word, colon, detail = reason.partition(":")
    reason = localised(word)
    if word != "all read":  # its note stands below the table
        reason += colon + detail
    return [row["phrase"], *(str(row[name]) for name in _COUNTS), failures, reason]
