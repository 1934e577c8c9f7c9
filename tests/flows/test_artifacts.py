import base64
import io
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from own_pictures import add_all, jpeg, write_pictures
from PIL import Image

from core.language.messages import Language
from flows.ui import markdown
from flows.ui.artifacts import _end, _yield, crawl_yields
from flows.ui.page_words import use_language
from flows.ui.run_progress import artifact_key, domains


def test_a_phrase_is_told_in_reading_order() -> None:
    row = {
        "duplicates": 1,
        "hits": 60,
        "new": 33,
        "pages": 2,
        "phrase": "素颜",
        "rejected": {"http-404": 3, "timeout": 1},
        "stopped_because": "exhausted",
        "stored": 30,
    }
    cells = _yield(row)
    assert list(cells) == ["phrase", "pages", "hits", "new", "stored", "duplicates"]
    assert all(isinstance(value, str) for value in cells.values())
    failures = "stopped: exhausted · rejected: http-404: 3, timeout: 1"
    assert markdown.points([_end(row)]) == f"- **素颜** · {failures}"
    assert markdown.points([_end(row | {"rejected": {}})]) == "- **素颜** · stopped: exhausted"


@pytest.mark.parametrize(("language", "line", "page"), [
    ("en", "bare: 4 originals (4 new) of 6 hits; duplicates: 2; rejected: none",
     "**bare**: 4 of 6 hits became originals. Duplicates: 2. Rejected: none."),
    ("zh", "bare：原图 4 张（新增 4），来自 6 条结果；重复：2；剔除：无",
     "**bare**：6 条结果里有 4 条成为原图。 重复：2。剔除：无。"),
])  # fmt: skip
def test_a_crawl_accounts_for_each_of_its_hits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    language: Language, line: str, page: str,
) -> None:  # fmt: skip
    pages: list[str] = []
    monkeypatch.setattr(markdown.Page, "write", lambda _self, *parts: pages.extend(parts))
    use_language(language)
    faces = write_pictures(tmp_path / "faces", 4)
    for copy in ("copy 1", "copy 2"):
        (faces / f"{copy}.jpg").write_bytes(jpeg(0))
    caplog.set_level(logging.INFO)
    crawl_yields(add_all(tmp_path / "workspace", faces, domain="bare"))
    assert line in [record.getMessage() for record in caplog.records]
    assert pages[0] == page


def test_a_point_tells_what_has_no_name_by_itself() -> None:
    assert markdown.points([{"stage": "train", "": "20 steps"}]) == "- **train** · 20 steps"


def test_a_phrase_cannot_break_its_table() -> None:
    lines = markdown.table([{"phrase": "a | b", "hits": "3"}]).splitlines()
    assert [line.count("|") for line in lines] == [3, 3, 3]


def test_many_large_pictures_make_a_page_that_the_server_can_keep(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    titled: dict[str, Path | Image.Image] = {f"p{i}": Image.fromarray(noise) for i in range(7)}
    text = markdown.pictures({**titled, "torn": tmp_path / "torn.jpg"})
    assert 500_000 < len(text) < 2_100_000
    images = re.findall(r"!\[(p\d)\]\(data:image/jpeg;base64,([^)]+)\)", text)
    assert [title for title, _ in images] == list(titled)  # only the torn picture is missing
    for _, data in images:
        assert Image.open(io.BytesIO(base64.b64decode(data))).size[0] > 100


def test_keys_are_what_prefect_takes_and_the_same_for_every_version() -> None:
    assert domains("day-time-night-0a1b2c3d4e5f-6486eb30") == "day-time-night"
    assert domains("summer-winter-6fbb23897c00") == "summer-winter"
    assert artifact_key("training-day_time-night") == "training-day-time-night"
