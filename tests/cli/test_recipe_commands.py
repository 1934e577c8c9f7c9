"""``suyan recipe`` and ``--recipe``, ``--set`` of the commands that take a recipe."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Suyan, printed_commands
from own_pictures import write_pictures

NGF = "# Channels after a generator's first layer [1 to 256; default 64]"
CATS = Path("workspace/recipes/cats.yaml")


def _parameters(suyan: Suyan, *arguments: object) -> dict[str, Any]:
    status, text = suyan("run", "--show", *arguments)
    assert status == 0, text
    parameters: dict[str, Any] = json.loads(text)
    return parameters


def _edit(path: Path, former: str, text: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert content.count(former) == 1, former
    path.write_text(content.replace(former, text), encoding="utf-8")


def test_a_new_recipe_is_its_base_until_a_setting_is_changed(suyan: Suyan) -> None:
    status, text = suyan("recipe", "new", "cats", "--from", "seasons")
    assert status == 0
    assert [words[:2] for words in printed_commands(text)] == [
        ["recipe", "check"],
        ["run", "--recipe"],
    ]
    base = _parameters(suyan, "--recipe", "seasons")
    assert _parameters(suyan, "--recipe", "cats") == base | {"recipe": "cats"}
    _edit(CATS, "  domain: summer\n", "  domain: kitten\n")
    _edit(CATS, "  #ngf: 64\n", "  ngf: 32\n")
    _edit(CATS, "#max_training_h: 4.0\n", "max_training_h: 9\n")
    _edit(CATS, "  #active: false\n", "  active: true\n")
    changed = _parameters(suyan, "--recipe", "cats")
    assert changed["train"] == base["train"] | {"ngf": 32}
    assert (changed["crawl_a"]["domain"], changed["prepare"]["domain_a"]) == ("kitten", "kitten")
    assert changed["max_training_h"] == 9
    assert _parameters(suyan, "--recipe", CATS) == changed
    status, text = suyan("recipe", "check")
    assert status == 0
    assert "cats: kitten ↔ winter" in text
    assert "Wednesdays at 3:00" in text
    assert "crawl_b: still the phrases of seasons" in text


def test_comments_have_the_description_the_range_and_the_default(suyan: Suyan) -> None:
    assert suyan("recipe", "new", "cats", "--from", "seasons")[0] == 0
    text = CATS.read_text(encoding="utf-8")
    assert (
        "  # Channels after a generator's first layer [1 to 256; default 64]\n  #ngf: 64\n" in text
    )
    assert "[default false]\n  #faces: false\n" in text  # the base's, not the general one
    settings = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert len(settings) < 30  # only what differs
    assert all(len(line) <= 96 for line in text.splitlines() if not line.startswith("# Check"))


def test_a_recipe_is_never_replaced_and_a_name_is_no_path(suyan: Suyan, tmp_path: Path) -> None:
    assert suyan("recipe", "new", "cats")[0] == 0
    CATS.write_text("from: seasons\n")
    for name, message in (
        ("cats", "which is there already, as workspace/recipes/cats.yaml"),
        ("makeup", "which is there already, as a shipped recipe"),
        ("../cats", "got '../cats', needed at most 40 of a-z, 0-9 and -"),
        ("CON", "got 'CON', needed"),
        ("", "got '', needed"),
    ):
        status, text = suyan("recipe", "new", name)
        assert (status, message in text) == (2, True), text
    CATS.rename(CATS.with_suffix(".yml"))
    assert suyan("recipe", "new", "cats")[0] == 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["cats.yml"]
    status, text = suyan("recipe", "new", "dogs", "--from", "cast")
    assert status == 2
    assert "did you mean cats?" in text


def test_every_setting_of_a_recipe_is_shown_as_a_recipe(suyan: Suyan) -> None:
    assert suyan("recipe", "new", "cats", "--from", "seasons")[0] == 0
    _edit(CATS, "  #ngf: 64\n", "  ngf: 32\n")
    status, text = suyan("recipe", "show", "cats")
    assert status == 0
    assert (
        "  # Channels after a generator's first layer [1 to 256; default 64]\n  ngf: 32\n" in text
    )
    Path("all.yaml").write_text(text, encoding="utf-8")
    shown = _parameters(suyan, "--recipe", "all.yaml")
    assert shown == _parameters(suyan, "--recipe", "cats")


def test_recipes_are_listed_and_one_that_is_refused_is_named(suyan: Suyan) -> None:
    assert suyan("recipe", "new", "cats", "--from", "seasons")[0] == 0
    status, text = suyan("recipe", "list")
    assert status == 0
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["makeup", "seasons", "cats"]
    _edit(CATS, "  #ngf: 64\n", "  nfg: 32\n")
    status, text = suyan("recipe", "check", "cats", "makeup")
    assert status == 1
    assert "train.nfg: no parameter has this name; the nearest is train.ngf" in text
    assert "makeup: makeup ↔ bare" in text
    status, text = suyan("recipe", "list")
    assert status == 1
    assert "train.nfg: no parameter has this name" in text
    cats = next(line for line in text.splitlines() if line.startswith("cats"))
    assert cats.split() == ["cats", "-", "refused", "-", str(CATS)]
    assert "makeup ↔ bare" in text


def test_two_files_of_one_name_hide_no_other_recipe(suyan: Suyan, tmp_path: Path) -> None:
    assert suyan("recipe", "new", "cats", "--from", "seasons")[0] == 0
    for suffix in (".yaml", ".yml"):
        (CATS.parent / f"lions{suffix}").write_text("from: seasons\n")
    for command in ("list", "check"):
        status, text = suyan("recipe", command)
        assert status == 1
        assert "found lions.yaml and lions.yml, two recipes of one name; rename or remove" in text
        assert "summer ↔ winter" in next(
            line for line in text.splitlines() if line.startswith("cats")
        )
    assert "lions" in suyan("recipe", "new", "lions")[1]
    assert suyan("recipe", "new", "tigers", "--from", "cats")[0] == 0
    for number, name in enumerate(("left", "right")):
        write_pictures(tmp_path / name, 1, number)
    assert suyan("run", "left", "right", "--show")[0] == 0


def test_the_base_of_a_file_anywhere_is_beside_it(suyan: Suyan) -> None:
    Path("mine").mkdir()
    Path("mine/cats.yaml").write_text("from: seasons\ncrawl_a: {domain: kitten, phrases: [a]}\n")
    Path("mine/lions.yaml").write_text("from: cats\ncrawl_b: {domain: lion, phrases: [b]}\n")
    status, text = suyan("recipe", "check", "mine/lions.yaml")
    assert status == 0, text
    assert "crawl_a: still the phrases of cats" in text
    assert "crawl_b" not in text


def test_a_preset_lies_above_the_recipe_and_beneath_what_is_set(suyan: Suyan) -> None:
    Path("cats.yaml").write_text("from: seasons\ntrain: {num_epochs: 7, seed: 3}\n")
    small = ("--recipe", "cats.yaml", "--small")
    parameters = _parameters(suyan, *small, "--set", "train.num_epochs_decay=9")
    preset = _parameters(suyan, "--small")["train"]
    assert parameters["train"] == preset | {"num_epochs_decay": 9, "seed": 3}
    same = _parameters(suyan, *small, "--set", "train.num_epochs=7")  # the recipe's own value
    assert same["train"]["num_epochs"] == 7
    larger = _parameters(suyan, *small, "--set", "train.load_px=200")
    assert larger["prepare"]["crop_px"] == 200


@pytest.mark.parametrize(
    ("change", "place", "value"),
    [
        ("crawl_a.num_images=300", ("crawl_a", "num_images"), 300),
        ("crawl.num_images=300", ("crawl_b", "num_images"), 300),
        ("num_images=300", ("crawl_b", "num_images"), 300),
        ("crawl.filters.face=true", ("crawl_a", "filters", "face"), True),
        ('crawl_b.phrases=["狮子"]', ("crawl_b", "phrases"), ["狮子"]),
        ("crawl_a.domain=kitten", ("prepare", "domain_a"), "kitten"),
        ("prepare.max_unsafe=0.5", ("prepare", "max_unsafe"), 0.5),
        ("evaluate.num_bootstrap=20", ("evaluate", "num_bootstrap"), 20),
        ("promotion=never", ("promote", "automatic"), False),
        ("max_training_h=1", ("max_training_h",), 1),
        ("train.compile=on", ("train", "compile"), "on"),
    ],
)
def test_an_option_of_any_stage_is_set(
    suyan: Suyan, change: str, place: tuple[str, ...], value: object
) -> None:
    parameters: Any = _parameters(suyan, "--set", change)
    for name in place:
        parameters = parameters[name]
    assert parameters == value


def test_a_setting_is_put_back_to_nothing(suyan: Suyan) -> None:
    Path("cats.yaml").write_text("from: seasons\nprepare: {max_unsafe: 0.5}\n")
    arguments = ("--recipe", "cats.yaml", "--set", "prepare.max_unsafe=null")
    assert _parameters(suyan, *arguments)["prepare"]["max_unsafe"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["crawl", "--set", "num_imags=3"], "an unknown option; did you mean num_images?"),
        (["prepare", "--set", "face=no"], "an unknown option; did you mean faces?"),
        (["evaluate", "--set", "train.sed=1"], "an unknown option; did you mean train.seed?"),
        (["crawl", "--set", "num_images=-3"], "crawl_a.num_images: got -3; Input should be"),
        (["crawl", "--recipe", "cats.yaml"], "found no file cats.yaml, needed a recipe's YAML"),
        (["translate", "x.jpg", "--recipe", "x.yaml"], "found no file x.yaml"),
    ],
)
def test_a_mistyped_option_or_file_is_named(
    suyan: Suyan, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "workspace").mkdir()
    status, text = suyan(*arguments)
    assert status == 2
    assert message in text


def test_printed_commands_name_the_file_that_gave_the_recipe(suyan: Suyan) -> None:
    Path("my cats.yaml").write_text("recipe: cats\nfrom: seasons\n")
    status, text = suyan("prepare", "--recipe", "my cats.yaml")
    assert status == 2
    ((command, *words),) = printed_commands(text)
    assert command == "crawl"
    assert words[words.index("--recipe") + 1] == "my cats.yaml"
    status, text = suyan("translate", "x.jpg", "--recipe", "my cats.yaml")
    assert ["run", "--small", "--recipe", "my cats.yaml"] in [
        words[:4] for words in printed_commands(text)
    ]
    Path("my.json").write_text(suyan("run", "--show")[1])
    status, text = suyan("prepare", "--params", "my.json")
    ((command, *words),) = printed_commands(text)
    assert words[words.index("--params") + 1] == "my.json"


def test_a_recipe_of_folders_is_checked_for_what_is_not_there(suyan: Suyan, tmp_path: Path) -> None:
    (tmp_path / "kittens").mkdir()
    Path("pets.yaml").write_text(
        "from: seasons\n"
        "crawl_a: {domain: cats, phrases: [], folders: [kittens, lions], lists: [urls.csv]}\n"
        "crawl_b: {domain: dogs, phrases: []}\n"
    )
    status, text = suyan("recipe", "check", "pets.yaml")
    assert status == 0
    assert "cats ↔ dogs; cats by 2 folders, 1 list, dogs by what was added to it" in text
    assert f"cats: {tmp_path / 'lions'} is not there" in text
    assert f"cats: {tmp_path / 'urls.csv'} is not there" in text
    assert "kittens is not there" not in text
    assert "dogs: no phrases, folders or lists; add its pictures with " in text
    assert "still the phrases" not in text
