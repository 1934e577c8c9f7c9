import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from core.tables import DRAWN_HOST
from preprocessing.analysis.face_detector import FaceDetector
from scraping.offline import landscapes, portraits, responses
from scraping.offline.corpus import (
    folder_corpus,
    host_faults,
    landscape_corpus,
    portrait,
    portrait_and_counterpart,
    portrait_corpus,
    with_faults,
)
from scraping.offline.ground_truth import has_truth, write_truth
from scraping.offline.raw_host import HOST_FAULTS
from scraping.search.baidu import parse_acjson

WITH_GLASSES = 3  # seed of a person


def test_drawings_are_deterministic() -> None:
    assert np.array_equal(portrait("makeup", 5), portrait("makeup", 5))
    assert not np.array_equal(portrait("makeup", 5), portrait("makeup", 6))
    assert np.array_equal(landscapes.draw(1, winter=True), landscapes.draw(1, winter=True))


@pytest.mark.parametrize("seed", range(6))
def test_make_up_changes_the_face_and_nothing_else(seed: int) -> None:
    bare, made_up = (portrait(domain, seed).astype(int) for domain in ("bare", "makeup"))
    changed = np.abs(bare - made_up).max(axis=2) > 0
    assert 0.01 < changed.mean() < 0.3
    assert np.abs(bare - made_up)[changed].mean() > 5
    height, width = changed.shape
    rows, columns = np.nonzero(changed)
    shot = portraits.Shot.seeded(seed)
    reach = 1.2 * shot.scale * min(height, width)
    assert rows.min() > shot.centre[1] * height - reach
    assert rows.max() < shot.centre[1] * height + reach
    assert columns.min() > shot.centre[0] * width - reach
    assert columns.max() < shot.centre[0] * width + reach


@pytest.mark.parametrize("seed", [2, WITH_GLASSES])
def test_a_portrait_and_its_counterpart_are_drawn_at_once_as_each_is_alone(seed: int) -> None:
    alone = [portrait(domain, seed) for domain in ("bare", "makeup")]
    assert np.array_equal(portrait_and_counterpart("bare", seed), alone)
    assert np.array_equal(portrait_and_counterpart("makeup", seed), alone[::-1])


def test_every_portrait_that_is_drawn_with_its_truth_is_the_one_that_is_served() -> None:
    for item in portrait_corpus(num_good=3).items["makeup"]:
        if item.pair:
            item.truth()
            assert item.body == item.make(), item.name


@pytest.mark.slow
def test_the_detector_of_the_pipeline_finds_drawn_faces() -> None:
    detector = FaceDetector()
    found = [
        len(detector.detect(portrait(domain, seed))) == 1
        for domain in ("bare", "makeup")
        for seed in range(40)
    ]
    assert np.mean(found) >= 0.95


def test_a_search_returns_what_real_ones_return() -> None:
    corpus = portrait_corpus(num_good=52)
    names = [item.name for item in corpus.items["makeup"]]
    for kind in ("copy", "recoded", "resized", "group", "object", "tiny", "huge", "noise", "cut"):
        assert any(f"-{kind}" in name for name in names), kind
    behaviours = {item.behaviour for item in corpus.items["makeup"]}
    assert behaviours == {"serve", "forbidden", "missing", "redirect", "html", "cut", "slow"}
    assert len(names) == len(set(names))


def test_both_domains_share_some_pictures_byte_for_byte() -> None:
    corpus = portrait_corpus(num_good=40)
    bare, made_up = corpus.items["bare"][-1], corpus.items["makeup"][-1]
    assert bare.name != made_up.name
    assert bare.body == made_up.body


@pytest.mark.parametrize(
    ("phrase", "domain"),
    [("精致妆容 自拍", "makeup"), ("卸妆后 素颜", "bare"), ("makeup look", "makeup"), ("猫", None)],
)
def test_phrases_find_their_domain(phrase: str, domain: str | None) -> None:
    corpus = portrait_corpus(num_good=12)
    found = corpus.search(phrase)
    assert {item.name for item in found} == {
        item.name for item in corpus.items.get(domain or "", ())
    }


def test_seasons_are_found_too() -> None:
    corpus = landscape_corpus(num_good=4)
    assert any(item.name.startswith("summer") for item in corpus.search("夏天 风景"))
    assert any(item.name.startswith("winter") for item in corpus.search("冬季 雪景"))


def test_the_users_own_folders_are_served_as_they_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        Image.new("RGB", (80, 80), "red").save(tmp_path / name / "deep" / "x.PNG")
    corpus = folder_corpus({"makeup": tmp_path / "a", "cats": tmp_path / "b"})
    (item,) = corpus.search("浓妆")
    drawn = portrait_corpus(num_good=1).items["bare"][0]
    for each, host in ((item, "www.example.com"), (drawn, DRAWN_HOST)):
        answer = responses.acjson("", [each], 0, 1, 1, lambda *_: "http://127.0.0.1/1.jpg")
        (hit,) = parse_acjson(answer.encode()).hits
        assert hit.page_url.startswith(f"http://{host}/")
    assert item.body == (tmp_path / "a" / "deep" / "x.PNG").read_bytes()
    assert len(corpus.search("my cats")) == 1
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="found no picture"):
        folder_corpus({"makeup": tmp_path / "none"})


def test_faults_have_names_and_spread_over_the_pictures() -> None:
    assert set(host_faults(["all"])) == set(HOST_FAULTS)
    with pytest.raises(ValueError, match=r"host fault: got 'odd'.*odd-header"):
        host_faults(["odd"])
    corpus = with_faults(portrait_corpus(num_good=16), host_faults(["gzip", "hotlink"]))
    for items in corpus.items.values():
        assert [item.behaviour for item in items[:9:4]] == ["gzip", "hotlink", "gzip"]
        assert not {item.behaviour for item in items[1:4]} & {"gzip", "hotlink"}


def test_the_truth_has_the_geometry_of_what_was_served(tmp_path: Path) -> None:
    corpus = portrait_corpus(num_good=3)
    assert not has_truth(corpus, tmp_path / "truth.parquet")
    write_truth(corpus, tmp_path)
    assert has_truth(corpus, tmp_path / "truth.parquet")
    assert not has_truth(portrait_corpus(num_good=30), tmp_path / "truth.parquet")
    table = pq.read_table(tmp_path / "truth.parquet").to_pylist()
    rows = {row["sha256"]: row["counterpart"] for row in table}
    items = [item for found in corpus.items.values() for item in found if item.pair]
    assert len(items) >= 6
    assert len(rows) == len({item.body for item in items})
    resized = next(item for item in items if "resized" in item.name)
    digest = hashlib.sha256(resized.body).hexdigest()
    with (
        Image.open(io.BytesIO(resized.body)) as served,
        Image.open(tmp_path / rows[digest]) as counterpart,
    ):
        assert counterpart.size == served.size


def test_a_truth_that_could_not_be_drawn_whole_has_no_table(tmp_path: Path) -> None:
    def fail() -> tuple[bytes, np.ndarray]:
        raise OSError("disk full")

    corpus = portrait_corpus(num_good=2)
    *others, last = corpus.items["makeup"]
    broken = replace(corpus, items={"makeup": (*others, replace(last, pair=fail))})
    with pytest.raises(OSError, match="disk full"):
        write_truth(broken, tmp_path)
    assert not has_truth(broken, tmp_path / "truth.parquet")
    assert not list(tmp_path.glob("*.tmp"))
    write_truth(corpus, tmp_path)
    assert has_truth(corpus, tmp_path / "truth.parquet")
