"""Downloads and preparation on a Dask cluster give the same result as on one machine."""

import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dask
import psutil
import pytest
from connected_services import connected
from distributed import Client, LocalCluster
from prefect import flow

from core.errors import SuyanError
from core.tables import Original, read_rows
from core.workspace import Workspace
from flows import tasks
from flows.cluster.batches import dask_runner
from flows.server.services import Services
from preprocessing import sandbox
from preprocessing.config import PrepareConfig
from preprocessing.prepare import prepare
from scraping.config import CrawlConfig
from scraping.crawl import CrawlSummary, crawl
from scraping.offline.corpus import landscape_corpus
from scraping.offline.server import OfflineEngine
from storage import snapshots
from storage.remote import bucket_of, open_workspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def to_services(services: Services) -> Iterator[None]:
    with connected(services):
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    settings = {"distributed.worker.daemon": False}
    with dask.config.set(settings), LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as workers:  # fmt: skip
        yield workers


def _config(engine: OfflineEngine, domain: str, **changes: object) -> CrawlConfig:
    values = {
        "engine_url": engine.url,
        "domain": domain,
        "phrases": ("夏天 山",) if domain == "summer" else ("冬天 山",),
        "num_images": 1000,
        "allow_private_hosts": True,
        "search_interval_s": 0,
        "requests_per_s_per_host": 500,
    }
    return CrawlConfig.model_validate(values | changes)


@contextlib.contextmanager
def _one_killed(cluster: LocalCluster, when: Callable[[], bool]) -> Iterator[list[int]]:
    """Kills a busy worker as soon as ``when`` returns true."""
    pids = [nanny.pid for nanny in cluster.workers.values()]
    killed: list[int] = []

    def kill() -> None:
        while not when():
            time.sleep(0.005)
        busiest = max(pids, key=_num_connections)
        os.kill(busiest, signal.SIGKILL)
        killed.append(busiest)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield killed
    thread.join(5)


def _num_connections(pid: int) -> int:
    """The processes that this worker has started; a worker that downloads has some."""
    children = psutil.Process(pid).children(recursive=True)
    return sum(len(child.net_connections("tcp")) for child in children)


def _rows(summary: CrawlSummary) -> set[Original]:
    return {
        replace(row, fetched_at="", url=row.url.partition("/original")[2])
        for row in read_rows(summary.listing, Original)
    }


@flow(persist_result=False)
def _crawled(config: CrawlConfig, workspace: Workspace, address: str) -> CrawlSummary:
    return tasks.crawl_domain(config, workspace, address).result()


@flow(persist_result=False)
def _prepared(config: PrepareConfig, a: Path, b: Path, workspace: Workspace, address: str) -> str:
    return tasks.prepare_dataset(config, a, b, workspace, address).result().version


@pytest.mark.slow
@pytest.mark.usefixtures("to_services")
def test_a_cluster_that_loses_a_worker_makes_what_one_machine_makes(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_MIN_ITEMS_PER_REMOTE_BATCH", 4)
    monkeypatch.setattr("preprocessing.prepare._ANALYSES_PER_COMMIT", 4)
    here, there = tmp_path / "here", tmp_path / "there"
    address = cluster.scheduler_address
    with OfflineEngine(landscape_corpus(num_good=16)) as engine:
        local = [crawl(_config(engine, domain), Workspace(here)) for domain in ("summer", "winter")]
        fetched = dict(engine.downloads)
        slow = _config(engine, "summer", requests_per_s_per_host=20)
        with _one_killed(cluster, lambda: len(list(there.glob("originals/*/[!.]*"))) > 3) as killed:
            far = [_crawled(slow, Workspace(there), address)]
        assert killed
        far.append(_crawled(_config(engine, "winter"), Workspace(there), address))
    assert fetched
    for ours, theirs in zip(local, far, strict=True):
        assert _rows(theirs) == _rows(ours)
        assert theirs.reasons == ours.reasons
    assert not list(there.glob("originals/*/.*.tmp"))

    config = PrepareConfig(
        domain_a="summer", domain_b="winter", faces=False, crop_px=32, min_images=4,
        test_fraction=0.3,
    )  # fmt: skip
    listings = [summary.listing for summary in local]
    again = tmp_path / "again"
    (again / "cache").mkdir(parents=True)
    (again / "originals").symlink_to(here / "originals")
    expected = prepare(config, *listings, Workspace(here))
    with _one_killed(cluster, lambda: _is_begun(again)) as killed:
        assert _prepared(config, *listings, Workspace(again), address) == expected.version
    assert killed
    crops = sorted(path.name for path in expected.dataset.rglob("*.png"))
    assert sorted(p.name for p in (again / "datasets" / expected.version).rglob("*.png")) == crops


@pytest.mark.slow
@pytest.mark.usefixtures("to_services")
def test_a_cluster_works_for_a_workspace_in_a_bucket(
    cluster: LocalCluster, shared_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_MIN_ITEMS_PER_REMOTE_BATCH", 4)
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    account = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with Client(cluster) as client:
        client.run(os.environ.update, account)
    address = cluster.scheduler_address
    home = open_workspace(shared_home)
    with OfflineEngine(landscape_corpus(num_good=6)) as engine:
        crawls = [_crawled(_config(engine, name), home, address) for name in ("summer", "winter")]
    bucket = bucket_of(home)
    assert bucket is not None
    listings = [summary.listing for summary in crawls]
    paths = {row.path for path in listings for row in read_rows(path, Original) if row.path}
    assert bucket.sizes("originals").keys() == paths

    config = PrepareConfig(
        domain_a="summer", domain_b="winter", faces=False, crop_px=32, min_images=2,
        test_fraction=0.4,
    )  # fmt: skip
    monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / "machine-2"))
    version = _prepared(config, *listings, open_workspace(shared_home), address)
    assert snapshots.names(bucket, "datasets") == [version]
    assert prepare(config, *listings, home).version == version


def _is_begun(workspace: Path) -> bool:
    """Whether the result of a batch has arrived."""
    path = workspace / "cache" / "analysis.sqlite"
    if not path.exists():
        return False
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            return bool(connection.execute("SELECT count(*) FROM seen").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return False


def test_a_cluster_that_is_not_there_is_said() -> None:
    with (
        pytest.raises(SuyanError, match=r"no worker of tcp://127\.0\.0\.1:9"),
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        dask_runner("tcp://127.0.0.1:9"),
    ):
        pass
