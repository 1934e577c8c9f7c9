"""``suyan prepare``: a dataset version of what was crawled, without Prefect and training."""

import hashlib
import io
import re
from pathlib import Path

import pytest
from cli_runs import Suyan, printed_commands
from PIL import Image
from review_version import write_version
from rich.console import Console

from cli.inventory.review_command import make_next_version
from cli.prepare import decisions, prepare_crawled
from core.config_identity import identity
from core.files import claim_folder, load_json
from core.progress import silent
from core.tables import Original, Picture, write_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from flows import latest, recipes
from flows.parameters import PipelineParameters
from preprocessing.selection.overrides import add_overrides
from scraping.crawl import crawl_name, publish_outputs
from scraping.offline.portraits import Person, Shot, draw
from serving.review import review_app
from storage import originals
from storage.remote import bucket_of, open_workspace


def parameters() -> PipelineParameters:
    recipe = recipes.RECIPES["makeup"]()
    small = {"crop_px": 48, "min_images": 4, "num_workers": 2}
    return recipe.model_copy(update={"prepare": recipe.prepare.model_copy(update=small)})


def crawled(workspace: Workspace, recipe: PipelineParameters) -> list[str]:
    """Portraits as if both domains had been crawled; their sha256."""
    names = []
    for side, config in enumerate((recipe.crawl_a, recipe.crawl_b)):
        rows = []
        for seed in range(6):
            person = 100 * side + seed
            pixels = draw(Person.seeded(person), Shot.seeded(person), None, height=200, width=170)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
            names.append(hashlib.sha256(buffer.getvalue()).hexdigest())
            (workspace.folder / f"{names[-1]}.jpg").write_bytes(buffer.getvalue())
            rows.append(
                Original(config.domain, "p", "http://x", "objURL", "", "", names[-1],
                         f"{names[-1]}.jpg", 1, "ok", "", "2026-01-01")
            )  # fmt: skip
        write_rows(workspace.crawl(crawl_name(config)).listing, Original, rows)
    return names


def test_what_was_crawled_becomes_a_version_and_decisions_the_next_one(tmp_path: Path) -> None:
    recipe, console = parameters(), Console(record=True, width=100)
    names = crawled(Workspace(tmp_path), recipe)
    first = prepare_crawled(recipe, Workspace(tmp_path), console)
    assert sum(first.counts.values()) == 12
    assert latest.dataset_folder(Workspace(tmp_path), "makeup") == first.dataset
    add_overrides(Workspace(tmp_path).overrides("makeup", "bare"), [names[0][:8]], "drop", "")
    second = prepare_crawled(recipe, Workspace(tmp_path), console)
    assert sum(second.counts.values()) == 11
    assert prepare_crawled(recipe, Workspace(tmp_path), console).reused
    said = console.export_text()
    assert re.search(rf"Since {first.version}: .*1 removed", said)
    assert "dropped-by-hand: 1" in said
    assert "Your decisions: drop 1" in said
    assert "nothing has changed" in said
    assert str(second.dataset / "card.html") in said


def test_the_review_makes_the_next_version_with_the_settings_of_this_one(tmp_path: Path) -> None:
    recipe, workspace = parameters(), Workspace(tmp_path)
    names = crawled(workspace, recipe)
    first = prepare_crawled(recipe, workspace, Console(quiet=True))
    latest.remember_dataset(workspace, "makeup", "another")
    again = make_next_version(
        DatasetFolder(first.dataset), silent, parameters=recipe, workspace=workspace
    )
    assert (again.dataset.path, again.is_new) == (first.dataset, False)
    add_overrides(workspace.overrides("makeup", "bare"), [names[0]], "drop", "")
    made = make_next_version(
        DatasetFolder(first.dataset), silent, parameters=recipe, workspace=workspace
    )
    assert made.is_new
    line = next(
        words
        for words in printed_commands(made.dataset.card_page.read_text())
        if words[0] == "review"
    )
    assert line[:2] == ["review", made.dataset.path.name]
    assert load_json(made.dataset.config) == load_json(DatasetFolder(first.dataset).config)
    assert load_json(made.dataset.card)["changes"]["removed"] == 1
    assert made.dataset.doubtful_pairs.read_text().startswith("older,newer,similarity\n")
    assert latest.dataset_folder(workspace, "makeup") == made.dataset.path


@pytest.mark.remedy(", a recipe of ")
def test_the_review_is_of_a_version_of_the_recipe(
    suyan: Suyan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[str]()

    def serve(_home: object, version: DatasetFolder, *_others: object, **_more: object) -> None:
        opened.append(version.path.name)

    monkeypatch.setattr(review_app, "serve", serve)
    name = write_version(Workspace(tmp_path), 12).path.name
    line = ("review", name, "--workspace", tmp_path)
    status, text = suyan(*line, "--recipe", "seasons")
    assert status == 2
    assert f"a recipe of summer and winter; needed that of {name}, whose domains are makeup" in text
    assert suyan(*line, "--recipe", "makeup")[0] == 0
    assert opened == [name]
    assert "found no folder" in suyan("review", "--workspace", tmp_path / "none")[1]


def test_what_another_machine_crawled_is_prepared(
    shared_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    recipe, first_machine = parameters(), open_workspace(shared_home)
    names = crawled(first_machine, recipe)
    bucket = bucket_of(first_machine)
    assert bucket is not None
    originals.publish(bucket, first_machine, [f"{name}.jpg" for name in names])
    for config in (recipe.crawl_a, recipe.crawl_b):
        publish_outputs(first_machine.crawl(crawl_name(config)), first_machine)
    monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / "machine-2"))
    second_machine, console = open_workspace(shared_home), Console(quiet=True)
    assert second_machine != first_machine
    summary = prepare_crawled(recipe, second_machine, console)
    assert summary.version == prepare_crawled(recipe, first_machine, console).version
    assert summary.dataset.is_relative_to(second_machine.folder)


def test_without_a_crawl_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"makeup: found no .* Make one with '.*suyan crawl --domain makeup"
    ):
        prepare_crawled(parameters(), Workspace(tmp_path), Console(quiet=True))


def test_the_line_that_prepares_other_options_crawls_names_them(
    suyan: Suyan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, recipe = Workspace(tmp_path / "home"), recipes.RECIPES["makeup"]()
    home.folder.mkdir()
    former = [
        config.model_copy(update={"num_images": 7}) for config in (recipe.crawl_a, recipe.crawl_b)
    ]
    local = {"num_images": 9, "engine_url": "http://127.0.0.1:8099", "allow_private_hosts": True}
    newest = [
        config.model_copy(update=local if config.domain == "makeup" else {"num_images": 9})
        for config in (recipe.crawl_a, recipe.crawl_b)
    ]
    for config_a, config_b in (former, newest):
        crawled(home, recipe.model_copy(update={"crawl_a": config_a, "crawl_b": config_b}))
        for config in (config_a, config_b):
            claim_folder(home.crawl(crawl_name(config)).path, identity(config))
    status, text = suyan("prepare", "--workspace", "home")
    assert status == 2
    first, *_ = printed_commands(text)
    assert first == [
        "prepare", "--set", "crawl.num_images=9",
        "--set", "crawl_a.allow_private_hosts=true",
        "--set", "crawl_a.engine_url=http://127.0.0.1:8099",
        "--recipe", "makeup", "--workspace", "home",
    ]  # fmt: skip
    status, text = suyan(*first, "--set", "crop_px=48", "--set", "min_images=4")
    assert status == 0, text
    assert len(list(home.datasets.glob("makeup-bare-*"))) == 1


def test_decisions_without_effect_are_told() -> None:
    def row(name: str, side: str, reason: str, override: str) -> Picture:
        status = "rejected" if reason else "ok"
        return Picture(
            sha256=name, domain=side, side=side, split="", file="", status=status, reason=reason,
            cluster="", phash="", face_phash="", width=0, height=0, keypoints=[], transform=[],
            sharpness=0.0, phrase="", url="", original="", override=override,
        )  # fmt: skip

    rows = [
        row("a" * 64, "A", "", ""),
        row("b" * 64, "A", "undecodable", "keep"),
        row("c" * 64, "A", "in-both-domains", "move"),  # found in both: it is used on one side
        row("c" * 64, "B", "", "move"),
        row("d" * 64, "B", "dropped-by-hand", "drop"),
    ]
    assert decisions(rows[:1]) == ""
    assert decisions(rows) == (
        f"Your decisions: keep 1, drop 1, move 1; still cannot be used: {'b' * 16} (undecodable)"
    )
