"""Listings of crawls by what they hold."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from core.errors import SuyanError
from core.language.messages import localised
from core.tables import Original, iter_rows
from core.workspace import Workspace
from core.workspace_folders import CrawlFolder
from storage import synced_files
from storage.remote import bucket_of


def listing_with_most(domain: str, names: Collection[str], workspace: Workspace) -> Path:
    """The listing of the domain's crawl that has most of the originals ``names`` (sha256).

    Listings that only the bucket has are pulled first. Raises ``SuyanError`` where no crawl of the
    domain has any of them.
    """
    bucket = bucket_of(workspace)
    if bucket is not None:
        for name in bucket.folders(workspace.key(workspace.crawls)):
            synced_files.pull(workspace, workspace.crawl(name).listing)
    most, listing = 0, None
    for crawl in map(CrawlFolder, sorted(workspace.crawls.glob("*"))):
        if crawl.listing.exists():
            rows = iter_rows(crawl.listing, Original)
            held = {row.sha256 for row in rows if row.status == "ok" and row.domain == domain}
            num = len(held.intersection(names))
            if num > most:
                most, listing = num, crawl.listing
    if listing is None:
        raise SuyanError(
            localised("no crawl of {domain} has its originals any more", domain=domain)
        )
    return listing
