"""The analysis of one original: size, faces, fingerprints and sharpness, before any crop is chosen.

Runs in worker processes: hostile files are opened here and in ``images.crop``, and nowhere else.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.pictures import Decoded, Rejected, read_reduced
from preprocessing.analysis.defects import Defects, measure_defects, median_light
from preprocessing.analysis.face_context import face_context
from preprocessing.analysis.face_detector import MIN_FACE_PX, Face, FaceDetector
from preprocessing.analysis.fingerprint import Fingerprint, fingerprint
from preprocessing.analysis.nsfw import unsafe_score
from preprocessing.analysis.occlusion import OcclusionClassifier, face_window
from preprocessing.analysis.resolution import detail_px
from preprocessing.analysis.turned_content import TurnedContent, find_turned_content
from preprocessing.images import geometry
from preprocessing.images.seam import cut_out, middle_seam, part_boxes
from preprocessing.images.side_features import face_features, picture_features

if TYPE_CHECKING:  # workers start faster without it
    from preprocessing.config import PrepareConfig

ANALYSIS_VERSION = 9  # raise it when the same file gives another analysis
CANONICAL_PX = 128  # side of the aligned face that is measured, independent of crop_px
FILE_MISSING = "file-missing"
_EYE_DISTANCE, _EYE_HEIGHT = 0.36, 0.40  # in the aligned face, shares of its side
_ANALYSIS_PX = 800  # longer side at which a picture is analysed, at least
_SHARPNESS_PX = 400  # longer side at which sharpness is measured, at least
_FINGERPRINT_PX = 256  # longer side of the picture that is hashed
_PREVIEW_PX = 112
_MAX_FACTOR = 8  # of a reduced decoding
_MAX_FACES = 100
_MAX_TILES = 160  # of a picture, for ``PrepareConfig.timeout_s``: enough for 30 megapixels
_MIN_DECODED_FACE_PX = 24  # side of the smallest face after a reduced decoding
_NO_DEFECTS = Defects()
_MAX_ASPECT_FOR_FACES = 10  # a longer picture is a strip of many, or of text


@dataclass(frozen=True)
class FaceAnalysis:
    """A face in pixels of the original. ``box`` is left, top, right, bottom; ``keypoints`` x0 y0 …
    as in ``face_detector.Face``.
    """

    box: list[float]
    keypoints: list[float]
    score: float  # 0 to 1
    sharpness: float  # variance of the Laplacian at 128 px, grey levels²
    detail_px: float  # ``resolution.detail_px``: the side at which it would show as much
    covered: float  # ``OcclusionClassifier.covered_probability``
    aligned: Fingerprint
    context: Fingerprint  # of the face and its surroundings
    light: float = 128.0  # ``median_light`` of the aligned face
    features: bytes = b""  # ``side_features.face_features``; loaded apart

    @property
    def points(self) -> NDArray[np.float64]:
        """The keypoints, ``[6, 2]``."""
        return np.array(self.keypoints).reshape(-1, 2)

    @property
    def side(self) -> float:
        """The longer side of the box, px."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


@dataclass(frozen=True)
class PartPlace:
    """The place of a part in its collage."""

    box: tuple[int, int, int, int]  # left, top, right, bottom; pixels of the original
    seam: float  # ``Seam.share``


@dataclass(frozen=True)
class Analysis:
    """The analysis of one original, or of a part of a collage, whose own corner is then the origin
    of all coordinates; ``reason`` is "" for one that could be decoded.

    The cache holds it as JSON by these field names.
    """

    reason: str
    height: int = 0  # px, upright; 0 when it could not be decoded
    width: int = 0
    sharpness: float = 0.0  # of the whole picture at 128 px, grey levels²
    unsafe: float | None = None  # 0 to 1, where the safety filter is on
    whole: Fingerprint | None = None
    faces: tuple[FaceAnalysis, ...] = ()  # the largest first
    preview: bytes = b""  # a small JPEG written by this module, and therefore harmless
    defects: Defects = _NO_DEFECTS
    picture_features: bytes = b""  # ``side_features.picture_features``, where no faces are searched
    place: PartPlace | None = None  # of a part

    @property
    def thumbnails(self) -> bytes:
        """Thumbnails of the whole, of each face, and of each face with its surroundings,
        ``THUMBNAIL_BYTES`` each.
        """
        faces = [f.aligned for f in self.faces] + [f.context for f in self.faces]
        return b"".join(each.thumbnail for each in (self.whole, *faces) if each is not None)

    @property
    def features(self) -> bytes:
        """Those of the picture, else of each face, the largest first: float16, in a row."""
        return self.picture_features or b"".join(face.features for face in self.faces)


@dataclass(frozen=True)
class AnalysisConfig:
    """The part of a configuration that an analysis depends on. Its fields enter a digest."""

    faces: bool
    safety: bool
    max_pixels: float
    min_face_px: int = MIN_FACE_PX  # of the smallest face that is searched

    @classmethod
    def of(cls, config: PrepareConfig) -> AnalysisConfig:
        """The part of ``config`` that an analysis depends on.

        A ``min_face_px`` above ``MIN_FACE_PX`` changes no analysis: the rules apply it.
        """
        return cls(
            config.faces,
            config.max_unsafe is not None,
            config.max_megapixels * 1e6,
            min(config.min_face_px, MIN_FACE_PX),
        )


@dataclass(frozen=True)
class AnalysisTask:
    """The function of a worker process: it analyses each named file."""

    config: AnalysisConfig

    def __call__(self, named_file: tuple[str, Path]) -> Analysis:
        """The analysis of the file; its reason is ``FILE_MISSING`` if there is no file."""
        _, path = named_file
        return analyse(path, self.config) if path.exists() else Analysis(FILE_MISSING)


@dataclass(frozen=True)
class PartsTask:
    """The function of a worker process: it analyses the parts of each named file."""

    config: AnalysisConfig

    def __call__(self, named_file: tuple[str, Path]) -> list[Analysis]:
        """The analyses of the file's parts; empty if there is no file."""
        _, path = named_file
        return analyse_parts(path, self.config) if path.exists() else []


def analyse(path: Path, config: AnalysisConfig) -> Analysis:
    """The analysis of one file; a bad file gives an analysis with a reason.

    Raises ``MissingModelError`` where a model is not installed.
    """
    decoded = _read(path, config, _ANALYSIS_PX)
    if isinstance(decoded, Rejected):
        return Analysis(decoded.reason)
    return _analyse_picture(decoded, config)


def analyse_parts(path: Path, config: AnalysisConfig) -> list[Analysis]:
    """The analyses of the two parts beside, or above and below, the clearest seam near the middle
    of a picture; empty for one that is bad or too small to have a seam.

    Raises ``MissingModelError`` where a model is not installed.
    """
    decoded = _read(path, config, 2 * _ANALYSIS_PX)
    if isinstance(decoded, Rejected):
        return []
    seam = middle_seam(_half(decoded.pixels))
    if seam is None:
        return []
    parts = []
    for box in part_boxes(seam, *decoded.pixels.shape[:2]):
        left, top, right, bottom = (edge * decoded.factor for edge in box)
        right, bottom = min(right, decoded.width), min(bottom, decoded.height)
        part = Decoded(cut_out(decoded.pixels, box), bottom - top, right - left, decoded.factor)
        place = PartPlace((left, top, right, bottom), round(seam.share, 3))
        parts.append(replace(_analyse_picture(part, config), place=place))
    return parts


def _read(path: Path, config: AnalysisConfig, enough_px: int) -> Decoded | Rejected:
    max_factor = max(1, config.min_face_px // _MIN_DECODED_FACE_PX) if config.faces else _MAX_FACTOR
    return read_reduced(
        path, max_pixels=config.max_pixels, enough_px=enough_px, max_factor=max_factor
    )


def _half(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return geometry.halve(picture, *_size_within(picture, _SHARPNESS_PX))


def _analyse_picture(decoded: Decoded, config: AnalysisConfig) -> Analysis:
    picture = decoded.pixels
    faces = _detect_faces(picture, config.min_face_px / decoded.factor) if config.faces else []
    half = _half(picture)
    small = _within(half, _FINGERPRINT_PX)
    content = find_turned_content(small)
    middle = _middle_square(half)
    return Analysis(
        reason="",
        height=decoded.height,
        width=decoded.width,
        sharpness=round(geometry.sharpness(middle), 2),
        unsafe=unsafe_score(picture) if config.safety else None,
        whole=fingerprint(content.level(small) if content else small),
        faces=_analyse_faces(decoded, faces, content),
        preview=_encode_preview(small),
        defects=measure_defects(half),
        picture_features=b"" if config.faces else picture_features(middle).tobytes(),
    )


def aligned_face(picture: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """The aligned face, ``[128, 128, 3]`` uint8: the eyes are level, 0.36 of the side apart and
    0.40 below the top.
    """
    transform = geometry.eye_transform(face.keypoints, CANONICAL_PX, _EYE_DISTANCE, _EYE_HEIGHT)
    return geometry.crop(picture, transform, CANONICAL_PX)


@functools.cache
def _detector() -> FaceDetector:
    return FaceDetector()


@functools.cache
def _classifier() -> OcclusionClassifier:
    return OcclusionClassifier()


def _detect_faces(picture: NDArray[np.uint8], min_face_px: float) -> list[Face]:
    if max(picture.shape[:2]) > _MAX_ASPECT_FOR_FACES * min(picture.shape[:2]):
        return []
    faces = _detector().detect(picture, min_face_px, max_tiles=_MAX_TILES)
    return [f for f in faces if np.hypot(*(f.keypoints[1] - f.keypoints[0])) >= 2][:_MAX_FACES]


def _analyse_faces(
    decoded: Decoded, faces: Sequence[Face], content: TurnedContent | None
) -> tuple[FaceAnalysis, ...]:
    """The analysis of each face; where the picture was turned, its content is hashed."""
    if content is None or not faces:
        return tuple(_analyse_face(decoded, f, decoded.pixels, f.keypoints) for f in faces)
    level = content.level(decoded.pixels)
    transform, _ = content.transform(*decoded.pixels.shape[:2])
    return tuple(
        _analyse_face(decoded, f, level, geometry.apply(transform, f.keypoints)) for f in faces
    )


def _analyse_face(
    decoded: Decoded, face: Face, level: NDArray[np.uint8], level_keypoints: NDArray[np.float64]
) -> FaceAnalysis:
    """The analysis of a face; ``level`` is the picture, turned back if it was turned."""
    aligned = aligned_face(decoded.pixels, face)
    level_aligned = aligned_face(level, replace(face, keypoints=level_keypoints))
    window = face_window(decoded.pixels, face.keypoints)
    covered, layers = _classifier().judge(window)
    return FaceAnalysis(
        box=[round(value * decoded.factor, 2) for value in face.box],
        keypoints=[round(float(v) * decoded.factor, 2) for v in face.keypoints.ravel()],
        score=round(face.score, 4),
        sharpness=round(geometry.sharpness(aligned), 2),
        detail_px=round(detail_px(aligned, face.side) * decoded.factor, 1),
        covered=round(covered, 3),
        aligned=fingerprint(level_aligned, trim=False),
        context=face_context(level, level_keypoints),
        light=median_light(aligned),
        features=face_features(window, layers).tobytes(),
    )


def _middle_square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    transform = geometry.centre_transform(height, width, CANONICAL_PX)
    return geometry.crop(picture, transform, CANONICAL_PX)


def _encode_preview(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(_within(picture, _PREVIEW_PX)).save(file, "JPEG", quality=80)
    return file.getvalue()


def _within(picture: NDArray[np.uint8], longer_px: int) -> NDArray[np.uint8]:
    if longer_px >= max(picture.shape[:2]):
        return picture
    return geometry.shrink(picture, *_size_within(picture, longer_px))


def _size_within(picture: NDArray[np.uint8], longer_px: int) -> tuple[int, int]:
    """Width and height of the picture when its longer side has ``longer_px`` pixels."""
    scale = longer_px / max(picture.shape[:2])
    height, width = picture.shape[:2]
    return max(1, round(width * scale)), max(1, round(height * scale))
