"""A dataset version of drawn people, prepared as a crawl's would be, with the true counterparts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.tables import Original, write_rows
from core.workspace import Workspace

SIDES = {"A": "makeup", "B": "bare"}
_FIRST_SEEDS = {"makeup": 53_000_000, "bare": 54_000_000}  # nobody of the demo, and no one twice


def prepare_drawn(workspace: Workspace, num: int, *, test_fraction: float, px: int) -> Path:
    """Draw ``num`` people a side and prepare them; returns the dataset version's folder.

    ``workspace.truth`` gets the counterparts, as ``suyan demo`` has them.
    """
    from preprocessing.config import PrepareConfig
    from preprocessing.prepare import prepare

    listings, truth = [], []
    for domain in SIDES.values():
        rows = list(_originals(workspace, domain, num, truth))
        listings.append(workspace.folder / f"{domain}.parquet")
        write_rows(listings[-1], Original, rows)
    pq.write_table(pa.Table.from_pylist(truth), workspace.truth_table)
    config = PrepareConfig(
        domain_a="makeup", domain_b="bare", crop_px=px, test_fraction=test_fraction, min_images=2
    )
    return prepare(config, *listings, workspace).dataset


def _originals(
    workspace: Workspace, domain: str, num: int, truth: list[dict[str, str]]
) -> Iterator[Original]:
    from scraping.offline.corpus import jpeg, portrait

    other = next(name for name in SIDES.values() if name != domain)
    workspace.truth.mkdir(parents=True, exist_ok=True)
    for number in range(num):
        seed = _FIRST_SEEDS[domain] + number
        row = store_original(workspace, domain, number, jpeg(portrait(domain, seed)))
        counterpart = f"{row.sha256}.jpg"
        (workspace.truth / counterpart).write_bytes(jpeg(portrait(other, seed), 95))
        truth.append({"sha256": row.sha256, "counterpart": counterpart})
        yield row


def store_original(workspace: Workspace, domain: str, number: int, body: bytes) -> Original:
    """The listing's row of a JPEG, which is stored by its content as a crawl's would be."""
    sha256 = hashlib.sha256(body).hexdigest()
    file = workspace.folder / "originals" / f"{sha256}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)
    return Original(
        domain, "phrase", "", "objURL", "", "", sha256, f"originals/{file.name}", 1, "ok", "",
        f"2026-01-01T00:00:{number:06}",
    )  # fmt: skip
