"""The commands that messages, states, pages and cards contain: each can be pasted where it is read.

No other code spells a command of ours, since only this module knows the program's path.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions, requires
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    from core.workspace import Workspace

RECIPE_DOMAINS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"makeup": ("makeup", "bare"), "seasons": ("summer", "winter")}
)
"""The shipped recipes, which commands know by name, with their domains A and B."""

RECIPE_SUFFIXES = (".yaml", ".yml", ".json")
"""The endings of the files of recipes."""

_domains: dict[str, tuple[str, str]] = {**RECIPE_DOMAINS}  # of every recipe of this process
_files: dict[str, tuple[str, Path]] = {}  # the option and the file that gave a recipe, by its name
_NEEDS_PARAMETERS = {"run", "crawl", "prepare", "review", "curate", "train", "evaluate"}
_REPOSITORY = Path(__file__).resolve().parents[1]
_PLAIN = re.compile(r"[\w@%+=:,./…-]+", re.ASCII | re.IGNORECASE)


def suyan_command(
    name: str, *words: str | Path, workspace: Workspace | None = None, recipe: str = ""
) -> str:
    """The line that runs a command of ``suyan`` on ``workspace``, for a shell.

    For commands that need its parameters, a recipe from a file becomes this file; it is the word
    FILE where nobody knows the file. Words in capitals (PHOTO, FILE) are for the reader to replace.
    With a relative workspace, or none, the line is for the folder of this process; with an absolute
    one, for any folder.
    """
    is_for_any_folder = workspace is not None and workspace.folder.is_absolute()
    parts = [str(word) for word in words]
    if recipe and name not in _NEEDS_PARAMETERS:
        parts += ["--recipe", recipe]
    elif recipe in _files:
        option, file = _files[recipe]
        parts += [option, str(file.absolute() if is_for_any_folder else file)]
    elif recipe:
        is_known = recipe in RECIPE_DOMAINS or (
            workspace is not None and workspace.recipe_file(recipe).exists()
        )
        parts += ["--recipe", recipe if is_known else "FILE"]
    if workspace is not None:
        parts += ["--workspace", workspace.bucket_address or str(workspace)]
    program = _program("suyan", for_any_folder=is_for_any_folder)
    return _line(program, name, *parts)


def prefect_command(*words: str, api_url: str = "") -> str:
    """The line that runs Prefect's own command, for a shell in any folder.

    ``api_url`` is the server's, without which the command would ask a server of its own.
    """
    line = _line(_program("prefect", for_any_folder=True), *words)
    return f"PREFECT_API_URL={api_url} {line}" if api_url else line


def install_command(extra: str, *, for_others: bool = False) -> str:
    """The line that installs the optional packages of ``extra``, for a shell in any folder.

    ``extra`` may be several, with commas. ``for_others`` is for texts that are passed on, e.g.
    reports: without paths of this machine, for Suyan's repository. No line may name Suyan: the
    package of that name on the index is not ours. Where the repository is not, the line has the
    packages themselves.
    """
    if for_others:
        return f"pip install -e '.[{extra}]'"
    if is_repository():
        return pip_command("-e", f"{_REPOSITORY}[{extra}]")
    return pip_command(*map(str, _requirements(*extra.split(","))))


def pip_command(*words: str) -> str:
    """The line that installs packages beside Suyan's, for a shell in any folder: by uv in an
    environment without pip, as uv makes them.
    """
    if not any(distributions(name="pip")):
        return _line("uv", "pip", "install", "--python", sys.executable, *words)
    return _line(sys.executable, "-m", "pip", "install", *words)


def torch_command(backend: str) -> str:
    """The line that installs Suyan's repository, this folder, with a build of torch: uv's name."""
    return f"uv pip install --torch-backend {backend} '.[web,export]'"


def bounded(*packages: str) -> list[str]:
    """The requirements of Suyan for ``packages``, with their bounds, e.g. ``fastapi<0.151``."""
    return [str(each) for each in _requirements() if each.name in packages]


def _requirements(*extras: str) -> Iterator[Requirement]:
    """What Suyan requires; with ``extras``, what these add to it."""
    for text in requires("suyan") or ():
        each = Requirement(text)
        marker, each.marker = each.marker, None
        if marker is None:
            is_wanted = not extras
        else:
            is_wanted = any(marker.evaluate({"extra": extra}) for extra in extras)
        if is_wanted:
            yield each


def is_repository() -> bool:
    """Whether Suyan runs from a clone, which an installed package and the image do not have."""
    return (_REPOSITORY / "Makefile").is_file()


def make_command(*targets: str) -> str:
    """The line that makes targets of Suyan's Makefile, for this folder."""
    is_here = Path.cwd() == _REPOSITORY
    return _line("make", *([] if is_here else ["-C", str(_REPOSITORY)]), *targets)


def is_recipe_file(text: str) -> bool:
    """Whether the value of ``--recipe`` names a file, not a recipe."""
    return text.endswith(RECIPE_SUFFIXES) or "/" in text or "\\" in text


def register_recipe(recipe: str, domain_a: str, domain_b: str) -> None:
    """Let the commands of this process name ``recipe`` where its domains are known."""
    _domains[recipe] = (domain_a, domain_b)


def register_recipe_file(recipe: str, source: tuple[str, Path] | None) -> None:
    """Let the commands of this process repeat the option and the file that gave ``recipe``;
    ``None`` where it was given by its name.
    """
    _files.pop(recipe, None)
    if source is not None:
        _files[recipe] = source


def recipe_of(domain_a: str, domain_b: str) -> str:
    """The recipe of these domains, the last one of this process first; "custom" where none is
    known, which no shipped recipe is called.
    """
    pairs = reversed(_domains.items())
    return next((name for name, pair in pairs if pair == (domain_a, domain_b)), "custom")


def _program(name: str, *, for_any_folder: bool) -> str:
    """How a shell finds the program ``name`` of this installation."""
    typed = Path(sys.argv[0]).absolute()
    script = typed if typed.name == name else Path(sys.executable).with_name(name)
    on_path = shutil.which(name)
    if on_path and Path(on_path).exists() and script.exists() and script.samefile(on_path):
        return name
    relative = os.path.relpath(script)
    return str(script) if for_any_folder or relative.startswith("..") else relative


def _line(*words: str) -> str:
    return " ".join(word if _PLAIN.fullmatch(word) else _quoted(word) for word in words)


def _quoted(word: str) -> str:
    """In double quotes, as a line of ours may stand between single ones."""
    return '"' + re.sub(r'([\\"$`])', r"\\\1", word) + '"'
