"""Removes forgotten pictures from every place of a workspace; safe to be killed and run again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.commands import prefect_command, suyan_command
from core.language.messages import localised
from core.progress import Progress, counted, silent
from core.workspace import Workspace
from flows import latest
from flows.removal.archives import remove_entries
from flows.removal.bucket_copies import remove_from_bucket
from flows.removal.copies import Copies, find_copies, with_versions
from flows.removal.run_files import find_models, find_runs, not_training, remove_run_files
from flows.removal.version_rebuild import (
    HeldVersion,
    find_versions,
    rebuild,
    remove_half_removed,
    remove_version,
)
from flows.server.prefect_server import running_server
from preprocessing.cache import forget_analyses
from preprocessing.selection.collage_parts import part_names, with_parts
from scraping.forget import ForgetTarget, find_target, forget, forgotten_digests
from storage.forgotten_record import ForgottenRecord, load_record, update_record
from storage.remote import is_shared

_NUM_PRINTED_DIGITS = 16  # of a sha256
_MIN_DIGITS = 8  # that name a part


@dataclass(frozen=True)
class RemovalPlan:
    """The targets, what they hold, and where; nothing is changed yet."""

    targets: tuple[ForgetTarget, ...]
    copies: Copies


@dataclass(frozen=True)
class Removal:
    """What was removed, and what is left."""

    lines: tuple[str, ...]  # sentences, for people
    left: Copies  # empty if everything is removed


def plan_removal(
    names: Iterable[str],
    workspace: Workspace,
    *,
    folders: Iterable[Path] = (),
    progress: Progress = silent,
) -> RemovalPlan:
    """Find what ``names`` (addresses, sha256, hosts) stand for, and every copy of it.

    Without names, everything that was forgotten before is looked for again. Raises ``ValueError``
    as ``scraping.forget.find_target`` does, and where nothing was forgotten before; ``SuyanError``
    while a training on such a picture runs.
    """
    record = load_record(workspace)
    names = list(names)
    if names:
        collages = _collages_of_versions(workspace)
        listed = _digests_of_versions(workspace) - collages.keys()
        targets = [find_target(_collage(name, collages), workspace, listed) for name in names]
    else:
        targets = [find_target(name, workspace) for name in sorted(record.pending)]
        digests = (record.pictures | forgotten_digests(workspace)) - _all_digests(targets)
        digests -= {part for each in digests for part in part_names(each)}
        targets += [ForgetTarget("sha256", each, frozenset({each})) for each in sorted(digests)]
        if not targets:
            raise ValueError(
                localised(
                    "forget: got nothing to forget, and nothing was forgotten in {workspace} "
                    "before; needed an address, a sha256 or its first digits, or a host",
                    workspace=workspace,
                )
            )
    record = replace(record, pictures=record.pictures | with_parts(_all_digests(targets)))
    copies = find_copies(workspace, record, folders=folders, progress=progress)
    for run in copies.runs:
        with not_training(run):
            pass
    return RemovalPlan(tuple(targets), copies)


def remove(
    plan: RemovalPlan,
    workspace: Workspace,
    *,
    folders: Iterable[Path] = (),
    progress: Progress = silent,
) -> Removal:
    """Remove every copy of the plan's pictures, then look for copies again.

    Each dataset version is prepared again without them, under a new name, before the old one is
    removed; where that is impossible it is only removed. Runs and models lose what shows the
    pictures and keep their weights.
    """
    copies = plan.copies
    values = {target.value for target in plan.targets}
    _remember(plan, workspace, values)
    lines = []
    for target in plan.targets:
        summary = forget(target, workspace, progress=progress)
        crawls = ", ".join(summary.crawls) or localised("no crawl")
        originals = counted(summary.num_originals, "original")
        lines.append(
            localised(
                "{kind} {value}: {originals} forgotten ({crawls})",
                kind=summary.kind,
                value=summary.value,
                originals=originals,
                crawls=crawls,
            )
        )
    forget_analyses(workspace, copies.record.pictures)
    lines += [
        _replace_version(version, copies.record, workspace, progress) for version in copies.versions
    ]
    lines += _remove_from_runs(workspace, load_record(workspace))
    remove_from_bucket(workspace, copies.in_bucket)
    for archive in copies.archives:
        remove_entries(archive, copies.record)
        lines.append(localised("removed from {archive}", archive=archive))
    for version in copies.versions:
        remove_version(version.name, workspace)
    remove_half_removed(workspace)
    outside = [path for path in copies.files if not path.is_relative_to(workspace.folder)]
    for path in copies.files:
        path.unlink(missing_ok=True)
    lines += [f"removed {path}" for path in outside]
    left = find_copies(workspace, load_record(workspace), folders=folders, progress=progress)
    if left.is_empty:
        update_record(workspace, lambda record: replace(record, pending=record.pending - values))
    return Removal((*lines, *_near_duplicate_lines(copies), *cannot_remove(workspace)), left)


def remove_local_copies(workspace: Workspace) -> None:
    """Remove what this machine still has of pictures that another machine forgot."""
    record = load_record(workspace)
    if not record.pictures:
        return
    versions = list(find_versions(workspace, record.pictures, in_bucket=False))
    record = with_versions(record, versions)
    _remove_from_runs(workspace, record)
    for version in versions:
        remove_version(version.name, workspace, in_bucket=False)


def cannot_remove(workspace: Workspace) -> list[str]:
    """Sentences about what learned from, or may show, a forgotten picture and cannot be mended."""
    record, lines = load_record(workspace), []
    runs = find_runs(workspace, record)
    weights = [str(run.folder.path) for run in runs if run.fate.is_trained_on]
    models = find_models(workspace, record).items()
    weights += [str(model.path) for model, is_trained_on in models if is_trained_on]
    if weights:
        lines.append(
            localised(
                "These weights were trained on a forgotten picture, and stay: nothing can "
                "take it out of them. Train again, then remove them: {names}",
                names=", ".join(weights),
            )
        )
    tracked = [
        f"{run.folder.path.name} ({', '.join(run.trackers)})" for run in runs if run.trackers
    ]
    if tracked:
        lines.append(
            localised(
                "Trackers may show it in sample grids, on their servers or in folders "
                "outside the workspace. Delete these runs there: {names}",
                names=", ".join(tracked),
            )
        )
    if workspace.prefect.path.exists() or os.environ.get("PREFECT_API_URL"):
        server = running_server(workspace)
        api_url = server.api_url if server else ""
        lines.append(
            localised(
                "Pages of earlier runs in the Prefect UI (artifacts crawl-…, dataset-…, "
                "training-…, evaluation-…) may show it in contact sheets. While the server runs, "
                "'{inspect}' lists them, and '{delete}' removes one",
                inspect=prefect_command("artifact", "inspect", "KEY", api_url=api_url),
                delete=prefect_command("artifact", "delete", "--id", "ID", api_url=api_url),
            )
        )
    if is_shared(workspace):
        lines.append(
            localised(
                "Other machines remove their copies when they next crawl or prepare; earlier "
                "versions of objects stay in a bucket that keeps versions"
            )
        )
    return lines


def _remember(plan: RemovalPlan, workspace: Workspace, values: set[str]) -> None:
    """Record everything by which copies are recognised later, before anything is removed."""

    def change(record: ForgottenRecord) -> ForgottenRecord:
        record = with_versions(record, plan.copies.versions)
        return replace(
            record,
            pictures=record.pictures | plan.copies.record.pictures,
            copies={**record.copies, **plan.copies.record.copies},
            pending=record.pending | values,
        )

    update_record(workspace, change)


def _replace_version(
    version: HeldVersion, record: ForgottenRecord, workspace: Workspace, progress: Progress
) -> str:
    """Rebuild a version and let the pointers name the new one; returns a sentence about it."""
    path = workspace.dataset(version.name).path
    name, reason = rebuild(version, record.pictures, workspace, progress)

    def change(current: ForgottenRecord) -> ForgottenRecord:
        fate = replace(current.versions[version.name], replacement=name)
        return replace(current, versions={**current.versions, version.name: fate})

    update_record(workspace, change)
    latest.replace_dataset(workspace, version.name, name)
    if name:
        return localised(
            "{path} was removed; {other} has its other pictures",
            path=path,
            other=workspace.dataset(name).path,
        )
    why = " ".join(reason.split()).rstrip(":.")
    return localised("{path} was removed, and not prepared again: {why}", path=path, why=why)


def _remove_from_runs(workspace: Workspace, record: ForgottenRecord) -> list[str]:
    """Remove what runs and models here show of the pictures; returns sentences."""
    lines = []
    used = [run for run in find_runs(workspace, record) if run.files()]
    for run in used:
        with not_training(run):
            names = ", ".join(sorted({path.name for path in remove_run_files(run)}))
        lines.append(localised("{path}: removed {names}", path=run.folder.path, names=names))
    for model in find_models(workspace, record):
        if model.report.exists():
            model.report.unlink()
            lines.append(localised("removed {report}", report=model.report))
    if any(fate.is_used for fate in record.versions.values()):
        shutil.rmtree(workspace.features, ignore_errors=True)  # features of its crops
    return lines


def _near_duplicate_lines(copies: Copies) -> list[str]:
    names = sorted(name[:_NUM_PRINTED_DIGITS] for name in copies.near_duplicates)
    if not names:
        return []
    sentence = localised(
        "Kept, as a picture of its own: {near_duplicates} of what was forgotten. To forget that "
        "too: {command}",
        near_duplicates=counted(len(names), "near duplicate"),
        command=suyan_command("forget", *names, workspace=copies.workspace),
    )
    return [sentence]


def _all_digests(targets: Iterable[ForgetTarget]) -> frozenset[str]:
    return frozenset().union(*(target.digests for target in targets))


def _collage(name: str, collages: Mapping[str, str]) -> str:
    """The sha256 of the collage where ``name`` begins that of one of its parts; else ``name``."""
    text = name.strip().lower()
    is_prefix = len(text) >= _MIN_DIGITS
    parts = [part for part in collages if is_prefix and part.startswith(text)]
    return collages[parts[0]] if len(parts) == 1 else name


def _collages_of_versions(workspace: Workspace) -> dict[str, str]:
    """The sha256 of the collage of each part in the manifests on this machine."""
    import pyarrow.parquet as pq

    collages = dict[str, str]()
    for manifest in workspace.datasets.glob("[!.]*/*"):
        is_manifest = manifest == workspace.dataset(manifest.parent.name).manifest
        if is_manifest and "part_of" in pq.read_schema(manifest).names:
            table = pq.read_table(manifest, columns=["sha256", "part_of"]).to_pylist()
            collages |= {row["sha256"]: row["part_of"] for row in table if row["part_of"]}
    return collages


def _digests_of_versions(workspace: Workspace) -> set[str]:
    """sha256 of every original in the manifests on this machine."""
    import pyarrow.parquet as pq

    digests = set[str]()
    for manifest in workspace.datasets.glob("[!.]*/*"):
        if manifest == workspace.dataset(manifest.parent.name).manifest:
            digests |= set(pq.read_table(manifest, columns=["sha256"])["sha256"].to_pylist())
    return digests
