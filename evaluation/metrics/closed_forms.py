"""Translations without a network: what a model must beat before it can be said to have learned.

A constant tint adds one colour to every pixel. Monge–Kantorovich transport is the linear map that
gives one Gaussian the mean and covariance of another at the least squared change (Pitié and Kokaram
2007, doi:10.1049/cp:20070055). It maps the colours of whole pictures, or of lips, eyes and cheeks.
All are fitted on the training pictures of both domains and applied to held-out inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.arrays import Array, Pictures
from evaluation.features.classifier import LEAST_TO_JUDGE
from evaluation.figures import Figures
from evaluation.metrics.distances import LEAST_FOR_DISTANCES, compare_kid, fid_figure
from evaluation.metrics.intervals import share_figure
from evaluation.metrics.measurement import Measurement, Side
from evaluation.metrics.metric_meanings import ClosedForm
from evaluation.metrics.regions import LEAST_FACES
from preprocessing.analysis.face_mesh import Points
from preprocessing.analysis.face_regions import REGIONS, masks
from preprocessing.images.colour_maps import (
    ColourMap,
    Moments,
    fit_tint,
    fit_transport,
    moments,
)


def translate_whole(pictures: Pictures, colour_map: ColourMap) -> Pictures:
    """``[N, H, W, 3]`` pictures, every pixel by ``colour_map``."""
    translated = np.empty_like(pictures)
    for index, picture in enumerate(pictures):
        translated[index] = _rounded(colour_map(picture.astype(np.float64)))
    return translated


def translate_regions(
    pictures: Pictures, meshes: Sequence[Points | None], maps: Mapping[str, ColourMap]
) -> Pictures:
    """``[N, px, px, 3]`` pictures, each region of a face by its map; all else stays as it is."""
    translated = pictures.copy()
    for index, mesh in enumerate(meshes):
        if mesh is None:
            continue
        colours = pictures[index].astype(np.float64)
        weights = masks(mesh, pictures.shape[1])
        change = [weights[name][..., None] * (maps[name](colours) - colours) for name in maps]
        translated[index] = _rounded(colours + np.sum(change, axis=0))
    return translated


def _rounded(colours: Array) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(colours), 0, 255), np.uint8)


def closed_form_distances(data: Measurement) -> Figures:
    """KID, FID and passes for the target of each closed form, under ``<form>_<metric>``.

    ``<form>_kid_change`` is the paired change of KID, the model's minus the closed form's. Nothing
    for too few held-out pictures.
    """
    source, target = data.source, data.target
    if min(len(source.rows), len(target.rows)) < LEAST_FOR_DISTANCES:
        return {}
    num, seed = data.config.num_bootstrap, data.config.seed
    real, model = target.features["offline"], data.outputs.features["offline"]
    figures: Figures = {}
    for form, pictures in closed_form_translations(source, target):
        features = data.extract(pictures)
        kid = compare_kid(model, features, real, num, seed)
        figures |= {
            f"{form}_kid": kid.untranslated,
            f"{form}_kid_change": kid.change,
            f"{form}_fid": fid_figure(features, real, num, seed),
        }
        if data.classifier is not None and min(len(features), len(real)) >= LEAST_TO_JUDGE:
            passes = data.classifier.passes(features, data.target_name)
            figures[f"{form}_domain_success"] = share_figure(passes)
    return figures


def closed_form_translations(source: Side, target: Side) -> Iterator[tuple[ClosedForm, Pictures]]:
    """The held-out pictures of ``source`` by each closed form that can be fitted."""
    before, after = _moments_by_region(source), _moments_by_region(target)
    if "whole" in before and "whole" in after:
        sides = before["whole"], after["whole"]
        yield ClosedForm.TINT, translate_whole(source.pictures, fit_tint(*sides))
        yield ClosedForm.TRANSPORT, translate_whole(source.pictures, fit_transport(*sides))
    maps = {
        name: fit_transport(before[name], after[name])
        for name in REGIONS
        if name in before and name in after
    }
    if maps and sum(mesh is not None for mesh in source.meshes) >= LEAST_FACES:
        translated = translate_regions(source.pictures, source.meshes, maps)
        yield ClosedForm.REGION_TRANSPORT, translated


def _moments_by_region(side: Side) -> dict[str, Moments]:
    """Moments of a side's training pictures: ``whole``, and each region that faces show."""
    pictures = side.load_train_pictures()
    if not len(pictures):
        return {}
    by_region = {"whole": moments(pictures, [None] * len(pictures))}
    faces = [
        (picture, masks(mesh, len(picture)))
        for picture, mesh in zip(pictures, side.train_meshes, strict=False)
        if mesh is not None
    ]
    if len(faces) >= LEAST_FACES:
        for name in REGIONS:
            weights = [weights[name] for _, weights in faces]
            if any(weight.any() for weight in weights):
                by_region[name] = moments((picture for picture, _ in faces), weights)
    return by_region
