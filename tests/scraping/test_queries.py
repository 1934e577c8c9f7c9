"""The summary of a crawl says whether another call would try something again."""

import json
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.workspace import Workspace
from scraping.catalogue import queries
from scraping.catalogue import schema as db
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.leases import Leases
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.crawl import crawl, crawl_name, write_outputs
from scraping.offline.corpus import portrait_corpus
from scraping.offline.server import OfflineEngine


def _had_failed(workspace: Path, name: str, failures: int) -> dict[str, Any]:
    """The summary, had two downloads failed ``failures`` times for a reason that may pass."""
    with Catalogue(catalogue_url(Workspace(workspace))) as catalogue:
        with catalogue.writing() as connection:
            chosen = list(connection.execute(sa.select(db.hits.c.id).limit(2)).scalars())
            values = {"status": "failed", "reason": "timeout", "failures": failures}
            connection.execute(db.hits.update().where(db.hits.c.id.in_(chosen)).values(values))
        write_outputs(catalogue, name, Workspace(workspace))
    summary = (workspace / "crawls" / name / "summary.json").read_text()
    return dict(json.loads(summary))


def test_downloads_that_may_yet_succeed_make_a_crawl_partial(tmp_path: Path) -> None:
    with OfflineEngine(portrait_corpus(num_good=6)) as engine:
        config = CrawlConfig(
            engine_url=engine.url,
            domain="bare",
            phrases=("素颜",),
            allow_private_hosts=True,
            search_interval_s=0,
            requests_per_s_per_host=500,
        )
        name = crawl_name(config)
        assert not crawl(config, Workspace(tmp_path)).partial
        once = _had_failed(tmp_path, name, 1)
        assert (once["partial"], once["num_waiting"]) == (True, 2)
        given_up = _had_failed(tmp_path, name, 3)
        assert (given_up["partial"], given_up["num_waiting"]) == (False, 0)
        _had_failed(tmp_path, name, 1)
        again = crawl(config, Workspace(tmp_path))  # tries them again
        assert (again.partial, again.num_waiting) == (False, 0)


def test_a_crawl_runs_while_its_lease_holds(catalogue: Catalogue) -> None:
    now = time.time()
    assert queries.running_crawls(catalogue, now) == set()
    leases = Leases(catalogue, "bare-1", 60)
    leases.renew()
    assert queries.running_crawls(catalogue, now) == {"bare-1"}
    assert queries.running_crawls(catalogue, now + 3600) == set()
    leases.close()
    assert queries.running_crawls(catalogue, now) == set()
