"""Every copy of forgotten pictures in a workspace and its exports: one search for removal and
proof.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from core.language.messages import localised
from core.progress import Progress, counted, silent
from core.workspace import Workspace
from core.workspace_folders import CrawlFolder, ModelFolder
from flows.removal.bucket_copies import BucketCopies, find_in_bucket
from flows.removal.file_copies import (
    digests_of,
    exported_folders,
    find_archives,
    find_files,
    find_listings,
)
from flows.removal.run_files import TrainedRun, find_models, find_runs
from flows.removal.version_rebuild import REMOVED_SUFFIX, HeldVersion, find_versions
from preprocessing.cache import names_in_cache
from preprocessing.version.export_record import export_folders
from scraping.forget import digests_in_catalogue
from storage.forgotten_record import ForgottenRecord
from storage.remote import bucket_of

_USUAL_EXPORT_FOLDER = Path("exported-dataset")
_MAX_LISTED = 5  # paths of one kind in a line


@dataclass(frozen=True)
class Copies:
    """The places that hold a forgotten picture."""

    workspace: Workspace
    record: ForgottenRecord  # with what the versions held, and digests of every copy
    versions: list[HeldVersion]
    archives: list[Path]
    runs: list[TrainedRun]  # with files that show one
    models: list[ModelFolder]  # with a report that shows one
    files: list[Path]
    listings: list[CrawlFolder]
    in_catalogue: set[str]  # sha256
    in_cache: set[str]  # sha256
    in_bucket: BucketCopies

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not self.lines()

    @property
    def changes_products(self) -> bool:
        """Whether products that a person may be using would change: versions, exports, runs."""
        return bool(self.versions or self.archives or self.runs or self.models)

    @property
    def near_duplicates(self) -> set[str]:
        """sha256 of the originals in the clusters of the pictures, which are not forgotten."""
        return set().union(*(version.near_duplicates for version in self.versions))

    def lines(self) -> list[str]:
        """A line for each kind of place; empty where nothing is left."""
        bucket = bucket_of(self.workspace)
        versions = [str(self.workspace.dataset(each.name).path) for each in self.versions]
        objects = [f"{bucket}/{path}" for path in self.in_bucket.addresses]
        places: list[tuple[str, Sequence[object]]] = [
            (counted(len(versions), "dataset version"), versions),
            (counted(len(self.archives), "export"), self.archives),
            (counted(len(self.runs), "run"), [run.folder.path for run in self.runs]),
            (counted(len(self.models), "model"), [model.report for model in self.models]),
            (counted(len(self.files), "file"), self.files),
            (
                counted(len(self.listings), "listing of a crawl"),
                [crawl.listing for crawl in self.listings],
            ),
            (counted(len(self.in_catalogue), "row of the catalogue"), sorted(self.in_catalogue)),
            (counted(len(self.in_cache), "row of the cache"), sorted(self.in_cache)),
            (counted(len(objects), "object of the bucket"), objects),
        ]
        return [_line(heading, listed) for heading, listed in places if listed]


def find_copies(
    workspace: Workspace,
    record: ForgottenRecord,
    *,
    folders: Iterable[Path] = (),
    progress: Progress = silent,
) -> Copies:
    """Walk every place in which the pictures of ``record`` may be.

    These are the workspace with hidden files, its catalogue, its cache, its bucket, the folders of
    exports that are recorded or have the usual name, and ``folders``. Files are recognised by their
    names, which begin with digits of the original, and by content under any other name; tables and
    archives by their rows and entries; runs, models and reports by the dataset version behind them.
    """
    folders = list(folders)
    progress("look for copies", 0, None, "dataset versions")
    versions = list(find_versions(workspace, record.pictures))
    record = with_versions(record, versions)
    skipped = [workspace.dataset(version.name).path for version in versions]
    exports = [*export_folders(workspace), _USUAL_EXPORT_FOLDER, *folders]
    places = [workspace.folder, *folders, *exported_folders(exports)]
    find = partial(find_files, places, skipped=skipped)
    files = list(find(record, progress=progress))
    new = digests_of(files)
    for version in versions:
        new |= version.copies
    if not new.keys() <= record.copies.keys():  # the same content may have other names
        record = replace(record, copies={**record.copies, **new})
        files = list(find(record, progress=progress))
    archives = list(find_archives(exports, record))
    files += [
        folder for folder in workspace.datasets.glob(f".*{REMOVED_SUFFIX}") if folder.is_dir()
    ]
    progress("look for copies", 0, None, "runs, models, tables, bucket")
    return Copies(
        workspace=workspace,
        record=record,
        versions=versions,
        archives=archives,
        runs=[run for run in find_runs(workspace, record) if run.files()],
        models=[model for model in find_models(workspace, record) if model.report.exists()],
        files=sorted(set(files)),
        listings=list(find_listings(workspace, record.pictures)),
        in_catalogue=digests_in_catalogue(workspace, record.pictures),
        in_cache=names_in_cache(workspace, record.pictures),
        in_bucket=find_in_bucket(workspace, record),
    )


def with_versions(record: ForgottenRecord, versions: Collection[HeldVersion]) -> ForgottenRecord:
    """The record with what each of these versions held; a known replacement stays."""
    fates = dict(record.versions)
    for version in versions:
        earlier = fates.get(version.name)
        fates[version.name] = replace(
            version.fate, replacement=earlier.replacement if earlier else ""
        )
    return replace(record, versions=fates)


def _line(heading: str, places: Sequence[object]) -> str:
    listed = ", ".join(map(str, places[:_MAX_LISTED]))
    num_more = len(places) - _MAX_LISTED
    more = localised(" and {num} more", num=num_more) if num_more > 0 else ""
    return localised("{heading}: {listed}", heading=heading, listed=listed) + more
