"""The command that compares two folders of pictures: ``suyan distance``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.command_group import CommandGroup
from cli.console import OUTPUT, print_line, print_result, print_table, progress_bar
from cli.options import WORKSPACE, WorkspaceOption
from core.language.messages import localised
from core.progress import counted
from core.workspace import Workspace

if TYPE_CHECKING:
    from evaluation.features.extractor import Extractor
    from evaluation.folder_metrics import FolderDistance

app = CommandGroup("Trainings and models")


@app.command()
def distance(
    first: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of pictures.")],
    second: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to compare it with.")],
    inception: Annotated[
        Literal["auto", "cached", "never"],
        typer.Option(
            help="Network of published figures beside the offline one; auto: fetch its weights "
            "(96 MB) once; cached: only if they are there; never: leave it out."
        ),
    ] = "cached",
    num_bootstrap: Annotated[
        int,
        typer.Option(
            "--bootstrap", min=0, max=10_000, help="Resamplings for the intervals; 0: none."
        ),
    ] = 1000,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Print FID and KID, with 95 % intervals, between any two folders of pictures."""
    for folder in (first, second):
        if not folder.is_dir():
            content = localised("a file") if folder.exists() else localised("nothing")
            raise ValueError(
                localised(
                    "{folder}: found {content}, needed a folder of pictures",
                    folder=folder,
                    content=content,
                )
            )
    from evaluation.folder_metrics import compare_folders

    extractors, reason = _extractors(inception, workspace)
    distances: dict[str, FolderDistance] = {}
    with progress_bar(OUTPUT, transient=True) as progress:
        for extractor in extractors:
            distances[extractor.name] = compare_folders(
                first, second, extractor, num_bootstrap=num_bootstrap, progress=progress
            )
    _print(first, second, distances, reason)
    names = {extractor.name: extractor.key for extractor in extractors}
    print_result({names[name]: each for name, each in distances.items()})


def _extractors(
    policy: Literal["auto", "cached", "never"], workspace: Workspace
) -> tuple[list[Extractor], str]:
    """The networks, and the reason why the one of published figures is missing, or ""."""
    import torch

    from evaluation.features.extractor import load_offline
    from evaluation.features.inception import find_weights, load_inception

    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights, reason = find_weights(policy, None)
    if weights is None and policy == "cached":
        reason = localised("Fetch its weights (96 MB) once with --inception auto.")
    networks = [load_offline(device)]
    if weights is not None:
        networks.append(load_inception(weights, device))
    cache = workspace.features if workspace.folder.is_dir() else None
    return [network.cached_in(cache) for network in networks], reason


def _print(first: Path, second: Path, distances: dict[str, FolderDistance], reason: str) -> None:
    from evaluation.metrics.distances import LEAST_FOR_DISTANCES

    each = next(iter(distances.values()))
    print_line(
        OUTPUT,
        localised(
            "{first} and {second}: {pictures} and {others}",
            first=first,
            second=second,
            pictures=counted(each.num_first, "picture"),
            others=counted(each.num_second, "picture"),
        ),
    )
    rows = [
        [
            name,
            f"{kind.value:.{places}f}",
            localised(
                "{low} to {high}", low=f"{kind.low:.{places}f}", high=f"{kind.high:.{places}f}"
            ),
            label,
        ]
        for name, of_network in distances.items()
        for label, kind, places in (("KID", of_network.kid, 4), ("FID", of_network.fid, 1))
    ]
    print_table(
        OUTPUT,
        {"distance": "left", "value": "right", "95 % interval": "left", "network": "left"},
        [[label, value, interval, name] for name, value, interval, label in rows],
    )
    if each.num_unreadable:
        print_line(
            OUTPUT,
            localised(
                "{files} could not be read: left out.", files=counted(each.num_unreadable, "file")
            ),
        )
    if min(each.num_first, each.num_second) < LEAST_FOR_DISTANCES:
        print_line(
            OUTPUT,
            localised(
                "With fewer than {num} pictures, both figures are noise.",
                num=LEAST_FOR_DISTANCES,
            ),
        )
    print_line(
        OUTPUT,
        localised(
            "0 is the distance of two sets of one kind. Compare figures of one network, "
            "and FID only between sets of equal size."
        ),
    )
    if reason:
        print_line(
            OUTPUT, localised("Without the network of published figures. {reason}", reason=reason)
        )
