"""KID of the eyes alone and of the mouth alone, where faces are aligned.

Make-up is a few strokes around eyes and mouth, which hardly change the KID of whole faces. Aligned
crops have eyes and mouth at the same place, so that one window holds the eyes of all pictures, and
one the mouths. The windows are as exact as the alignment: faces near the edge of their photograph
are up to ``max_zoom`` times larger.
"""

from __future__ import annotations

from evaluation.figures import Figures
from evaluation.metrics.distances import LEAST_FOR_DISTANCES, compare_kid, kid_figure
from evaluation.metrics.measurement import Measurement
from preprocessing.analysis.face_windows import Alignment, Window

# In distances between the eyes: the window's centre below the eyes, half its width and height.
_EYES = (-0.10, 1.00, 0.45)  # with lids and brows
_MOUTH = (1.05, 0.62, 0.42)


def windows(alignment: Alignment) -> dict[str, Window]:
    """The windows ``eyes`` and ``mouth`` in crops of this alignment."""
    return {
        name: alignment.window(*extent) for name, extent in (("eyes", _EYES), ("mouth", _MOUTH))
    }


def window_distances(data: Measurement) -> Figures:
    """``<window>_window_kid`` to the target's held-out pictures, with floor and ceiling.

    Returns no figures where faces are not aligned, or for too few pictures.
    """
    source, target = data.source.pictures, data.target.pictures
    if data.alignment is None or min(len(source), len(target)) < LEAST_FOR_DISTANCES:
        return {}
    num, seed = data.config.num_bootstrap, data.config.seed
    train = data.target.load_train_pictures()
    figures: Figures = {}
    for name, window in windows(data.alignment).items():
        real = data.extract(window.cut(target))
        kid = compare_kid(
            data.extract(window.cut(data.outputs.translated)),
            data.extract(window.cut(source)),
            real,
            num,
            seed,
        )
        key = f"{name}_window_kid"
        figures |= {key: kid.translated, f"{key}_baseline": kid.untranslated}
        if len(train) >= LEAST_FOR_DISTANCES:
            features = data.extract(window.cut(train))
            figures[f"{key}_ceiling"] = kid_figure(features, real, num, seed)
    return figures
