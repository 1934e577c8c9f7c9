"""Synchronisation with object storage: fetches before a stage, publishes after it.

Without a bucket these functions do nothing. The stages themselves work on folders only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.progress import Progress
from core.tables import Original, iter_rows
from core.workspace import Workspace
from preprocessing.config import PrepareConfig
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.forget import remove_forgotten_originals
from storage import originals, snapshots, synced_files
from storage.remote import bucket_of, is_shared

if TYPE_CHECKING:
    from preprocessing.prepare import PrepareSummary


def drop_forgotten(workspace: Workspace) -> None:
    """Remove pictures that another machine has forgotten: originals, previews, crops, and the
    dataset versions and pictures of runs that show them.
    """
    if is_shared(workspace):
        from flows.removal.full_removal import remove_local_copies
        from preprocessing.cache import (
            forget_analyses,  # imported late: it imports OpenCV, which few flows need
        )

        with Catalogue(catalogue_url(workspace)) as catalogue:
            forget_analyses(workspace, remove_forgotten_originals(catalogue, workspace))
        remove_local_copies(workspace)


def fetch_originals(
    config: PrepareConfig, listings: tuple[Path, Path], workspace: Workspace, progress: Progress
) -> None:
    """Fetch the originals that a preparation needs and this machine lacks, and merge people's
    decisions about pictures.
    """
    bucket = bucket_of(workspace)
    if bucket is None:
        return
    drop_forgotten(workspace)
    rows = (row for listing in listings for row in iter_rows(listing, Original))
    sha256_by_path = {row.path: row.sha256 for row in rows if row.status == "ok"}
    originals.fetch(bucket, workspace, sha256_by_path, progress=progress)
    synced_files.merge(workspace, workspace.overrides(config.domain_a, config.domain_b))


def publish_dataset(summary: PrepareSummary, workspace: Workspace) -> None:
    """Publish a version.

    If another machine published it first, its files replace those of this machine: versions of one
    name are the same everywhere, byte for byte.
    """
    bucket = bucket_of(workspace)
    if bucket is not None:
        key = workspace.key(workspace.dataset(summary.version).path)
        snapshots.publish(bucket, summary.dataset, key)
        if not summary.reused:
            snapshots.fetch(bucket, summary.dataset, key, replace=True)


def fetch_dataset(workspace: Workspace, version: str) -> None:
    """Fetch a version that is not here. A version that the bucket lacks too is no error here: the
    caller raises when it reads the version.
    """
    bucket = bucket_of(workspace)
    if bucket is not None:
        folder = workspace.dataset(version).path
        snapshots.fetch(bucket, folder, workspace.key(folder))
