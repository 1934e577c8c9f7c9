"""The true counterpart of every portrait of a corpus; only evaluation may use it.

``truth/truth.parquet`` has the columns ``sha256`` (of the served file) and ``counterpart`` (a JPEG
in the folder, with the geometry of the served picture).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.files import atomic_file
from core.progress import Progress, silent
from scraping.offline.corpus import Corpus, jpeg


def has_truth(corpus: Corpus, table: Path) -> bool:
    """Whether ``table``, a ``truth.parquet``, has a row for every portrait of ``corpus``."""
    num = sum(item.truth is not None for items in corpus.items.values() for item in items)
    return table.is_file() and pq.read_metadata(table).num_rows >= num


def write_truth(corpus: Corpus, folder: Path, *, progress: Progress = silent) -> None:
    """Draw every counterpart into ``folder``; write the table last."""
    rows = []
    items = [item for items in corpus.items.values() for item in items if item.truth is not None]
    for number, item in enumerate(items):
        assert item.truth is not None
        sha256 = hashlib.sha256(item.body).hexdigest()
        name = f"{sha256}.jpg"
        with atomic_file(folder / name) as file:
            file.write(jpeg(item.truth(), 95))
        rows.append({"sha256": sha256, "counterpart": name})
        progress("draw the truth", number + 1, len(items), "")
    with atomic_file(folder / "truth.parquet") as file:
        pq.write_table(pa.Table.from_pylist(rows), file)
