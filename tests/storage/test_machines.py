"""Two machines share a bucket: each goes on with the results of the other."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
import torch
from safetensors.torch import load_file

from core.errors import BucketError, TransientError
from core.files import write_json
from core.tables import Original, read_rows
from core.workspace import Workspace
from evaluation.model_registry.model_versions import champion, crown
from evaluation.model_registry.promote import promote
from preprocessing.selection.overrides import add_overrides, overrides_file, read_overrides
from scraping.catalogue import schema as db
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.config import CrawlConfig
from scraping.crawl import crawl
from scraping.forget import forget, remove_forgotten_originals
from scraping.offline.corpus import portrait_corpus
from scraping.offline.server import OfflineEngine
from serving.models import find_model
from storage import models, originals, runs, snapshots, synced_files
from storage.remote import bucket_of, open_workspace
from training.config import TrainConfig
from training.run.checkpoint import latest_checkpoint
from training.train import train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machines(shared_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Workspace]:
    """The workspace in one bucket, as two machines open it."""
    found = []
    for number in (1, 2):
        monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / f"machine-{number}"))
        found.append(open_workspace(shared_home))
    return found


def _crawl_config(engine: OfflineEngine, **changes: Any) -> CrawlConfig:
    return CrawlConfig(
        engine_url=engine.url, domain="bare", phrases=("素颜 照片",), num_images=1000, page_size=7,
        allow_private_hosts=True, search_interval_s=0, **{"requests_per_s_per_host": 500} | changes,
    )  # fmt: skip


_CRAWL = """
import sys
from pathlib import Path
from core.workspace import Workspace
from scraping.config import CrawlConfig
from scraping.crawl import crawl
crawl(CrawlConfig.model_validate_json(sys.argv[1]), Workspace(Path(sys.argv[2])))
"""


def _rows(url: str) -> list[str]:
    with Catalogue(url) as catalogue, catalogue.reading() as connection:
        return list(connection.execute(sa.select(db.originals.c.path)).scalars())


def _attempts(url: str) -> list[tuple[str, str]]:
    """Name of each file that was downloaded, and the sha256 of what it gave."""
    query = sa.select(db.attempts.c.url, db.attempts.c.sha256).where(db.attempts.c.status == "ok")
    with Catalogue(url) as catalogue, catalogue.reading() as connection:
        return [
            (Path(urlsplit(row.url).path).stem, row.sha256) for row in connection.execute(query)
        ]


@pytest.mark.slow
def test_originals_are_in_the_bucket_before_their_rows_whoever_is_killed(
    machines: list[Workspace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = machines
    bucket = bucket_of(here)
    assert bucket is not None
    with pytest.raises(ValueError, match=r"SUYAN_CATALOGUE_URL: got none.*s3://.*postgresql"):
        catalogue_url(here)
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", f"sqlite:///{tmp_path / 'c.sqlite'}")
    corpus = portrait_corpus(num_good=16)
    with OfflineEngine(corpus) as engine:
        slow = _crawl_config(engine, requests_per_s_per_host=20)
        command = [sys.executable, "-c", _CRAWL, slow.model_dump_json(), str(here)]
        with subprocess.Popen(command, cwd=ROOT) as process:
            while len(bucket.sizes("originals")) < 8:
                assert process.poll() is None
                time.sleep(0.02)
            process.kill()
        assert set(_rows(catalogue_url(here))) <= bucket.sizes("originals").keys()
        sent = {Path(key).name.partition(".")[0] for key in bucket.sizes("originals")}
        noted = {name for name, sha256 in _attempts(catalogue_url(here)) if sha256 in sent}
        engine.downloads.clear()
        summary = crawl(_crawl_config(engine), there)  # the other machine takes it up
        assert not noted & engine.downloads.keys()  # nor fetches again what is in the bucket
        noted &= {item.name for item in corpus.items["bare"]}
    assert 0 < len(noted) < summary.num_ok
    rows = [row for row in read_rows(summary.listing, Original) if row.status == "ok"]
    assert {row.path for row in rows} <= bucket.sizes("originals").keys()
    assert f"crawls/{summary.listing.parent.name}/listing.parquet" in bucket.sizes("crawls")
    wanted = {row.path: row.sha256 for row in rows}
    lacking = sum(not (here.folder / path).exists() for path in wanted)
    assert originals.fetch(bucket, here, wanted) == lacking > 0
    assert originals.fetch(bucket, here, wanted) == 0
    for path, sha256 in wanted.items():
        assert hashlib.sha256((here.folder / path).read_bytes()).hexdigest() == sha256
    _forgets(here, there, rows[0])


def _forgets(here: Workspace, there: Workspace, row: Original) -> None:
    bucket = bucket_of(here)
    assert bucket is not None
    forget(row.sha256, there)
    assert row.path not in bucket.sizes("originals")
    assert not (there.folder / row.path).exists()
    assert (here.folder / row.path).exists()
    with Catalogue(catalogue_url(here)) as catalogue:
        assert remove_forgotten_originals(catalogue, here) == {row.sha256}
    assert not (here.folder / row.path).exists()


TINY = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=1,
    num_epochs_decay=1, batch_size=1, checkpoint_every=4, keep_checkpoints=2, num_threads=1,
    device="cpu",
)  # fmt: skip
_TRAIN = """
import sys, time
from pathlib import Path
from core.workspace import Workspace
from storage import runs
from training.config import TrainConfig
from training.train import train
runs._POLL_S = 0.05
run = Path(sys.argv[3])
def slowly(_stage, done, *_):
    time.sleep(0.15)
with runs.publisher(Workspace(run.parents[1]), run.name):
    train(TrainConfig.model_validate_json(sys.argv[1]), Path(sys.argv[2]), run, progress=slowly)
"""


def _weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = latest_checkpoint(run)
    assert checkpoint is not None
    return {
        f"{path.stem} {key}": tensor
        for path in checkpoint.glob("*.safetensors")
        for key, tensor in load_file(path).items()
    }


@pytest.mark.slow
def test_a_training_killed_here_goes_on_there_and_ends_the_same(machines: list[Workspace]) -> None:
    from tiny_evaluation import config_of, dataset_of, evaluate

    here, there = machines
    bucket = bucket_of(here)
    assert bucket is not None
    snapshots.publish(bucket, dataset_of(here.dataset("tiny").path), "datasets/tiny")
    run = here.run("r").path
    command = [sys.executable, "-c", _TRAIN, TINY.model_dump_json(), here.dataset("tiny").path, run]
    with subprocess.Popen(command, cwd=ROOT) as process:
        while len(snapshots.names(bucket, "runs/r/checkpoints")) < 2:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
        process.kill()
    snapshots.fetch(bucket, there.dataset("tiny").path, "datasets/tiny")
    run = there.run("r").path
    assert runs.fetch(there, "r")
    with runs.publisher(there, "r"):
        done = train(TINY, there.dataset("tiny").path, run)
    assert 0 < done.resumed_from_step < done.steps == 28
    whole = train(TINY, here.dataset("tiny").path, here.run("whole").path)
    theirs = _weights(whole.run)
    for name, tensor in _weights(run).items():
        assert torch.equal(tensor, theirs[name]), name
    steps = [row for row in (run / "log.jsonl").read_text(encoding="utf-8").splitlines() if row]
    assert len(steps) == len((whole.run / "log.jsonl").read_text(encoding="utf-8").splitlines())
    kept = snapshots.names(bucket, "runs/r/checkpoints")
    assert kept[-1] == "step_00000028"
    assert len(kept) <= TINY.keep_checkpoints + 1

    evaluated = evaluate(config_of(), there.dataset("tiny").path, run, there)
    runs.publish_evaluation(there, "r", evaluated.folder.name)
    assert runs.fetch(here, "r")  # ours was behind
    again = evaluate(config_of(), here.dataset("tiny").path, here.run("r").path, here)
    assert again.reused
    assert again.scores == evaluated.scores
    with models.update(there, "makeup"):
        stored = promote(run, evaluated.folder, there, "makeup").model
        crown(there, "makeup", stored.name)
    models.fetch(here, "makeup")
    found = find_model(here, "makeup")
    assert found == here.recipe_models("makeup").version(stored.name).path
    assert champion(here, "makeup") == found
    assert (found / "prepare.json").read_bytes() == (stored / "prepare.json").read_bytes()
    assert not runs.fetch(here, "r")  # nothing newer


def _model(home: Workspace, name: str) -> None:
    folder = home.recipe_models("makeup").version(name).path
    for file in ("G_A.safetensors", "G_B.safetensors"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(name)
    write_json(folder / "config.json", {})
    write_json(folder / "model.json", {})
    write_json(folder / "scores.json", {"dataset": "d", "directions": {"A2B": {}}})


def test_of_two_machines_that_crown_at_once_one_is_told(machines: list[Workspace]) -> None:
    both_read = Barrier(2)

    def crowned(number: int) -> str:
        home, name = machines[number], f"step{number}-abc"
        _model(home, name)
        try:
            with models.update(home, "makeup"):
                both_read.wait(10)
                crown(home, "makeup", name)
        except TransientError as error:
            return str(error)
        return name

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(crowned, (0, 1)))
    (loser,) = (number for number, text in enumerate(told) if "another machine" in text)
    winner = 1 - loser
    with models.update(machines[loser], "makeup", f"step{loser}-abc"):  # the same again
        assert champion(machines[loser], "makeup").name == f"step{winner}-abc"
        crown(machines[loser], "makeup", f"step{loser}-abc")
    models.fetch(machines[winner], "makeup")
    assert champion(machines[winner], "makeup").name == f"step{loser}-abc"
    models.fetch(machines[winner], "makeup", f"step{loser}")
    assert find_model(machines[winner], "makeup", f"step{loser}").name == f"step{loser}-abc"


@pytest.mark.slow
def test_a_bucket_out_of_reach_leaves_the_model_that_is_here(
    machines: list[Workspace], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from storage.s3 import open_bucket

    here, there = machines
    _model(here, "step1-abc")
    with models.update(here, "makeup"):
        crown(here, "makeup", "step1-abc")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    open_bucket.cache_clear()
    models.fetch(here, "makeup")
    assert "cannot be reached" in caplog.text
    assert champion(here, "makeup").name == "step1-abc"
    with pytest.raises(TransientError):
        models.fetch(there, "makeup")


def test_what_people_decide_is_never_overwritten(machines: list[Workspace]) -> None:
    names = [f"{number:064x}" for number in range(3)]
    here, there = (overrides_file(home, "makeup", "bare") for home in machines)
    with synced_files.update(machines[0], here, by_hand=True):
        add_overrides(here, [names[0]], "drop", "")
    synced_files.merge(machines[1], there)
    assert read_overrides(there, names) == {names[0]: "drop"}
    add_overrides(there, [names[1]], "keep", "in an editor")  # sent with the next preparation
    synced_files.merge(machines[1], there)
    synced_files.merge(machines[0], here)
    assert read_overrides(here, names) == {names[0]: "drop", names[1]: "keep"}
    add_overrides(here, [names[2]], "drop", "")
    with synced_files.update(machines[1], there, by_hand=True):
        add_overrides(there, [names[2]], "keep", "")
    with pytest.raises(BucketError, match=r"changed here and in s3://.*theirs"):
        synced_files.merge(machines[0], here)
    assert read_overrides(here, names)[names[2]] == "drop"
    theirs = here.with_name(f"{here.name}.theirs")
    assert read_overrides(theirs, names)[names[2]] == "keep"


@pytest.mark.slow
def test_a_signal_reaches_the_training_and_its_last_checkpoint_the_bucket(
    machines: list[Workspace],
) -> None:
    from tiny_evaluation import dataset_of

    here, there = machines
    run = here.run("r").path
    dataset = dataset_of(here.dataset("tiny").path)
    config = TINY.model_copy(update={"checkpoint_every": 1000})
    command = [sys.executable, "-c", _TRAIN, config.model_dump_json(), dataset, run]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while not (run / "log.jsonl").exists() or not (run / "log.jsonl").read_text(
            encoding="utf-8"
        ):
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
    assert runs.fetch(there, "r")
    ours, theirs = latest_checkpoint(run), latest_checkpoint(there.run("r").path)
    assert ours is not None
    assert theirs is not None
    assert ours.name == theirs.name
