import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from core.errors import BucketError
from core.files import write_json
from core.workspace import Workspace
from flows.installation import PACKAGES
from flows.recipe_files.library import (
    SHIPPED_NAMES,
    check_new_name,
    find_recipe,
    load_recipe,
    recipe_files,
    workspace_recipes,
)
from storage.remote import open_workspace
from storage.s3 import Bucket

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    home = Workspace(tmp_path / "home")
    home.recipe_files.mkdir(parents=True)
    home.recipe_file("cats").write_text("from: seasons\ntrain: {ngf: 32}\n")
    home.pointer("cats", "run").parent.mkdir()
    return home


def test_a_recipe_is_found_by_name_and_by_file(workspace: Workspace, tmp_path: Path) -> None:
    assert SHIPPED_NAMES == ("makeup", "seasons")
    assert find_recipe("seasons", workspace).name == "seasons"
    assert find_recipe("cats", workspace).parameters.train.ngf == 32
    assert [recipe.name for recipe in workspace_recipes(workspace)] == ["cats"]
    mine = tmp_path / "mine.yaml"
    mine.write_text("recipe: lions\nfrom: cats\n")  # a base of the workspace
    assert find_recipe(str(mine), workspace).parameters.train.ngf == 32
    assert find_recipe(str(mine), workspace).name == "lions"


def test_all_parameters_of_a_recipe_are_a_recipe_too(workspace: Workspace, tmp_path: Path) -> None:
    parameters = find_recipe("cats", workspace).parameters
    path = tmp_path / "all.json"
    path.write_text(parameters.model_dump_json(indent=2))
    assert load_recipe(path, workspace).parameters == parameters


def test_an_unknown_recipe_or_base_is_answered_by_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match=r"got 'cast', needed .*; did you mean cats\?; a new one"):
        find_recipe("cast", workspace)
    with pytest.raises(ValueError, match=r"found no file .*cats\.yml.*did you mean cats\.yaml"):
        find_recipe(str(workspace.recipe_files / "cats.yml"), workspace)
    workspace.recipe_file("lions").write_text("# lions\nfrom: seasos\n")
    with pytest.raises(ValueError, match=r"lions\.yaml, line 2: from: got 'seasos'.*seasons\?"):
        find_recipe("lions", workspace)
    workspace.recipe_file("lions").write_text("from: ../../secret\n")
    with pytest.raises(ValueError, match=r"from: got '\.\./\.\./secret', needed the name of a rec"):
        find_recipe("lions", workspace)


def test_bases_that_go_round_are_named(workspace: Workspace) -> None:
    workspace.recipe_file("cats").write_text("from: lions\n")
    workspace.recipe_file("lions").write_text("from: cats\n")
    with pytest.raises(ValueError, match="circle cats → lions → cats;"):
        find_recipe("cats", workspace)
    workspace.recipe_file("cats").write_text("from: cats\n")
    with pytest.raises(ValueError, match="circle cats → cats;"):
        find_recipe("cats", workspace)


def test_two_recipes_of_one_name_are_refused(workspace: Workspace) -> None:
    other = workspace.recipe_files / "cats.yml"
    other.write_text("from: seasons\n")
    with pytest.raises(ValueError, match=r"found cats\.yaml and cats\.yml, two recipes of one"):
        recipe_files(workspace)
    other.rename(workspace.recipe_file("makeup"))
    with pytest.raises(ValueError, match="found the name makeup, which is that of a shipped"):
        workspace_recipes(workspace)
    workspace.recipe_file("makeup").rename(workspace.recipe_file("lions"))
    workspace.recipe_file("lions").write_text("recipe: cats\nfrom: seasons\n")
    with pytest.raises(ValueError, match="found 'recipe: cats', needed the file's name; rename"):
        workspace_recipes(workspace)


def test_two_of_another_name_and_a_folder_stop_no_recipe(workspace: Workspace) -> None:
    for name in ("lions.yaml", "lions.yml"):
        (workspace.recipe_files / name).write_text("from: seasons\n")
    assert find_recipe("cats", workspace).name == "cats"
    with pytest.raises(ValueError, match="two recipes of one name"):
        find_recipe("lions", workspace)
    (workspace.recipe_files / "lions.yml").unlink()
    (workspace.recipe_files / "odd.yaml").mkdir()
    assert [*recipe_files(workspace)] == ["cats", "lions"]
    with pytest.raises(
        ValueError, match=r"found no file .*odd\.yaml, needed a recipe's YAML; did you mean lion"
    ):
        find_recipe(str(workspace.recipe_files / "odd.yaml"), workspace)


@pytest.mark.remedy("at most 40 of a-z, 0-9 and -, the first no -; rename the file")
def test_a_file_whose_name_is_no_recipes_name_says_so(workspace: Workspace) -> None:
    odd = workspace.recipe_files / "My Cats.yaml"
    odd.write_text("from: seasons\n")
    with pytest.raises(ValueError, match=r"found the file's name 'My Cats', .*; rename the file"):
        load_recipe(odd, workspace)
    assert load_recipe(odd.rename(odd.with_name("my-cats.yaml")), workspace).name == "my-cats"


def test_an_unknown_engine_is_one_line_a_domain(workspace: Workspace) -> None:
    workspace.recipe_file("cats").write_text("from: seasons\ncrawl: {engines: [baid]}\n")
    with pytest.raises(ValueError, match=r"line 2: crawl_a\.engines\.0: got 'baid'") as error:
        find_recipe("cats", workspace)
    assert len(str(error.value).splitlines()) == 1 + 2


@pytest.mark.slow
def test_the_shipped_recipes_and_face_models_are_in_the_wheel(tmp_path: Path) -> None:
    source = tmp_path / "source"  # the build leaves folders in it
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package)
    for name in ("pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY.md"):
        shutil.copy(ROOT / name, source)
    arguments = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"flows/recipe_files/{name}.yaml" for name in SHIPPED_NAMES} <= {*names}
    models = [*(ROOT / "preprocessing" / "analysis" / "face_models").iterdir()]
    assert {path.relative_to(ROOT).as_posix() for path in models} <= {*names}


@pytest.fixture
def machines(shared_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Workspace]:
    """The workspace in one bucket, as two machines open it."""
    found = []
    for number in (1, 2):
        monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / f"machine-{number}"))
        found.append(open_workspace(shared_home))
        found[-1].recipe_files.mkdir(parents=True)
    return found


def test_recipes_of_a_bucket_travel_as_people_change_and_remove_them(
    machines: list[Workspace], shared_home: str, tmp_path: Path
) -> None:
    here, there = machines
    here.recipe_file("cats").write_text("from: seasons\ntrain: {ngf: 32}\n")
    here.pointer("cats", "run").parent.mkdir()
    write_json(here.pointer("cats", "run"), {"run": "a"})
    with pytest.raises(ValueError, match="got 'cast', needed one of"):
        find_recipe("cast", here)
    assert find_recipe("cats", there).parameters.train.ngf == 32
    assert not there.pointer("cats", "run").exists()
    there.recipe_file("cats").write_text("from: seasons\ntrain: {ngf: 16}\n")
    assert [*recipe_files(there)] == ["cats"]
    mine = tmp_path / "mine.yaml"
    mine.write_text("from: cats\n")  # a base of the workspace, changed on the other machine
    assert find_recipe(str(mine), here).parameters.train.ngf == 16
    here.recipe_file("cats").write_text("from: seasons\ntrain: {ngf: 8}\n")
    there.recipe_file("cats").write_text("from: seasons\ntrain: {ngf: 4}\n")
    assert find_recipe("cats", here).parameters.train.ngf == 8
    with pytest.raises(BucketError, match=r"cats\.yaml: changed here and in .*cats\.yaml\.theirs"):
        find_recipe("cats", there)
    assert "ngf: 4" in there.recipe_file("cats").read_text()
    there.recipe_file("cats").write_text("from: seasons\ntrain: {ngf: 8}\n")
    assert find_recipe("cats", there).parameters.train.ngf == 8
    with pytest.raises(ValueError, match="which is there already"):
        check_new_name("cats", there)
    Bucket(shared_home).delete([here.key(here.recipe_file("cats"))])
    assert not recipe_files(here) | recipe_files(there)
    check_new_name("cats", there)


def test_a_link_to_a_recipe_stays_on_this_machine(
    machines: list[Workspace], tmp_path: Path
) -> None:
    here, there = machines
    mine = tmp_path / "mine.yaml"
    mine.write_text("recipe: lions\nfrom: seasons\n")
    here.recipe_file("lions").symlink_to(mine)
    assert find_recipe("lions", here).name == "lions"
    assert not recipe_files(there)
    there.recipe_file("lions").write_text("from: seasons\ntrain: {ngf: 4}\n")
    assert [*recipe_files(there)] == [*recipe_files(here)] == ["lions"]
    assert here.recipe_file("lions").is_symlink()
