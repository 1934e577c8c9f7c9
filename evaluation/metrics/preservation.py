"""Preservation of the input by a translation: of content, by features; of identity, by embeddings.

By these metrics the untranslated input is perfect, and a random real picture of the target
preserves nothing: a good translation changes the domain and stays near the untranslated input.
"""

from __future__ import annotations

import numpy as np

from evaluation.arrays import Array
from evaluation.config import EvaluateConfig
from evaluation.figures import Figures
from evaluation.metrics.intervals import mean_figure, share_figure
from evaluation.metrics.measurement import Measurement


def similarity(x: Array, y: Array) -> Array:
    """Cosine of every row of ``x`` ``[N, D]`` with every row of ``y`` ``[M, D]``: ``[N, M]``.

    Each set is centred on its own mean, so that the domain, which all its pictures share, does not
    count: 1 is the same content, 0 is unrelated.
    """
    a, b = (_directions(z - z.mean(axis=0)) for z in (x, y))
    return np.asarray(a @ b.T)


def _directions(z: Array) -> Array:
    return np.asarray(z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12))


def content(data: Measurement) -> Figures:
    """``content_scores`` of this direction; nothing for a single picture."""
    if len(data.source.rows) < 2:
        return {}
    return content_scores(
        data.config,
        data.source.features["offline"],
        data.outputs.features["offline"],
        data.target.features["offline"],
    )


def identity(data: Measurement) -> Figures:
    """``identity_scores`` of this direction; nothing without the network of embeddings."""
    inputs, translated = data.source.embeddings, data.outputs.embeddings
    if inputs is None or translated is None or data.target.embeddings is None:
        return {}
    return identity_scores(data.config, inputs, translated, data.target.embeddings)


def content_scores(
    config: EvaluateConfig, inputs: Array, translated: Array, target_test: Array
) -> Figures:
    """Content similarity of input and translation, and ``content_found``.

    ``content_found`` is the share of translations nearer to their own input than to any other one.
    """
    num, seed = config.num_bootstrap, config.seed
    pairs = similarity(translated, inputs)
    itself = similarity(inputs, inputs)
    random = similarity(inputs, target_test).mean(axis=1)
    nearest_is_own = (pairs.argmax(axis=1) == np.arange(len(pairs))).astype(np.float64)
    return {
        "content": mean_figure(np.diagonal(pairs).copy(), num, seed),
        "content_baseline": mean_figure(np.diagonal(itself).copy(), num, seed),
        "content_ceiling": mean_figure(random, num, seed),
        "content_found": share_figure(nearest_is_own),
        "content_found_baseline": 1.0,
        "content_found_ceiling": 1 / len(inputs),
    }


def identity_scores(
    config: EvaluateConfig, inputs: Array, translated: Array, target_test: Array
) -> Figures:
    """Distance between the face embeddings ``[N, 128]`` of translation and input.

    Rows without a face are NaN. dlib's network takes pictures less than about 0.6 apart for the
    same person.
    """
    num, seed = config.num_bootstrap, config.seed
    embedded = np.isfinite(inputs).all(axis=1) & np.isfinite(translated).all(axis=1)
    strangers = target_test[np.isfinite(target_test).all(axis=1)]
    if embedded.sum() < 2 or len(strangers) < 2:
        return {}
    x, y = inputs[embedded], translated[embedded]
    random = np.linalg.norm(x[:, None] - strangers[None], axis=2).mean(axis=1)
    return {
        "identity": mean_figure(np.linalg.norm(x - y, axis=1), num, seed),
        "identity_baseline": 0.0,
        "identity_ceiling": mean_figure(random, num, seed),
    }
