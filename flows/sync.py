"""What a workspace on object storage fetches before a stage, and publishes after it.

Without a bucket none of this does anything. ``storage/`` is how; the stages work on folders.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.progress import Progress
from core.tables import Original, iter_rows
from core.workspace import Workspace
from preprocessing.config import PrepareConfig
from preprocessing.selection.overrides import overrides_file
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.forget import remove_forgotten_originals
from storage import originals, snapshots, synced_files
from storage.remote import bucket_of, is_shared

if TYPE_CHECKING:
    from preprocessing.prepare import PrepareSummary


def drop_forgotten(workspace: Workspace) -> None:
    """Remove here what was forgotten on another machine: originals, previews, crops."""
    if is_shared(workspace):
        from preprocessing.cache import forget_analyses  # with OpenCV, which few flows need

        with Catalogue(catalogue_url(workspace)) as catalogue:
            forget_analyses(workspace, remove_forgotten_originals(catalogue, workspace))


def fetch_originals(
    config: PrepareConfig, listings: tuple[Path, Path], workspace: Workspace, progress: Progress
) -> None:
    """Bring the originals that a preparation needs and this machine lacks, and what people said."""
    bucket = bucket_of(workspace)
    if bucket is None:
        return
    drop_forgotten(workspace)
    rows = (row for listing in listings for row in iter_rows(listing, Original))
    wanted = {row.path: row.sha256 for row in rows if row.status == "ok"}
    originals.fetch(bucket, workspace, wanted, progress=progress)
    synced_files.merge(workspace, overrides_file(workspace, config.domain_a, config.domain_b))


def publish_dataset(summary: PrepareSummary, workspace: Workspace) -> None:
    """Publish a version; one that another machine published first is taken over, bit by bit."""
    bucket = bucket_of(workspace)
    if bucket is not None:
        name = f"datasets/{summary.version}"
        snapshots.publish(bucket, summary.dataset, name)
        if not summary.reused:
            snapshots.fetch(bucket, summary.dataset, name, replace=True)


def fetch_dataset(workspace: Workspace, version: str) -> None:
    """Bring a version that is not here; what is nowhere is left to who looks for it."""
    bucket = bucket_of(workspace)
    if bucket is not None:
        snapshots.fetch(bucket, workspace / "datasets" / version, f"datasets/{version}")
