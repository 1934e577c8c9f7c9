"""A recipe that is refused is taken once it is as the message says."""

import tarfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from remedies import remedy

from cli.inventory.compare_command import compare
from cli.inventory.recipe_commands import check
from core.files import load_json, write_json
from core.workspace import Workspace
from evaluation.report.run_comparison import compare_runs, load_measured_run
from flows.recipe_files.library import check_new_name, load_recipe, recipe_files

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "workspace.tar.xz"


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Callable[[], object]]:
    """Makes a function that loads a recipe of this text, in a folder of its own."""
    folders = iter(range(100))

    def make(text: str | bytes, name: str = "cats.yaml", home: Path | None = None) -> Any:
        folder = home or tmp_path / str(next(folders))
        folder.mkdir(parents=True, exist_ok=True)
        content = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(content)
        return partial(load_recipe, folder / name, Workspace(tmp_path / "home"))

    return make


def test_a_file_is_written_as_the_message_says(load: Any) -> None:
    good = "from: seasons\n"
    remedy(" is refused:", load(f"{good}train: {{nfg: 8}}"), load(f"{good}train: {{ngf: 8}}"))
    for wrong, right in (
        ("a: 1\na: 2", "train: {ngf: 8}"),
        ("train:\n\tngf: 8", "train:\n ngf: 8"),
    ):
        remedy(", line ", load(good + wrong), load(good + right))
    remedy(": found no YAML: ", load("from: \x00"), load(good))
    remedy(", needed names and their values", load("- seasons"), load(good))
    remedy("; save it as UTF-8", load("from: seasons # é".encode("latin-1")), load(good + "# é"))
    remedy(
        " bytes, needed a file of settings of at most ",
        load(good + "#" * 1_000_000), load(good + "#" * 1000),
    )  # fmt: skip
    remedy(
        ", needed five fields such as 0 3 * * 1 (Mondays at 3:00)",
        load(f"{good}schedule: {{cron: weekly}}"), load(f"{good}schedule: {{cron: 0 3 * * 1}}"),
    )  # fmt: skip
    remedy(
        ", needed a name such as Asia/Shanghai or UTC",
        load(f"{good}schedule: {{timezone: China}}"), load(f"{good}schedule: {{timezone: UTC}}"),
    )  # fmt: skip


def test_a_base_is_named_as_the_message_says(load: Any, tmp_path: Path) -> None:
    good = load("from: seasons\n")
    remedy(", needed the name of a recipe", load("from: ../seasons\n"), good)
    remedy(", needed a recipe: one of ", load("from: seasos\n"), good)
    round_trip = load("from: dogs\n", home=tmp_path / "a")
    load("from: cats\n", "dogs.yaml", tmp_path / "a")
    remedy(
        "; needed a recipe that does not lead back here",
        round_trip, load("from: seasons\n", home=tmp_path / "b"),
    )  # fmt: skip


def test_a_recipe_is_named_as_the_message_says(load: Any, tmp_path: Path) -> None:
    home = Workspace(tmp_path / "home")
    new = partial(partial, check_new_name, workspace=home)
    cats = load("from: seasons\n", home=home.recipe_files)
    remedy(", needed at most 40 of a-z, 0-9 and -, the first no -", new("../x"), new("x"))
    remedy("; give another name", new("cats"), new("more-cats"))
    remedy(
        "--recipe: found no file ",
        partial(load_recipe, Path("cast.yaml"), home), cats,
    )  # fmt: skip
    remedy(
        ", which is that of a shipped recipe; needed another one, in 'recipe:' or as the file's",
        load("from: seasons\n", "makeup.yaml"),
        load("from: seasons\nrecipe: mine\n", "makeup.yaml"),
    )  # fmt: skip
    remedy(
        ", needed the file's name; rename the file to ",
        load("from: seasons\nrecipe: dogs\n", home=home.recipe_files),
        load("from: seasons\nrecipe: dogs\n", "dogs.yaml", home.recipe_files),
    )
    home.recipe_file("cats").with_suffix(".yml").touch()

    def renamed() -> None:
        home.recipe_file("cats").with_suffix(".yml").rename(home.recipe_file("other"))
        assert recipe_files(home).keys() == {"cats", "dogs", "other"}

    two = partial(recipe_files, home)
    remedy(", two recipes of one name; rename or remove one of them", two, renamed)


def test_recipes_are_checked_as_the_message_says(load: Any, tmp_path: Path) -> None:
    home = Workspace(tmp_path / "home")
    load("from: seasons\n", home=tmp_path)
    remedy(
        ": found no recipe, needed one; give a NAME|FILE",
        lambda: check(workspace=home),
        lambda: check(recipes=[str(tmp_path / "cats.yaml")], workspace=home),
    )


def test_two_runs_are_compared_as_the_message_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tarfile.open(GOLDEN) as archive:
        archive.extractall(tmp_path / "home", filter="data")
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path / "home")
    (run,) = (workspace.run(path.name) for path in workspace.runs.iterdir() if path.is_dir())
    measured = load_measured_run(run, workspace)
    bare = workspace.run("bare")
    write_json(bare.config, load_json(run.config))

    def measure() -> None:  # what the command of the message does
        scores = load_json(run.evaluation(measured.scores.checkpoint).scores)
        scores["domains"] = {"A": "cat", "B": "dog"}
        write_json(bare.evaluation(measured.scores.checkpoint).scores, scores)
        load_measured_run(bare, workspace)

    remedy(
        ": found no evaluation, needed the figures of one",
        lambda: load_measured_run(bare, workspace), measure,
    )  # fmt: skip
    other = load_measured_run(bare, workspace)
    remedy(
        ", needed runs of the same domains",
        lambda: compare_runs(measured, other, workspace, 0),
        lambda: compare_runs(measured, measured, workspace, 0),
    )
    (tmp_path / "page.html").touch()
    call = partial(compare, first=run.path.name, second=run.path.name, workspace=workspace)
    page = partial(call, out=Path("page.html"), pictures=0)
    remedy(
        " is there already; choose another file, or --overwrite",
        page, partial(page, overwrite=True),
    )  # fmt: skip
