"""The commands that serve: ``suyan ui``, ``up``, ``down``, ``rehearse``, ``notify``, and others."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_result
from cli.options import REHEARSAL_WORKSPACE, WORKSPACE, ExistingWorkspace, WorkspaceOption
from core.commands import prefect_command, suyan_command
from core.language.messages import localised

app = CommandGroup("Prefect and services")
_HOUR_S = 3600


@app.command(has_result=False)
def ui(workspace: WorkspaceOption = WORKSPACE) -> None:
    """Serve the Prefect UI of the workspace's runs until Ctrl-C."""
    from flows.server.prefect_server import local_server

    with local_server(workspace) as server:
        OUTPUT.print(
            localised(
                "The Prefect UI: [bold]{ui_url}/runs[/bold]   (Ctrl-C ends it)",
                ui_url=server.ui_url,
            )
        )
        OUTPUT.print(
            localised(
                "For Prefect's own commands: export PREFECT_API_URL={api_url}",
                api_url=server.api_url,
            )
        )
        while True:
            time.sleep(_HOUR_S)


@app.command()
def up(
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Port of the Prefect server; default: the first free one from 4200.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="Address the server listens on; any but loopback needs a password."),
    ] = "127.0.0.1",
    redeploy: Annotated[
        bool, typer.Option("--redeploy", help="New deployments even if they are up to date.")
    ] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Start server, work pool, deployments, automations and worker; print the UI's address."""
    from flows.server.services import up as start_services

    started = start_services(workspace, OUTPUT, host=host, port=port, redeploy=redeploy)
    print_result(
        {
            "ui": started.server.ui_url,
            "api": started.server.api_url,
            "worker_pid": started.worker_pid,
        }
    )


@app.command()
def down(workspace: ExistingWorkspace = WORKSPACE) -> None:
    """Stop the services of 'up': runs save first, and all files stay."""
    from flows.server.services import down as stop_services

    print_result(stop_services(workspace, OUTPUT))


@app.command()
def rehearse(workspace: WorkspaceOption = REHEARSAL_WORKSPACE) -> None:
    """Run pipeline/makeup through server and worker: offline, at the least size."""
    from flows.server.rehearsal import DEPLOYMENT
    from flows.server.rehearsal import rehearse as rehearse_run

    rehearse_run(workspace, OUTPUT, is_verbose="--debug" in sys.argv)
    pages = suyan_command("ui", workspace=workspace)
    OUTPUT.print(
        localised(
            "Every stage ran through server and worker; so short a training makes no "
            "useful model.\nThe run's pages: {pages}",
            pages=pages,
        ),
        soft_wrap=True,
    )
    print_result({"deployment": DEPLOYMENT, "state": "Completed", "pages": pages})


@app.command()
def notify(
    kind: Annotated[
        Literal["webhook", "dingtalk", "feishu", "wecom", "slack"],
        typer.Option(
            metavar="KIND",
            help="Receiver: webhook (any that takes JSON {subject, body}), dingtalk, feishu, wecom "
            "or slack.",
        ),
    ] = "webhook",
    test: Annotated[bool, typer.Option("--test", help="Test message too.")] = False,
    off: Annotated[bool, typer.Option("--off", help="No more notifications.")] = False,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Send failed runs, partial crawls and new champions to a webhook ($SUYAN_NOTIFY_URL)."""
    from flows.server.notifications import set_up

    set_up(workspace, OUTPUT, kind=kind, test=test, off=off)
    print_result({"receiver": None if off else kind, "test_was_sent": test and not off})


@app.command(has_result=False)
def offline_engine(
    domain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER",
            help="Domain and folder of its pictures, repeatable; default: drawn people.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the engine.")] = 8099,
    host_fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FAULT|all",
            help="Fault of one host in four, repeatable: docs/crawl.md lists them; default: none.",
        ),
    ] = None,
    block_after: Annotated[
        int | None,
        typer.Option(min=0, help="Number of searches before the engine refuses; default: never."),
    ] = None,
    refusal: Annotated[
        Literal["anti-bot", "captcha", "portal", "empty-pages", "throttled", "maintenance"] | None,
        typer.Option(
            metavar="FORM",
            help="Form of the refusals: anti-bot, captcha, portal, empty-pages, throttled or "
            "maintenance; default: anti-bot, with --block-after.",
        ),
    ] = None,
) -> None:
    """Serve pictures like Baidu image search and Openverse, on loopback, until Ctrl-C."""
    from scraping.offline.corpus import folder_corpus, host_faults, portrait_corpus, with_faults
    from scraping.offline.server import serve

    folders: dict[str, Path] = {}
    for entry in domain or []:
        name, _, folder = entry.partition("=")
        if not name or not folder or not Path(folder).is_dir():
            raise ValueError(
                localised(
                    "--domain: got {entry}, needed NAME=FOLDER of an existing folder", entry=entry
                )
            )
        folders[name] = Path(folder)
    corpus = folder_corpus(folders) if folders else portrait_corpus()
    corpus = with_faults(corpus, host_faults(host_fault or []))
    if refusal is not None and block_after is None:
        block_after = 0

    def announce(url: str) -> None:
        use = suyan_command("run", "--engine-url", url, "--allow-private-hosts", "--small")
        parameters = json.dumps({"crawl": {"engine_url": url, "allow_private_hosts": True}})
        deployed = prefect_command(
            "deployment", "run", "pipeline/makeup", "--param", f"parameters={parameters}"
        )
        OUTPUT.print(
            localised(
                "The offline engine: [bold]{url}[/bold]   (Ctrl-C ends it)\nUse it: {use}\n"
                "With the services of '{command}', after the export that it prints: "
                "{deployed}",
                url=url,
                use=use,
                command=suyan_command("up"),
                deployed=deployed,
            ),
            soft_wrap=True,
        )

    serve(corpus, port, announce, block_after=block_after, refusal=refusal or "anti-bot")
