"""The true counterpart of every portrait of a corpus; only evaluation may use it.

``truth/truth.parquet`` has the columns ``sha256`` (of the served file) and ``counterpart`` (a JPEG
in the folder, with the geometry of the served picture).
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.files import atomic_file
from core.pictures import map_in_threads
from core.progress import Progress, silent
from scraping.offline.corpus import Corpus, Item, jpeg


def has_truth(corpus: Corpus, table: Path) -> bool:
    """Whether ``table``, a ``truth.parquet``, has a row for every portrait of ``corpus``."""
    return table.is_file() and pq.read_metadata(table).num_rows >= len(_portraits(corpus))


def write_truth(corpus: Corpus, folder: Path, *, progress: Progress = silent) -> None:
    """Draw every counterpart into ``folder``, on all cores; write the table last."""
    items = _portraits(corpus)
    rows = []
    for row in map_in_threads(partial(_write_counterpart, folder), items):
        rows.append(row)
        progress("draw the truth", len(rows), len(items), "")
    with atomic_file(folder / "truth.parquet") as file:
        pq.write_table(pa.Table.from_pylist(rows), file)


def _portraits(corpus: Corpus) -> list[Item]:
    return [item for items in corpus.items.values() for item in items if item.pair is not None]


def _write_counterpart(folder: Path, item: Item) -> dict[str, str]:
    """Write the counterpart of ``item``; returns its row of the table."""
    counterpart = jpeg(item.truth(), 95)
    sha256 = hashlib.sha256(item.body).hexdigest()
    name = f"{sha256}.jpg"
    with atomic_file(folder / name) as file:
        file.write(counterpart)
    return {"sha256": sha256, "counterpart": name}
