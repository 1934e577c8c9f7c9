"""The recipe of two folders of pictures, one for each domain, which ``suyan run`` writes."""

from __future__ import annotations

import contextlib
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from core.files import atomic_file, printable_name
from core.language.messages import localised
from core.workspace import Workspace
from flows.recipe_files.library import SHIPPED_NAMES, files_by_name, find_recipe
from flows.recipe_files.recipe import Recipe, build_recipe
from flows.recipe_files.strict_yaml import Document
from scraping.sources.local_files import FolderScan, is_archive

DEFAULT_BASE = "seasons"
"""The recipe of whole pictures, from which that of two folders differs if nobody names another."""

_HEADER = """\
# Two folders of pictures. The command run wrote this file when it first took them; change it as
# you like.
"""
_MAX_NAME = 40  # letters, of a recipe and of a domain
_SUFFIXES = re.compile(r"\.(zip|tar|tgz|tbz2|txz|tar\.\w+)$", re.IGNORECASE)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_MAX_CHINESE = 40  # letters, as PrepareConfig.chinese_name_a
_MAX_BYTES = 1 << 62  # of a picture, for a scan that only asks whether there is one


def recipe_of_folders(folders: Sequence[Path], base: str, workspace: Workspace) -> str:
    """The name of the recipe of these folders or archives, A and B; its file is written if needed.

    The domains are named after the folders. A file that an earlier call wrote for the same folders
    and base is used as it is, with a person's changes. Raises ``ValueError`` for any other number
    of folders than two, for one that is not there or holds no picture, for two that are the same or
    one in the other, and for an unknown base.
    """
    sources = _checked(folders)
    base_recipe = find_recipe(base, workspace)
    if (
        base_recipe.name not in SHIPPED_NAMES
        and not workspace.recipe_file(base_recipe.name).exists()
    ):
        raise ValueError(
            localised(
                "--recipe: got {base} with two folders, needed the name of a recipe that is "
                "shipped or in the workspace; name your folders in that file instead "
                "(crawl_a.folders)",
                base=base,
            )
        )
    domains = _domain_names(sources)
    values = _values(sources, domains, base_recipe)
    text = _HEADER + yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=96)
    files = files_by_name(workspace)
    name = next(
        name
        for name in _recipe_names(domains)
        if name not in files or _is_of(find_recipe(name, workspace), values)
    )
    if name not in files:
        file = workspace.recipe_file(name)
        build_recipe(
            Document(values, {}), file, base_recipe
        )  # what would be refused is not written
        with contextlib.suppress(FileExistsError), atomic_file(file, is_new=True) as draft:
            draft.write(text.encode())
    return name


def _checked(folders: Sequence[Path]) -> tuple[Path, Path]:
    if len(folders) != 2:
        raise ValueError(
            localised(
                "FOLDER: got {num}, needed two, that of domain A and that of domain B; a "
                "recipe is named by --recipe",
                num=len(folders),
            )
        )
    first, second = (_with_picture(folder) for folder in folders)
    if first == second or first in second.parents or second in first.parents:
        raise ValueError(
            localised(
                "FOLDER: {folders} and {other} are the same or one in the other, needed "
                "two folders with different pictures",
                folders=folders[0],
                other=folders[1],
            )
        )
    return first, second


def _with_picture(folder: Path) -> Path:
    """The folder's real path. Raises ``ValueError`` if it holds no picture."""
    path = folder.expanduser().resolve()
    if path.is_file() and is_archive(path.name):
        return path
    if not path.is_dir():
        content = localised("a file") if path.exists() else localised("nothing")
        raise ValueError(
            localised(
                "FOLDER: found {content} at {folder}, needed a folder or archive",
                content=content,
                folder=folder,
            )
        )
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError(
            localised(
                "FOLDER: got {printable_name}, whose name is not UTF-8; rename it",
                printable_name=printable_name(folder),
            )
        ) from None
    scan = FolderScan(path, _MAX_BYTES)
    if next(iter(scan), None) is None and not scan.archives:
        suffixes = ", ".join(f"{num} {suffix}" for suffix, num in scan.other_files.most_common(3))
        raise ValueError(
            localised(
                "FOLDER: found no picture in {folder} ({suffixes}), needed a folder of JPEG, "
                "PNG, WebP or other pictures",
                folder=folder,
                suffixes=suffixes or localised("it is empty"),
            )
        )
    return path


def _domain_names(sources: Sequence[Path]) -> tuple[str, str]:
    names = [_plain(_SUFFIXES.sub("", path.name)) for path in sources]
    first, second = names[0] or "a", names[1] or "b"
    if first == second:
        return f"{first[: _MAX_NAME - 2]}_a", f"{second[: _MAX_NAME - 2]}_b"
    return first, second


def _plain(name: str) -> str:
    """``name`` in the letters of a domain's name, without accents; "" if none is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_name.lower()).strip("_")[:_MAX_NAME].rstrip("_")


def _values(sources: Sequence[Path], domains: Sequence[str], base: Recipe) -> dict[str, Any]:
    values: dict[str, Any] = {"from": base.name}
    names = {}
    for side, path, domain in zip("ab", sources, domains, strict=True):
        values[f"crawl_{side}"] = {"domain": domain, "phrases": [], "folders": [str(path)]}
        if _CHINESE.search(path.name):
            names[f"chinese_name_{side}"] = _SUFFIXES.sub("", path.name)[:_MAX_CHINESE]
    return values | ({"prepare": names} if names else {})


def _recipe_names(domains: Sequence[str]) -> Iterator[str]:
    """The names that the recipe may have, in order; the first that is free or its own is taken."""
    half = (_MAX_NAME - 4) // 2
    name = "-".join(domain.replace("_", "-")[:half].rstrip("-") for domain in domains)
    return itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))


def _is_of(recipe: Recipe, values: dict[str, Any]) -> bool:
    crawls = (recipe.parameters.crawl_a, recipe.parameters.crawl_b)
    folders = [list(crawl.folders) for crawl in crawls]
    sources = [values[f"crawl_{side}"]["folders"] for side in "ab"]
    return recipe.base == values["from"] and folders == sources
