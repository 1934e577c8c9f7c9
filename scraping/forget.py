"""Removes pictures from the workspace for good, and keeps them from coming back."""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
import sqlalchemy as sa

from core.progress import Progress, silent
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from scraping.catalogue import schema as db
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.entities import Status
from scraping.catalogue.repository import Catalogue
from scraping.crawl import publish_outputs, write_outputs
from scraping.download.ssrf import host_of
from scraping.failure_reasons import Reason
from storage import originals, snapshots
from storage.remote import bucket_of
from storage.s3 import Bucket

Kind = Literal["url", "sha256", "host"]
_IN_DATASET = DatasetFolder(Path())  # its paths are relative to any dataset
_MANIFEST = _IN_DATASET.manifest.as_posix()
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+|\[?[0-9a-f]*:[0-9a-f:.]+\]?")


@dataclass(frozen=True)
class ForgetSummary:
    """The forgotten originals, and the dataset versions that still show some of them."""

    kind: Kind
    value: str
    num_originals: int
    crawls: list[str]
    datasets: list[Path]
    digests: list[str]  # sha256 of the originals
    published: list[str]  # addresses of dataset versions in the bucket that show some of them


def forget(target: str, workspace: Workspace, *, progress: Progress = silent) -> ForgetSummary:
    """Forget the pictures that ``target`` names: an address, a sha256, or a host.

    Their files are removed here and in the workspace's bucket, and they leave every listing and
    contact sheet, so that no later dataset has them. Tombstones keep them from coming back from any
    address. Dataset versions are immutable: those that show a forgotten picture, here or in the
    bucket, are returned, for a person to remove. Safe to be killed and run again.

    Raises ``ValueError`` when ``target`` is none of the three.
    """
    kind, value = _parse_target(target)
    with Catalogue(catalogue_url(workspace)) as catalogue:
        digests, crawls = _bury(catalogue, kind, value)
        for number, sha256 in enumerate(sorted(digests), start=1):
            _remove_original(workspace, sha256)
            progress("forget", number, len(digests), "")
        bucket = bucket_of(workspace)
        if bucket is not None:
            originals.delete(bucket, workspace, digests)
        published = _published_with(bucket, workspace, digests) if bucket is not None else []
        for name in sorted(crawls):
            write_outputs(catalogue, name, workspace)
            publish_outputs(workspace.crawl(name), workspace)
    datasets = _datasets_with(workspace, digests)
    return ForgetSummary(
        kind, value, len(digests), sorted(crawls), datasets, sorted(digests), published
    )


def _parse_target(target: str) -> tuple[Kind, str]:
    text = target.strip()
    if text.startswith(("http://", "https://")) and host_of(text):
        return "url", text
    if _SHA256.fullmatch(text.lower()):
        return "sha256", text.lower()
    if _HOST.fullmatch(text.lower()):
        return "host", text.lower().strip("[]")
    raise ValueError(
        f"forget: got {target!r}, needed an address (https://…), a sha256 of 64 hex digits or a "
        "host such as pictures.example.com"
    )


def _remove_original(workspace: Workspace, sha256: str) -> None:
    for file in (workspace.originals / sha256[:2]).glob(f"{sha256}.*"):
        file.unlink()


def _bury(catalogue: Catalogue, kind: Kind, value: str) -> tuple[set[str], set[str]]:
    """Store tombstones and update the rows; returns digests, and the crawls that had them.

    A host's pictures are those that came from it, and those of which the engine's cache served a
    copy. Rows change before files are removed: after a kill in between, the same command finds the
    remaining files by their tombstones.
    """
    now = time.time()
    with catalogue.writing() as connection:
        digests = _digests_of(connection, kind, value)
        tombstones = [{"kind": kind, "value": value, "at": now}]
        tombstones += [{"kind": "sha256", "value": sha256, "at": now} for sha256 in digests]
        connection.execute(catalogue.insert(db.tombstones).on_conflict_do_nothing(), tombstones)
        crawls: set[str] = set()
        for sha256 in sorted(digests):
            query = (
                sa.select(db.sightings.c.crawl)
                .join(db.hits, db.hits.c.id == db.sightings.c.hit)
                .where(db.hits.c.sha256 == sha256)
            )
            crawls |= set(connection.execute(query).scalars())
            connection.execute(
                sa.update(db.hits)
                .where(db.hits.c.sha256 == sha256)
                .values(status=Status.REJECTED, reason=Reason.FORGOTTEN)
            )
        for table in (db.originals, db.finds):  # the order of catalogue/discoveries.py
            for sha256 in sorted(digests):
                connection.execute(sa.delete(table).where(table.c.sha256 == sha256))
    return digests, crawls


def _digests_of(connection: sa.Connection, kind: Kind, value: str) -> set[str]:
    """sha256 of the originals that came from an address or a host."""
    if kind == "sha256":
        return {value}
    query = sa.select(db.attempts.c.sha256).where(db.attempts.c.sha256 != "")
    if kind == "url":
        query = query.where(db.attempts.c.url == value)
    else:
        subdomains = db.attempts.c.host.endswith("." + value, autoescape=True)
        query = query.where((db.attempts.c.host == value) | subdomains)
    return set(connection.execute(query).scalars())


def remove_forgotten_originals(catalogue: Catalogue, workspace: Workspace) -> set[str]:
    """Remove originals here that another machine has forgotten; returns all forgotten digests."""
    digests = {value for kind, value in catalogue.tombstones() if kind == "sha256"}
    for sha256 in digests:
        _remove_original(workspace, sha256)
    return digests


def _published_with(bucket: Bucket, workspace: Workspace, digests: set[str]) -> list[str]:
    """Addresses of the dataset versions in the bucket that show one of these originals."""
    addresses = []
    for version in snapshots.names(bucket, workspace.key(workspace.datasets)):
        name = workspace.key(workspace.dataset(version).path)
        snapshot = snapshots.load(bucket, name)
        if snapshot is None or _MANIFEST not in snapshot.files:
            continue
        content = snapshots.read_file(bucket, name, snapshot, _MANIFEST)
        rows = pq.read_table(io.BytesIO(content), columns=["sha256", "status"]).to_pylist()
        if any(
            row["status"] == "ok" or _IN_DATASET.preview(row["sha256"]).as_posix() in snapshot.files
            for row in rows
            if row["sha256"] in digests
        ):
            addresses.append(f"{bucket}/{name}")
    return addresses


def _datasets_with(workspace: Workspace, digests: set[str]) -> list[Path]:
    """Dataset versions here that show one of these originals, accepted or rejected."""
    folders = []
    for folder in map(DatasetFolder, sorted(workspace.datasets.glob("*"))):
        if not folder.manifest.exists():
            continue
        rows = pq.read_table(folder.manifest, columns=["sha256", "status"]).to_pylist()
        if any(
            row["status"] == "ok" or folder.preview(row["sha256"]).exists()
            for row in rows
            if row["sha256"] in digests
        ):
            folders.append(folder.path)
    return folders
