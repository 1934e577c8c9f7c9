"""What one original shows, whatever will be cropped from it: size, faces, fingerprints, sharpness.

Runs in worker processes: hostile files are opened here and in ``cut``, and nowhere else.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.pictures import Decoded, Rejected, read_reduced
from preprocessing.analysis import occlusion
from preprocessing.analysis.face_detector import Face, FaceDetector
from preprocessing.analysis.fingerprint import Fingerprint, fingerprint
from preprocessing.analysis.nsfw import unsafe_score
from preprocessing.images import geometry

if TYPE_CHECKING:  # a worker has no use for it, and would be slower to start
    from preprocessing.config import PrepareConfig

ANALYSIS_VERSION = 5  # raise it when the same file gives another analysis
CANONICAL_PX = 128  # of the aligned face that is judged, whatever the dataset's crops are
_EYE_DISTANCE, _EYE_HEIGHT = 0.36, 0.40  # of the canonical face, shares of its side
FILE_MISSING = "file-missing"
_ENOUGH_PX = 800  # longer side that analysis needs
_JUDGED_PX = 400  # least longer side at which sharpness is judged
_SMALL_PX = 256  # longer side of what is hashed
_MAX_FACES = 12
_STRIP = 10  # ratio of its sides above which a picture is not looked at for faces
_PREVIEW_PX = 112


@dataclass(frozen=True)
class FaceSeen:
    """A face in pixels of the original. ``box`` is left, top, right, bottom; ``keypoints`` x0 y0 …
    as in ``faces.Face``.
    """

    box: list[float]
    keypoints: list[float]
    score: float  # 0 to 1
    sharpness: float  # variance of the Laplacian at 128 px, grey levels²
    covered: float  # see ``occlusion.covered``
    aligned: Fingerprint

    @property
    def points(self) -> NDArray[np.float64]:
        """The keypoints, ``[6, 2]``."""
        return np.array(self.keypoints).reshape(-1, 2)

    @property
    def side(self) -> float:
        """The longer side of the box, px."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


@dataclass(frozen=True)
class Analysis:
    """The outcome for one original; ``reason`` is "" for one that could be decoded."""

    reason: str
    height: int = 0  # px, upright; 0 when it could not be decoded
    width: int = 0
    sharpness: float = 0.0  # of the whole picture at 128 px, grey levels²
    unsafe: float | None = None  # 0 to 1, where the safety filter is on
    whole: Fingerprint | None = None
    faces: tuple[FaceSeen, ...] = ()  # the largest first
    preview: bytes = b""  # a small JPEG, ours and therefore harmless

    @property
    def looks(self) -> bytes:
        """The fingerprints' looks, ``LOOK_BYTES`` each: of the whole, then of each face."""
        whole = self.whole.look if self.whole else b""
        return b"".join((whole, *(face.aligned.look for face in self.faces)))


@dataclass(frozen=True)
class AnalysisConfig:
    """The part of a configuration that an analysis depends on."""

    faces: bool
    safety: bool
    max_pixels: float

    @classmethod
    def of(cls, config: PrepareConfig) -> AnalysisConfig:
        """The part of ``config`` that matters here."""
        return cls(config.faces, config.max_unsafe is not None, config.max_megapixels * 1e6)


@dataclass(frozen=True)
class Analyse:
    """The job of a worker: the analysis of a named file."""

    config: AnalysisConfig

    def __call__(self, named: tuple[str, Path]) -> Analysis:
        """The analysis; ``FILE_MISSING`` is its reason where there is no file."""
        _, path = named
        return analyse(path, self.config) if path.exists() else Analysis(FILE_MISSING)


def analyse(path: Path, config: AnalysisConfig) -> Analysis:
    """Analyse one file. Raises nothing for bad files, ``MissingModelError`` for a missing model."""
    decoded = read_reduced(path, max_pixels=config.max_pixels, enough_px=_ENOUGH_PX)
    if isinstance(decoded, Rejected):
        return Analysis(decoded.reason)
    picture = decoded.pixels
    found = _faces(picture) if config.faces else []
    half = geometry.halved(picture, *_fitting(picture, _JUDGED_PX))
    small = _within(half, _SMALL_PX)
    return Analysis(
        "",
        decoded.height,
        decoded.width,
        _sharpness(half),
        unsafe_score(picture) if config.safety else None,
        fingerprint(small),
        tuple(_seen(decoded, face) for face in found),
        _preview(small),
    )


def canonical(picture: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """The face as all are looked at, ``[128, 128, 3]``: eyes level, 0.36 apart, at 0.40."""
    transform = geometry.eye_transform(face.keypoints, CANONICAL_PX, _EYE_DISTANCE, _EYE_HEIGHT)
    return geometry.crop(picture, transform, CANONICAL_PX)


@functools.cache
def _detector() -> FaceDetector:
    return FaceDetector()


def _faces(picture: NDArray[np.uint8]) -> list[Face]:
    if max(picture.shape[:2]) > _STRIP * min(picture.shape[:2]):
        return []  # the detector would make it square
    found = _detector().detect(picture)
    return [f for f in found if np.hypot(*(f.keypoints[1] - f.keypoints[0])) >= 2][:_MAX_FACES]


def _seen(decoded: Decoded, face: Face) -> FaceSeen:
    aligned = canonical(decoded.pixels, face)
    return FaceSeen(
        box=[round(value * decoded.factor, 2) for value in face.box],
        keypoints=[round(float(v) * decoded.factor, 2) for v in face.keypoints.ravel()],
        score=round(face.score, 4),
        sharpness=round(geometry.sharpness(aligned), 2),
        covered=round(occlusion.covered(aligned), 3),
        aligned=fingerprint(aligned, trim=False),
    )


def _sharpness(picture: NDArray[np.uint8]) -> float:
    height, width = picture.shape[:2]
    small = geometry.crop(
        picture, geometry.centre_transform(height, width, CANONICAL_PX), CANONICAL_PX
    )
    return round(geometry.sharpness(small), 2)


def _preview(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(_within(picture, _PREVIEW_PX)).save(file, "JPEG", quality=80)
    return file.getvalue()


def _within(picture: NDArray[np.uint8], longer_px: int) -> NDArray[np.uint8]:
    if longer_px >= max(picture.shape[:2]):
        return picture
    return geometry.shrunk(picture, *_fitting(picture, longer_px))


def _fitting(picture: NDArray[np.uint8], longer_px: int) -> tuple[int, int]:
    """Width and height of the picture when its longer side has so many pixels."""
    scale = longer_px / max(picture.shape[:2])
    height, width = picture.shape[:2]
    return max(1, round(width * scale)), max(1, round(height * scale))
