"""The record of forgotten pictures: what must not be left anywhere in a workspace.

The catalogue's tombstones keep pictures from coming back; this file is for the later stages, which
do not need the catalogue. All machines of a bucket share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from core.files import load_json, write_json
from core.language.messages import localised
from core.locks import file_lock
from core.workspace import Workspace
from storage import synced_files

NUM_DIGITS = 16
"""Digits of an original's sha256 with which the names of its crops and previews begin."""


@dataclass(frozen=True)
class RemovedVersion:
    """A dataset version that held a forgotten picture, and what its runs may show of it."""

    replacement: str = ""  # name of the version without the picture; "": none
    is_used: bool = False  # the picture was accepted: evaluations may show it
    is_trained_on: bool = False  # it was a training picture
    in_samples: bool = False  # the sample grids of its runs show it
    in_augmentation: bool = False  # the preview of augmentation shows it


@dataclass(frozen=True)
class ForgottenRecord:
    """The content of ``forgotten.json``."""

    pictures: frozenset[str] = frozenset()  # sha256 of originals
    copies: Mapping[str, int] = field(default_factory=dict)  # sha256 of files of them → bytes
    versions: Mapping[str, RemovedVersion] = field(default_factory=dict)  # by name
    pending: frozenset[str] = frozenset()  # targets whose removal has begun and not ended

    @property
    def heads(self) -> frozenset[str]:
        """The digits with which the names of files of these pictures begin."""
        return frozenset(sha256[:NUM_DIGITS] for sha256 in self.pictures)


def load_record(workspace: Workspace) -> ForgottenRecord:
    """The record; an empty one where nothing was forgotten. Pulls it from the bucket first.

    Raises ``ValueError`` for a file that is no such record: nothing may be trained on a guess.
    """
    synced_files.pull(workspace, workspace.forgotten)
    return _read(workspace)


def update_record(
    workspace: Workspace, change: Callable[[ForgottenRecord], ForgottenRecord]
) -> ForgottenRecord:
    """Change the record, here and in the bucket; returns the new one.

    Raises ``TransientError`` when another machine changed it meanwhile.
    """
    path = workspace.forgotten
    with (
        file_lock(path.with_name(f".{path.name}.lock")),
        synced_files.update(workspace, path),
    ):
        record = change(_read(workspace))
        values = asdict(record)
        for name in ("pictures", "pending"):
            values[name] = sorted(values[name])
        write_json(path, values)
    return record


def _read(workspace: Workspace) -> ForgottenRecord:
    path = workspace.forgotten
    try:
        values = load_json(path)
    except FileNotFoundError:
        return ForgottenRecord()
    try:
        return ForgottenRecord(
            pictures=frozenset(values["pictures"]),
            copies={str(sha256): int(size) for sha256, size in values["copies"].items()},
            versions={
                str(name): RemovedVersion(**version) for name, version in values["versions"].items()
            },
            pending=frozenset(values["pending"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            localised(
                "{path}: found no record of forgotten pictures ({error!r}), needed what the "
                "command forget wrote there; remove this file, and run it again",
                path=path,
                error=error,
            )
        ) from error
