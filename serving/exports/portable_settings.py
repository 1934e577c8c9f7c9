"""What a program without Suyan must know of a model to run its ONNX files on photographs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.labels.ai_label import AiLabel
from serving.models import Direction, Model

SETTINGS_NAME = "settings.json"
"""The file's name, beside the ONNX files."""


def portable_settings(
    model: Model, files: Mapping[Direction, Path], work_px: int
) -> dict[str, Any]:
    """The settings as JSON: directions with their files, and how a photograph is prepared.

    ``work_px`` is the longer side at which the network sees a whole picture, px.
    """
    prepare, tiling = model.prepare, model.tiling
    chinese = dict(zip((prepare.domain_a, prepare.domain_b), prepare.chinese_names, strict=True))
    return {
        "model": model.name,
        "label": AiLabel(model=model.name).template(),
        "trained_on": str(model.trained_on),
        "directions": [
            {
                "file": file.name,
                "from": source,
                "to": target,
                "from_zh": chinese[source],
                "to_zh": chinese[target],
            }
            for direction, file in files.items()
            for source, target in [model.directions[direction]]
        ],
        "multiple": tiling.multiple,
        "least_px": tiling.least_px,
        "work_px": work_px,
        "faces": prepare.faces,
        "crop_px": prepare.crop_px,
        "eye_distance": prepare.eye_distance,
        "eye_height": prepare.eye_height,
    }
