"""Drawn places by day and night, two of them in one picture, and a crawl's listing of them."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.tables import Original, write_rows
from core.workspace import Workspace


def place(seed: int, *, night: bool, px: int = 96, grain: float = 3) -> NDArray[np.uint8]:
    """A picture of ``px`` × ``px``: dark at night, bright by day; ``grain`` in grey levels."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 45, (6, 6, 3)) + ((60, 70, 110) if night else (170, 160, 130))
    pixels = cv2.resize(coarse, (px, px), interpolation=cv2.INTER_CUBIC)
    pixels += rng.normal(0, grain, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def beside(*pictures: NDArray[np.uint8], line: int = 0) -> NDArray[np.uint8]:
    """Two pictures side by side, with a white line of so many pixels between them."""
    white = np.full((len(pictures[0]), line, 3), 255, np.uint8)
    return np.concatenate([pictures[0], white, pictures[1]], axis=1)


def png(picture: NDArray[np.uint8]) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def listing(workspace: Workspace, domain: str, files: Iterable[bytes]) -> Path:
    """Store the PNG files as a crawl would; returns the listing's file."""
    rows = []
    for number, content in enumerate(files):
        sha256 = hashlib.sha256(content).hexdigest()
        path = workspace.folder / "originals" / sha256[:2] / f"{sha256}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        rows.append(
            Original(domain, "phrase", f"http://x/{number}", "objURL", "", "", sha256,
                     str(path.relative_to(workspace.folder)), len(content), "ok", "", "2026-01-01")
        )  # fmt: skip
    path = workspace.folder / f"{domain}.parquet"
    write_rows(path, Original, rows)
    return path


def sha256_of(picture: NDArray[np.uint8]) -> str:
    """The sha256 of the picture's PNG file."""
    return hashlib.sha256(png(picture)).hexdigest()
