from pathlib import Path

import pytest

from core.workspace import Workspace
from flows.recipe_files.library import load_recipe, shipped_recipe
from flows.recipe_files.recipe import Recipe

CATS = """\
from: seasons
crawl:
  num_images: 300
crawl_a:
  domain: kitten
  phrases: [小猫]
crawl_b: {domain: lion, phrases: [狮子], num_images: 200}
train:
  compile: on
retrain_above: 0.2
"""


def _load(tmp_path: Path, text: str, name: str = "cats.yaml") -> Recipe:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return load_recipe(tmp_path / name, Workspace(tmp_path / "home"))


def test_a_recipe_holds_what_differs_from_its_base(tmp_path: Path) -> None:
    recipe, base = _load(tmp_path, CATS), shipped_recipe("seasons")
    parameters = recipe.parameters
    assert (recipe.name, parameters.recipe, recipe.base) == ("cats", "cats", "seasons")
    assert (parameters.crawl_a.num_images, parameters.crawl_b.num_images) == (300, 200)
    assert parameters.crawl_a.suffixes == base.parameters.crawl_a.suffixes
    assert (parameters.prepare.domain_a, parameters.prepare.domain_b) == ("kitten", "lion")
    assert parameters.prepare.faces is False
    assert parameters.prepare.test_fraction == 0.4
    assert parameters.train.compile == "on"
    assert recipe.settings.retrain_above == 0.2
    again = _load(tmp_path, "from: cats\nrecipe: big-cats\ntrain: {ngf: 32}\n", "2.yaml")
    assert again.name == "big-cats"
    assert again.settings.retrain_above == 0.2
    assert again.parameters.crawl_b == parameters.crawl_b
    assert again.parameters.train == parameters.train.model_copy(update={"ngf": 32})


def test_a_recipe_takes_no_schedule_and_no_titles_from_its_base(tmp_path: Path) -> None:
    assert shipped_recipe("makeup").settings.schedule.active
    recipe = _load(tmp_path, CATS.replace("seasons", "makeup"))
    assert not recipe.settings.schedule.active
    titles = recipe.titles
    assert (titles.recipe, titles.domain_a, titles.domain_b) == ("cats", "kitten", "lion")


def test_a_recipe_without_a_base_has_the_general_defaults(tmp_path: Path) -> None:
    text = CATS.replace("from: seasons\n", "")
    recipe = _load(tmp_path, text)
    assert recipe.base == ""
    assert recipe.parameters.prepare.test_fraction == 0.15
    with pytest.raises(ValueError, match=r"crawl_b\.domain: Field required"):
        _load(tmp_path, "crawl_a: {domain: x}\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train: {num_epoch: 3}", r"line 2: train\.num_epoch: .* nearest is train\.num_epochs"),
        ("trian: {}", "line 2: trian: no parameter has this name; the nearest is train"),
        ("num_images: 3", r"nearest is crawl\w*\.num_images"),
        ("form: x", "line 2: form: no parameter has this name; the nearest is from"),
        ("schedule: {corn: x}", r"nearest is schedule\.cron"),
        ("train: 5", r"line 2: train: got 5, needed settings, indented below it"),
        ("crawl: {num_images: -3}", r"line 2: crawl_a\.num_images: got -3; Input should be gre"),
        ("crawl_a: {phrases: [猫, 3]}", r"line 2: crawl_a\.phrases\.1: got 3; .* valid string"),
        ("train: {crop_px: 300}", r"line 2: train: crop_px: got 300, needed at most load_px"),
        ("prepare: {domain_a: other}", "but prepare expects"),
        ("schedule: {cron: 0 25 * * 1}", r"line 2: schedule\.cron: .*needed five fields"),
        ("schedule: {cron: 0 3 * *}", r"schedule\.cron: .*needed five fields"),
        ("schedule: {timezone: Asia/Shangai}", "needed a name such as Asia/Shanghai"),
        ("recipe: ../x", r"line 2: recipe: got '\.\./x'"),
        ("recipe: makeup", "found the name makeup, which is that of a shipped recipe"),
        ("titles: {recipe: '{{ $HOME }}'}", "needed a text without {{"),
        ("crawl_a: {phrases: ['{{ x }}']}", "line 2: .*needed a text without {{"),
        ("torchrun: {processes_per_node: 2}", r"train\.batch_size: got 1, needed a multiple"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s)cats\.yaml.*{message}"):
        _load(tmp_path, f"from: seasons\n{line}\n")


def test_all_mistakes_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is refused") as refused:
        _load(tmp_path, "from: seasons\ntrain: {sed: 1}\nprepare: {face: true}\n")
    assert [line.split(":")[0] for line in str(refused.value).splitlines()[1:]] == [
        "  line 2",
        "  line 3",
    ]


@pytest.mark.parametrize(
    ("cron", "text"),
    [
        ("0 3 * * 7", "Sundays at 3:00 (UTC)"),
        ("5 14 * * 2", "Tuesdays at 14:05 (UTC)"),
        ("*/30 8-18 1,15 * MON-FRI", "cron */30 8-18 1,15 * MON-FRI (UTC)"),
    ],
)
def test_a_schedule_is_read_to_people(tmp_path: Path, cron: str, text: str) -> None:
    schedule = f"schedule: {{cron: '{cron}', timezone: UTC}}"
    assert _load(tmp_path, f"from: seasons\n{schedule}").settings.schedule.text == text
