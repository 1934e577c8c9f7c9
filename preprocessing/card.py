"""A dataset version's card: what it holds, what was left out and why, and how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from preprocessing.config import PrepareConfig
from scraping.records import atomic_file, write_json

_TILE_PX = 96
_COLUMNS, _ROWS = 10, 4


def write_card(
    dataset: Path,
    version: str,
    config: PrepareConfig,
    counts: Mapping[str, int],
    rejected: Mapping[str, Mapping[str, int]],
) -> None:
    """Write ``card.json``, ``card.md`` and a contact sheet (JPEG) of each folder."""
    card = {
        "version": version,
        "domains": {"A": config.domain_a, "B": config.domain_b},
        "counts": dict(counts),
        "rejected": {side: dict(reasons) for side, reasons in rejected.items()},
        "crop_px": config.crop_px,
        "faces": config.faces,
    }
    write_json(dataset / "card.json", card)
    with atomic_file(dataset / "card.md") as file:
        file.write(_markdown(version, config, counts, rejected).encode())
    for folder in counts:
        _contact_sheet(dataset / folder, dataset / f"contact-{folder}.jpg")


def _markdown(
    version: str,
    config: PrepareConfig,
    counts: Mapping[str, int],
    rejected: Mapping[str, Mapping[str, int]],
) -> str:
    lines = [
        f"# Dataset {version}",
        "",
        f"{'Aligned faces' if config.faces else 'Whole pictures'}, {config.crop_px} px.",
        "",
        "| side | domain | train | test | rejected |",
        "|---|---|---:|---:|---:|",
    ]
    for side, domain in (("A", config.domain_a), ("B", config.domain_b)):
        lines.append(
            f"| {side} | {domain} | {counts[f'train{side}']} | {counts[f'test{side}']} "
            f"| {sum(rejected[side].values())} |"
        )
    lines += ["", "| rejected because | A | B |", "|---|---:|---:|"]
    for reason in sorted({*rejected["A"], *rejected["B"]}):
        lines.append(
            f"| {reason} | {rejected['A'].get(reason, 0)} | {rejected['B'].get(reason, 0)} |"
        )
    return "\n".join([*lines, ""])


def _contact_sheet(folder: Path, sheet: Path) -> None:
    """The first pictures of ``folder`` in one JPEG; none when it is empty."""
    tiles = []
    for path in sorted(folder.glob("*.png"))[: _COLUMNS * _ROWS]:
        with Image.open(path) as image:
            tiles.append(np.asarray(image.convert("RGB").resize((_TILE_PX, _TILE_PX))))
    if not tiles:
        return
    rows = -(-len(tiles) // _COLUMNS)
    grid = np.full((rows * _TILE_PX, _COLUMNS * _TILE_PX, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // _COLUMNS * _TILE_PX, index % _COLUMNS * _TILE_PX
        grid[top : top + _TILE_PX, left : left + _TILE_PX] = tile
    with atomic_file(sheet) as file:
        Image.fromarray(grid).save(file, "JPEG", quality=88)
