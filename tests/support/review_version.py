"""A dataset version for tests of the review, written without a preparation."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image

from core.files import write_json
from core.tables import Picture, write_rows
from core.workspace import Workspace
from core.workspace_folders import SPLITS, DatasetFolder
from preprocessing.config import PrepareConfig

CONFIG = PrepareConfig(domain_a="makeup", domain_b="bare", crop_px=64)
_REASONS = ("covered", "blurred", "no-face", "several-faces", "junk-of-tomorrow")
_NUM_COLOURS = 32


def write_version(
    workspace: Workspace, num: int = 40, *, name: str = "makeup-bare-0123456789ab"
) -> DatasetFolder:
    """A version of ``num`` originals: of ten, six are used, one is a copy, three are rejected."""
    dataset = workspace.dataset(name)
    for split in SPLITS:
        dataset.split(split).mkdir(parents=True)
    write_json(dataset.config, CONFIG.model_dump(mode="json"))
    write_rows(dataset.manifest, Picture, _rows(workspace, dataset, num))
    return dataset


def names_of(num: int) -> list[str]:
    """The sha256 of the originals, by their numbers."""
    return [hashlib.sha256(f"original {number}".encode()).hexdigest() for number in range(num)]


def _rows(workspace: Workspace, dataset: DatasetFolder, num: int) -> Iterator[Picture]:
    files = [_png(number) for number in range(_NUM_COLOURS)]
    names = names_of(num)
    for number, name in enumerate(names):
        side = "AB"[number % 2]
        original = workspace.original(name, "png")
        original.parent.mkdir(parents=True, exist_ok=True)
        original.write_bytes(files[number % _NUM_COLOURS])
        place = number % 10
        reason, cluster = "", name
        if place == 6:
            reason, cluster = f"duplicate-of:{names[number - 1]}", names[number - 1]
        elif place > 6:
            reason = _REASONS[(number // 10 + place) % len(_REASONS)]
        file = "" if reason else f"train{side}/{name[:16]}.png"
        if file:
            (dataset.path / file).write_bytes(files[number % _NUM_COLOURS])
        has_face = reason not in {"no-face", "several-faces"}
        yield Picture(
            sha256=name, domain="makeup" if side == "A" else "bare", side=side,
            split="" if reason else "train", file=file, status="rejected" if reason else "ok",
            reason=reason, cluster=cluster, phash="", face_phash="", width=96, height=128,
            keypoints=[], transform=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0] if has_face else [],
            sharpness=1000.0, phrase="<b>phrase</b>",
            url="http://x.example/", original=workspace.key(original),
            page_url="javascript:alert(1)", face=0 if has_face else -1,
            box=[10.0, 10.0, 60.0, 60.0] if has_face else [],
            covered=0.9 - number / (2 * num) if reason == "covered" else number / (4 * num),
        )  # fmt: skip


def _png(number: int) -> bytes:
    rng = np.random.default_rng(number)
    coarse = rng.integers(60, 250, (4, 3, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((96, 128), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
