"""Photographs for measurements: real ones if there are any, else drawn ones."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))  # for its helpers
_REAL = ("makeup_photos", "webfaces_mask", "makeup128")


def photographs(folders: list[Path], most: int, scratch: Path) -> list[Path]:
    """At most ``most`` picture files, evenly from the folders given (or from those in shared/data).

    Where there are none, portraits are drawn into ``scratch``.
    """
    wanted = folders or [DATA / name / side for name in _REAL for side in "AB"]
    found = [sorted(p for p in folder.rglob("*") if p.is_file()) for folder in wanted]
    total = sum(map(len, found))
    if total == 0:
        print("no photographs found: drawing some (their figures say less)", file=sys.stderr)
        return _drawn(min(most, 400), scratch)
    share = min(1.0, most / total)
    return [files[int(k / share)] for files in found for k in range(int(len(files) * share))]


def _drawn(num: int, folder: Path) -> list[Path]:
    from scraping.offline.portraits import Makeup, Person, Shot, draw

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in range(num):
        makeup = Makeup.seeded(seed) if seed % 2 else None
        pixels = np.asarray(draw(Person.seeded(seed), Shot.seeded(seed), makeup))
        paths.append(folder / f"{seed:04}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=92)
    return paths
