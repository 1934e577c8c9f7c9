"""``suyan crawl --search-only``: what phrases would bring, without a download."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import Suyan
from own_pictures import write_pictures

from flows.recipes import makeup, with_engine
from scraping.offline.corpus import folder_corpus
from scraping.offline.server import OfflineEngine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[OfflineEngine]:
    folders = {
        name: write_pictures(tmp_path / "served" / name, 40, first)
        for first, name in ((0, "makeup"), (100, "bare"))
    }
    with OfflineEngine(folder_corpus(folders)) as served:
        yield served


def _parameters(engine_url: str, path: Path, **changes: object) -> Path:
    values = with_engine(makeup(), engine_url, allow_private_hosts=True).model_dump(mode="json")
    for side, phrase in (("crawl_a", "化妆"), ("crawl_b", "素颜")):
        values[side] |= {"phrases": [f"{phrase} 一", f"{phrase} 二"], "suffixes": []}
        values[side] |= {"search_interval_s": 0, "num_tries": 1, "cool_down_s": 100} | changes
    path.write_text(json.dumps(values))
    return path


def test_the_first_page_of_each_phrase_is_shown_and_nothing_downloaded(
    suyan: Suyan, tmp_path: Path, engine: OfflineEngine
) -> None:
    params = _parameters(engine.url, tmp_path / "my.json")
    status, text = suyan("crawl", "--search-only", "--params", params, "--domain", "bare")
    assert status == 0
    first, second = (line.split() for line in text.splitlines() if line.startswith("素颜"))
    assert first[:5] == ["素颜", "一", "40", "30", "30"]
    assert first[5:] == ["400", "×", "480", "127.0.0.1", "30"]  # as the engine says
    assert int(second[4]) < 30  # what the first phrase has shown is not new
    assert engine.num_files == 0
    assert not (tmp_path / "workspace").exists()
    assert engine.num_searches == 2


def test_programs_get_the_first_page_as_json(
    suyan: Suyan, tmp_path: Path, engine: OfflineEngine
) -> None:
    params = _parameters(engine.url, tmp_path / "my.json")
    status, text = suyan("crawl", "--search-only", "--params", params, "--json")
    assert status == 0
    (line,) = [line for line in text.splitlines() if line.startswith("{")]
    previews = json.loads(line)
    assert previews.keys() == {"makeup", "bare"}
    first, second = previews["bare"]
    assert (first["phrase"], first["num_announced"], first["num_new"]) == ("素颜 一", 40, 30)
    assert first["hosts"] == {"127.0.0.1": 30}
    assert second["num_new"] < 30


def test_each_engine_shows_its_own_first_page(
    suyan: Suyan, tmp_path: Path, engine: OfflineEngine
) -> None:
    params = _parameters(engine.url, tmp_path / "my.json", engines=["baidu", "openverse"])
    status, text = suyan("crawl", "--search-only", "--params", params, "--domain", "bare")
    assert status == 0
    lines = [line.split() for line in text.splitlines() if "×" in line]
    announced = {tuple(cells[:-8]): cells[-8:-6] for cells in lines}
    assert announced == {
        ("素颜", "一"): ["40", "30"],
        ("素颜", "二"): ["40", "30"],
        ("openverse:", "素颜", "一"): ["40", "20"],
        ("openverse:", "素颜", "二"): ["40", "20"],
    }
    assert engine.num_files == 0
    assert engine.num_searches == 4


def test_what_the_catalogue_has_is_not_new(
    suyan: Suyan, tmp_path: Path, engine: OfflineEngine
) -> None:
    params = _parameters(engine.url, tmp_path / "my.json", requests_per_s_per_host=1000)
    suyan("crawl", "--params", params, "--domain", "bare")
    num_files = engine.num_files
    status, text = suyan("crawl", "--search-only", "--params", params, "--domain", "bare")
    assert status == 0
    assert "bare: 0 new on the first pages; nothing was downloaded" in text
    assert engine.num_files == num_files


def test_a_refusal_is_said_at_once_and_not_asked_again(
    suyan: Suyan, tmp_path: Path, engine: OfflineEngine
) -> None:
    phrases = ["化妆 一", "化妆 二", "化妆 三"]
    params = _parameters("http://127.0.0.1:9", tmp_path / "my.json", phrases=phrases)
    status, text = suyan("crawl", "--search-only", "--params", params)
    assert status == 2
    assert text.count("did not answer") == 2
    assert "not asked, as those before it got no answer" in text
    assert "Error: http://127.0.0.1:9 answered no search. Look at the reasons" in text


def test_a_domain_without_phrases_has_nothing_to_search(suyan: Suyan, tmp_path: Path) -> None:
    params = _parameters("http://127.0.0.1:9", tmp_path / "my.json", phrases=[])
    status, text = suyan("crawl", "--search-only", "--params", params)
    assert status == 2
    assert "--search-only: makeup has no phrases to search" in text
