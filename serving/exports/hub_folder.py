"""The folder of a model as a hub gets it: weights as safetensors, configurations, card, picture."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.labels.ai_label import AiLabel
from core.picture_grid import save_jpeg
from core.workspace_folders import ModelFolder
from evaluation.model_registry.hub_card import hub_card
from evaluation.model_registry.model_card import load_facts
from serving.annotate import side_by_side
from serving.models import Model
from serving.translate import TranslateOptions, Translation, Translator
from storage.hub.hub_address import parse_hub_address
from storage.hub.hub_listing import MODEL_FILES
from training.run.starting_point import recorded_origin

PICTURE_NAME = "example.jpg"
"""A drawn picture before and after, so that no person is shown."""


def write_hub_folder(
    model: Model,
    folder: Path,
    example: NDArray[np.uint8],
    *,
    licence: str,
    dataset: str = "",
) -> None:
    """Copy the model's files into ``folder``, and write ``README.md`` and ``example.jpg``.

    ``example`` ``[H, W, 3]`` uint8 is the picture that is shown translated. What
    ``fetch_hub_model`` reads is all there. Needs the package huggingface_hub.
    """
    for name in MODEL_FILES:
        if (model.folder / name).is_file():
            shutil.copyfile(model.folder / name, folder / name)
    _write_picture(model, example, folder / PICTURE_NAME)
    facts = load_facts(ModelFolder(model.folder), model.name)
    base = _base_model(model.config.init_from)
    card = hub_card(facts, licence=licence, dataset=dataset, base_model=base, picture=PICTURE_NAME)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _base_model(origin: str) -> str:
    """The repository (user/name) that a training started from; "" for none on the hub."""
    name, _ = recorded_origin(origin)
    with contextlib.suppress(ValueError):
        address = parse_hub_address(name)
        return address.repo if address.scheme == "hf" else ""
    return ""


def _write_picture(model: Model, example: NDArray[np.uint8], path: Path) -> None:
    translator = Translator(model, next(iter(model.directions)))
    result = translator.translate(example, TranslateOptions())
    if not isinstance(result, Translation):  # the detector found no face in the drawing
        result = translator.translate(example, TranslateOptions(mode="whole"))
    if isinstance(result, Translation):
        pair = Image.fromarray(side_by_side(example, result.pixels))
        save_jpeg(path, pair, quality=90, label=AiLabel(model=model.name))
