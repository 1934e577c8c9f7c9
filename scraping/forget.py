"""Take a picture out of the workspace for good: its file, its rows, and its way back."""

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
from scraping.catalogue import schema as db
from scraping.catalogue.repository import Catalogue, catalogue_url
from scraping.crawl import publish, send
from scraping.download.ssrf import host_of
from storage import originals, snapshots
from storage.remote import bucket_of
from storage.s3 import Bucket

Kind = Literal["url", "sha256", "host"]
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+|\[?[0-9a-f]*:[0-9a-f:.]+\]?")


@dataclass(frozen=True)
class Forgotten:
    """What ``forget`` took out, and the dataset versions that still hold some of it."""

    kind: Kind
    value: str
    num_originals: int
    crawls: list[str]
    datasets: list[Path]
    digests: list[str]  # of the originals
    published: list[str]  # addresses of dataset versions in the bucket that hold some of it


def forget(what: str, workspace: Workspace, *, progress: Progress = silent) -> Forgotten:
    """Forget the picture or pictures that ``what`` names: an address, a sha256, or a host.

    Originals, listings and contact sheets lose them, so that no dataset to come has them; a
    tombstone keeps them from ever coming back, from any address. From the workspace's bucket they
    go too. Dataset versions are immutable: those that hold one, here or in the bucket, are named,
    to be removed by hand. Safe to be killed and run again.

    Raises ``ValueError`` when ``what`` is none of the three.
    """
    kind, value = _kind(what)
    with Catalogue(catalogue_url(workspace)) as catalogue:
        buried, crawls = _bury(catalogue, kind, value)
        for number, sha256 in enumerate(sorted(buried), start=1):
            for file in (workspace / "originals" / sha256[:2]).glob(f"{sha256}.*"):
                file.unlink()
            progress("forget", number, len(buried), "")
        bucket = bucket_of(workspace)
        if bucket is not None:
            originals.delete(bucket, workspace, buried)
        published = _published_with(bucket, buried) if bucket is not None else []
        for name in sorted(crawls):
            publish(catalogue, name, workspace)
            send(workspace / "crawls" / name, workspace)
    datasets = _datasets_with(workspace, buried)
    return Forgotten(kind, value, len(buried), sorted(crawls), datasets, sorted(buried), published)


def _kind(what: str) -> tuple[Kind, str]:
    text = what.strip()
    if text.startswith(("http://", "https://")) and host_of(text):
        return "url", text
    if _SHA256.fullmatch(text.lower()):
        return "sha256", text.lower()
    if _HOST.fullmatch(text.lower()):
        return "host", text.lower().strip("[]")
    raise ValueError(
        f"forget: got {what!r}, needed an address (https://…), a sha256 of 64 hex digits or a host "
        "such as pictures.example.com"
    )


def _bury(catalogue: Catalogue, kind: Kind, value: str) -> tuple[set[str], set[str]]:
    """Leave tombstones, mend the rows; the digests concerned and the crawls that had them.

    A host's picture is one that came from there, or whose original the engine's cache wraps. The
    rows are mended before the files go: a kill in between leaves a file too many, which the same
    command finds again through its tombstone.
    """
    with catalogue.writing() as connection:
        concerned = _concerned(connection, kind, value)
        stones = [{"kind": kind, "value": value, "at": time.time()}]
        stones += [{"kind": "sha256", "value": sha, "at": time.time()} for sha in concerned]
        connection.execute(catalogue.insert(db.tombstones).on_conflict_do_nothing(), stones)
        crawls: set[str] = set()
        for sha256 in sorted(concerned):
            had = (
                sa.select(db.sightings.c.crawl)
                .join(db.hits, db.hits.c.id == db.sightings.c.hit)
                .where(db.hits.c.sha256 == sha256)
            )
            crawls |= set(connection.execute(had).scalars())
            connection.execute(
                sa.update(db.hits)
                .where(db.hits.c.sha256 == sha256)
                .values(status="rejected", reason="forgotten")
            )
        for table in (db.originals, db.finds):  # in the order that scraping/catalogue/finds.py says
            for sha256 in sorted(concerned):
                connection.execute(sa.delete(table).where(table.c.sha256 == sha256))
    return concerned, crawls


def _concerned(connection: sa.Connection, kind: Kind, value: str) -> set[str]:
    """Digests of the originals that came from an address or a host."""
    if kind == "sha256":
        return {value}
    query = sa.select(db.attempts.c.sha256).where(db.attempts.c.sha256 != "")
    if kind == "url":
        query = query.where(db.attempts.c.url == value)
    else:
        below = db.attempts.c.host.endswith("." + value, autoescape=True)
        query = query.where((db.attempts.c.host == value) | below)
    return set(connection.execute(query).scalars())


def remove_buried(catalogue: Catalogue, workspace: Workspace) -> set[str]:
    """Remove the originals here that were forgotten on another machine; all forgotten digests."""
    buried = {value for kind, value in catalogue.tombstones() if kind == "sha256"}
    for sha256 in buried:
        for file in (workspace / "originals" / sha256[:2]).glob(f"{sha256}.*"):
            file.unlink()
    return buried


def _published_with(bucket: Bucket, digests: set[str]) -> list[str]:
    """Addresses of the dataset versions in the bucket that show one of these originals."""
    found = []
    for name in snapshots.names(bucket, "datasets"):
        published = snapshots.load(bucket, f"datasets/{name}")
        if published is None or "manifest.parquet" not in published.files:
            continue
        content = snapshots.read_file(bucket, f"datasets/{name}", published, "manifest.parquet")
        rows = pq.read_table(io.BytesIO(content), columns=["sha256", "status"]).to_pylist()
        if any(
            row["status"] == "ok" or f"previews/{row['sha256'][:16]}.jpg" in published.files
            for row in rows
            if row["sha256"] in digests
        ):
            found.append(f"{bucket}/datasets/{name}")
    return found


def _datasets_with(workspace: Workspace, digests: set[str]) -> list[Path]:
    """Dataset versions that show one of these originals, used or rejected."""
    found = []
    for manifest in sorted(workspace.folder.glob("datasets/*/manifest.parquet")):
        table = pq.read_table(manifest, columns=["sha256", "status"]).to_pylist()
        mine = [row for row in table if row["sha256"] in digests]
        previews = manifest.parent / "previews"
        if any(
            row["status"] == "ok" or (previews / f"{row['sha256'][:16]}.jpg").exists()
            for row in mine
        ):
            found.append(manifest.parent)
    return found
