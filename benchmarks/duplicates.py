"""Recall and precision of near-duplicate detection, with planted copies of photographs.

Each original gets a copy of each kind, and each kind is clustered together with all originals, as a
preparation does: analysis with faces, tiers, confirmation. A copy counts as found when it is in its
original's cluster. Precision is over all pairs that share a cluster: a pair is right when both come
from one original. Originals that are themselves copies of one another (equal thumbnails, by a
comparison of all with all that shares nothing with what is measured) are left out first. It is
compared with the method of the usual tools: pHash within 8 bits.

With ``--among 1000000`` the copies and their originals come after a million simulated pictures
whose hashes are distributed like the originals'. The copies that are still proposed for comparison,
and confirmed, are counted: distant pairs are not searched in a large collection.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import crowd
import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from photographs import photographs
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from core.pictures import Rejected, read_picture
from preprocessing.analysis.analyse import Analysis, AnalysisConfig, analyse
from preprocessing.analysis.fingerprint import QUARTER_TURNS, WINDOWS, Fingerprint
from preprocessing.config import PrepareConfig
from preprocessing.dedup.candidates import (
    HashColumns,
    find_candidates,
    newer_pictures,
    older_pictures,
)
from preprocessing.sandbox import map_sandboxed
from preprocessing.sandbox_worker import Failure

_CONFIG = PrepareConfig(domain_a="a", domain_b="b")
_USUAL_BITS = 8
_OTHER_PICTURES = 9.0  # least difference of thumbnails of originals, grey levels
_LEAST_PX = 64

Image_ = Image.Image


def _crop(image: Image_, rng: random.Random) -> Image_:
    """A crop that removes 5 % of each side, half at each end or all at one end."""
    width, height = image.size
    left, top = rng.uniform(0, 0.05) * width, rng.uniform(0, 0.05) * height
    return image.crop((round(left), round(top), round(left + 0.95 * width),
                       round(top + 0.95 * height)))  # fmt: skip


def _crop_all_round(image: Image_, _rng: random.Random) -> Image_:
    width, height = image.size
    x, y = round(0.05 * width), round(0.05 * height)
    return image.crop((x, y, width - x, height - y))


def _border(image: Image_, rng: random.Random) -> Image_:
    width = round(rng.uniform(0.03, 0.08) * max(image.size))
    colour = rng.choice(["white", "black", (200, 30, 60), (128, 128, 128)])
    framed = Image.new("RGB", (image.width + 2 * width, image.height + 2 * width), colour)
    framed.paste(image, (width, width))
    return framed


def _watermark(image: Image_, rng: random.Random) -> Image_:
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    size = max(9, image.width // 9)
    draw.text((0.06 * image.width, 0.84 * image.height), "© example.com", (255, 255, 255, 200),
              ImageFont.load_default(size))  # fmt: skip
    draw.text((rng.uniform(0.1, 0.3) * image.width, rng.uniform(0.2, 0.6) * image.height), "SAMPLE",
              (255, 255, 255, 110), ImageFont.load_default(int(1.6 * size)))  # fmt: skip
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _colour(image: Image_, rng: random.Random) -> Image_:
    for enhance in (ImageEnhance.Color, ImageEnhance.Brightness, ImageEnhance.Contrast):
        image = enhance(image).enhance(rng.uniform(0.75, 1.3))
    return image


def _resize(image: Image_, rng: random.Random) -> Image_:
    scale = rng.choice([0.5, 0.7, 1.6])
    size = (max(40, round(image.width * scale)), max(40, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


_KINDS: dict[str, tuple[Callable[[Image_, random.Random], Image_], int]] = {
    "jpeg q30": (lambda image, _: image, 30),
    "resize": (_resize, 90),
    "mirror": (lambda image, _: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 90),
    "watermark": (_watermark, 90),
    "colour": (_colour, 90),
    "crop 5 %": (_crop, 90),
    "crop 5 % all round": (_crop_all_round, 90),
    "border": (_border, 90),
}
_HARD = {"crop 5 %", "crop 5 % all round", "border"}


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer photographs")
    arguments.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of your own")
    arguments.add_argument("--among", type=int, default=0, metavar="N",
                           help="count what is found behind N other pictures instead")  # fmt: skip
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as name:
        scratch = Path(name)
        paths = photographs(given.photos, 50 if given.quick else 330, scratch / "drawn")
        kept = _different(paths)
        print(f"{len(kept)} originals ({len(paths) - len(kept)} of {len(paths)} left out)")
        files = _plant(kept, scratch)
        job = functools.partial(analyse, config=AnalysisConfig.of(_CONFIG))
        seen = _analyses([path for paths in files.values() for path in paths], job)
        if given.among:
            _measure_among(files, seen, given.among)
        else:
            _measure(files, seen, len(kept))


def _different(paths: Iterable[Path]) -> list[Image_]:
    """Decodable photographs without duplicates, by the difference of their thumbnails."""
    kept: list[Image_] = []
    thumbs = np.zeros((0, 768), np.float32)
    for path in paths:
        pixels = read_picture(path, max_pixels=6e7)
        if isinstance(pixels, Rejected) or min(pixels.shape[:2]) < _LEAST_PX:
            continue
        own, mirrored = _thumb(pixels), _thumb(pixels[:, ::-1])
        if any((np.abs(thumbs - t).mean(axis=1) <= _OTHER_PICTURES).any() for t in (own, mirrored)):
            continue
        thumbs = np.vstack([thumbs, own])
        kept.append(Image.fromarray(pixels))
    return kept


def _thumb(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    small = cv2.resize(pixels, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    return (small - small.mean()) * (50 / max(float(small.std()), 8.0))


def _plant(originals: Sequence[Image_], folder: Path) -> dict[str, list[Path]]:
    """Files of the originals ("") and of each kind of copy, in the same order."""
    files: dict[str, list[Path]] = {}
    for kind, (change, quality) in {"": (lambda image, _: image, 95), **_KINDS}.items():
        rng = random.Random(kind)
        place = folder / (kind.replace(" ", "-") or "original")
        place.mkdir()
        files[kind] = []
        for number, image in enumerate(originals):
            buffer = io.BytesIO()
            change(image, rng).save(buffer, "JPEG", quality=quality)
            files[kind].append(place / f"{number:05}.jpg")
            files[kind][-1].write_bytes(buffer.getvalue())
    return files


def _measure(files: dict[str, list[Path]], seen: dict[str, Analysis], num: int) -> None:
    from clustering import founders

    recalls: dict[str, float] = {}
    usual: dict[str, float] = {}
    right = wrong = usual_right = usual_wrong = 0
    hashes = {kind: _hashes(paths) for kind, paths in files.items()}
    print(f"\n{'kind':20} {'recall':>8} {'wrong pairs':>12} {'pHash <= 8':>12} {'wrong pairs':>12}")
    for kind in _KINDS:
        founder = founders([seen[str(path)] for path in (*files[""], *files[kind])])
        recalls[kind] = sum(founder[k] == founder[num + k] for k in range(num)) / num
        good, bad = _pairs(founder, num)
        near = np.bitwise_count(hashes[""][:, None] ^ hashes[kind][None]) <= _USUAL_BITS
        usual[kind] = float(np.diag(near).mean())
        miss = int(near.sum() - np.diag(near).sum())
        print(f"{kind:20} {recalls[kind]:8.3f} {bad:12} {usual[kind]:12.3f} {miss:12}")
        right, wrong = right + good, wrong + bad
        usual_right, usual_wrong = usual_right + int(np.diag(near).sum()), usual_wrong + miss
    figures = {
        "originals": num,
        "recall_plain": min(recalls[kind] for kind in _KINDS if kind not in _HARD),
        "recall_crop_border": min(recalls[kind] for kind in _HARD),
        "precision": right / (right + wrong),
        "usual_recall_plain": min(usual[kind] for kind in _KINDS if kind not in _HARD),
        "usual_recall_crop_border": min(usual[kind] for kind in _HARD),
        "usual_precision": usual_right / (usual_right + usual_wrong),
    }
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def _add(prints: HashColumns, seen: Analysis) -> None:
    large = [
        (k, face.aligned, face.context)
        for k, face in enumerate(seen.faces)
        if face.side >= _CONFIG.min_face_px
    ]
    is_portrait = len(large) == 1 and seen.faces[0].score >= 0.7
    prints.add(len(prints), seen.whole, large, is_portrait=is_portrait)


def _measure_among(
    files: dict[str, list[Path]], seen: dict[str, Analysis], num_others: int
) -> None:
    from clustering import compare

    analyses = [seen[str(path)] for paths in files.values() for path in paths]
    num, prints = len(files[""]), HashColumns()
    _add_others(prints, [seen[str(path)] for path in files[""]], num_others)
    for analysis in analyses:
        _add(prints, analysis)
    began = time.perf_counter()
    pairs = find_candidates(prints, _CONFIG.duplicate_bits)
    took = time.perf_counter() - began
    place, other = newer_pictures(pairs) - num_others, older_pictures(pairs) - num_others
    each = (place < 0).sum() / num_others
    print(f"\n{num_others} others: {each:.1f} pairs each to compare; joined in {took:.0f} s")
    print(f"{'kind':20} {'proposed':>9} {'confirmed':>10} {'others proposed, each':>22}")
    shares = {}
    for number, kind in enumerate(_KINDS, 1):
        mine = (place >= number * num) & (place < (number + 1) * num)
        true = mine & (place - number * num == other)
        own = pairs[true].copy()
        own["inner"] -= num_others
        own["outer"] -= num_others
        sure = compare(analyses, own) >= _CONFIG.duplicate_alike
        proposed, confirmed = (
            len(set(found.tolist())) / num for found in (other[true], other[true][sure])
        )
        shares[kind] = proposed, confirmed
        chance = (mine & (other < 0)).sum() / num
        print(f"{kind:20} {proposed:9.3f} {confirmed:10.3f} {chance:22.1f}")
    figures: dict[str, float] = {"originals": num, "among": num_others, "joins_s": took}
    for name, kinds in (("plain", _KINDS.keys() - _HARD), ("crop_border", _HARD)):
        figures[f"proposed_{name}"] = min(shares[kind][0] for kind in kinds)
        figures[f"recall_{name}"] = min(shares[kind][1] for kind in kinds)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def _add_others(prints: HashColumns, like: Sequence[Analysis], num: int) -> None:
    """Add pictures with a face each, that have only hashes, distributed like those of these
    pictures.
    """
    rng = np.random.default_rng(0)
    wholes = [picture.whole for picture in like if picture.whole is not None]
    faces = [face for picture in like for face in picture.faces]
    tiers = []
    for some in (wholes, [face.aligned for face in faces], [face.context for face in faces]):
        own = crowd.like(np.array([p.hashes for p in some], np.uint64).ravel()).hashes(num, rng)
        mirrored = crowd.like(np.array([p.mirrored for p in some], np.uint64)).hashes(num, rng)
        windows = np.stack([np.roll(own, 97 * k) for k in range(len(WINDOWS))], axis=1)
        turned = np.stack([np.roll(own, -97 * k) for k in QUARTER_TURNS], axis=1)
        tiers.append((windows.tolist(), mirrored.tolist(), turned.tolist()))
    for k in range(num):
        whole, aligned, context = (
            Fingerprint(tuple(hashes[k]), mirrored[k], tuple(turned[k]))
            for hashes, mirrored, turned in tiers
        )
        prints.add(len(prints), whole, [(0, aligned, context)])


def _analyses(paths: list[Path], job: Callable[[Path], Analysis]) -> dict[str, Analysis]:
    seen = {}
    for path, outcome in map_sandboxed(job, paths, num_workers=2, timeout_s=30):
        assert not isinstance(outcome, Failure), (path, outcome)
        seen[str(path)] = outcome
        if len(seen) % 200 == 0:
            print(f"\ranalysed {len(seen)} of {len(paths)}", end="", flush=True)
    return seen


def _hashes(paths: Iterable[Path]) -> NDArray[np.uint64]:
    values = []
    for path in paths:
        with Image.open(path) as image:
            values.append(int(str(imagehash.phash(image)), 16))
    return np.array(values, np.uint64)


def _pairs(founder: Sequence[int], num: int) -> tuple[int, int]:
    """Numbers of pairs that share a cluster: pairs of one original, and pairs of two."""
    clusters: dict[int, Counter[int]] = {}
    for place, root in enumerate(founder):
        clusters.setdefault(root, Counter())[place % num] += 1
    good = bad = 0
    for members in clusters.values():
        total = members.total()
        same = sum(n * (n - 1) // 2 for n in members.values())
        good, bad = good + same, bad + total * (total - 1) // 2 - same
    return good, bad


if __name__ == "__main__":
    main()
