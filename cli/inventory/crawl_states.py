"""How far the crawls of a workspace are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from core.files import try_load_json
from core.language.messages import localisable, localised
from core.workspace import Workspace, other_workspace

OF_SOURCES = {"all-read", "missing"}
"""Why folders and lists were read no further; searches stop for other reasons."""


def crawl_states(workspace: Workspace) -> tuple[list[dict[str, Any]], int]:
    """Every crawl of the workspace with its phrases' yields, and the number of addresses, hosts and
    pictures that were forgotten.

    Raises ``ValueError`` for a workspace without any crawl.
    """
    from scraping.catalogue import queries
    from scraping.catalogue.database import catalogue_url
    from scraping.catalogue.repository import Catalogue
    from scraping.crawl import phrase_yields

    url = catalogue_url(workspace)
    if url == f"sqlite:///{workspace.catalogue}" and not workspace.catalogue.exists():
        other = other_workspace(lambda each: each.catalogue)
        hint = ""
        if other:
            hint = localised(", or look at that of {other} with --workspace {other}", other=other)
        raise ValueError(
            localised(
                "--workspace: found no catalogue in {workspace}; crawl something first{hint}",
                workspace=workspace,
                hint=hint,
            )
        )
    with Catalogue(url) as catalogue:
        running = queries.running_crawls(catalogue, time.time())
        crawls = []
        for row in queries.crawls(catalogue):
            yields = phrase_yields(catalogue, row["name"])
            crawls.append(
                {
                    "crawl": row["name"],
                    "domain": row["domain"],
                    "state": _state(
                        row,
                        yields,
                        is_running=row["name"] in running,
                        is_partial=_is_partial(workspace, row["name"]),
                    ),
                    "round": row["round"],
                    "started_at": datetime.fromtimestamp(row["started_at"], UTC),
                    "num_originals": row["num_originals"],
                    "num_bytes": row["num_bytes"],
                    "phrases": yields,
                }
            )
        return crawls, len(catalogue.tombstones())


def _is_partial(workspace: Workspace, crawl: str) -> bool:
    """Whether the next run of a crawl would try something again."""
    return bool((try_load_json(workspace.crawl(crawl).summary) or {}).get("partial"))


def _state(
    row: Mapping[str, Any],
    yields: Sequence[Mapping[str, Any]],
    *,
    is_running: bool,
    is_partial: bool,
) -> str:
    """How far a crawl is, in words."""
    if row["finished_at"]:
        if is_partial:
            return localisable("partial, the next run tries the rest")
        return localisable("finished")
    if is_running:
        return localisable("under way")
    reasons = {str(each["stopped_because"]).partition(":")[0] for each in yields}
    is_read_only = bool(reasons) and reasons <= OF_SOURCES
    return localisable("no phrase was searched yet") if is_read_only else localisable("interrupted")
