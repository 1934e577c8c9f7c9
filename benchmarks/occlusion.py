"""The filter of covered faces: the share that is found, and the share of bare faces that is
rejected.

Faces come from the pictures in shared/data: with and without masks (``webfaces_mask``, a few of
which lie in the wrong folder), and with and without make-up. Each is judged by a model that was
fitted without it and without anything that looks like it; faces of ``makeup128``, whose terms allow
only research, are judged and never fitted to. It is compared with a rule of colours only: a mouth
is redder than skin, a jaw as yellow as cheeks.

``--fit`` writes the weights that preparation uses.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import peers
from numpy.typing import NDArray
from photographs import DATA

from core.pictures import Rejected, read_reduced
from preprocessing.analysis.analyse import aligned_face
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.occlusion import features
from scraping.offline.portraits import Makeup, Person, Shot, draw

_WEIGHTS = Path(__file__).resolve().parents[1] / "preprocessing" / "analysis" / "occlusion.json"
_MASKED, _BARE = ("webfaces_mask/A",), ("webfaces_mask/B", "makeup_photos/A", "makeup_photos/B")
_STRANGERS = ("makeup128/A", "makeup128/B")
_WRONG = {  # of webfaces_mask: bare in A, masked in B
    "with_mask221.jpg",
    "2020-06-23-120241.jpg",
    "2020-06-23-120241 (copy).jpg",
    "2020-06-23-120241 (another copy).jpg",
}
_FOLDS = 8
_ALIKE = 0.95  # correlation of thumbnails from which two faces are in one fold
_STRENGTH = 0.01  # of the regularisation, as scikit-learn counts it: smaller is stronger
_LEAST_PX = 60  # of a face
_DRAWN = 60  # faces

Face = NDArray[np.uint8]


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer of the faces with make-up")
    arguments.add_argument("--fit", action="store_true", help="write the weights")
    given = arguments.parse_args()
    peers.require("sklearn")
    if not DATA.is_dir():
        raise SystemExit(f"found no photographs in {DATA}, needed some with and without masks")
    labelled = [
        (face, masked != (path.name in _WRONG))
        for folders, masked in ((_MASKED, True), (_BARE, False))
        for path, face in _faces(folders)
    ]
    faces, covered = [face for face, _ in labelled], np.array([c for _, c in labelled])
    strangers = [face for _, face in _faces(_STRANGERS, step=8 if given.quick else 1)]
    groups = _groups(faces)
    sure = np.zeros(len(faces))
    for fold in range(_FOLDS):
        out = groups % _FOLDS == fold
        weights, bias = _fitted(
            [f for f, left in zip(faces, out, strict=True) if not left], covered[~out]
        )
        sure[out] = [
            features(f) @ weights + bias for f, left in zip(faces, out, strict=True) if left
        ]
    weights, bias = _fitted(faces, covered)
    others = np.array([features(face) @ weights + bias for face in strangers])
    by_colour, others_by_colour = (
        np.array([_by_colour(f) for f in some]) for some in (faces, strangers)
    )
    figures = {
        "covered": int(covered.sum()),
        "bare": int((~covered).sum()),
        "bare_with_and_without_make_up": len(strangers),
        "found": float((sure[covered] > 0).mean()),
        "bare_rejected": float((sure[~covered] > 0).mean()),
        "make_up_rejected": float((others > 0).mean()),
        "colour_found": float((by_colour[covered] > 1.4).mean()),
        "colour_bare_rejected": float((by_colour[~covered] > 1.4).mean()),
        "colour_make_up_rejected": float((others_by_colour > 1.4).mean()),
    }
    print(f"{'':14} {'covered found':>14} {'bare rejected':>14} {'make-up, never fitted to':>25}")
    for name, prefix in (("model", ""), ("colours alone", "colour_")):
        found, bare, made_up = (
            figures[prefix + kind] for kind in ("found", "bare_rejected", "make_up_rejected")
        )
        print(f"{name:14} {found:14.3f} {bare:14.3f} {made_up:25.3f}")
    if given.fit:
        values = {"bias": round(bias, 4), "weights": [round(w, 5) for w in weights.tolist()]}
        _WEIGHTS.write_text(json.dumps(values) + "\n")
        print(f"written: {_WEIGHTS.name}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def _faces(folders: tuple[str, ...], step: int = 1) -> Iterator[tuple[Path, Face]]:
    detector = FaceDetector()
    for folder in folders:
        for path in sorted((DATA / folder).iterdir())[::step]:
            decoded = read_reduced(path, max_pixels=6e7, enough_px=512)
            if not isinstance(decoded, Rejected):
                for face in detector.detect(decoded.pixels):
                    if face.side * decoded.factor >= _LEAST_PX:
                        yield path, aligned_face(decoded.pixels, face)


def _groups(faces: list[Face]) -> NDArray[np.int64]:
    """A number for each face, the same for those that look alike."""
    small = [cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (12, 12), interpolation=cv2.INTER_AREA)
             for f in faces]  # fmt: skip
    alike = np.corrcoef(np.array(small, np.float64).reshape(len(faces), -1)) > _ALIKE
    found = np.arange(len(faces))
    for one, other in np.argwhere(alike):
        found[found == found[other]] = found[one]
    return np.unique(found, return_inverse=True)[1]


def _fitted(faces: list[Face], covered: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of a logistic regression; each face also grey, darker and lighter, and
    some bare ones with a painted mask, as photographs have few colours of masks. Faces that are
    drawn, as the demo's, are bare too.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    drawn = _drawn()
    bare = [*(face for face, c in zip(faces, covered, strict=True) if not c), *drawn]
    painted = [_masked(face, rng) for face in bare[::3]]
    known = [*faces, *drawn, *painted]
    truth = np.repeat([*covered, *[False] * len(drawn), *[True] * len(painted)], 4)
    seen = np.array([features(variant) for face in known for variant in _variants(face)])
    mean, scale = seen.mean(axis=0), seen.std(axis=0)
    model = LogisticRegression(C=_STRENGTH, max_iter=3000)
    model.fit((seen - mean) / scale, truth)
    weights = model.coef_[0] / scale
    return weights, float(model.intercept_[0] - weights @ mean)


@functools.cache
def _drawn() -> list[Face]:
    detector, found = FaceDetector(), list[Face]()
    for seed in range(1000, 1000 + _DRAWN):
        picture = draw(
            Person.seeded(seed), Shot.seeded(seed), Makeup.seeded(seed) if seed % 2 else None
        )
        found += [aligned_face(picture, face) for face in detector.detect(picture)[:1]]
    return found


def _masked(face: Face, rng: np.random.Generator) -> Face:
    """The face with a mask of any colour from below its eyes to its chin, with folds."""
    side = len(face)
    outline = np.array(
        [(0.19, 0.53), (0.5, 0.47), (0.81, 0.53), (0.78, 0.81), (0.5, 0.98), (0.22, 0.81)]
    )
    outline += rng.normal(0, 0.02, outline.shape)
    colour = rng.uniform(0, 255) + rng.normal(0, 1, 3) * rng.choice([5, 60])
    folds = cv2.resize(rng.normal(0, rng.choice([3, 15]), (9, 3)), (side, side))[..., None]
    lit = np.linspace(rng.uniform(0.7, 1.1), rng.uniform(0.7, 1.1), side)[None, :, None]
    cloth = np.clip((colour + folds) * lit, 0, 255)
    inside = cv2.fillPoly(np.zeros((side, side)), [np.round(outline * side).astype(np.int32)], 1.0)
    inside = cv2.GaussianBlur(inside, (0, 0), 1.0)[..., None]
    return np.asarray(inside * cloth + (1 - inside) * face, np.uint8)


def _variants(face: Face) -> list[Face]:
    grey = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return [face, grey, cv2.convertScaleAbs(face, alpha=0.7), cv2.convertScaleAbs(face, alpha=1.2)]


def _by_colour(face: Face) -> float:
    """The colour distance of mouth and jaw from the skin above; a value above 1.4 counts as
    covered.
    """
    smooth = cv2.GaussianBlur(face, (0, 0), len(face) / 85).astype(np.float32) / 255
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)

    def median(*regions: tuple[float, float, float, float]) -> NDArray[np.float64]:
        side = len(lab)
        edges = [[round(share * side) for share in region] for region in regions]
        parts = [lab[top:bottom, left:right] for left, right, top, bottom in edges]
        return np.median(np.concatenate([part.reshape(-1, 3) for part in parts]), axis=0)

    upper = median((0.44, 0.56, 0.33, 0.50), (0.30, 0.41, 0.47, 0.55), (0.59, 0.70, 0.47, 0.55))
    jaw = median((0.27, 0.38, 0.67, 0.84), (0.62, 0.73, 0.67, 0.84))
    mouth = median((0.39, 0.61, 0.72, 0.88))
    return float(max((upper[1] - mouth[1]) / 4.0, (upper[2] - jaw[2]) / 10.0))


if __name__ == "__main__":
    main()
