"""The champion's pointer is read in one place, and never leads out of its folder."""

from pathlib import Path

import pytest

from core.champion_pointer import Champion, is_version_name, load_champion
from core.files import write_json
from core.workspace import Workspace
from core.workspace_folders import RecipeModels


def test_a_pointer_names_the_champion_and_the_ones_before_it(tmp_path: Path) -> None:
    models = Workspace(tmp_path).recipe_models("makeup")
    assert load_champion(models) == Champion()
    write_json(models.champion, {"model": "step3-c", "previous": ["step1-a", "step2-b"]})
    assert load_champion(models) == Champion("step3-c", ("step1-a", "step2-b"))
    assert load_champion(models).fetchable == ("step3-c", "step2-b")


@pytest.mark.parametrize("content", ["", "[]", "no JSON", '{"model"'])
def test_a_torn_pointer_names_nobody(tmp_path: Path, content: str) -> None:
    models = Workspace(tmp_path).recipe_models("makeup")
    models.path.mkdir(parents=True)
    models.champion.write_text(content, encoding="utf-8")
    assert load_champion(models) == Champion()
    assert load_champion(models).fetchable == ()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc", "a/b", ".hidden"])
def test_what_is_no_name_of_a_version_is_not_fetched(name: str) -> None:
    assert not is_version_name(name)
    assert Champion(name, (name,)).fetchable == ()


def test_a_pointer_that_cannot_be_read_for_a_moment_is_not_taken_for_missing(
    tmp_path: Path,
) -> None:
    models = RecipeModels(tmp_path)
    models.champion.symlink_to(models.champion)  # ELOOP: an error of the system, for root too
    with pytest.raises(OSError, match="symbolic links"):
        load_champion(models)
