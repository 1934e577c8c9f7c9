"""A dataset version as folders of pictures with a ``metadata.jsonl`` in each split."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from core.files import atomic_file, canonical_json
from core.progress import Progress
from core.tables import Picture
from preprocessing.exports.exported_row import exported_row, picture_name

METADATA_NAME = "metadata.jsonl"
"""The file of a split that describes its pictures, a line each."""


def write_folders(dataset: Path, rows: Sequence[Picture], folder: Path, progress: Progress) -> None:
    """Write ``<split>/<domain>/<name>.png`` and ``<split>/metadata.jsonl``.

    A line has ``file_name`` (relative to the split), ``label`` (the domain's name) and the columns
    of ``COLUMNS``; Hugging Face's image folders and FiftyOne read it.
    """
    for done, row in enumerate(rows, 1):
        target = folder / row.split / row.domain / picture_name(row)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset / row.file, target)
        progress("export", done, len(rows), "")
    for split in sorted({row.split for row in rows}):
        with atomic_file(folder / split / METADATA_NAME) as file:
            for row in rows:
                if row.split == split:
                    name = {"file_name": f"{row.domain}/{picture_name(row)}", "label": row.domain}
                    file.write(f"{canonical_json({**name, **exported_row(row)})}\n".encode())
