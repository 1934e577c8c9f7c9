"""The content of a training's pictures, by which a changed folder is another dataset."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.errors import FolderMismatchError
from core.files import file_sha256, load_json, write_json
from core.language.messages import localised
from core.pictures import find_pictures
from core.workspace_folders import DatasetFolder, RunFolder

Digests = Mapping[str, Mapping[str, str]]
"""``{"trainA": {"0.png": digest, …}, "trainB": …}``."""

_NUM_DIGITS = 16
_SIDES = ("trainA", "trainB")
_MAX_NAMES = 3  # of files in a message


def picture_digests(dataset: Path) -> Digests:
    """A digest of each picture file that is trained on, by side and path; "" for an unreadable one.

    In a dataset version, whose files are named after their content, all digests are "".
    """
    folder = DatasetFolder(dataset)
    digests: dict[str, dict[str, str]] = {}
    for side in _SIDES:
        paths = find_pictures(folder.split(side))
        names = [path.relative_to(folder.split(side)).as_posix() for path in paths]
        if folder.manifest.exists():
            digests[side] = dict.fromkeys(names, "")
            continue
        with ThreadPoolExecutor() as executor:
            digests[side] = dict(zip(names, executor.map(_digest, paths), strict=True))
    return digests


def claim_pictures(run: Path, dataset: Path) -> None:
    """Record the pictures that ``run`` is trained on, or check that they are those recorded.

    Raises ``FolderMismatchError`` that counts and names new, missing and changed files.
    """
    path = RunFolder(run).pictures
    present = picture_digests(dataset)
    if not path.exists():  # a new run, or one of an earlier version
        write_json(path, present)
        return
    differences = list(_differences(load_json(path), present))
    if differences:
        raise FolderMismatchError(
            localised(
                "{dataset} has changed since {run} was trained on it: {names}",
                dataset=dataset,
                run=run,
                names="; ".join(differences),
            ),
            remedy=localised(
                "Train into another folder, or give the old pictures back to go on with this run"
            ),
        )


def _digest(path: Path) -> str:
    with contextlib.suppress(OSError):
        return file_sha256(path)[:_NUM_DIGITS]
    return ""


def _differences(recorded: Digests, present: Digests) -> Iterator[str]:
    for side in _SIDES:
        old, new = recorded.get(side, {}), present[side]
        changed = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
        for kind, names in (
            ("new", sorted(new.keys() - old.keys())),
            ("missing", sorted(old.keys() - new.keys())),
            ("changed", changed),
        ):
            if names:
                more = ", …" if len(names) > _MAX_NAMES else ""
                yield f"{side} has {len(names)} {kind} ({', '.join(names[:_MAX_NAMES])}{more})"
