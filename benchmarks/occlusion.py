"""The filters of faces: the share of covered and of enlarged faces that is found, and the share of
bare ones that is rejected.

Faces come from the pictures in shared/data: with and without masks (``webfaces_mask``, a few of
which lie in the wrong folder), and with and without make-up. Each is judged by a model that was
fitted without it and without anything that looks like it. Faces of ``makeup128``, whose terms allow
only research, are judged and never fitted to, and so are the folders named with ``--masked`` and
``--bare``. It is compared with a rule of colours only: a mouth is redder than skin, a jaw as yellow
as cheeks.

For enlarged faces, sharp ones are reduced, encoded and enlarged again, so that their true size is
known. ``--fit`` writes the weights that preparation uses.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import peers
from numpy.typing import NDArray
from photographs import DATA

from core.pictures import Rejected, read_reduced
from preprocessing.analysis.analyse import aligned_face
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.analysis.occlusion import (
    EYE_DISTANCE,
    EYE_HEIGHT,
    WINDOW_PX,
    OcclusionClassifier,
    face_window,
)
from preprocessing.analysis.resolution import detail_px
from scraping.offline.portraits import Makeup, Person, Shot, draw

_WEIGHTS = Path(__file__).resolve().parents[1] / "preprocessing" / "analysis" / "occlusion.json"
_MASKED = ("webfaces_mask/A",)
_BARE = ("webfaces_mask/B", "makeup_photos/A", "makeup_photos/B")
_STRANGERS = ("makeup128/A", "makeup128/B")
_WRONG = {  # of webfaces_mask: bare in A; masked, or behind a hand, in B
    "with_mask221.jpg",
    "2020-06-23-120241.jpg",
    "2020-06-23-120241 (copy).jpg",
    "2020-06-23-120241 (another copy).jpg",
    "2020-06-23-120048.jpg",
    "2020-06-23-120048 (copy).jpg",
    "2020-06-23-120048 (another copy).jpg",
}
_FOLDS = 8
_MIN_SIMILARITY = 0.95  # correlation of thumbnails from which two faces are in one fold
_STRENGTH = 1e-4  # of the regularisation, as scikit-learn counts it: smaller is stronger
_MIN_FACE_PX = 60
_NUM_DRAWN = 60
_REDUCED_PX = (24, 32, 48, 64, 96)  # sides of faces before they are enlarged
_SHARP_PX = 200  # side of a face that is reduced

Picture = NDArray[np.uint8]
"""Pictures are ``[192, 192, 3]`` windows about a face unless said otherwise."""


@dataclass(frozen=True)
class Face:
    """A face of a photograph; ``aligned`` is ``[128, 128, 3]``."""

    name: str
    side: float
    window: Picture
    aligned: Picture


def main() -> None:
    """Measure, print tables, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer faces and folds")
    arguments.add_argument("--fit", action="store_true", help="write the weights")
    for kind in ("masked", "bare"):
        arguments.add_argument(f"--{kind}", type=Path, nargs="*", default=[],
                               help=f"folders of your own with {kind} faces")  # fmt: skip
    given = arguments.parse_args()
    peers.require("sklearn")
    if not DATA.is_dir():
        raise SystemExit(f"found no photographs in {DATA}, needed some with and without masks")
    step = 8 if given.quick else 1
    labelled = [
        (face, masked != (face.name in _WRONG))
        for folders, masked in ((_MASKED, True), (_BARE, False))
        for face in _faces([DATA / name for name in folders], step=(step + 1) // 2)
    ]
    faces, covered = [face for face, _ in labelled], np.array([c for _, c in labelled])
    figures = _measure_resolution(faces)
    judge = _Judge(faces, covered)
    logits = judge.held_out(_groups(faces), num_folds=3 if given.quick else _FOLDS)
    figures |= {"covered": int(covered.sum()), "bare": int((~covered).sum())}
    print(f"\n{'':32} {'faces':>6} {'model':>7} {'colours alone':>14}")
    kinds = (("covered, found", "found", covered), ("bare, rejected", "bare_rejected", ~covered))
    by_colour = np.array([_by_colour(face.aligned) for face in faces])
    for title, name, chosen in kinds:
        figures |= _print_shares(title, name, logits[chosen], by_colour[chosen])
    others = [
        ("make-up and bare, rejected", "make_up_rejected", [DATA / name for name in _STRANGERS]),
        ("your masked, found", "own_found", given.masked),
        ("your bare, rejected", "own_bare_rejected", given.bare),
    ]
    fitted = judge.fitted(np.arange(len(faces)))
    for title, name, folders in others:
        if strangers := list(_faces(folders, step=step)):
            by_colour = np.array([_by_colour(face.aligned) for face in strangers])
            logits = np.array([fitted.logit(face.window) for face in strangers])
            figures |= _print_shares(title, name, logits, by_colour)
    if given.fit:
        values = {
            "bias": round(fitted.bias, 4),
            "weights": [float(f"{weight:.3g}") for weight in fitted.weights],
        }
        _WEIGHTS.write_text(json.dumps(values) + "\n")
        print(f"written: {_WEIGHTS.name}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def _print_shares(
    title: str, name: str, logits: NDArray[np.float64], by_colour: NDArray[np.float64]
) -> dict[str, float]:
    shares = float((logits > 0).mean()), float((by_colour > 1.4).mean())
    print(f"{title:32} {len(logits):6} {shares[0]:7.3f} {shares[1]:14.3f}", flush=True)
    return {name: shares[0], f"colour_{name}": shares[1]}


def _faces(folders: Sequence[Path], step: int = 1) -> Iterator[Face]:
    detector = FaceDetector()
    for folder in folders:
        for path in sorted(folder.iterdir())[::step]:
            decoded = read_reduced(path, max_pixels=6e7, enough_px=512)
            if not isinstance(decoded, Rejected):
                for face in detector.detect(decoded.pixels):
                    if face.side * decoded.factor >= _MIN_FACE_PX:
                        yield Face(
                            path.name,
                            face.side * decoded.factor,
                            face_window(decoded.pixels, face.keypoints),
                            aligned_face(decoded.pixels, face),
                        )


def _measure_resolution(faces: Sequence[Face]) -> dict[str, float]:
    """Sharp faces are reduced to known sizes and enlarged; their measured sizes follow."""
    sharp = [face.aligned for face in faces if face.side >= _SHARP_PX][:100]
    figures = dict[str, float]()
    print(f"{'enlarged from, px':>18} {'measured':>9} {'5 %':>6} {'95 %':>6}   {len(sharp)} faces")
    for side in _REDUCED_PX:
        measured = [detail_px(_enlarged(face, side), len(face)) for face in sharp]
        low, middle, high = np.percentile(measured, (5, 50, 95)).tolist()
        print(f"{side:18} {middle:9.1f} {low:6.1f} {high:6.1f}", flush=True)
        figures[f"detail_of_{side}px"] = middle
    return figures


def _enlarged(aligned: Picture, side: float) -> Picture:
    """The aligned face as an enlarged photograph shows it in which its side was ``side`` px."""
    px = round(side / 0.884)  # of the aligned face, of which the face is 0.884
    small = cv2.resize(aligned, (px, px), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (256, 256), interpolation=cv2.INTER_CUBIC)
    encoded = cv2.imencode(".jpg", large, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.resize(decoded, (128, 128), interpolation=cv2.INTER_AREA), np.uint8)


def _groups(faces: Sequence[Face]) -> NDArray[np.int64]:
    """A number for each face, the same for those that look alike."""
    small = [
        cv2.resize(cv2.cvtColor(face.aligned, cv2.COLOR_RGB2GRAY), (12, 12),
                   interpolation=cv2.INTER_AREA)
        for face in faces
    ]  # fmt: skip
    alike = np.corrcoef(np.array(small, np.float64).reshape(len(faces), -1)) > _MIN_SIMILARITY
    groups = np.arange(len(faces))
    for one, other in np.argwhere(alike):
        groups[groups == groups[other]] = groups[one]
    return np.unique(groups, return_inverse=True)[1]


@dataclass(frozen=True)
class _Fitted:
    classifier: OcclusionClassifier
    weights: NDArray[np.float64]
    bias: float

    def logit(self, window: Picture) -> float:
        return float(self.classifier.features(window) @ self.weights) + self.bias


class _Judge:
    """Logistic regressions of labelled faces, each of which is varied, and of drawn faces."""

    def __init__(self, faces: Sequence[Face], covered: NDArray[np.bool_]) -> None:
        self._faces, self._classifier = faces, OcclusionClassifier()
        rng = np.random.default_rng(0)
        drawn = _drawn()
        windows = [*(face.window for face in faces), *drawn]
        truth = [*covered.tolist(), *[False] * len(drawn)]
        rows = [
            (number, self._classifier.features(variant), is_covered)
            for number, (window, label) in enumerate(zip(windows, truth, strict=True))
            for variant, is_covered in _variants(window, label, rng)
        ]
        self._numbers = np.array([number for number, _, _ in rows])
        self._features = np.array([features for _, features, _ in rows], np.float32)
        self._truth = np.array([is_covered for _, _, is_covered in rows])

    def fitted(self, numbers: NDArray[np.int64]) -> _Fitted:
        """The model of these faces, and of all drawn ones."""
        from sklearn.linear_model import LogisticRegression

        known = np.isin(self._numbers, numbers) | (self._numbers >= len(self._faces))
        features = self._features[known]
        mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
        model = LogisticRegression(C=_STRENGTH, max_iter=400, tol=1e-3)
        model.fit((features - mean) / scale, self._truth[known])
        weights = (model.coef_[0] / scale).astype(np.float64)
        return _Fitted(self._classifier, weights, float(model.intercept_[0] - weights @ mean))

    def held_out(self, groups: NDArray[np.int64], num_folds: int) -> NDArray[np.float64]:
        """The logit of each face by the model of the other folds, ``[N]``."""
        logits = np.zeros(len(self._faces))
        for fold in range(num_folds):
            out = groups % num_folds == fold
            fitted = self.fitted(np.flatnonzero(~out))
            for number in np.flatnonzero(out):
                logits[number] = fitted.logit(self._faces[number].window)
        return logits


def _drawn() -> list[Picture]:
    detector, windows = FaceDetector(), list[Picture]()
    for seed in range(1000, 1000 + _NUM_DRAWN):
        picture = draw(
            Person.seeded(seed), Shot.seeded(seed), Makeup.seeded(seed) if seed % 2 else None
        )
        windows += [face_window(picture, face.keypoints) for face in detector.detect(picture)[:1]]
    return windows


def _variants(
    face: Picture, covered: bool, rng: np.random.Generator
) -> Iterator[tuple[Picture, bool]]:
    """The face as other photographs would show it, each with its truth.

    Photographs have few colours of masks: a covered face is shown with its mask in others, a bare
    one with a painted mask too.
    """
    changes: list[Callable[[Picture, np.random.Generator], Picture]] = [
        _recoloured, _softened, _stretched, _ends_near, _noisy, _grey,
    ]  # fmt: skip
    yield face, covered
    yield np.ascontiguousarray(face[:, ::-1]), covered
    yield cv2.convertScaleAbs(face, alpha=0.7), covered
    yield cv2.convertScaleAbs(face, alpha=1.2), covered
    for change in changes:
        yield change(face, rng), covered
        yield _stretched(change(face, rng), rng), covered
    cover = _dyed_mask if covered else _painted_mask
    for _ in range(4 if covered else 1):
        masked = cover(face, rng)
        yield masked, True
        yield _stretched(masked, rng), True


def _grey(face: Picture, _: np.random.Generator) -> Picture:
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def _recoloured(face: Picture, rng: np.random.Generator) -> Picture:
    gains = rng.uniform(0.5, 1.4) * rng.uniform(0.8, 1.2, 3)
    return np.asarray(np.clip(face * gains, 0, 255), np.uint8)


def _softened(face: Picture, rng: np.random.Generator) -> Picture:
    scale = rng.uniform(0.3, 0.6)
    small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.resize(small, (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_CUBIC), np.uint8
    )


def _stretched(face: Picture, rng: np.random.Generator) -> Picture:
    """Longer or shorter, a little turned and moved: many pictures have another aspect."""
    angle = np.radians(rng.normal(0, 4))
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    turn = turn @ np.diag([rng.uniform(0.9, 1.1), rng.uniform(0.82, 1.4)])
    eyes = np.array([0.5, EYE_HEIGHT]) * WINDOW_PX
    matrix = np.column_stack([turn, eyes + rng.normal(0, 3, 2) - turn @ eyes])
    size = WINDOW_PX, WINDOW_PX
    return np.asarray(cv2.warpAffine(face, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _ends_near(face: Picture, rng: np.random.Generator) -> Picture:
    """The photograph ends near the face, and its edge repeats."""
    left, right = rng.integers(0, 45, 2).tolist()
    top, bottom = int(rng.integers(0, 50)), int(rng.integers(0, 30))
    part = face[top : WINDOW_PX - bottom, left : WINDOW_PX - right]
    return np.asarray(
        cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE), np.uint8
    )


def _noisy(face: Picture, rng: np.random.Generator) -> Picture:
    noise = rng.normal(0, rng.uniform(5, 25), face.shape)
    return np.asarray(np.clip(face + noise, 0, 255), np.uint8)


def _mask(rng: np.random.Generator) -> NDArray[np.float64]:
    """Where a mask lies, from below the eyes to the chin, ``[192, 192, 1]``, 0 to 1."""
    outline = np.array(
        [(0.19, 0.53), (0.5, 0.47), (0.81, 0.53), (0.78, 0.81), (0.5, 0.98), (0.22, 0.81)]
    )  # where the eyes are 0.36 apart, at 0.40
    eyes = np.array([0.5, EYE_HEIGHT])
    outline = eyes + (outline + rng.normal(0, 0.02, outline.shape) - eyes) * EYE_DISTANCE / 0.36
    corners = np.round(outline * WINDOW_PX).astype(np.int32)
    inside = cv2.fillPoly(np.zeros((WINDOW_PX, WINDOW_PX)), [corners], 1.0)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), 1.0), np.float64)[..., None]


def _painted_mask(face: Picture, rng: np.random.Generator) -> Picture:
    """The face with a mask of any colour, with folds, and often a pattern."""
    inside, size = _mask(rng), (WINDOW_PX, WINDOW_PX)
    colour = rng.uniform(0, 255) + rng.normal(0, 1, 3) * rng.choice([5, 60])
    if rng.random() < 0.3:
        hue = np.array([[rng.integers((0, 80, 60), (180, 255, 255))]], np.uint8)
        colour = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)
    folds = cv2.resize(rng.normal(0, rng.choice([3, 15]), (9, 3)), size)[..., None]
    if rng.random() < 0.3:
        px = int(rng.integers(6, 30))
        pattern = rng.normal(0, rng.choice([15, 40]), (px, px, 3))
        folds = folds + cv2.resize(pattern, size, interpolation=cv2.INTER_CUBIC)
    lit = np.linspace(rng.uniform(0.7, 1.1), rng.uniform(0.7, 1.1), WINDOW_PX)[None, :, None]
    cloth = np.clip((colour + folds) * lit, 0, 255)
    return np.asarray(inside * cloth + (1 - inside) * face, np.uint8)


def _dyed_mask(face: Picture, rng: np.random.Generator) -> Picture:
    """The mask that the face wears, in another colour."""
    inside = _mask(rng)
    lab = cv2.cvtColor(face.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    angle, chroma = rng.uniform(0, 2 * np.pi), rng.uniform(10, 60)
    lab[..., 1:] = 0.3 * lab[..., 1:] + chroma * np.array([np.cos(angle), np.sin(angle)])
    lab[..., 0] *= rng.uniform(0.4, 1.0)
    dyed = 255 * np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    return np.asarray(inside * dyed + (1 - inside) * face, np.uint8)


def _by_colour(face: Picture) -> float:
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
