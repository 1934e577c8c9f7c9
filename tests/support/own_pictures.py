"""A person's own pictures: folders of small JPEGs, all different, and what became of them."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from core.tables import Original, read_rows
from core.workspace import Workspace
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, add
from scraping.sources.source_import import Sources

ADD_SCRIPT = """
import sys
from pathlib import Path
from core.workspace import Workspace
from scraping.config import CrawlConfig
from scraping.crawl import add
from scraping.sources.source_import import Sources
add(CrawlConfig(domain="bare"), Sources((sys.argv[1],)), Workspace(Path(sys.argv[2])))
"""
ADD_COMMAND = (sys.executable, "-c", ADD_SCRIPT)


def jpeg(seed: int, px: int = 48) -> bytes:
    """A JPEG of noise: the same for the same seed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (px, px, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def write_pictures(folder: Path, num: int, first: int = 0, px: int = 48) -> Path:
    """Write ``num`` JPEGs of the seeds from ``first`` on, in two folders; returns ``folder``."""
    for seed in range(first, first + num):
        path = folder / f"part {seed % 2}" / f"{seed:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed, px))
    return folder


def add_all(workspace: Path, *paths: Path, domain: str = "bare") -> CrawlSummary:
    """Add folders and archives to the domain's own crawl."""
    sources = Sources.of_names(map(str, paths), "")
    return add(CrawlConfig(domain=domain), sources, Workspace(workspace))


def rows_of(summary: CrawlSummary) -> list[Original]:
    """The rows of the crawl's listing."""
    return read_rows(summary.listing, Original)


def reasons_of(summary: CrawlSummary) -> dict[str, str]:
    """The reason of each rejected row, by its address."""
    return {row.url: row.reason for row in rows_of(summary) if row.status == "rejected"}


def notes_of(summary: CrawlSummary) -> str:
    """What the rows of phrases and sources say about their end."""
    return "\n".join(str(row["stopped_because"]) for row in summary.phrases)
