"""Faces as people send them: how many are found, how many invented, and whose pictures are joined.

Real faces (from shared/data, or ``--photos``) are pasted into drawn landscapes of 4000 × 3000 px at
several widths, and the whole is turned by quarter turns. Portraits are tilted by any angle: a face
counts as found upright when its eyes are within 10° of where they are. Pictures without people give
the number of invented faces: drawn landscapes, textures, noise, and what lies beside the faces of
the photographs. Then different people of like pose are clustered as a preparation does: real faces,
whose file names carry the person; the same faces in one drawn portrait, so that hair, clothes,
background and skin are equal; drawn people; and drawn people in one shot. Last, copies of
photographs and of drawn landscapes, turned by 5° to 270° with white corners, are clustered with
their originals.

Times are processor times of one core. Without photographs there is nothing to measure. ``--before``
also measures a former detector, such as the one of one look at the whole picture:
``git show 6f589a6^:preprocessing/analysis/face_detector.py > former_detector.py``.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from photographs import DATA
from PIL import Image
from studio_portraits import studio_portraits

from core.pictures import Rejected, read_picture
from preprocessing.analysis.analyse import AnalysisConfig, analyse
from preprocessing.analysis.face_detector import Face, FaceDetector
from scraping.offline import landscapes
from scraping.offline.portraits import Makeup, Person, Shot, draw

Picture = NDArray[np.uint8]


class Detector(Protocol):
    """What is measured, and what it is compared with."""

    def detect(self, picture: Picture) -> list[Face]:
        """The faces of ``[H, W, 3]`` RGB."""


_PORTRAITS = ("makeup_photos/A", "makeup_photos/B", "webfaces_mask/B")
_PEOPLE = ("makeup128/A", "makeup128/B")
_WIDTHS_PX = (48, 80, 120, 200, 300, 400)
_CANVAS_PX = (4000, 3000)
_TILTS_DEGREES = (15, 30, 45, 60, 120, 150)
_COPY_TURNS_DEGREES = (5, 15, 30, 45, 90, 180, 270)
_PERSON_PATTERNS = (  # of makeup128: several pictures of a person have names of one pattern
    (r"(\d+)_[12]_[yn]", "ymu"), (r"(\d+)_[AB]_", "mifs"), (r"(\d+)_[mn]\.", "fam"),
    (r"MIW_(\d+)", "miw"), (r"(\d+d\d+)", "vmu"),
)  # fmt: skip


def main() -> None:
    """Measure, print tables, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer pictures of each kind")
    arguments.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of your own")
    arguments.add_argument("--before", type=Path, help="a former face_detector.py to compare with")
    given = arguments.parse_args()
    folders = given.photos or [DATA / name for name in _PORTRAITS]
    paths = [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
    if not paths:
        raise SystemExit(f"skipped: found no photographs in {DATA}; name folders with --photos")
    detector = FaceDetector()
    before = _former_detector(given.before) if given.before else None
    photos = list(_photos(paths[:: 12 if given.quick else 2]))
    portraits = [photo for photo in photos if _is_portrait(detector.detect(photo))]
    print(f"{len(portraits)} portraits among {len(photos)} photographs", flush=True)
    cut = [_cut(portrait, detector.detect(portrait)[0]) for portrait in portraits]
    without_people = _without_people(detector, portraits, num=3 if given.quick else 30)
    figures = dict[str, float]()
    for prefix, measured in (("", detector), ("before_", before)):
        if measured is not None:
            rows = _measure_sizes(measured, cut, quick=given.quick)
            rows |= _measure_inventions(measured, without_people)
            rows["portrait_ms"] = _portrait_ms(measured, portraits)
            figures |= {prefix + name: value for name, value in rows.items()}
    figures |= _measure_tilts(detector, portraits[: 8 if given.quick else 60])
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
        figures |= _measure_people(Path(scratch), quick=given.quick)
        folder, num = Path(scratch), 6 if given.quick else 48
        drawn = [landscapes.draw(k, winter=bool(k % 2), height=480, width=640)
                 for k in range(num // 2)]  # fmt: skip
        figures |= _measure_turned_copies(folder, "photographs", photos[:num])
        figures |= _measure_turned_copies(folder, "landscapes", drawn)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def _photos(paths: Iterable[Path]) -> Iterator[Picture]:
    for path in paths:
        picture = read_picture(path, max_pixels=6e7)
        if not isinstance(picture, Rejected) and min(picture.shape[:2]) >= 64:
            yield picture


def _is_portrait(faces: Sequence[Face]) -> bool:
    return len(faces) == 1 and faces[0].side >= 90 and abs(faces[0].roll) < 30


def _former_detector(path: Path) -> Detector:
    spec = importlib.util.spec_from_file_location("former_detector", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"--before: found {path}, needed a Python file with a FaceDetector")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    detector: Detector = module.FaceDetector()
    return detector


def _measure_sizes(
    detector: Detector, cut: Sequence[tuple[Picture, float]], *, quick: bool
) -> dict[str, float]:
    figures: dict[str, float] = {"twice": 0}
    print(f"\n{'face, px':>9} {'turned by':>10} {'found':>7} {'twice':>6} {'others':>7} {'s':>6}"
          f"   {type(detector).__module__}")  # fmt: skip
    for width_px in (48, 200) if quick else _WIDTHS_PX:
        canvas, middles = _canvas(cut, width_px, seed=0)
        for quarter in (0, 1) if quick else (0, 1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(canvas, -quarter))
            began = time.process_time()
            faces = detector.detect(turned)
            took = time.process_time() - began
            hits, others = _match(faces, _quarter_turned(middles, quarter), width_px)
            found, twice = int((hits > 0).sum()), int((hits > 1).sum())
            print(f"{width_px:9} {90 * quarter:9}° {found:3}/{len(middles):3} {twice:6} "
                  f"{others:7} {took:6.2f}", flush=True)  # fmt: skip
            figures[f"found_{width_px}px_{90 * quarter}"] = found / len(middles)
            figures[f"seconds_{width_px}px_{90 * quarter}"] = took
            figures["twice"] += twice
    return figures


def _portrait_ms(detector: Detector, portraits: Sequence[Picture]) -> float:
    took_s = [_seconds(lambda photo=photo: detector.detect(photo)) for photo in portraits]
    mean_ms = 1000 * float(np.mean(took_s))
    print(f"a portrait as it is: {mean_ms:.1f} ms", flush=True)
    return mean_ms


def _cut(portrait: Picture, face: Face) -> tuple[Picture, float]:
    """The portrait within 1.1 sides of its face, and the face's side."""
    left, top, right, bottom = face.box
    x, y, reach = (left + right) / 2, (top + bottom) / 2, 1.1 * face.side
    part = portrait[max(0, round(y - reach)) : round(y + reach),
                    max(0, round(x - reach)) : round(x + reach)]  # fmt: skip
    return part, face.side


def _canvas(
    cut: Sequence[tuple[Picture, float]], width_px: int, seed: int, num: int = 12
) -> tuple[Picture, NDArray[np.float64]]:
    """A noisy landscape with faces of this width in a grid, and their middles ``[N, 2]``."""
    rng = np.random.default_rng(seed)
    width, height = _CANVAS_PX
    canvas = cv2.resize(landscapes.draw(seed, winter=False), (width, height)).astype(np.int16)
    canvas += rng.normal(0, 6, canvas.shape).astype(np.int16)
    canvas = np.clip(canvas, 0, 255).astype(np.uint8)
    middles = []
    places = itertools.product(range(3), range(4))
    chosen = rng.permutation(len(cut))[:num].tolist()
    for (row, column), number in zip(places, chosen, strict=False):
        part, side = cut[number]
        scale = width_px / side
        small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        small = small[:980, :980]
        spare = 1000 - np.array(small.shape[:2])
        top, left = (1000 * np.array([row, column]) + rng.integers(0, spare)).tolist()
        canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
        middles.append((left + small.shape[1] / 2, top + small.shape[0] / 2))
    return np.asarray(canvas), np.array(middles)


def _quarter_turned(points: NDArray[np.float64], quarter: int) -> NDArray[np.float64]:
    width, height = _CANVAS_PX
    for _ in range(quarter):
        points = np.stack([height - points[:, 1], points[:, 0]], axis=1)
        width, height = height, width
    return points


def _match(
    faces: Sequence[Face], middles: NDArray[np.float64], width_px: float
) -> tuple[NDArray[np.int64], int]:
    """How often each was found, and the number of faces that are none of them."""
    hits, others = np.zeros(len(middles), np.int64), 0
    for face in faces:
        left, top, right, bottom = face.box
        gaps = np.hypot(*(middles - ((left + right) / 2, (top + bottom) / 2)).T)
        if gaps.min() < 0.7 * width_px:
            hits[gaps.argmin()] += 1
        else:
            others += 1
    return hits, others


def _measure_tilts(detector: FaceDetector, portraits: Sequence[Picture]) -> dict[str, float]:
    figures = dict[str, float]()
    known = [(portrait, detector.detect(portrait)[0].roll) for portrait in portraits]
    for degrees in _TILTS_DEGREES:
        upright = 0
        for portrait, roll in known:
            turned = _turned(portrait, degrees, (128, 128, 128))
            rolls = [face.roll for face in detector.detect(turned)[:1]]
            upright += any(abs((r - roll - degrees + 180) % 360 - 180) < 10 for r in rolls)
        figures[f"upright_{degrees}"] = upright / len(portraits)
    shares = "  ".join(f"{d}° {figures[f'upright_{d}']:.3f}" for d in _TILTS_DEGREES)
    print(f"\nfound, with the eyes where they are: {shares}", flush=True)
    return figures


def _turned(picture: Picture, degrees: float, colour: tuple[int, int, int]) -> Picture:
    """The whole picture turned clockwise; the corners have this colour."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -degrees, 1)
    cosine, sine = np.abs(matrix[0, :2])
    size = round(width * cosine + height * sine), round(width * sine + height * cosine)
    matrix[:, 2] += (np.array(size) - (width, height)) / 2
    turned = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderValue=colour)
    return np.asarray(turned, np.uint8)


def _measure_inventions(
    detector: Detector, without_people: Mapping[str, Sequence[Picture]]
) -> dict[str, float]:
    figures = dict[str, float]()
    for kind, pictures in without_people.items():
        invented = sum(len(detector.detect(picture)) for picture in pictures)
        figures[f"invented_{kind}"] = invented / len(pictures)
        print(f"{kind:12} {len(pictures):4} pictures, {invented} invented faces", flush=True)
    return figures


def _without_people(
    detector: FaceDetector, portraits: Sequence[Picture], num: int
) -> dict[str, list[Picture]]:
    rng = np.random.default_rng(0)
    drawn = [landscapes.draw(s, winter=bool(s % 2), height=750, width=1000) for s in range(num)]
    textures = [
        cv2.resize(rng.integers(0, 256, (9 + 4 * k, 12 + 5 * k, 3), np.uint8), (1000, 750),
                   interpolation=cv2.INTER_CUBIC)
        for k in range(num)
    ]  # fmt: skip
    noise = [rng.integers(0, 256, (500, 700, 3), np.uint8) for _ in range(max(2, num // 3))]
    beside = []
    for portrait in portraits:
        (face,) = detector.detect(portrait)
        left, _, right, _ = (round(edge) for edge in face.box)
        parts = portrait[:, : max(0, left - 20)], portrait[:, right + 20 :]
        beside += [np.ascontiguousarray(part) for part in parts if part.shape[1] >= 100]
    return {"landscapes": drawn, "textures": textures, "noise": noise, "beside": beside[: 2 * num]}


def _measure_people(scratch: Path, *, quick: bool) -> dict[str, float]:
    from clustering import CONFIG, founders

    figures = dict[str, float]()
    paths = [path for name in _PEOPLE if (DATA / name).is_dir()
             for path in sorted((DATA / name).iterdir())[:: 40 if quick else 1]]  # fmt: skip
    groups: dict[str, tuple[list[Path], list[str]]] = {
        "real people": (paths, [_person(path.name) for path in paths]),
        "real, one studio": _in_one_studio(paths, scratch / "studio"),
    }
    for kind, num, shot in (("drawn people", 600, None), ("drawn, one shot", 500, Shot.seeded(7))):
        seeds = range(num // 25 if quick else num)
        drawn = [
            draw(Person.seeded(k), shot or Shot.seeded(k), Makeup.seeded(k) if k % 2 else None)
            for k in seeds
        ]
        groups[kind] = _written(drawn, scratch / kind), [str(k) for k in seeds]
    print(f"\n{'':18} {'pictures':>9} {'people':>7} {'pairs of two people joined':>27}")
    for kind, (files, people) in groups.items():
        if not files:
            print(f"{kind}: skipped, no {DATA / 'makeup128'}")
            continue
        founder = founders([analyse(path, AnalysisConfig.of(CONFIG)) for path in files])
        wrong = sum(
            sum(members.values()) ** 2 - sum(n * n for n in members.values())
            for members in _people_of_clusters(founder, people)
        ) // 2  # fmt: skip
        print(f"{kind:18} {len(files):9} {len(set(people)):7} {wrong:27}", flush=True)
        figures[f"wrong_pairs_{kind}"] = wrong
        figures[f"people_{kind}"] = len(set(people))
    return figures


def _in_one_studio(paths: Sequence[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """A portrait of each person with the same hair, clothes and background; the people."""
    firsts = {_person(path.name): path for path in reversed(paths)}
    photos = (np.asarray(Image.open(path).convert("RGB")) for path in firsts.values())
    portraits = list(studio_portraits(photos, FaceDetector()))
    people = [name for name, made in zip(firsts, portraits, strict=True) if made is not None]
    return _written([made for made in portraits if made is not None], folder), people


def _person(name: str) -> str:
    for pattern, collection in _PERSON_PATTERNS:
        if match := re.match(pattern, name):
            return collection + match[1]
    return name


def _people_of_clusters(founder: Sequence[int], people: Sequence[str]) -> list[Counter[str]]:
    clusters = defaultdict[int, Counter[str]](Counter)
    for root, person in zip(founder, people, strict=True):
        clusters[root][person] += 1
    return list(clusters.values())


def _measure_turned_copies(scratch: Path, kind: str, photos: Sequence[Picture]) -> dict[str, float]:
    from clustering import CONFIG, founders

    config, figures = AnalysisConfig.of(CONFIG), dict[str, float]()
    photos = [_smaller(photo) for photo in photos]
    originals = [analyse(path, config) for path in _written(photos, scratch / f"{kind} 0°")]
    for degrees in _COPY_TURNS_DEGREES:
        turned = [_turned(photo, degrees, (255, 255, 255)) for photo in photos]
        copies = [
            analyse(path, config) for path in _written(turned, scratch / f"{kind} {degrees}°")
        ]
        founder, num = founders([*originals, *copies]), len(photos)
        figures[f"copies_{kind}_{degrees}"] = sum(
            founder[k] == founder[num + k] for k in range(num)
        ) / num  # fmt: skip
    shares = "  ".join(f"{d}° {figures[f'copies_{kind}_{d}']:.3f}" for d in _COPY_TURNS_DEGREES)
    print(f"\nturned copies found among {len(photos)} {kind}: {shares}", flush=True)
    return figures


def _smaller(photo: Picture) -> Picture:
    scale = min(1.0, 800 / max(photo.shape[:2]))
    return np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _written(pictures: Iterable[Picture], folder: Path) -> list[Path]:
    folder.mkdir()
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(folder / f"{number:04}.jpg")
        Image.fromarray(picture).save(paths[-1], quality=92)
    return paths


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


if __name__ == "__main__":
    main()
