"""The change of a face by region: lips, eyes and cheeks, compared with everything else.

The regions come from the face mesh of the *input*: a translation keeps the geometry, and a mesh of
its own would hide that a face moved. Colours are CIE L*a*b*; a difference of 2 is just visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.arrays import Array, Pictures
from evaluation.config import EvaluateConfig
from evaluation.figures import Figures
from evaluation.metrics.intervals import mean_distance_figure, mean_figure, ratio_figure
from evaluation.metrics.measurement import Measurement
from preprocessing.analysis.face_mesh import Points
from preprocessing.analysis.face_regions import REGIONS, masks, region_contrasts

LEAST_FACES = 5  # pictures with a face; with fewer the figures are left out


def _lab(picture: NDArray[np.uint8]) -> Array:
    """``[px, px, 3]`` uint8 RGB → L* (0 to 100), a*, b*."""
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab, dtype=np.float64)


def colour_change(
    before: Pictures, after: Pictures, meshes: Sequence[Points | None]
) -> dict[str, Array]:
    """Mean colour difference ΔE (CIE 1976) of each picture in lips, eyes, cheeks, all three
    (``made_up``) and outside: ``[N]`` each; NaN without a face.
    """
    names = (*REGIONS, "made_up", "outside")
    change = {name: np.full(len(meshes), np.nan) for name in names}
    for index, mesh in enumerate(meshes):
        if mesh is None:
            continue
        difference = np.linalg.norm(_lab(after[index]) - _lab(before[index]), axis=2)
        weights = masks(mesh, len(difference))
        for name in names:
            if weights[name].sum() > 0:
                change[name][index] = np.average(difference, weights=weights[name])
    return change


def contrasts(pictures: Pictures, meshes: Sequence[Points | None]) -> dict[str, Array]:
    """Colour of lips, eyes and cheeks less that of the face's other skin, so that the light
    matters little: ``[N, 3]`` each, in L*a*b*; NaN without a face.
    """
    contrast = {name: np.full((len(meshes), 3), np.nan) for name in REGIONS}
    for index, mesh in enumerate(meshes):
        if mesh is not None:
            for name, colour in region_contrasts(pictures[index], mesh).items():
                contrast[name][index] = colour
    return contrast


def change_scores(
    config: EvaluateConfig,
    inputs: Pictures,
    translated: Pictures,
    meshes: Sequence[Points | None],
) -> Figures:
    """Colour change by region, and its ratio inside and outside of the three regions.

    ``change_focus`` above 1 means that the change is concentrated on lips, eyes and cheeks. Returns
    no figures where fewer than five pictures show a face.
    """
    change = colour_change(inputs, translated, meshes)
    has_face = np.isfinite(change["made_up"]) & np.isfinite(change["outside"])
    if has_face.sum() < LEAST_FACES:
        return {}
    num, seed = config.num_bootstrap, config.seed
    figures: Figures = {}
    for name in (*REGIONS, "outside"):
        values = change[name][np.isfinite(change[name])]
        if len(values):
            figures[f"change_{name}"] = mean_figure(values, num, seed)
            figures[f"change_{name}_baseline"] = 0.0
    focus = ratio_figure(change["made_up"][has_face], change["outside"][has_face], num, seed)
    return figures | {"change_focus": focus, "num_faces": int(has_face.sum())}


def contrast_scores(
    config: EvaluateConfig,
    translated: Mapping[str, Array],
    inputs: Mapping[str, Array],
    target_test: Mapping[str, Array],
    target_train: Mapping[str, Array],
) -> Figures:
    """Distance ΔE between the mean contrast of each region and that of the target's real pictures.

    Arguments are ``contrasts`` of translated, untranslated and real pictures.
    """
    figures: Figures = {}
    for name in REGIONS:
        sets = {
            f"{name}_colour": translated[name],
            f"{name}_colour_baseline": inputs[name],
            f"{name}_colour_ceiling": target_train[name],
        }
        real = _finite(target_test[name])
        if min(len(real), *(len(_finite(points)) for points in sets.values())) < LEAST_FACES:
            continue
        figures |= {
            key: mean_distance_figure(_finite(points), real, config.num_bootstrap, config.seed)
            for key, points in sets.items()
        }
    return figures


def region_colours(data: Measurement) -> Figures:
    """``contrast_scores`` of this direction."""
    return contrast_scores(
        data.config,
        data.outputs.contrasts,
        data.source.contrasts,
        data.target.contrasts,
        data.target.train_contrasts,
    )


def region_changes(data: Measurement) -> Figures:
    """``change_scores`` of this direction."""
    source = data.source
    return change_scores(data.config, source.pictures, data.outputs.translated, source.meshes)


def _finite(points: Array) -> Array:
    return np.asarray(points[np.isfinite(points).all(axis=1)])
