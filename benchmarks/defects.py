"""What an image search brings besides photographs: the share found by each limit of preparation.

Defects are planted in real photographs (of ``shared/data``, or of the folders named with
``--photos``): collages, frames, black and white, wrong exposure, stretched pictures, text over the
face. Drawn people stand for drawings. Pictures without any content are drawn. Each is analysed as
preparation does, and judged by one limit at a time. The photographs themselves tell how many good
pictures each limit rejects; ``--show`` names these, because a search brings real defects too.

``--split`` measures instead how many collages are split in two pictures and how many photographs
are, by the limit of the seam: pairs of the same person with and without make-up are planted.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from photographs import DATA
from PIL import Image

from core.pictures import Rejected, find_pictures, read_picture
from preprocessing.analysis.analyse import Analysis, AnalysisConfig, analyse, analyse_parts
from preprocessing.config import PrepareConfig
from preprocessing.selection.collage_parts import is_candidate, is_split
from preprocessing.selection.rejection_reasons import Reason
from preprocessing.selection.rules import possible_crops

Pixels = NDArray[np.uint8]

_FOLDERS = [DATA / name / side for name in ("makeup_photos", "webfaces_mask") for side in "AB"]
_MIN_SIDE_PX = 200  # of a photograph that a defect is planted in
_PX = 400  # longer side of these
_SPLIT_LIMITS = (0.4, 0.5, 0.6, 0.7, 0.8)
_LIMITS: Mapping[Reason, dict[str, float]] = {
    Reason.COLLAGE: {"max_seam": 0.8},
    Reason.FRAMED: {"max_frame": 0.04},
    Reason.BLACK_AND_WHITE: {"min_colour": 1.5},
    Reason.TOO_DARK: {"min_light": 30},
    Reason.TOO_BRIGHT: {"max_light": 235},
    Reason.UNIFORM: {"min_contrast": 4, "faces": False},
}


def main() -> None:
    """Print tables, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pictures: less than 50 seconds")
    parser.add_argument("--num", type=int, default=40, help="photographs to plant in, 40")
    parser.add_argument("--photos", type=Path, nargs="*", default=_FOLDERS)
    parser.add_argument("--show", action="store_true", help="name the photographs rejected")
    parser.add_argument("--split", action="store_true", help="measure the splitting of collages")
    given = parser.parse_args()
    files = [path for folder in given.photos if folder.is_dir() for path in find_pictures(folder)]
    if not files:
        raise SystemExit(f"found no photographs in {given.photos}; name folders with --photos")
    num = 5 if given.quick else given.num
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as scratch:
        if given.split:
            figures = measure_splits(
                files, given.num, Path(scratch) / "planted.png", show=given.show
            )
            print(json.dumps(figures))
            return
        figures = measure_planted(_evenly(files, 3 * num), num, Path(scratch) / "planted.jpg")
    figures |= measure_photographs(_evenly(files, 30 if given.quick else 10_000), show=given.show)
    print(json.dumps(figures))


def measure_planted(files: list[Path], num: int, target: Path) -> dict[str, float]:
    """The share of each planted defect that its limit finds, and that any limit finds."""
    photos = [photo for photo in map(_photograph, files) if photo is not None][:num]
    photos = [photo for photo in photos if _analysed(photo, target).faces]
    figures: dict[str, float] = {}
    print(f"planted in {len(photos)} photographs with a face\n{'':34} {'found':>6} {'any':>6}")
    for name, (reason, pictures) in _planted(photos).items():
        found, by_any = [], []
        for picture in pictures:
            analysis = _analysed(picture, target)
            reasons = {each for each in _LIMITS if _is_rejected(analysis, each)}
            found.append(reason in reasons)
            by_any.append(bool(reasons - {Reason.UNIFORM}))
        share = "" if reason is None else f"{np.mean(found):6.2f}"
        print(f"{name:34} {share:>6} {np.mean(by_any):6.2f}", flush=True)
        figures[name.replace(" ", "_")] = float(np.mean(by_any if reason is None else found))
    return figures


def measure_splits(files: list[Path], num: int, target: Path, *, show: bool) -> dict[str, float]:
    """The share of planted collages that are split where they were joined, and the number of other
    photographs that are split, by the limit of the seam.
    """
    figures: dict[str, float] = {}
    print("planted collages split, and split within 2 % of the place of joining")
    for name, pictures in _before_and_after(num).items():
        seams = [_split(_saved(picture, target)) for picture in pictures]
        for limit in _SPLIT_LIMITS:
            parts = [each for each in seams if _is_split(each, limit)]
            right = [each for each in parts if _is_in_the_middle(each)]
            print(f"{name:34} seam > {limit}: {len(parts):4} and {len(right):4} of {len(seams)}")
            figures[f"split_{name}_{limit}".replace(" ", "_")] = round(len(right) / len(seams), 3)
    candidates = {path: _split(path) for path in files}
    for limit in _SPLIT_LIMITS:
        split = [path for path, parts in candidates.items() if _is_split(parts, limit)]
        print(f"photographs split, seam > {limit}: {len(split)} of {len(candidates)}")
        if show:
            print("".join(f"  {path}\n" for path in split), end="")
        figures[f"photographs_split_{limit}"] = len(split)
    return figures


def _before_and_after(num: int) -> dict[str, list[Pixels]]:
    """Pairs of the same person, and pairs of other people's photographs, joined in four ways."""
    folder = DATA / "makeup128"
    pairs = [
        (folder / "A" / path.name.replace("_n.", "_y."), path)
        for path in sorted((folder / "B").glob("*_1_n.jpg"))
    ]
    people = [
        (first, second)
        for pair in _evenly([pair for pair in pairs if pair[0].is_file()], num)
        for first, second in [map(read_picture, pair)]
        if not isinstance(first, Rejected) and not isinstance(second, Rejected)
    ]
    return {
        "before and after": [_joined(a, b, 0, stacked=False) for a, b in people],
        "white line between": [_joined(a, b, 6, stacked=False) for a, b in people],
        "one above the other": [_joined(a, b, 0, stacked=True) for a, b in people],
        "one person twice": [_joined(a, a[:, ::-1], 0, stacked=False) for a, _ in people],
    }


def _saved(picture: Pixels, target: Path) -> Path:
    Image.fromarray(picture).save(target.with_suffix(".jpg"), quality=90)
    return target.with_suffix(".jpg")


def _split(path: Path) -> list[Analysis]:
    """The parts of a picture that may be a collage, at the lowest of the limits."""
    analysis = analyse(path, _analysis_config())
    config = PrepareConfig(
        domain_a="a", domain_b="b", min_face_px=32, split_seam=min(_SPLIT_LIMITS)
    )
    return analyse_parts(path, _analysis_config()) if is_candidate(analysis, config) else []


def _is_split(parts: list[Analysis], limit: float) -> bool:
    return is_split(
        parts, PrepareConfig(domain_a="a", domain_b="b", min_face_px=32, split_seam=limit)
    )


def _is_in_the_middle(parts: list[Analysis]) -> bool:
    first, second = (part.place.box for part in parts if part.place)
    ends = [(first[2], second[0], second[2])] if first[3] == second[3] else []
    ends = ends or [(first[3], second[1], second[3])]
    [(end, start, whole)] = ends
    return abs((end + start) / 2 - whole / 2) <= 0.02 * whole


def measure_photographs(files: list[Path], *, show: bool) -> dict[str, float]:
    """The share of photographs that each limit rejects."""
    num, num_faces, rejected = 0, 0, Counter[Reason]()
    for path in files:
        analysis = analyse(path, _analysis_config())
        if analysis.reason:
            continue
        num, num_faces = num + 1, num_faces + bool(analysis.faces)
        for reason in (each for each in _LIMITS if _is_rejected(analysis, each)):
            rejected[reason] += 1
            if show:
                print(f"{reason}: {path} {analysis.defects}")
    print(f"\n{num} photographs, {num_faces} of them with a face\n{'limit':34} {'rejected':>8}")
    for reason, limit in _LIMITS.items():
        print(f"{reason + ' ' + str(limit):34.34} {rejected[reason]:8}")
    return {f"rejected_{reason}": round(rejected[reason] / num, 4) for reason in _LIMITS}


@functools.cache
def _config(reason: Reason | None) -> PrepareConfig:
    """All limits of this module off but that of ``reason``; all faces are wanted."""
    off = {"min_contrast": 0, "min_sharpness": 0, "min_side_px": 1}
    limits = off | (dict(_LIMITS[reason]) if reason else {})
    return PrepareConfig(domain_a="a", domain_b="b", faces_policy="largest", **limits)


def _is_rejected(analysis: Analysis, reason: Reason) -> bool:
    return possible_crops(analysis, _config(reason))[0].reason == reason


@functools.cache
def _analysis_config() -> AnalysisConfig:
    return AnalysisConfig.of(_config(None))


def _analysed(picture: Pixels, target: Path) -> Analysis:
    Image.fromarray(picture).save(target, quality=90)
    return analyse(target, _analysis_config())


def _photograph(path: Path) -> Pixels | None:
    """The photograph within ``_PX``, if it is large enough."""
    picture = read_picture(path)
    if isinstance(picture, Rejected) or min(picture.shape[:2]) < _MIN_SIDE_PX:
        return None
    scale = min(1.0, _PX / max(picture.shape[:2]))
    height, width = (round(side * scale) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def _planted(photos: list[Pixels]) -> dict[str, tuple[Reason | None, Iterator[Pixels]]]:
    """Pictures of each defect, with the reason that names it; ``None``: no limit is for it."""
    pairs = list(zip(photos, photos[1:] + photos[:1], strict=True))

    def each(change: Callable[[Pixels], Pixels]) -> Iterator[Pixels]:
        return map(change, photos)

    def joined(gap: int, *, stacked: bool = False) -> Iterator[Pixels]:
        return (_joined(first, second, gap, stacked=stacked) for first, second in pairs)

    planted = {
        "two photographs side by side": (Reason.COLLAGE, joined(0)),
        "the same, white line between": (Reason.COLLAGE, joined(6)),
        "two, one above the other": (Reason.COLLAGE, joined(0, stacked=True)),
        "one photograph beside itself": (
            Reason.COLLAGE, (_joined(photo, photo[:, ::-1], 0, stacked=False) for photo in photos)
        ),
        "frame, 6 % white": (Reason.FRAMED, each(functools.partial(_framed, level=255))),
        "bars above and below, 10 % black": (Reason.FRAMED, each(_letterboxed)),
        "black and white": (Reason.BLACK_AND_WHITE, each(_grey)),
        "sepia": (Reason.BLACK_AND_WHITE, each(_sepia)),
        "underexposed to a fiftieth": (Reason.TOO_DARK, each(lambda p: _exposed(p, 1 / 50))),
        "overexposed five times": (Reason.TOO_BRIGHT, each(lambda p: _exposed(p, 5))),
    }  # fmt: skip
    plain = (_plain(seed) for seed in range(len(photos)))
    return planted | {
        "near-uniform": (Reason.UNIFORM, plain),
        "1.5 times as wide": (None, each(functools.partial(_stretched, x=1.5))),
        "1.5 times as high": (None, each(functools.partial(_stretched, y=1.5))),
        "text over the face": (None, each(_with_text)),
        "drawn people": (None, (_drawn(seed) for seed in range(len(photos)))),
    }


def _joined(first: Pixels, second: Pixels, gap: int, *, stacked: bool) -> Pixels:
    size = min(*first.shape[:2], *second.shape[:2])
    halves = [
        cv2.resize(picture[:size, :size], (300, 300), interpolation=cv2.INTER_AREA)
        for picture in (first, second)
    ]
    if stacked:
        halves = [half.transpose(1, 0, 2) for half in halves]
    line = np.full((300, gap, 3), 255, np.uint8)
    joined = np.concatenate([halves[0], line, halves[1]], axis=1)
    return np.ascontiguousarray(joined.transpose(1, 0, 2) if stacked else joined)


def _framed(picture: Pixels, level: int) -> Pixels:
    width = round(0.06 * max(picture.shape[:2]))
    return np.pad(picture, ((width, width), (width, width), (0, 0)), constant_values=level)


def _letterboxed(picture: Pixels) -> Pixels:
    height = round(0.1 * len(picture))
    return np.pad(picture, ((height, height), (0, 0), (0, 0)))


def _grey(picture: Pixels) -> Pixels:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _sepia(picture: Pixels) -> Pixels:
    return np.clip(_grey(picture) * np.array([1.07, 0.95, 0.74]), 0, 255).astype(np.uint8)


def _exposed(picture: Pixels, factor: float) -> Pixels:
    linear = (picture / 255.0) ** 2.2 * factor
    return (255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def _stretched(picture: Pixels, x: float = 1, y: float = 1) -> Pixels:
    height, width = picture.shape[:2]
    return np.asarray(cv2.resize(picture, (round(width * x), round(height * y))))


def _plain(seed: int) -> Pixels:
    """A plain colour with a little noise and a slight gradient."""
    rng = np.random.default_rng(seed)
    gradient = np.linspace(0, 6, 300)[:, None, None]
    return np.clip(
        rng.integers(10, 245, 3) + gradient + rng.normal(0, 1.5, (300, 300, 3)), 0, 255
    ).astype(np.uint8)


def _with_text(picture: Pixels) -> Pixels:
    """White letters across the middle of the picture, as a watermark has them."""
    height, width = picture.shape[:2]
    written = picture.copy()
    for share in (0.35, 0.5, 0.65):
        place = (round(0.1 * width), round(share * height))
        cv2.putText(written, "WATERMARK.EXAMPLE", place, cv2.FONT_HERSHEY_SIMPLEX, width / 450,
                    (255, 255, 255), 2, cv2.LINE_AA)  # fmt: skip
    return np.asarray(cv2.addWeighted(picture, 0.4, written, 0.6, 0))


def _drawn(seed: int) -> Pixels:
    from scraping.offline.portraits import Makeup, Person, Shot, draw

    makeup = Makeup.seeded(seed) if seed % 2 else None
    return np.asarray(draw(Person.seeded(seed), Shot.seeded(seed), makeup))


def _evenly(files: list[Path], num: int) -> list[Path]:
    step = max(1.0, len(files) / num)
    return [files[int(k * step)] for k in range(min(num, len(files)))]


if __name__ == "__main__":
    main()
