"""Two listings become an immutable dataset version, whatever the originals are."""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import TooFewImagesError
from core.tables import Original, Picture, read_rows, write_rows
from core.workspace import Workspace
from core.workspace_folders import SPLITS
from preprocessing.analysis.analyse import AnalysisConfig
from preprocessing.cache import AnalysisCache, forget_analyses
from preprocessing.config import PrepareConfig
from preprocessing.prepare import PrepareSummary, prepare
from preprocessing.sandbox import WorkerPool
from preprocessing.selection.overrides import add_overrides, overrides_file
from preprocessing.version import staging
from preprocessing.version.staging import StagedVersion
from scraping.offline.portraits import Makeup, Person, Shot, draw

CONFIG = PrepareConfig(domain_a="makeup", domain_b="bare", crop_px=96, min_images=6, num_workers=2)

BAD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bad"

Calls = list[tuple[str, int, int | None]]
Prepared = tuple[Path, PrepareSummary, Calls]


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def portrait(seed: int, *, made_up: bool) -> np.ndarray:
    makeup = Makeup.seeded(seed) if made_up else None
    return draw(Person.seeded(seed), Shot.seeded(seed), makeup, height=320, width=280)


def listing(workspace: Path, domain: str, files: Sequence[bytes]) -> Path:
    rows = []
    for number, content in enumerate(files):
        sha256 = hashlib.sha256(content).hexdigest()
        path = workspace / "originals" / sha256[:2] / f"{sha256}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        rows.append(
            Original(domain, "phrase", f"http://x/{number}", "objURL", "", "", sha256,
                     str(path.relative_to(workspace)), len(content), "ok", "", "2026-01-01")
        )  # fmt: skip
    rows.append(
        Original(domain, "phrase", "http://x/gone", "objURL", "", "", "", "", 0, "rejected",
                 "http-404", "2026-01-01")
    )  # fmt: skip
    path = workspace / "crawls" / domain / "listing.parquet"
    write_rows(path, Original, rows)
    return path


@pytest.fixture(scope="module")
def corpus() -> tuple[list[bytes], list[bytes]]:
    """Ten people of each domain, and one original for each reason of rejection."""
    both = encoded(portrait(90, made_up=True))
    a = [encoded(portrait(seed, made_up=True)) for seed in range(10)]
    a += [
        encoded(portrait(0, made_up=True), "JPEG", quality=40),  # a near duplicate
        encoded(portrait(1, made_up=True)[:, ::-1]),  # a mirrored one
        b"<html>not an image</html>",
        encoded(np.full((300, 300, 3), 99, np.uint8)),  # no face
        encoded(portrait(20, made_up=True)[::8, ::8]),  # too small
        encoded(np.tile(portrait(21, made_up=True)[::4, ::4], (1, 8, 1))),  # a long strip
        both,
        a[2],  # listed twice
    ]
    b = [encoded(portrait(seed, made_up=False)) for seed in range(40, 50)]
    b += [
        encoded(np.hstack([portrait(60, made_up=False), portrait(61, made_up=False)])),
        encoded(portrait(62, made_up=False)[90:200, 80:]),  # cut through the face
        encoded(portrait(90, made_up=True), "JPEG", quality=60),  # in both domains
    ]
    return a, b


@pytest.fixture(scope="module")
def prepared(
    corpus: tuple[list[bytes], list[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> Prepared:
    workspace = tmp_path_factory.mktemp("workspace")
    calls: Calls = []
    listings = [listing(workspace, d, f) for d, f in zip(("makeup", "bare"), corpus, strict=True)]

    def record(stage: str, done: int, total: int | None, message: str) -> None:
        calls.append((stage, done, total))

    summary = prepare(CONFIG, *listings, Workspace(workspace), progress=record)
    return workspace, summary, calls


@pytest.mark.slow
def test_usable_pictures_are_used_and_the_others_have_reasons(prepared: Prepared) -> None:
    _, summary, _ = prepared
    assert summary.counts["trainA"] + summary.counts["testA"] == 10
    assert summary.counts["trainB"] + summary.counts["testB"] == 10
    assert summary.rejected["A"] == {
        "duplicate-of": 2,
        "undecodable": 1,
        "no-face": 1,
        "too-small": 1,
        "odd-shape": 1,
        "in-both-domains": 1,
    }
    assert summary.rejected["B"] == {
        "in-both-domains": 1,
        "several-faces": 1,
        "leaves-the-frame": 1,
    }


def test_the_folder_holds_what_the_manifest_says(prepared: Prepared) -> None:
    _, summary, _ = prepared
    rows = read_rows(summary.dataset / "manifest.parquet", Picture)
    used = {row.file for row in rows if row.status == "ok"}
    assert used == {str(p.relative_to(summary.dataset)) for p in summary.dataset.glob("*/*.png")}
    for name in used:
        with Image.open(summary.dataset / name) as image:
            assert (image.size, image.mode) == ((96, 96), "RGB")
    for row in rows:
        assert (row.status == "ok") == (row.reason == "") == (row.split != "") == (row.file != "")
    clusters = [{row.cluster for row in rows if row.split == split} for split in ("train", "test")]
    assert not clusters[0] & clusters[1]
    card = json.loads((summary.dataset / "card.json").read_text())
    assert card["counts"] == summary.counts
    assert "no-face" in (summary.dataset / "card.md").read_text()
    with Image.open(summary.dataset / "contact-trainA.jpg") as sheet:
        sheet.load()


def test_the_same_again_is_reused_and_nothing_is_left_over(prepared: Prepared) -> None:
    workspace, summary, calls = prepared
    paths = [workspace / "crawls" / name / "listing.parquet" for name in ("makeup", "bare")]
    before = {path: path.stat().st_mtime_ns for path in summary.dataset.rglob("*")}
    again = prepare(CONFIG.model_copy(update={"num_workers": 1}), *paths, Workspace(workspace))
    assert again.reused
    assert not summary.reused
    assert (again.counts, again.rejected, again.dataset) == (
        summary.counts,
        summary.rejected,
        summary.dataset,
    )
    assert before == {path: path.stat().st_mtime_ns for path in summary.dataset.rglob("*")}
    assert [path.name for path in (workspace / "datasets").iterdir()] == [summary.version]
    assert calls[0][1] == 0


def test_too_few_pictures_end_the_run_with_a_reckoning(tmp_path: Path) -> None:
    a = listing(tmp_path, "makeup", [encoded(portrait(seed, made_up=True)) for seed in range(3)])
    b = listing(tmp_path, "bare", [b"junk"])
    with pytest.raises(TooFewImagesError, match=r"(?s)'makeup': 3 .*'bare': 1 .*undecodable: 1"):
        prepare(CONFIG, a, b, Workspace(tmp_path))
    (kept,) = (tmp_path / "datasets").iterdir()
    rows = read_rows(kept / "manifest.parquet", Picture)
    assert [row.reason for row in rows if row.side == "B"] == ["undecodable"]
    page = (kept / "card.html").read_text()
    assert rows[-1].sha256[:16] in page
    assert "contact-" not in page
    with pytest.raises(TooFewImagesError, match="too few"):
        prepare(CONFIG, a, b, Workspace(tmp_path))
    assert list((tmp_path / "datasets").iterdir()) == [kept]


def test_a_version_that_is_there_already_may_be_too_small(prepared: Prepared) -> None:
    with pytest.raises(TooFewImagesError, match="needed 11"):
        again(prepared, min_images=11)
    (kept,) = prepared[0].glob("datasets/rejected-*")
    shutil.rmtree(kept)


def test_empty_listings_end_the_run_with_a_reckoning(tmp_path: Path) -> None:
    listings = [listing(tmp_path, name, []) for name in ("makeup", "bare")]
    with pytest.raises(TooFewImagesError, match="0 originals found"):
        prepare(CONFIG, *listings, Workspace(tmp_path))


def test_pictures_without_faces_are_cropped_in_the_middle(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [
        [encoded(rng.integers(0, 255, (90, 120, 3), np.uint8)) for _ in range(9)] for _ in "ab"
    ]
    listings = [listing(tmp_path, d, f) for d, f in zip(("makeup", "bare"), files, strict=True)]
    config = CONFIG.model_copy(update={"faces": False})
    summary = prepare(config, *listings, Workspace(tmp_path))
    assert sum(summary.counts.values()) == 18
    assert min(summary.counts["testA"], summary.counts["testB"]) >= 2


def again(prepared: Prepared, **changes: object) -> PrepareSummary:
    workspace = prepared[0]
    paths = [workspace / "crawls" / name / "listing.parquet" for name in ("makeup", "bare")]
    return prepare(CONFIG.model_copy(update=changes), *paths, Workspace(workspace))


def test_the_manifest_knows_where_everything_comes_from(prepared: Prepared) -> None:
    _, summary, _ = prepared
    rows = read_rows(summary.dataset / "manifest.parquet", Picture)
    twice = [row for row in rows if len(row.sources) == 2]
    assert [row.status for row in twice] == ["ok"]  # listed twice: one row, both addresses
    assert twice[0].phrases == ["phrase"]
    for row in rows:
        if row.status == "ok":
            assert len(row.keypoints) == 12
            assert len(row.crop_box) == 8
            assert len(row.box) == 4
            assert row.mirrored_phash != row.phash
            left, top, right, bottom = row.box
            assert 0.2 < row.face_score <= 1
            assert row.crop_box[0] < (left + right) / 2 < row.crop_box[2]
            assert row.crop_box[1] < (top + bottom) / 2 < row.crop_box[5]


def test_other_crops_need_no_new_analysis(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, map_unordered = list[str](), WorkerPool.map_unordered

    def watched(self: WorkerPool, function: Any, items: Any, **options: Any) -> Any:
        if items:
            jobs.append(getattr(function, "__name__", type(function).__name__))
        return map_unordered(self, function, items, **options)

    monkeypatch.setattr(WorkerPool, "map_unordered", watched)
    smaller = again(prepared, crop_px=64)
    assert not smaller.reused
    assert sum(smaller.counts.values()) == sum(prepared[1].counts.values())
    card = json.loads((smaller.dataset / "card.json").read_text())
    assert card["before"] == prepared[1].version
    assert card["changes"] == {"added": 0, "removed": 0, "moved": 0, "recut": 20}
    assert jobs == ["write_crop"]  # no original was analysed and no pair compared again


def test_the_same_originals_give_the_same_version_in_another_workspace(
    prepared: Prepared, tmp_path: Path
) -> None:
    workspace, summary, _ = prepared
    shutil.copytree(workspace / "originals", tmp_path / "originals")
    shutil.copytree(workspace / "crawls", tmp_path / "crawls")
    paths = [tmp_path / "crawls" / name / "listing.parquet" for name in ("makeup", "bare")]
    other = prepare(CONFIG.model_copy(update={"num_workers": 1}), *paths, Workspace(tmp_path))
    assert (other.version, other.reused) == (summary.version, False)
    for path in summary.dataset.glob("*/*.png"):
        assert (other.dataset / path.relative_to(summary.dataset)).read_bytes() == path.read_bytes()


def test_a_refresh_copies_what_it_knows_while_new_pictures_are_looked_at(
    corpus: tuple[list[bytes], list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies, copy = list[tuple[str, str]](), staging._copy

    def watched(source: Path, target: Path) -> None:
        copies.append((source.name[:16], target.parent.name))
        copy(source, target)

    monkeypatch.setattr(staging, "_copy", watched)
    listings = [listing(tmp_path, d, f) for d, f in zip(("makeup", "bare"), corpus, strict=True)]
    first = prepare(CONFIG, *listings, Workspace(tmp_path))
    known = {path.stem for path in first.dataset.glob("*/*.png")}
    assert {name for name, _ in copies} == known
    assert "early" not in {folder for _, folder in copies}
    copies.clear()
    more = [*corpus[0], encoded(portrait(30, made_up=True))]
    second = prepare(CONFIG, listing(tmp_path, "makeup", more), listings[1], Workspace(tmp_path))
    assert {name for name, folder in copies if folder == "early"} == known
    assert len(copies) == len(known) + 1
    folders = {path.name for path in second.dataset.iterdir() if path.is_dir()}
    assert folders == {"trainA", "trainB", "testA", "testB", "previews"}
    for path in first.dataset.glob("*/*.png"):
        assert (second.dataset / path.relative_to(first.dataset)).read_bytes() == path.read_bytes()


def test_a_persons_decisions_are_honoured_by_the_next_version(
    prepared: Prepared, corpus: tuple[list[bytes], list[bytes]]
) -> None:
    workspace, before, _ = prepared
    names = [[hashlib.sha256(content).hexdigest() for content in side] for side in corpus]
    good, mirrored, both, several = names[0][4], names[0][11], names[0][16], names[1][10]
    path = overrides_file(Workspace(workspace), "makeup", "bare")
    add_overrides(path, [good], "drop", "")
    add_overrides(path, [mirrored, several], "keep", "")
    add_overrides(path, [both], "move", "")
    try:
        after = again(prepared)
    finally:
        path.unlink()
    assert after.version != before.version
    rows = read_rows(after.dataset / "manifest.parquet", Picture)
    found = {(row.sha256, row.side): row for row in rows}
    assert found[good, "A"].reason == "dropped-by-hand"
    assert found[mirrored, "A"].status == "ok"
    assert found[names[0][1], "A"].reason == f"duplicate-of:{mirrored}"
    assert found[several, "B"].status == "ok"
    assert (found[both, "B"].status, found[both, "B"].domain) == ("ok", "bare")
    assert sum(after.counts.values()) == 20 - 1 + 2


def test_pictures_that_a_person_calls_different_are_both_used(
    prepared: Prepared, corpus: tuple[list[bytes], list[bytes]]
) -> None:
    workspace, before, _ = prepared
    names = [hashlib.sha256(corpus[0][number]).hexdigest() for number in (0, 10)]
    path = overrides_file(Workspace(workspace), "makeup", "bare")
    add_overrides(path, names, "different", "two people")
    try:
        after = again(prepared)
    finally:
        path.unlink()
    for summary, num_clusters in ((before, 1), (after, 2)):
        rows = read_rows(summary.dataset / "manifest.parquet", Picture)
        assert len({row.cluster for row in rows if row.sha256 in names}) == num_clusters
    assert [row.status for row in rows if row.sha256 in names] == ["ok", "ok"]


def test_the_card_links_what_was_left_out(prepared: Prepared) -> None:
    _, summary, _ = prepared
    rows = read_rows(summary.dataset / "manifest.parquet", Picture)
    page = (summary.dataset / "card.html").read_text()
    for row in rows:
        if row.status != "ok":
            assert f'href="../../{row.original}"' in page
            assert row.sha256[:16] in page
    for name in ("duplicates", "rejected-no-face"):
        with Image.open(summary.dataset / f"{name}.jpg") as sheet:
            sheet.load()
    for link in re.findall(r'src="([^"]+)"', page):
        if not link.startswith("previews/"):
            assert (summary.dataset / link).exists(), link


def test_the_card_shows_every_accepted_picture_with_digits_that_can_be_copied(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocessing.version.card._ACCEPTED_PER_PAGE", 3)
    dataset = again(prepared, crop_px=88).dataset
    accepted = [
        row for row in read_rows(dataset / "manifest.parquet", Picture) if row.status == "ok"
    ]
    pages = [path.read_text() for path in dataset.glob("*.html")]
    for row in accepted:
        (page,) = (page for page in pages if f'src="{row.file}"' in page)
        figure = page.partition(f'src="{row.file}"')[2].partition("</figure>")[0]
        assert f"<code>{row.sha256[:16]}</code>" in figure
    num = {split: sum(row.file.startswith(split) for row in accepted) for split in SPLITS}
    card = (dataset / "card.html").read_text()
    assert all(f"({num[split]})" in card for split in SPLITS)
    assert "drawn at random" not in card


def test_a_card_says_of_how_many_pictures_it_shows_a_part(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocessing.version.card_rows._MAX_ACCEPTED_PER_SPLIT", 2)
    made = again(prepared, crop_px=92)
    card = (made.dataset / "card.html").read_text()
    assert f"2 of the {made.counts['trainA']} pictures" in card
    assert len(re.findall(r'src="trainA/', card)) == 2


def test_a_long_card_has_pages(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("preprocessing.version.card._PICTURES_PER_PAGE", 1)
    dataset = again(prepared, crop_px=80).dataset
    rows = read_rows(dataset / "manifest.parquet", Picture)
    pages = {path.name: path.read_text() for path in dataset.glob("*.html")}
    assert {"card.html", "card-duplicates-2.html", "card-in-both-domains-2.html"} <= pages.keys()
    for row in rows:
        if row.status != "ok":
            assert any(row.sha256[:16] in page for page in pages.values())
    for page in pages.values():
        for link in re.findall(r'href="(card[^"#]*)', page):
            assert (dataset / link).exists(), link


@pytest.mark.slow
def test_a_killed_preparation_leaves_no_half_version(
    corpus: tuple[list[bytes], list[bytes]], tmp_path: Path
) -> None:
    listings = [listing(tmp_path, d, f) for d, f in zip(("makeup", "bare"), corpus, strict=True)]
    code = (
        "import sys; from pathlib import Path; from preprocessing.prepare import prepare\n"
        "from preprocessing.config import PrepareConfig\n"
        "from core.workspace import Workspace; config, a, b, folder = sys.argv[1:]\n"
        "prepare(PrepareConfig.model_validate_json(config), Path(a), Path(b),\n"
        "    Workspace(Path(folder)))\n"
    )
    command = [sys.executable, "-c", code, CONFIG.model_dump_json(), *listings, tmp_path]
    for seconds in (1.5, 2.5, 3.5):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for folder in tmp_path.glob("datasets/[!.]*"):
            assert (folder / "card.json").exists()
    with StagedVersion(tmp_path / "datasets") as other:
        summary = prepare(CONFIG, *listings, Workspace(tmp_path))
        partial = [path.name for path in tmp_path.glob("datasets/.*.partial")]
        assert partial == [other.folder.name]  # that of a process which is alive
    assert sum(summary.counts.values()) == 20
    assert list(tmp_path.glob("datasets/.*")) == []


@pytest.mark.slow
def test_an_original_that_cannot_be_read_for_a_moment_is_tried_again(
    corpus: tuple[list[bytes], list[bytes]], tmp_path: Path
) -> None:
    listings = [
        listing(tmp_path, name, side[:8])
        for name, side in zip(("makeup", "bare"), corpus, strict=True)
    ]
    sha256 = hashlib.sha256(corpus[0][3]).hexdigest()
    original = tmp_path / "originals" / sha256[:2] / f"{sha256}.png"
    original.unlink()
    original.mkdir()  # EISDIR: an error of the system, for root too
    before = prepare(CONFIG, *listings, Workspace(tmp_path))
    assert before.rejected["A"] == {"unreadable": 1}
    original.rmdir()
    original.write_bytes(corpus[0][3])
    after = prepare(CONFIG, *listings, Workspace(tmp_path))
    assert not after.rejected["A"]
    assert sum(after.counts.values()) == sum(before.counts.values()) + 1


@pytest.mark.slow
@pytest.mark.skipif(not BAD.is_dir(), reason="the collection of bad files (shared/data) is absent")
def test_bad_files_cost_themselves_alone(
    corpus: tuple[list[bytes], list[bytes]], tmp_path: Path
) -> None:
    bad = [path.read_bytes() for path in sorted(BAD.rglob("*")) if path.is_file()]
    listings = [
        listing(tmp_path, "makeup", [*corpus[0][:9], *bad]), listing(tmp_path, "bare", corpus[1]),
    ]  # fmt: skip
    summary = prepare(CONFIG, *listings, Workspace(tmp_path))
    rows = read_rows(summary.dataset / "manifest.parquet", Picture)
    assert {hashlib.sha256(content).hexdigest() for content in bad} <= {row.sha256 for row in rows}
    assert summary.rejected["A"]["undecodable"] > 100
    assert sum(summary.counts[f"{split}A"] for split in ("train", "test")) >= 9


def test_what_is_forgotten_leaves_the_cache(prepared: Prepared, tmp_path: Path) -> None:
    workspace, summary, _ = prepared
    shutil.copytree(workspace / "cache", tmp_path / "cache")
    rows = read_rows(summary.dataset / "manifest.parquet", Picture)
    gone, other = [row.sha256 for row in rows if row.status == "ok"][:2]
    forget_analyses(Workspace(tmp_path), [gone])
    forget_analyses(Workspace(tmp_path / "elsewhere"), [gone])
    cache = AnalysisCache(Workspace(tmp_path), AnalysisConfig.of(CONFIG))
    assert set(cache.load_analyses([gone, other])) == {other}
    tiles = {
        path.name[:64] for path in cache.load_tiles(list(workspace.glob("cache/crops/*/*.png")))
    }
    assert other in tiles
    assert gone not in tiles
    left = {path.name[:64] for path in tmp_path.glob("cache/crops/*/*.png")}
    assert other in left
    assert gone not in left


def test_contact_sheets_are_drawn_with_and_without_kept_tiles(prepared: Prepared) -> None:
    workspace, sheets = prepared[0], list[np.ndarray]()
    for _ in range(2):
        made = again(prepared, crop_px=72).dataset
        with Image.open(made / "contact-trainA.jpg") as sheet:
            sheets.append(np.asarray(sheet, np.int16))
        shutil.rmtree(made)
        with contextlib.closing(sqlite3.connect(workspace / "cache" / "analysis.sqlite")) as known:
            num = known.execute("DELETE FROM tile").rowcount  # as after a kill: crops alone
            known.commit()
        assert bool(num) == (len(sheets) == 1)
    assert np.abs(sheets[0] - sheets[1]).mean() < 3
    assert sheets[0].std() > 20
