"""Whether a model knows pictures of its own kind, and tells others: false alarms and detection.

Three models' memories are measured, of drawn faces, of photographs of faces and of drawn landscapes
(make-up and bare, or summer and winter), each on pictures of its own kind that it has not seen and
on those of the other kinds. These are halved: the share of training pictures that count as like the
others (``QUANTILE``) is chosen on one half, and the rates of the product's choice are stated on the
other. The processor time for one face, by one thread, ends the table. Photographs are those of
``shared/data``; without them the drawings are measured alone.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from photographs import DATA

from core.pictures import load_picture
from evaluation.arrays import Array
from evaluation.features.extractor import Extractor, load_offline
from evaluation.features.likeness import LikenessJudge
from evaluation.features.training_statistics import (
    QUANTILE,
    DomainStatistics,
    FeatureCloud,
    TrainingStatistics,
)
from preprocessing.analysis.face_detector import FaceDetector
from preprocessing.config import PrepareConfig
from preprocessing.images import geometry
from scraping.offline import landscapes
from scraping.offline.corpus import portrait

Pixels = NDArray[np.uint8]

_PX = 128
_QUANTILES = (0.9, 0.95, 0.98, 0.99)
_KINDS = {
    "drawn faces": ("drawn make-up", "drawn bare"),
    "photographed faces": ("photographed make-up", "photographed bare"),
    "drawn landscapes": ("drawn summer", "drawn winter"),
}
_FURTHER = "other photographs"  # of faces, by other cameras and of other sizes
_FIRST_SEEDS = {"drawn make-up": 61_000_000, "drawn bare": 62_000_000}
_PREPARE = PrepareConfig(domain_a="makeup", domain_b="bare")


def main() -> None:
    """Print a table of rates, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pictures: less than 50 seconds")
    parser.add_argument("--num", type=int, default=250, help="training pictures a domain, 250")
    given = parser.parse_args()
    num = 20 if given.quick else given.num
    extractor = load_offline()
    detector = FaceDetector()
    started = time.perf_counter()
    sets = {
        name: extractor(np.stack(list(_crops(detector, name, num * 3 // 2))))
        for names in _KINDS.values()
        for name in names
        if DATA.is_dir() or "photographed" not in name
    }
    if (DATA / "makeup_photos").is_dir() and not given.quick:
        sets[_FURTHER] = extractor(np.stack(list(_crops(detector, _FURTHER, num))))
    print(f"{sum(map(len, sets.values()))} pictures, {time.perf_counter() - started:.0f} s\n")
    print(json.dumps(measure(sets) | time_of_one(extractor, detector)))


def measure(sets: Mapping[str, Array]) -> dict[str, float]:
    """The rates of every memory, which a table shows too."""
    chosen = _rates(sets, half=0)
    print("On the half that the share of like training pictures is chosen on, over all memories:")
    for quantile, (alarms, detected) in chosen.items():
        print(f"  {quantile:.0%} like: false alarms {alarms:.1%}, detected {detected:.1%}")
    print(f"\nThe product takes {QUANTILE:.0%}. On the other half:")
    result: dict[str, float] = {}
    for kind in _present(sets):
        statistics = _memory(sets, kind, QUANTILE)
        row = []
        for other, features in _by_kind(sets, half=1).items():
            share = float(np.mean(statistics.ratios(features) > 1))
            label = "false alarms" if other == kind else f"{other} detected"
            row.append(f"{label} {share:.1%} of {len(features)}")
            result[f"{kind} / {other}".replace(" ", "-")] = round(share, 4)
        print(f"  {kind}: " + "; ".join(row))
    return result


def time_of_one(extractor: Extractor, detector: FaceDetector) -> dict[str, float]:
    """Milliseconds of processor time for the judgement of one face, and to load the network."""
    (crop,) = _crops(detector, "drawn make-up", 1)
    features = extractor(np.stack([crop] * 20)) + np.random.default_rng(0).normal(
        0, 0.1, (20, 1280)
    )
    side = DomainStatistics("", 20, None, FeatureCloud.fit(features))
    judge = LikenessJudge(TrainingStatistics(extractor.identity, _PX, {"A": side}))
    torch.set_num_threads(1)
    times = []
    for _ in range(11):
        started = time.process_time()
        judge.ratios([crop])
        times.append(1000 * (time.process_time() - started))
    load, one = times[0] - min(times), float(np.median(times[1:]))
    print(f"\nOne face, one thread: {one:.0f} ms; loading the network once: {load:.0f} ms")
    return {"ms_per_face": round(one, 1), "ms_to_load": round(load, 1)}


def _rates(sets: Mapping[str, Array], half: int) -> dict[float, tuple[float, float]]:
    """The mean shares of false alarms and of detected pictures, by quantile."""
    rates = {}
    for quantile in _QUANTILES:
        alarms, detected = [], []
        for kind in _present(sets):
            statistics = _memory(sets, kind, quantile)
            for other, features in _by_kind(sets, half).items():
                if other != _FURTHER:
                    share = float(np.mean(statistics.ratios(features) > 1))
                    (alarms if other == kind else detected).append(share)
        rates[quantile] = float(np.mean(alarms)), float(np.mean(detected))
    return rates


def _memory(sets: Mapping[str, Array], kind: str, quantile: float) -> TrainingStatistics:
    """What a model remembers that was trained on two thirds of this kind."""
    sides = {}
    for side, name in zip("AB", _KINDS[kind], strict=True):
        features = sets[name][: _num_known(sets[name])]
        cloud = FeatureCloud.fit(features, quantile)
        sides[side] = DomainStatistics(name, len(features), None, cloud)
    return TrainingStatistics("", _PX, sides)


def _by_kind(sets: Mapping[str, Array], half: int) -> dict[str, Array]:
    """The pictures that no memory was made of, by kind: one half of them."""
    kinds = {
        kind: np.concatenate(
            [sets[name][_num_known(sets[name]) :][half::2] for name in _KINDS[kind]]
        )
        for kind in _present(sets)
    }
    return kinds | ({_FURTHER: sets[_FURTHER][half::2]} if _FURTHER in sets else {})


def _num_known(features: Array) -> int:
    """The number of pictures that a memory is made of: the first two thirds."""
    return len(features) * 2 // 3


def _present(sets: Mapping[str, Array]) -> list[str]:
    return [kind for kind, names in _KINDS.items() if set(names) <= sets.keys()]


def _pictures(name: str, num: int) -> Iterator[Pixels]:
    if name in _FIRST_SEEDS:
        domain = "makeup" if name == "drawn make-up" else "bare"
        yield from (portrait(domain, _FIRST_SEEDS[name] + seed) for seed in range(num))
    elif name.startswith("drawn"):
        winter = name == "drawn winter"
        yield from (landscapes.draw(seed + winter * 10**6, winter=winter) for seed in range(num))
    else:
        folders = {
            "photographed make-up": ["makeup128/A"],
            "photographed bare": ["makeup128/B"],
            _FURTHER: ["makeup_photos/A", "makeup_photos/B"],
        }[name]
        files = [file for folder in folders for file in sorted((DATA / folder).iterdir())]
        if name != _FURTHER:  # the number is the person's: nobody is in both parts
            files = sorted(files, key=lambda file: int(re.findall(r"\d+", file.name)[0]) % 3 == 2)
        least = min(num, len(files))
        for index in range(least):
            yield load_picture(files[index * len(files) // least])


def _crops(detector: FaceDetector, name: str, num: int) -> Iterator[Pixels]:
    """The largest face of each picture that shows one, or a whole landscape, as preparation crops
    them: ``[_PX, _PX, 3]``.
    """
    for picture in _pictures(name, num):
        if name in _KINDS["drawn landscapes"]:
            transform = geometry.centre_transform(*picture.shape[:2], _PX)
            yield geometry.crop(picture, transform, _PX)
        elif faces := detector.detect(picture, 32):
            face = max(faces, key=lambda each: each.side)
            transform = geometry.eye_transform(
                face.keypoints, _PX, _PREPARE.eye_distance, _PREPARE.eye_height
            )
            yield geometry.crop(picture, transform, _PX)


if __name__ == "__main__":
    main()
