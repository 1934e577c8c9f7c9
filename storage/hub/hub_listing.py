"""The files of a repository on a hub, and which of them a model consists of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core.commands import suyan_command
from core.errors import SuyanError
from core.language.messages import localised
from core.workspace_folders import ModelFolder

_MEGABYTE = 1_000_000
_MAX_JSON_BYTES = 8 * _MEGABYTE
_MAX_WEIGHT_BYTES = 1000 * _MEGABYTE  # of a network; the largest that can be trained has 700 MB
_MAX_LISTED = 10_000  # files of a repository
_MODEL = ModelFolder(Path())
_NETWORKS = ("G_A", "G_B", "D_A", "D_B")
MODEL_FILES: Mapping[str, int] = {
    **{_MODEL.weights(name).name: _MAX_WEIGHT_BYTES for name in _NETWORKS},
    _MODEL.training_statistics.name: _MAX_WEIGHT_BYTES,
    **{
        path.name: _MAX_JSON_BYTES
        for path in (_MODEL.config, _MODEL.prepare, _MODEL.strengths, _MODEL.scores, _MODEL.lineage)
    },
}
"""The files of a model, and how long each may be, bytes. No other file is ever fetched."""


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it, with what its content is checked by."""

    path: str
    num_bytes: int
    sha256: str = ""  # 64 hex digits; "" where the hub states the other digest
    git_sha1: str = ""  # of a git blob, 40 hex digits


def model_files(listed: Iterable[HubFile], where: str) -> list[HubFile]:
    """The files of a model among those of a repository, by name.

    Raises ``SuyanError`` for a repository that is no model, or that no honest hub would show: names
    that lead out of a folder, lengths that no model has, files without a digest.
    """
    listed = list(listed)
    if len(listed) > _MAX_LISTED:
        raise SuyanError(
            localised(
                "{where}: found {num:,} files, needed a model of at most {max_listed:,}",
                where=where,
                num=len(listed),
                max_listed=_MAX_LISTED,
            ),
            remedy=localised("Look at the repository before you trust it, and name another one"),
        )
    for file in listed:
        parts = PurePosixPath(file.path).parts
        if not parts or file.path.startswith("/") or "\\" in file.path or ".." in parts:
            raise SuyanError(
                localised(
                    "{where}: found a file {path!r}, needed names that stay in their folder",
                    where=where,
                    path=file.path,
                ),
                remedy=localised("The repository is damaged or hostile: name another one"),
            )
    files = [file for file in listed if file.path in MODEL_FILES]
    _require_model(files, where)
    for file in files:
        most = MODEL_FILES[file.path]
        if not 0 <= file.num_bytes <= most:
            raise SuyanError(
                localised(
                    "{where}: {path} has {num_bytes:,} bytes, needed at most {most:,}",
                    where=where,
                    path=file.path,
                    num_bytes=file.num_bytes,
                    most=most,
                ),
                remedy=localised("No model of Suyan is that long: name another repository"),
            )
        if not re.fullmatch("[0-9a-f]{64}", file.sha256) and not re.fullmatch(
            "[0-9a-f]{40}", file.git_sha1
        ):
            raise SuyanError(
                localised(
                    "{where}: {path} is listed without a digest, needed one to check it by",
                    where=where,
                    path=file.path,
                ),
                remedy=localised("Ask the hub's operator, or set another endpoint"),
            )
    return sorted(files, key=lambda file: file.path)


def _require_model(files: list[HubFile], where: str) -> None:
    names = {file.path for file in files}
    generators = {_MODEL.weights(name).name for name in ("G_A", "G_B")}
    if _MODEL.config.name not in names or not names & generators:
        raise SuyanError(
            localised(
                "{where}: found {names}, needed config.json and G_A.safetensors or G_B.safetensors",
                where=where,
                names=", ".join(sorted(names)) or localised("no file of a model"),
            ),
            remedy=localised(
                "Name a repository that '{command}' wrote", command=suyan_command("publish")
            ),
        )
