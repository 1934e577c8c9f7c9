"""Dataset versions that hold a forgotten picture, and the versions that take their place."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from core.errors import SuyanError
from core.files import load_json
from core.progress import Progress
from core.tables import Original, iter_rows, write_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from flows.removal.file_copies import digests_of
from preprocessing.config import PrepareConfig
from scraping.listings import listing_with_most
from storage import originals, snapshots
from storage.forgotten_record import RemovedVersion
from storage.remote import bucket_of
from storage.s3 import Bucket

REMOVED_SUFFIX = ".forgotten"
_IN_DATASET = DatasetFolder(Path())  # its paths are relative to any dataset
_COLUMNS = ("sha256", "status", "file", "cluster")
_SAMPLES_PER_SIDE = 4  # as training/run/sample_grid.py draws
_AUGMENTED_PER_SIDE = 2  # as the preview of augmentation draws


@dataclass(frozen=True)
class HeldVersion:
    """A version with a forgotten picture in its manifest."""

    name: str
    fate: RemovedVersion  # without a replacement yet
    originals: frozenset[str]  # sha256 of all originals in its manifest
    near_duplicates: frozenset[str]  # in the cluster of a forgotten picture, and not forgotten
    copies: Mapping[str, int]  # sha256 of its crops and previews of the pictures → bytes


def find_versions(
    workspace: Workspace, pictures: Collection[str], *, in_bucket: bool = True
) -> Iterator[HeldVersion]:
    """The versions, here and in the bucket, whose manifest has a row of one of these pictures."""
    for name, manifest in _manifests(workspace, in_bucket=in_bucket):
        rows = pq.read_table(manifest, columns=list(_COLUMNS)).to_pylist()
        held = [row for row in rows if row["sha256"] in pictures]
        if not held:
            continue
        clusters = {row["cluster"] for row in held} - {""}
        files = [_IN_DATASET.preview(row["sha256"]).as_posix() for row in held]
        files += [row["file"] for row in held if row["file"]]
        yield HeldVersion(
            name=name,
            fate=_fate(rows, {row["file"] for row in held if row["status"] == "ok"}),
            originals=frozenset(row["sha256"] for row in rows),
            near_duplicates=frozenset(
                row["sha256"]
                for row in rows
                if row["cluster"] in clusters and row["sha256"] not in pictures
            ),
            copies=_contents(name, files, workspace),
        )


def rebuild(
    version: HeldVersion, pictures: Collection[str], workspace: Workspace, progress: Progress
) -> tuple[str, str]:
    """Prepare the version's other originals; returns the new version's name, or "" and the reason.

    It takes the settings of the version, the decisions of people as they are now, and the listing
    of each domain that has most of its originals.
    """
    from flows.sync import publish_dataset
    from preprocessing.prepare import prepare

    names = version.originals - set(pictures)
    with tempfile.TemporaryDirectory(prefix="suyan-rebuild-") as folder:
        try:
            config = _config(version.name, workspace)
            listings = [
                _write_listing(domain, names, workspace, Path(folder) / f"{side}.parquet")
                for side, domain in (("A", config.domain_a), ("B", config.domain_b))
            ]
            bucket = bucket_of(workspace)
            if bucket is not None:
                rows = (row for path in listings for row in iter_rows(path, Original))
                sha256_by_path = {row.path: row.sha256 for row in rows}
                originals.fetch(bucket, workspace, sha256_by_path, progress=progress)
            summary = prepare(config, listings[0], listings[1], workspace, progress=progress)
        except (SuyanError, ValueError) as error:
            return "", str(error).splitlines()[0]
    publish_dataset(summary, workspace)
    return summary.version, ""


def remove_version(name: str, workspace: Workspace, *, in_bucket: bool = True) -> None:
    """Remove a version from the bucket and from this machine; no reader sees half of it."""
    bucket = bucket_of(workspace)
    folder = workspace.dataset(name).path
    if bucket is not None and in_bucket:
        snapshots.delete(bucket, workspace.key(folder))
    if folder.is_dir():
        hidden = folder.with_name(f".{name}{REMOVED_SUFFIX}")
        shutil.rmtree(hidden, ignore_errors=True)
        folder.rename(hidden)
    remove_half_removed(workspace)


def remove_half_removed(workspace: Workspace) -> None:
    """Remove the folders that a killed call renamed and did not remove."""
    for hidden in workspace.datasets.glob(f".*{REMOVED_SUFFIX}"):
        shutil.rmtree(hidden)


def _manifests(workspace: Workspace, *, in_bucket: bool) -> Iterator[tuple[str, Path | io.BytesIO]]:
    """Name and manifest of each version; of one that is here and in the bucket, both manifests
    are the same.
    """
    local = set[str]()
    for dataset in map(DatasetFolder, sorted(workspace.datasets.glob("[!.]*/"))):
        if dataset.manifest.exists():
            local.add(dataset.path.name)
            yield dataset.path.name, dataset.manifest
    bucket = bucket_of(workspace)
    if bucket is None or not in_bucket:
        return
    for name in snapshots.names(bucket, workspace.key(workspace.datasets)):
        if name not in local:
            content = _stored_file(bucket, workspace, name, _IN_DATASET.manifest)
            if content:
                yield name, io.BytesIO(content)


def _contents(name: str, files: Collection[str], workspace: Workspace) -> dict[str, int]:
    """sha256 and lengths of a version's files, here or else in the bucket."""
    folder, bucket = workspace.dataset(name).path, bucket_of(workspace)
    if folder.is_dir() or bucket is None:
        return digests_of(folder / file for file in files)
    key = workspace.key(folder)
    snapshot, sizes = snapshots.load(bucket, key), bucket.sizes(key)
    listed = {file: snapshot.files[file] for file in files if snapshot and file in snapshot.files}
    return {
        sha256: sizes[object_key]
        for file, sha256 in listed.items()
        if (object_key := f"{key}/{snapshots.object_name(file, sha256)}") in sizes
    }


def _stored_file(bucket: Bucket, workspace: Workspace, name: str, file: Path) -> bytes:
    """A file of a published version; empty where there is none."""
    key = workspace.key(workspace.dataset(name).path)
    snapshot = snapshots.load(bucket, key)
    return snapshots.read_file(bucket, key, snapshot, file.as_posix()) if snapshot else b""


def _config(name: str, workspace: Workspace) -> PrepareConfig:
    path, bucket = workspace.dataset(name).config, bucket_of(workspace)
    if path.exists() or bucket is None:
        return PrepareConfig.model_validate(load_json(path))
    return PrepareConfig.model_validate_json(
        _stored_file(bucket, workspace, name, _IN_DATASET.config)
    )


def _fate(rows: list[Mapping[str, str]], files: set[str]) -> RemovedVersion:
    """What the runs of a version may show of the pictures ``files``."""
    accepted = sorted(row["file"] for row in rows if row["status"] == "ok")
    by_split = {
        f"{split}{side}": [file for file in accepted if file.startswith(f"{split}{side}/")]
        for split in ("train", "test")
        for side in "AB"
    }
    samples, augmented = set[str](), set[str]()
    for side in "AB":
        samples |= set((by_split[f"test{side}"] or by_split[f"train{side}"])[:_SAMPLES_PER_SIDE])
        augmented |= set(by_split[f"train{side}"][:_AUGMENTED_PER_SIDE])
    return RemovedVersion(
        is_used=bool(files),
        is_trained_on=any(file.startswith("train") for file in files),
        in_samples=bool(files & samples),
        in_augmentation=bool(files & augmented),
    )


def _write_listing(domain: str, names: frozenset[str], workspace: Workspace, path: Path) -> Path:
    """Write the listing of the domain's crawl that has most of these originals, without others.

    Raises ``SuyanError`` where no crawl of the domain has any.
    """
    listing = listing_with_most(domain, names, workspace)
    rows = [
        row
        for row in iter_rows(listing, Original)
        if row.status == "ok" and row.domain == domain and row.sha256 in names
    ]
    write_rows(path, Original, rows)
    return path
