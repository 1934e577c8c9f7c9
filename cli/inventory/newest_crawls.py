"""The crawls of a domain, and the line that prepares the newest of both."""

from __future__ import annotations

import json
import re
from typing import Any

from core.commands import suyan_command
from core.workspace import Workspace
from core.workspace_folders import CrawlFolder


def crawls_of(domain: str, workspace: Workspace) -> list[CrawlFolder]:
    """The domain's crawls that have a listing."""
    return [
        crawl
        for crawl in map(CrawlFolder, sorted(workspace.crawls.glob(f"{domain}-*")))
        if re.fullmatch(f"{domain}-[0-9a-f]{{12}}", crawl.path.name) and crawl.listing.exists()
    ]


def line_of_newest(recipe: str, workspace: Workspace) -> str:
    """The line that prepares both newest crawls; "" where a few options do not name them."""
    from core.config_identity import identity
    from core.files import claimed_config
    from flows.recipe_files.library import find_recipe
    from scraping.crawl import crawl_name

    try:
        base = find_recipe(recipe, workspace).parameters
    except ValueError:  # it came from a file
        return ""
    changes = list[dict[str, Any]]()
    for config in (base.crawl_a, base.crawl_b):
        crawls = crawls_of(config.domain, workspace)
        if not crawls:
            return ""
        newest = max(crawls, key=_usefulness)
        values = identity(config)
        changed = {
            name: value
            for name, value in claimed_config(newest.path).items()
            if values.get(name) != value
        }
        try:
            named = type(config).model_validate(config.model_dump() | changed)
        except ValueError:  # another version wrote it
            return ""
        is_short = all(isinstance(value, str | int | float) for value in changed.values())
        if not is_short or crawl_name(named) != newest.path.name:
            return ""
        changes.append(changed)
    of_a, of_b = changes
    of_both = {name: value for name, value in of_a.items() if of_b.get(name, ...) == value}
    sections = {"crawl": of_both, "crawl_a": of_a, "crawl_b": of_b}
    words = [
        word
        for section, values in sections.items()
        for name, value in values.items()
        if section == "crawl" or name not in of_both
        for word in ("--set", f"{section}.{name}={_as_text(value)}")
    ]
    return suyan_command("prepare", *words, workspace=workspace, recipe=recipe)


def _usefulness(crawl: CrawlFolder) -> tuple[bool, float]:
    """Whether a crawl has originals, and when it was last worked on."""
    from core.files import try_load_json

    summary = try_load_json(crawl.summary) or {}
    file = crawl.summary if summary else crawl.listing
    return summary.get("num_ok", 0) > 0, file.stat().st_mtime


def _as_text(value: str | float) -> str:
    return value if isinstance(value, str) else json.dumps(value)
