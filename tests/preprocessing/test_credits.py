"""Licence and author of a picture go with it from the search to the dataset, card and export."""

import csv
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from crawl_runs import crawl_config

from core.tables import Original, Picture, read_rows, write_rows
from core.workspace import Workspace
from preprocessing.config import PrepareConfig
from preprocessing.prepare import PrepareSummary, prepare
from preprocessing.version.dataset_export import export
from scraping.crawl import crawl
from scraping.offline.corpus import landscape_corpus
from scraping.offline.server import OfflineEngine

CONFIG = PrepareConfig(
    domain_a="summer", domain_b="winter", faces=False, crop_px=64, min_images=4, test_fraction=0.3
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], PrepareSummary]:
    """Summer from both engines, winter from Baidu alone: listings and dataset."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    listings = []
    with OfflineEngine(landscape_corpus(num_good=16)) as engine:
        for domain, names in (("summer", ("baidu", "openverse")), ("winter", ("baidu",))):
            config = crawl_config(engine, domain=domain, phrases=(domain,), engines=names)
            listings.append(crawl(config, workspace).listing)
    return listings, prepare(CONFIG, *listings, workspace)


def _rows(summary: PrepareSummary) -> list[Picture]:
    return [row for row in read_rows(summary.dataset / "manifest.parquet", Picture) if row.file]


def test_a_picture_has_the_licence_that_any_of_its_hits_states(
    prepared: tuple[list[Path], PrepareSummary],
) -> None:
    listings, summary = prepared
    stated = {row.sha256: row for row in read_rows(listings[0], Original) if row.license}
    summer = [row for row in _rows(summary) if row.side == "A"]
    assert len(summer) > 8
    for row in summer:
        hit = stated[row.sha256]
        assert set(row.phrases) == {"summer", "openverse: summer"}
        assert (row.license, row.license_url, row.creator, row.attribution, row.page_url) == (
            hit.license, hit.license_url, hit.creator, hit.attribution, hit.page_url
        )  # fmt: skip
    assert {row.license for row in _rows(summary) if row.side == "B"} == {""}


def test_the_card_counts_the_licences_of_each_side(
    prepared: tuple[list[Path], PrepareSummary],
) -> None:
    _, summary = prepared
    counts = json.loads((summary.dataset / "card.json").read_text())["licenses"]
    num_summer, num_winter = (sum(row.side == side for row in _rows(summary)) for side in "AB")
    assert "" not in counts["A"]
    assert sum(counts["A"].values()) == num_summer
    assert counts["B"] == {"": num_winter}
    for file in ("card.md", "card.html"):
        page = (summary.dataset / file).read_text()
        assert all(name in page for name in counts["A"])
        assert "none stated" in page


def test_a_dataset_without_licences_has_no_table_of_them(
    prepared: tuple[list[Path], PrepareSummary], tmp_path: Path
) -> None:
    listings, summary = prepared
    workspace = Workspace(summary.dataset.parents[1])
    bare = tmp_path / "summer.parquet"
    blank = {"license": "", "license_url": "", "creator": "", "attribution": ""}
    write_rows(bare, Original, [replace(row, **blank) for row in read_rows(listings[0], Original)])
    again = prepare(CONFIG, bare, listings[1], workspace)
    assert again.version == summary.version  # licences name no version
    other = prepare(CONFIG.model_copy(update={"crop_px": 56}), bare, listings[1], workspace)
    for name in ("card.md", "card.html"):
        assert "licence" not in (other.dataset / name).read_text()
    (path,) = export(other.dataset, tmp_path / "out", "imagefolder")
    assert path.suffix == ".zip"


def _table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_exports_come_with_the_credits_of_their_pictures(
    prepared: tuple[list[Path], PrepareSummary], tmp_path: Path
) -> None:
    _, summary = prepared
    credited = {row.file: row for row in _rows(summary) if row.license}
    (path,) = export(summary.dataset, tmp_path, "zip")
    with zipfile.ZipFile(path) as archive:
        table = _table(archive.read(f"{summary.version}/credits.csv"))
        assert {f"{summary.version}/{line['file']}" for line in table} <= set(archive.namelist())
    assert {line["file"]: line["attribution"] for line in table} == {
        file: row.attribution for file, row in credited.items()
    }
    assert {line["creator"] for line in table} == {row.creator for row in credited.values()}
    archive_path, beside = export(summary.dataset, tmp_path, "imagefolder")
    with zipfile.ZipFile(archive_path) as archive:
        names = set(archive.namelist())
    table = _table(beside.read_bytes())
    assert beside.name == f"{summary.version}-imagefolder-credits.csv"
    assert {line["file"] for line in table} < names
    assert not any("credits" in name for name in names)
