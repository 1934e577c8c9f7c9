"""The card of an exported dataset: front matter for dataset hubs, and what a reader must know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from core.tables import Picture
from preprocessing.exports.exported_row import labels_of

_SIZES = (1000, 10_000, 100_000, 1_000_000)  # pictures; the hub's categories
_SIZE_NAMES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
_DRAWN = (
    "Every picture was drawn by the offline engine of Suyan: no photograph and no person is in it."
)
_PEOPLE = (
    "The pictures come from image searches and show people who were not asked. Do not publish "
    "them, identify nobody by them, and judge nobody's looks. Whoever passes the dataset on must "
    "have the right to: each picture keeps the licence of its page, where one is stated."
)
_COLUMNS = """| column | content |
|---|---|
| `image`, `label` | the crop, and its domain |
| `sha256` | of the original; the first 16 digits name the file |
| `domain`, `side`, `split` | as in Suyan's manifest |
| `phrases`, `url`, `page_url`, `sources` | where the original was found |
| `license`, `license_url`, `creator`, `attribution` | as the page states them, or empty |
| `cluster`, `phash` | near duplicates of each other share a cluster, and lie in one split |
| `keypoints`, `transform`, `box`, `crop_box` | where the crop lies in the original, px |
| `sharpness`, `profile`, `covered`, `face_score` | what the selection measured |"""


def dataset_card(
    version: str, rows: Sequence[Picture], crop_px: int | None, configs: Sequence[Mapping[str, Any]]
) -> str:
    """Markdown with front matter; ``configs`` says which files belong to which split, in the
    hub's form. The licence is "other", because each picture has its own.
    """
    labels = labels_of(rows)
    num = len(rows)
    metadata = {
        "license": "other",
        "license_name": "of-each-picture",
        "task_categories": ["image-to-image", "image-classification"],
        "tags": ["cyclegan", "unpaired", "suyan", *labels],
        "size_categories": [_SIZE_NAMES[sum(num >= limit for limit in _SIZES)]],
        "pretty_name": f"{' ⇄ '.join(labels)} ({version})",
        "configs": [dict(config) for config in configs],
    }
    front = yaml.safe_dump(metadata, allow_unicode=True, sort_keys=False)
    counts = Counter((row.split, row.domain) for row in rows)
    table = "\n".join(
        f"| {split} | {domain} | {count} |" for (split, domain), count in sorted(counts.items())
    )
    licenses = Counter(row.license or "none stated" for row in rows)
    listed = ", ".join(f"{name}: {count}" for name, count in licenses.most_common())
    size = f" of {crop_px} × {crop_px} px" if crop_px else ""
    return (
        f"---\n{front}---\n\n# {' ⇄ '.join(labels)}\n\n"
        f"{num} pictures{size} for unpaired translation, prepared by Suyan as `{version}`.\n\n"
        f"| split | domain | pictures |\n|---|---|---|\n{table}\n\n"
        f"{_DRAWN if all(row.is_drawn for row in rows) else _PEOPLE}\n\n"
        f"Licences: {listed}.\n\n## Columns\n\n{_COLUMNS}\n"
    )
