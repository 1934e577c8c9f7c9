"""``suyan run FOLDER FOLDER``: two folders of pictures, a recipe of their own, nothing to edit."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runs import Suyan
from own_pictures import write_pictures
from remedies import remedy

from core.workspace import Workspace
from flows.recipe_files.library import find_recipe
from flows.recipe_files.two_folders import recipe_of_folders


def _shown(suyan: Suyan, *arguments: object) -> tuple[int, dict[str, Any], str]:
    status, text = suyan("run", *arguments, "--show")
    if status:
        return status, {}, text
    start, end = text.index("{"), text.rindex("}") + 1
    return status, json.loads(text[start:end]), text


def test_two_folders_get_a_recipe_that_is_used_again(suyan: Suyan, tmp_path: Path) -> None:
    for number, name in enumerate(("Tabby Cats", "dogs")):
        write_pictures(tmp_path / name, 2, 10 * number)
    _, values, text = _shown(suyan, "Tabby Cats", "dogs", "--small")
    assert text.startswith("{")  # and can be redirected: the file's path is on the error output
    assert "The recipe tabby-cats-dogs: workspace/recipes/tabby-cats-dogs.yaml" in text
    assert (values["recipe"], values["prepare"]["faces"]) == ("tabby-cats-dogs", False)
    for side, domain, folder in (("a", "tabby_cats", "Tabby Cats"), ("b", "dogs", "dogs")):
        crawl = values[f"crawl_{side}"]
        assert (crawl["domain"], crawl["phrases"]) == (domain, [])
        assert crawl["folders"] == [str(tmp_path / folder)]
    file = Workspace(tmp_path / "workspace").recipe_file("tabby-cats-dogs")
    edited = file.read_text().replace("from: seasons", "from: seasons\ntrain: {seed: 7}")
    file.write_text(edited)
    _, values, _ = _shown(suyan, "Tabby Cats/", tmp_path / "dogs")
    assert (values["recipe"], values["train"]["seed"]) == ("tabby-cats-dogs", 7)
    assert file.read_text() == edited
    assert _shown(suyan, "--recipe", "tabby-cats-dogs")[1] == values


def test_other_folders_of_these_names_and_faces_get_a_recipe_of_their_own(
    suyan: Suyan, tmp_path: Path
) -> None:
    for number, name in enumerate(("cats", "dogs", "old/cats", "old/dogs")):
        write_pictures(tmp_path / name, 2, 10 * number)
    names = [
        _shown(suyan, *arguments)[1]["recipe"]
        for arguments in (
            ("cats", "dogs"),
            ("old/cats", "old/dogs"),
            ("cats", "dogs", "--recipe", "makeup"),
            ("old/cats", "old/dogs"),
            ("cats", "old/cats"),
        )
    ]
    assert names == ["cats-dogs", "cats-dogs-2", "cats-dogs-3", "cats-dogs-2", "cats-a-cats-b"]
    home = Workspace(tmp_path / "workspace")
    assert find_recipe("cats-dogs-3", home).parameters.prepare.faces
    assert not find_recipe("cats-dogs-2", home).parameters.prepare.faces


def test_chinese_folder_names_become_the_names_in_chinese_reports(
    suyan: Suyan, tmp_path: Path
) -> None:
    for number, name in enumerate(("猫", "Café photos")):
        write_pictures(tmp_path / name, 2, 10 * number)
    _, values, _ = _shown(suyan, "猫", "Café photos")
    assert values["recipe"] == "a-cafe-photos"
    assert values["prepare"]["chinese_name_a"] == "猫"


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for number, name in enumerate(("cats", "dogs", "{{x}}")):
        write_pictures(tmp_path / name, 2, 10 * number)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no picture")
    (tmp_path / "far.yaml").write_text("from: seasons\n")
    return tmp_path


def test_folders_that_cannot_be_used_are_named_and_others_taken(folders: Path) -> None:
    def taken(*names: str, base: str = "seasons") -> Callable[[], object]:
        home = Workspace(folders / "workspace")
        return lambda: recipe_of_folders([folders / name for name in names], base, home)

    right = taken("cats", "dogs")
    with pytest.raises(ValueError, match=r"needed a text without \{\{"):
        taken("cats", "{{x}}")()
    with pytest.raises(ValueError, match=r"found a file at .*a\.txt, needed a folder"):
        taken("cats", "notes/a.txt")()
    with pytest.raises(ValueError, match="one in the other"):
        taken("cats", "cats/part 0")()
    with pytest.raises(ValueError, match="--recipe: got 'cat', needed one of makeup"):
        taken("cats", "dogs", base="cat")()
    assert not Workspace(folders / "workspace").recipe_files.exists()
    remedy(", needed two, that of domain A and that of domain B", taken("cats"), right)
    remedy(" are the same or one in the other, needed two ", taken("cats", "cats"), right)
    remedy(", needed a folder or archive", taken("cats", "none"), right)
    remedy("FOLDER: found no picture in ", taken("cats", "notes"), right)
    odd = os.fsdecode(b"\xff\xfe")
    write_pictures(folders / odd, 2, 10)
    remedy(", whose name is not UTF-8; rename it", taken("cats", odd), right)
    far = str(folders / "far.yaml")
    remedy(
        " with two folders, needed the name of a recipe that is shipped ",
        taken("cats", "dogs", base=far), taken("cats", "dogs", base="makeup"),
    )  # fmt: skip


@pytest.mark.remedy("--params: got folders too; needed one of them")
def test_folders_or_parameters_are_given_not_both(suyan: Suyan, folders: Path) -> None:
    status, _, text = _shown(suyan, "cats", "dogs", "--params", "my.json")
    assert status == 2
    assert "--params: got folders too; needed one of them" in text
    assert _shown(suyan, "cats", "dogs")[0] == 0


def test_the_newcomer_who_leaves_out_recipe_is_told(suyan: Suyan, folders: Path) -> None:
    status, _, text = _shown(suyan, "makeup")
    assert status == 2
    assert "a recipe is named by --recipe" in text
