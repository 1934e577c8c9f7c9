"""Refuses datasets with pictures that were forgotten: nothing is trained or measured on them."""

from __future__ import annotations

from pathlib import Path

from core.commands import suyan_command
from core.errors import SuyanError
from core.language.messages import localised
from core.pictures import find_pictures
from core.progress import counted
from core.tables import Picture, iter_rows
from core.workspace import Workspace
from core.workspace_folders import SPLITS, DatasetFolder
from flows.removal.copy_names import is_named_after
from flows.removal.file_copies import digests_of
from scraping.forget import forgotten_digests
from storage.forgotten_record import ForgottenRecord, load_record
from storage.remote import is_shared

_MAX_NAMES = 3  # in a message
_NUM_PRINTED_DIGITS = 16


def require_none_forgotten(dataset: Path, workspace: Workspace) -> None:
    """Raise ``SuyanError`` for a dataset that holds a picture which was forgotten in ``workspace``.

    Of a dataset version the manifest tells; in a person's own folder, files with the name or the
    content of a removed copy are looked for.
    """
    record, folder = load_record(workspace), DatasetFolder(dataset)
    pictures = set(record.pictures)
    if not is_shared(workspace):  # machines that only train need no catalogue
        pictures |= forgotten_digests(workspace)
    if not pictures:
        return
    if folder.manifest.exists():
        rows = iter_rows(folder.manifest, Picture)
        names = sorted({row.sha256[:_NUM_PRINTED_DIGITS] for row in rows if row.sha256 in pictures})
        remedy = (
            f"Mend it: {suyan_command('forget', '--yes', workspace=workspace)} ; then use the "
            "version that replaces it"
        )
    else:
        names = _copies_in(folder, record)
        remedy = "Remove these files from it"
    if names:
        listed = ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
        raise SuyanError(
            localised(
                "{dataset}: found {pictures} in it that forget was to remove ({listed}), "
                "needed a dataset without them",
                dataset=dataset,
                pictures=counted(len(names), "picture"),
                listed=listed,
            ),
            remedy=remedy,
        )


def _copies_in(folder: DatasetFolder, record: ForgottenRecord) -> list[str]:
    """Files of a person's own folder, by their paths in it, that are copies."""
    names, sizes = [], set(record.copies.values())
    for split in SPLITS:
        for path in find_pictures(folder.split(split)):
            is_copy = is_named_after(path.name, record.heads)
            if not is_copy and path.stat().st_size in sizes:
                is_copy = not digests_of([path]).keys().isdisjoint(record.copies)
            if is_copy:
                names.append(path.relative_to(folder.path).as_posix())
    return names
