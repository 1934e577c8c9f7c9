"""Crawls of the offline engine, here and in a process of their own."""

import hashlib
import subprocess
import sys
from pathlib import Path

from core.tables import Original, read_rows
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary
from scraping.offline.server import OfflineEngine

ROOT = Path(__file__).resolve().parents[2]


def crawl_config(engine: OfflineEngine, **changes: object) -> CrawlConfig:
    values = {
        "engine_url": engine.url,
        "domain": "bare",
        "phrases": ("素颜 照片", "素颜 女生"),
        "num_images": 1000,
        "allow_private_hosts": True,
        "search_interval_s": 0,
        "cool_down_s": 0.01,
        "requests_per_s_per_host": 500,
    }
    return CrawlConfig.model_validate(values | changes)


CRAWL_SCRIPT = """
import sys
from pathlib import Path
from core.workspace import Workspace
from scraping.config import CrawlConfig
from scraping.crawl import crawl
crawl(CrawlConfig.model_validate_json(sys.argv[1]), Workspace(Path(sys.argv[2])))
"""


def assert_whole(workspace: Path, summary: CrawlSummary) -> None:
    """Check that no file is torn, no row lacks its file, and every file has the content of its
    name."""
    assert not list(workspace.glob("originals/*/.*"))
    for path in workspace.glob("originals/*/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
    for row in read_rows(summary.listing, Original):
        assert (row.status == "ok") == (workspace / row.path).is_file()


def start_crawl(config: CrawlConfig, workspace: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CRAWL_SCRIPT, config.model_dump_json(), str(workspace)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
