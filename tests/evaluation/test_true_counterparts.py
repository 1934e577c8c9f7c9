from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.tables import Picture
from evaluation.metrics import true_counterparts


def _row(**changes: object) -> Picture:
    values: dict[str, object] = {
        "sha256": "0" * 64, "domain": "makeup", "side": "A", "split": "test", "file": "x.png",
        "status": "ok", "reason": "", "cluster": "", "phash": "", "face_phash": "", "width": 200,
        "height": 200, "keypoints": [70.0, 80, 130, 80, 100, 110, 100, 140, 0, 0, 0, 0],
        "transform": [1.0, 0, 0, 0, 1, 0], "sharpness": 1.0, "phrase": "", "url": "",
        "original": "",
    }  # fmt: skip
    return Picture(**{**values, **changes})  # type: ignore[arg-type]


def test_the_mask_covers_eyes_and_lips_alone() -> None:
    mask = true_counterparts.lip_eye_mask(_row(), 200, 200)
    assert mask is not None
    for x, y in ((70, 78), (130, 78), (100, 140)):
        assert mask[y, x] == 1
    for x, y in ((100, 100), (30, 30), (100, 180)):
        assert mask[y, x] == 0
    assert 0.02 < mask.mean() < 0.2
    half = true_counterparts.lip_eye_mask(_row(), 200, 100)
    assert half is not None
    assert half.mean() == pytest.approx(mask.mean(), rel=0.02)


def test_pictures_without_keypoints_have_no_mask() -> None:
    assert true_counterparts.lip_eye_mask(_row(keypoints=[]), 200, 200) is None


def test_errors_are_told_apart_by_region() -> None:
    mask = true_counterparts.lip_eye_mask(_row(), 200, 200)
    assert mask is not None
    right = np.full((1, 200, 200, 3), 100, np.uint8)
    wrong = right + (mask[None, ..., None] > 0).astype(np.uint8) * np.uint8(50)
    found = true_counterparts.errors(wrong, right, [mask])
    assert found.inside[0] == pytest.approx(50)
    assert found.outside[0] < 1
    assert np.isnan(true_counterparts.errors(wrong, right, [None]).inside[0])


def test_a_truth_outside_its_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no truth\.parquet"):
        true_counterparts.load_truth(tmp_path)
    rows = [{"sha256": "a", "counterpart": "../secret.jpg"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "truth.parquet")
    with pytest.raises(ValueError, match="outside"):
        true_counterparts.load_truth(tmp_path)
