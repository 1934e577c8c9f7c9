"""What a crawl, its catalogue and a preparation lack is mended as the message says."""

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from crawl_runs import crawl_config
from PIL import Image
from remedies import remedy

from core.files import load_json
from core.workspace import Workspace
from preprocessing import sandbox
from preprocessing.cache import AnalysisCache
from preprocessing.config import PrepareConfig
from preprocessing.prepare import prepare
from preprocessing.sandbox import map_sandboxed
from preprocessing.selection.overrides import read_overrides
from preprocessing.version.dataset_export import export
from scraping.catalogue.database import catalogue_url
from scraping.catalogue.repository import Catalogue
from scraping.crawl import crawl
from scraping.forget import find_target
from scraping.offline.corpus import Corpus, folder_corpus, portrait_corpus
from scraping.offline.server import OfflineEngine, serve


def _then(mend: Callable[[], object], act: Callable[[], object]) -> Callable[[], object]:
    return lambda: (mend(), act())


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return portrait_corpus(num_good=4)


def test_a_crawl_reaches_its_engine_as_the_message_says(corpus: Corpus, tmp_path: Path) -> None:
    with OfflineEngine(corpus) as engine:
        config = crawl_config(engine, phrases=("素颜 照片",), num_tries=1, num_images=2)

        def from_engine(url: str) -> Callable[[], object]:
            other = config.model_copy(update={"engine_url": url})
            return lambda: crawl(other, Workspace(tmp_path / "home"))

        reached = from_engine(engine.url)
        remedy(" answered none of ", from_engine("http://127.0.0.1:9"), reached)
        remedy(" does not resolve", from_engine("http://engine.invalid"), reached)
        remedy(
            ": all ",
            lambda: crawl(
                config.model_copy(update={"allow_private_hosts": False}), Workspace(tmp_path / "w")
            ),
            lambda: crawl(config, Workspace(tmp_path / "w")),
        )


def test_a_catalogue_of_another_kind_is_moved_away_or_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalogue.sqlite"

    def opened() -> None:
        with Catalogue(catalogue_url(Workspace(tmp_path))):
            pass

    def of_another_kind() -> None:
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE hits (crawl TEXT, key TEXT)")
        connection.close()

    of_another_kind()
    remedy("can take over: table ", opened,
           _then(lambda: path.rename(tmp_path / "away"), opened))  # fmt: skip
    of_another_kind()
    other = f"sqlite:///{tmp_path / 'other.sqlite'}"
    with pytest.raises(Exception, match="is no catalogue"):
        opened()
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", other)
    opened()
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        (version,) = connection.execute("SELECT version_num FROM catalogue_version").fetchone()
        connection.execute("UPDATE catalogue_version SET version_num = '0099'")
    connection.close()

    def with_the_later_version() -> None:  # to it, 0099 is its own
        with sqlite3.connect(tmp_path / "other.sqlite") as connection:
            connection.execute("UPDATE catalogue_version SET version_num = ?", (version,))
        connection.close()
        opened()

    remedy(": a later one wrote it. Install that one; ", opened, with_the_later_version)


def test_what_is_forgotten_is_named_as_the_message_says(golden: Workspace) -> None:
    picture = next(golden.originals.glob("*/*")).stem

    def target(name: str) -> Callable[[], object]:
        return lambda: find_target(name, golden)

    by_digits = target(picture[:8])
    remedy(" hex digits or more, or a host such as pictures.example.com", target("x"), by_digits)
    remedy("the digits below a picture in card.html, or all 64", target("0" * 8), by_digits)
    remedy(", from which ", target("127.0.0.9"), target("127.0.0.1"))


def test_the_offline_engine_serves_as_the_message_says(tmp_path: Path) -> None:
    class ServingError(Exception):
        pass

    def stop(_url: str) -> None:
        raise ServingError

    def served(port: int) -> None:
        with pytest.raises(ServingError):
            serve(Corpus({}, {}), port, stop)

    with socket.socket() as other, socket.socket() as free:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free.bind(("127.0.0.1", 0))
        unused = free.getsockname()[1]
        free.close()
        occupied = other.getsockname()[1]
        remedy(" is in use; choose another one with --port",
               lambda: serve(Corpus({}, {}), occupied, stop), lambda: served(unused))  # fmt: skip
    (tmp_path / "text.txt").write_text("no picture")
    remedy(
        ": found no picture, needed at least one file in a format of ",
        lambda: folder_corpus({"bare": tmp_path}),
        lambda: (Image.new("RGB", (9, 9)).save(tmp_path / "1.jpg"),
                 folder_corpus({"bare": tmp_path})),
    )  # fmt: skip


def _preparation(workspace: Workspace, **changes: object) -> Callable[[], object]:
    (stored,) = (load_json(path) for path in workspace.datasets.glob("*/config.json"))
    fields = {name: stored[name] for name in PrepareConfig.model_fields if name in stored}
    config = PrepareConfig.model_validate(fields | changes)
    listings = [
        next(workspace.crawls.glob(f"{domain}-*/listing.parquet"))
        for domain in (config.domain_a, config.domain_b)
    ]
    return lambda: prepare(config, *listings, workspace)


@pytest.mark.slow
def test_a_preparation_goes_on_as_the_message_says(
    golden: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = _preparation(golden)
    remedy("\nThe originals are kept; ", _preparation(golden, min_images=999), again)
    (version,) = (path.parent for path in golden.datasets.glob("makeup-*/manifest.parquet"))
    shutil.rmtree(version)

    def while_the_cache_is_removed() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(AnalysisCache, "load_analyses", lambda *_: {})
            again()

    remedy(" has lost analyses of originals; it was removed, or ",
           while_the_cache_is_removed, again)  # fmt: skip
    shutil.rmtree(version)
    shutil.rmtree(golden.cache)  # the pairs too: they are compared again

    def while_thumbnails_are_removed() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(AnalysisCache, "load_thumbnails", lambda *_: {})
            again()

    remedy(" of the pictures that are ", while_thumbnails_are_removed, again)


def test_a_version_is_moved_to_its_place(golden: Workspace) -> None:
    again = _preparation(golden)
    (version,) = (path.parent for path in golden.datasets.glob("*/manifest.parquet"))
    shutil.rmtree(version)
    version.mkdir()
    (version / "notes.txt").write_text("mine")
    remedy(
        ": the dataset version could not be moved there; remove or rename what is ",
        again, _then(lambda: version.rename(golden.folder / "mine"), again),
    )  # fmt: skip


def test_workers_that_cannot_start_are_started_as_the_message_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def work() -> None:
        assert dict(map_sandboxed(str, [1], num_workers=1, timeout_s=20)) == {1: "1"}

    def work_without_workers() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(sandbox, "confine", os.abort)
            work()

    remedy("worker processes end as soon as they start, so no picture can be opened. They need a ",
           work_without_workers, work)  # fmt: skip


def test_decisions_are_written_as_the_message_says(tmp_path: Path) -> None:
    path, names = tmp_path / "overrides.csv", ["0" * 9 + "a" * 55, "0" * 9 + "b" * 55]

    def read(line: str) -> Callable[[], object]:
        return lambda: (path.write_text(f"{line}\n"), read_overrides(path, names))

    whole = read(f"{names[0]},keep")
    remedy("sha256 (card.html shows them below each picture)", read("000,keep"), whole)
    remedy(", needed keep, drop, move or different", read(f"{names[0]},delete"), whole)
    remedy("give more digits", read("00000000,keep"), whole)


def test_a_dataset_is_exported_as_the_message_says(golden: Workspace, tmp_path: Path) -> None:
    (version,) = (path.parent for path in golden.datasets.glob("*/manifest.parquet"))
    out = tmp_path / "out"
    remedy(", needed the folder of a dataset", lambda: export(golden.datasets, out, "zip"),
           lambda: export(version, out, "zip"))  # fmt: skip
    for right in (
        lambda: export(version, tmp_path / "another", "zip"),
        lambda: export(version, out, "zip", overwrite=True),
    ):
        remedy(" exists already; choose another folder, or replace it with --overwrite",
               lambda: export(version, out, "zip"), right)  # fmt: skip
