"""What a translation keeps of its input: content, by features, and identity, by face embeddings.

For such figures the untranslated input is perfect, and a real picture of the target, drawn at
random, keeps nothing: a good translation changes the domain and stays near the first.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.config import EvaluateConfig
from evaluation.metrics.intervals import mean_figure, share_figure

Array = NDArray[np.float64]


def similarity(x: Array, y: Array) -> Array:
    """Cosine of every row of ``x`` ``[N, D]`` with every row of ``y`` ``[M, D]``: ``[N, M]``.

    Each set is taken about its own mean, so that what all its pictures share, the domain, does not
    count: 1 is the same content, 0 is unrelated.
    """
    a, b = (_directions(z - z.mean(axis=0)) for z in (x, y))
    return np.asarray(a @ b.T)


def _directions(z: Array) -> Array:
    return np.asarray(z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12))


def content_scores(
    config: EvaluateConfig, inputs: Array, translated: Array, target_test: Array
) -> dict[str, Any]:
    """Content similarity of input and translation, and how often each finds its own input.

    ``content_found`` is the share of translations nearer to their own input than to any other one.
    """
    num, seed = config.num_bootstrap, config.seed
    pairs = similarity(translated, inputs)
    itself = similarity(inputs, inputs)
    random = similarity(inputs, target_test).mean(axis=1)
    found = (pairs.argmax(axis=1) == np.arange(len(pairs))).astype(np.float64)
    return {
        "content": asdict(mean_figure(np.diagonal(pairs).copy(), num, seed)),
        "content_baseline": asdict(mean_figure(np.diagonal(itself).copy(), num, seed)),
        "content_ceiling": asdict(mean_figure(random, num, seed)),
        "content_found": asdict(share_figure(found)),
        "content_found_baseline": 1.0,
        "content_found_ceiling": 1 / len(inputs),
    }


def identity_scores(
    config: EvaluateConfig, inputs: Array, translated: Array, target_test: Array
) -> dict[str, Any]:
    """Distance of face embeddings ``[N, 128]`` (rows of NaN without a face) to the input's.

    dlib's network calls two pictures the same person below about 0.6.
    """
    num, seed = config.num_bootstrap, config.seed
    seen = np.isfinite(inputs).all(axis=1) & np.isfinite(translated).all(axis=1)
    others = target_test[np.isfinite(target_test).all(axis=1)]
    if seen.sum() < 2 or len(others) < 2:
        return {}
    x, y = inputs[seen], translated[seen]
    random = np.linalg.norm(x[:, None] - others[None], axis=2).mean(axis=1)
    return {
        "identity": asdict(mean_figure(np.linalg.norm(x - y, axis=1), num, seed)),
        "identity_baseline": 0.0,
        "identity_ceiling": asdict(mean_figure(random, num, seed)),
    }
