"""A preparation scores how well each picture fits its side, shows doubts, and drops on request."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_places import listing, place, png
from PIL import Image

from core.tables import Picture, read_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from preprocessing.analysis.analyse import AnalysisConfig, analyse
from preprocessing.cache import AnalysisCache, forget_analyses, names_in_cache
from preprocessing.config import PrepareConfig
from preprocessing.images.side_features import NUM_PICTURE_FEATURES, picture_features
from preprocessing.prepare import prepare

CONFIG = PrepareConfig(
    domain_a="day", domain_b="night", faces=False, crop_px=32, min_images=4, min_sharpness=0,
    num_workers=1,
)  # fmt: skip
NUM = 30


def picture(seed: int, *, night: bool) -> bytes:
    return png(place(seed, night=night, grain=12))


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[Path], str]:
    """A workspace, both listings, and the sha256 of the night that was listed as a day."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    wrong = picture(999, night=True)
    days = [wrong, *(picture(seed, night=False) for seed in range(NUM))]
    nights = [picture(100 + seed, night=True) for seed in range(NUM)]
    listings = [listing(workspace, "day", days), listing(workspace, "night", nights)]
    return workspace, listings, hashlib.sha256(wrong).hexdigest()


@pytest.mark.slow
def test_the_card_shows_the_picture_of_the_wrong_side_first_and_the_version_keeps_it(
    crawled: tuple[Workspace, list[Path], str],
) -> None:
    workspace, listings, wrong = crawled
    dataset = DatasetFolder(prepare(CONFIG, *listings, workspace).dataset)
    rows = {row.sha256: row for row in read_rows(dataset.manifest, Picture)}
    assert len(rows) == 2 * NUM + 1
    assert rows[wrong].status == "ok"
    assert rows[wrong].side_score < 0.2
    assert np.mean([row.side_score > 0.8 for row in rows.values()]) > 0.8
    first, *_ = json.loads(dataset.card.read_text(encoding="utf-8"))["unlikely_of_their_side"]
    assert first["sha256"] == wrong
    page = dataset.card_page.read_text(encoding="utf-8")
    section = page[page.index('<h2 id="unlikely">') :]
    assert section.index(wrong[:16]) < section.index(f"{rows[wrong].side_score:.2f}")
    assert (dataset.previews / f"{wrong[:16]}.jpg").exists()
    with Image.open(dataset.path / "unlikely.jpg") as sheet:
        assert sheet.width > 100


@pytest.mark.slow
def test_a_limit_leaves_the_picture_out_under_another_name_of_the_version(
    crawled: tuple[Workspace, list[Path], str],
) -> None:
    workspace, listings, wrong = crawled
    before = prepare(CONFIG, *listings, workspace)
    config = CONFIG.model_copy(update={"min_side_score": 0.2})
    summary = prepare(config, *listings, workspace)
    assert summary.rejected["A"]["wrong-side"] >= 1
    assert summary.version != before.version
    rows = read_rows(DatasetFolder(summary.dataset).manifest, Picture)
    assert wrong in {row.sha256 for row in rows if row.reason == "wrong-side"}
    assert all(row.side_score >= 0.2 for row in rows if row.status == "ok")
    again = prepare(config, *listings, workspace)
    assert (again.version, again.reused) == (summary.version, True)


def test_features_are_cached_with_the_analysis_and_forgotten_with_the_picture(
    tmp_path: Path,
) -> None:
    path = tmp_path / "night.png"
    path.write_bytes(picture(1, night=True))
    config = AnalysisConfig.of(CONFIG)
    analysis = analyse(path, config)
    features = np.frombuffer(analysis.features, np.float16)
    assert features.shape == (NUM_PICTURE_FEATURES,)
    assert np.isfinite(features).all()
    workspace, name = Workspace(tmp_path / "workspace"), "ab" * 32
    cache = AnalysisCache(workspace, config)
    cache.add_analyses([(name, analysis)])
    assert cache.load_features([name]) == {name: analysis.features}
    assert cache.load_analyses([name])[name].features == b""
    assert cache.load_analyses([name])[name].defects == analysis.defects
    forget_analyses(workspace, [name])
    assert cache.load_features([name]) == {}
    assert names_in_cache(workspace, [name]) == set()


@pytest.mark.parametrize("blur", [0, 3])
def test_directions_of_edges_are_those_that_opencv_4_computes(blur: float) -> None:
    """Its histogram of oriented gradients, which OpenCV 5 lacks, as cached analyses have it."""
    if not hasattr(cv2, "HOGDescriptor"):
        pytest.skip("needs OpenCV 4 to compare with")
    descriptor = cv2.HOGDescriptor((64, 64), (16, 16), (16, 16), (8, 8), 9)
    for seed in range(5):
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        if blur:
            pixels = cv2.normalize(cv2.GaussianBlur(pixels, (0, 0), blur), None, 0, 255,
                                   cv2.NORM_MINMAX)  # fmt: skip
        expected = np.ravel(descriptor.compute(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)))
        found = picture_features(pixels)[: expected.size].astype(np.float32)
        assert np.abs(found - expected).max() < 2e-4  # of 16 bits
