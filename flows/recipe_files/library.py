"""Where recipes are: the shipped ones, those in the folder ``recipes`` of a workspace, any file."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from core.commands import RECIPE_SUFFIXES, is_recipe_file, suyan_command
from core.errors import nearest, suggestion
from core.language.messages import localised
from core.workspace import Workspace
from flows.recipe_files.recipe import BASE, NAME, Recipe, build_recipe
from flows.recipe_files.strict_yaml import Document, read_document
from storage import synced_files

SHIPPED = Path(__file__).parent
SHIPPED_NAMES = tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))
"""The names of the shipped recipes."""
_IN_FOLDER = (".yaml", ".yml")


@functools.cache
def shipped_recipe(name: str) -> Recipe:
    """The shipped recipe of one of ``SHIPPED_NAMES``."""
    file = SHIPPED / f"{name}.yaml"
    return build_recipe(read_document(file), file, None)


def find_recipe(text: str, workspace: Workspace) -> Recipe:
    """The recipe of this name, shipped or of the workspace, or of this file.

    Raises ``ValueError`` where there is none, with the nearest name, and for a file that is
    refused.
    """
    if text in SHIPPED_NAMES:
        return shipped_recipe(text)
    if is_recipe_file(text):
        _merge_recipes(workspace)  # its base may be there
        return load_recipe(Path(text), workspace)
    files = files_by_name(workspace)
    if text not in files:
        names = [*SHIPPED_NAMES, *files]
        new = suyan_command("recipe", "new", "NAME", workspace=workspace)
        raise ValueError(
            localised(
                "--recipe: got {text!r}, needed one of {names}{hint}; a new one: '{new}'",
                text=text,
                names=", ".join(names),
                hint=suggestion(nearest(text, names)) or localised(", or a file"),
                new=new,
            )
        )
    return load_recipe(only_file(files[text]), workspace)


def recipe_files(workspace: Workspace) -> dict[str, Path]:
    """The files in the workspace's folder of recipes, by the recipe's name, in order.

    Those of a bucket are exchanged with it first. Raises ``ValueError`` for two files of one name,
    ``BucketError`` for a file that was changed here and in the bucket.
    """
    return {name: only_file(paths) for name, paths in files_by_name(workspace).items()}


def check_new_name(name: str, workspace: Workspace) -> None:
    """Raise ``ValueError`` for a text that is no recipe's name, or the name of a recipe."""
    if not NAME.fullmatch(name):
        raise ValueError(
            localised(
                "NAME: got {name!r:.60}, needed at most 40 of a-z, 0-9 and -, the first no -",
                name=name,
            )
        )
    files = files_by_name(workspace).get(name, [])
    if name in SHIPPED_NAMES or files:
        place = f"as {files[0]}" if files else "as a shipped recipe"
        raise ValueError(
            localised(
                "NAME: got {name!r}, which is there already, {place}; give another name",
                name=name,
                place=place,
            )
        )


def workspace_recipes(workspace: Workspace) -> list[Recipe]:
    """Every recipe in the workspace's folder, by name; raises ``ValueError`` as its files do."""
    return [load_recipe(path, workspace) for path in recipe_files(workspace).values()]


def load_recipe(file: Path, workspace: Workspace, above: Sequence[Path] = ()) -> Recipe:
    """The recipe of ``file``, and of those that it differs from, which ``above`` it began.

    A base is a shipped recipe, or a file beside ``file``, or one of the workspace. Raises
    ``ValueError`` for a file that is not there or is refused, for an unknown base, and for bases
    that lead back to ``file``.
    """
    if not file.is_file():
        siblings = [
            path.name
            for path in file.parent.glob("*")
            if path.suffix in RECIPE_SUFFIXES and path.is_file()
        ]
        near = suggestion(nearest(file.name, siblings))
        raise ValueError(
            localised(
                "--recipe: found no file {file}, needed a recipe's YAML{near}", file=file, near=near
            )
        )
    document = read_document(file)
    recipe = build_recipe(document, file, _base(document, file, workspace, [*above, file]))
    if recipe.name in SHIPPED_NAMES:
        raise ValueError(
            localised(
                "{file}: found the name {name}, which is that of a shipped recipe; needed "
                "another one, in 'recipe:' or as the file's name",
                file=file,
                name=recipe.name,
            )
        )
    is_of_workspace = file.parent.absolute() == workspace.recipe_files.absolute()
    if is_of_workspace and recipe.name != file.stem:
        raise ValueError(
            localised(
                "{file}: found 'recipe: {name}', needed the file's name; rename the file to "
                "{name}{suffix}, or remove this line",
                file=file,
                name=recipe.name,
                suffix=file.suffix,
            )
        )
    return recipe


def base_of(recipe: Recipe, workspace: Workspace) -> Recipe | None:
    """The recipe from which ``recipe`` differs; ``None`` for one without a base."""
    return _base(read_document(recipe.file), recipe.file, workspace, [recipe.file])


def _base(
    document: Document, file: Path, workspace: Workspace, above: Sequence[Path]
) -> Recipe | None:
    name = document.values.get(BASE)
    if name is None:
        return None
    line = f"{file}, line {document.lines[BASE,]}: {BASE}"
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            localised("{line}: got {name!r:.60}, needed the name of a recipe", line=line, name=name)
        )
    if name in SHIPPED_NAMES:
        return shipped_recipe(name)
    folders = [file.parent, workspace.recipe_files]
    base = _file_of(name, folders)
    if base is None:
        names = {*SHIPPED_NAMES, *(path.stem for path in _in_folders(folders))} - {file.stem}
        near = suggestion(nearest(name, names))
        raise ValueError(
            localised(
                "{line}: got {name!r}, needed a recipe: one of {names}{near}",
                line=line,
                name=name,
                names=", ".join(sorted(names)),
                near=near,
            )
        )
    if base.resolve() in {path.resolve() for path in above}:
        circle = " → ".join([*(path.stem for path in above), name])
        raise ValueError(
            localised(
                "{line}: found the circle {circle}; needed a recipe that does not lead back here",
                line=line,
                circle=circle,
            )
        )
    return load_recipe(base, workspace, above)


def files_by_name(workspace: Workspace) -> dict[str, list[Path]]:
    """The files in the workspace's folder of recipes, by the recipe's name, in order: one each,
    or several, of which ``only_file`` says that they are too many.

    Those of a bucket are exchanged with it first.
    """
    _merge_recipes(workspace)
    files: dict[str, list[Path]] = {}
    for path in _in_folders([workspace.recipe_files]):
        files.setdefault(path.stem, []).append(path)
    return files


def only_file(paths: Sequence[Path]) -> Path:
    """The file of a recipe's name. Raises ``ValueError`` if there are two."""
    if len(paths) > 1:
        raise ValueError(
            localised(
                "{parent}: found {name} and {other}, two recipes of one name; rename or "
                "remove one of them",
                parent=paths[0].parent,
                name=paths[0].name,
                other=paths[1].name,
            )
        )
    return paths[0]


def _merge_recipes(workspace: Workspace) -> None:
    synced_files.merge_folder(workspace, workspace.recipe_files, _IN_FOLDER)


def _in_folders(folders: Sequence[Path]) -> list[Path]:
    paths = (path for folder in folders for path in sorted(folder.glob("[!.]*")))
    return [path for path in paths if path.suffix in _IN_FOLDER and not path.is_dir()]


def _file_of(name: str, folders: Sequence[Path]) -> Path | None:
    """The file of the recipe ``name`` in the first of ``folders`` that has one."""
    return next((path for path in _in_folders(folders) if path.stem == name), None)
