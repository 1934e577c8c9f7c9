"""Preparation: images a second and core against the usual parts; scaling; refresh; the join.

The usual parts, combined as in a straightforward script: Pillow decodes whole pictures, imagehash
hashes, imagededup finds duplicates, OpenCV's Haar cascade finds faces, Pillow crops. Both sides get
the same photographs from the same folder; processor time is that of the whole process with its
children, start-up included. A refresh, with one picture in twenty new, is compared with the
preparation of all of them from nothing; it uses all available photographs, because starting
processes and drawing a card takes a constant time. The join is of random 64-bit hashes with 2 %
planted near duplicates, each tool in a process of its own, at sizes that it can handle.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peers
from numpy.typing import NDArray
from photographs import photographs

_CROP_PX = 286
_LONGER_PX = 800
_RADIUS = 6
_NEW_SHARE = 0.05


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer pictures and hashes")
    arguments.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of your own")
    arguments.add_argument("--child", choices=_CHILDREN, help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--num", type=int, default=0, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        print(json.dumps(_CHILDREN[given.child](given.folder, given.num)))
        return
    peers.require("imagededup", "faiss")
    with tempfile.TemporaryDirectory(prefix="suyan-bench-") as name:
        folder = Path(name)
        num = _collect(given.photos, 30 if given.quick else 480, folder, "photos")
        _collect(given.photos, 60 if given.quick else 2000, folder, "more")
        figures = _whole(folder, num, rounds=1 if given.quick else 3)
        figures |= _join(folder, quick=given.quick)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _collect(photos: list[Path], most: int, folder: Path, into: str) -> int:
    """Photographs in ``folder/into``, each as a JPEG of 800 px, the usual size of a search
    result.
    """
    from PIL import Image

    (folder / into).mkdir()
    num = 0
    for path in photographs(photos, most, folder / f"drawn-{into}"):
        buffer = io.BytesIO()
        try:
            with Image.open(path) as image:
                scale = _LONGER_PX / max(image.size)
                size = (round(image.width * scale), round(image.height * scale))
                large = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
                large.save(buffer, "JPEG", quality=90)
        except OSError:
            continue
        name = hashlib.sha256(buffer.getvalue()).hexdigest()
        (folder / into / f"{name}.jpg").write_bytes(buffer.getvalue())
        num += 1
    return num


def _whole(folder: Path, num: int, rounds: int) -> dict[str, float]:
    took: dict[str, list[dict[str, float]]] = {}
    for turn in range(rounds):
        for child, workers in (("usual", 1), ("suyan", 1), ("suyan", 2)):
            if turn > 0 and child == "usual":
                continue  # it differs by far more than rounds do
            shutil.rmtree(folder / "workspace", ignore_errors=True)
            shutil.rmtree(folder / "usual", ignore_errors=True)
            name = f"{child} {workers}"
            took.setdefault(name, []).append(_run(child, folder, workers))
            got = took[name][-1]
            print(f"round {turn + 1} {name:10} {num:5} pictures {got['wall_s']:6.1f} s wall"
                  f" {got['cpu_s']:7.1f} s processor {num / got['cpu_s']:6.1f} images/s/core",
                  flush=True)  # fmt: skip
    best = {name: {k: statistics.median(r[k] for r in runs) for k in runs[0]}
            for name, runs in took.items()}  # fmt: skip
    ours, usual, two = best["suyan 1"], best["usual 1"], best["suyan 2"]
    again = _run("refresh", folder, 1)
    print(f"{again['pictures']:.0f} pictures, 5 % of them new: {again['refresh_s']:.1f} s; "
          f"all from nothing: {again['whole_s']:.1f} s", flush=True)  # fmt: skip
    return {
        "images": num,
        "images_per_s_core": num / ours["cpu_s"],
        "usual_images_per_s_core": num / usual["cpu_s"],
        "ratio_usual_parts": usual["cpu_s"] / ours["cpu_s"],
        "ratio_two_processes": ours["work_s"] / two["work_s"],
        "ratio_two_processes_with_start": ours["wall_s"] / two["wall_s"],
        "refresh_images": again["pictures"],
        "refresh_share": again["refresh_s"] / again["whole_s"],
    }


def _run(child: str, folder: Path, num: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", child, "--folder", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "--num", str(num)], capture_output=True, text=True, check=False
    )
    wall_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{child} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": wall_s, "cpu_s": cpu_s, **told}


def _usual(folder: Path, _num: int) -> dict[str, float]:
    """The straightforward script."""
    import cv2
    import imagehash
    from imagededup.methods import PHash
    from PIL import Image, ImageOps

    cv2.setNumThreads(1)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    out = folder / "usual"
    out.mkdir()
    hasher = PHash(verbose=False)
    encodings, num_faces = {}, 0
    for path in sorted((folder / "photos").iterdir()):
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        pixels = np.asarray(image)
        imagehash.phash(image)
        encodings[path.name] = hasher.encode_image(image_array=pixels)
        faces = cascade.detectMultiScale(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), 1.1, 5)
        for left, top, width, height in faces[:1]:
            margin = 0.3 * width
            box = (left - margin, top - margin, left + width + margin, top + height + margin)
            face = image.crop(tuple(map(round, box))).resize((_CROP_PX, _CROP_PX), 3)
            face.save(out / f"{path.stem}.png")
            num_faces += 1
    hasher.find_duplicates(encoding_map=encodings, max_distance_threshold=8)
    return {"faces": num_faces}


def _suyan(folder: Path, num_workers: int) -> dict[str, float]:
    names = sorted((folder / "photos").iterdir())
    return _prepare(folder / "workspace", names, num_workers)


def _refresh(folder: Path, num_workers: int) -> dict[str, float]:
    """Prepare everything from nothing; then everything but the newest 5 %, and after that
    everything.
    """
    names = sorted((folder / "more").iterdir())
    whole = _prepare(folder / "whole", names, num_workers)
    _prepare(folder / "most", names[: round(len(names) * (1 - _NEW_SHARE))], num_workers)
    took = []
    for turn in range(3):
        workspace = folder / f"refreshed-{turn}"
        shutil.copytree(folder / "most", workspace)
        os.sync()  # what was copied is no part of the refresh
        took.append(_prepare(workspace, names, num_workers)["work_s"])
    told = {"whole_s": whole["work_s"], "refresh_s": statistics.median(took)}
    return {**told, "pictures": len(names)}


def _prepare(workspace: Path, files: list[Path], num_workers: int) -> dict[str, float]:
    from core.tables import Original, write_rows
    from core.workspace import Workspace
    from preprocessing.config import PrepareConfig
    from preprocessing.prepare import prepare

    listings = []
    for side in range(2):
        rows = [
            Original("", "phrase", "", "objURL", "", "", path.stem,
                     f"../{path.parent.name}/{path.name}", 1, "ok", "",
                     f"2026-01-01T00:00:{number:06}")
            for number, path in enumerate(files) if number % 2 == side
        ]  # fmt: skip
        listings.append(workspace / f"{side}.parquet")
        write_rows(listings[-1], Original, rows)
    config = PrepareConfig(
        domain_a="a", domain_b="b", crop_px=_CROP_PX, min_images=2, num_workers=num_workers
    )
    started = time.perf_counter()
    summary = prepare(config, *listings, Workspace(workspace))
    return {"work_s": time.perf_counter() - started, "kept": sum(summary.counts.values())}


def _join(folder: Path, *, quick: bool) -> dict[str, float]:
    sizes = {
        "join_suyan": (10_000, 100_000, 200_000 if quick else 1_000_000),
        "join_faiss": (10_000, 50_000 if quick else 100_000),
        "join_imagededup": (2_000 if quick else 5_000,),
    }
    figures: dict[str, float] = {}
    pairs: dict[int, set[float]] = {}
    print(f"\n{'join within 6 bits':20} {'hashes':>10} {'pairs':>8} {'seconds':>9} {'GiB':>6}")
    for child, nums in sizes.items():
        for num in nums:
            got = _run(child, folder, num)
            pairs.setdefault(num, set()).add(got["pairs"])
            print(f"{child:20} {num:10,} {got['pairs']:8.0f} {got['join_s']:9.2f} "
                  f"{got['peak_gib']:6.2f}", flush=True)  # fmt: skip
            name = f"{child}_{num}_s"
            figures[name] = got["join_s"]
            if num == 1_000_000:
                figures["join_1m_radius6_s"] = got["join_s"]
                figures["join_1m_peak_gib"] = got["peak_gib"]
    if any(len(found) > 1 for found in pairs.values()):
        raise SystemExit(f"the tools disagree about the number of pairs: {pairs}")
    return figures


def _hashes(num: int) -> NDArray[np.uint64]:
    """Random hashes; 2 % of them are others with at most six bits flipped."""
    rng = np.random.default_rng(num)
    hashes = rng.integers(0, 2**64, num, dtype=np.uint64)
    planted = num // 50
    hashes[:planted] = hashes[planted : 2 * planted]
    for _ in range(_RADIUS):
        hashes[:planted] ^= np.uint64(1) << rng.integers(0, 64, planted).astype(np.uint64)
    return hashes


def _timed(num: int, join: Callable[[NDArray[np.uint64]], int]) -> dict[str, float]:
    hashes = _hashes(num)
    started = time.perf_counter()
    pairs = join(hashes)
    join_s = time.perf_counter() - started
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"pairs": pairs, "join_s": join_s, "peak_gib": peak_gib}


def _join_suyan(_folder: Path, num: int) -> dict[str, float]:
    from preprocessing.dedup.hamming import self_pairs

    return _timed(num, lambda hashes: sum(len(i) for i, _ in self_pairs(hashes, _RADIUS)))


def _join_faiss(_folder: Path, num: int) -> dict[str, float]:
    import faiss

    faiss.omp_set_num_threads(1)

    def join(hashes: NDArray[np.uint64]) -> int:
        rows = hashes.view(np.uint8).reshape(-1, 8)
        index = faiss.IndexBinaryFlat(64)
        index.add(rows)
        limits, _, _ = index.range_search(rows, _RADIUS + 1)  # faiss: less than
        return (int(limits[-1]) - len(hashes)) // 2

    return _timed(num, join)


def _join_imagededup(_folder: Path, num: int) -> dict[str, float]:
    from imagededup.methods import PHash

    def join(hashes: NDArray[np.uint64]) -> int:
        encodings = {str(k): f"{int(value):016x}" for k, value in enumerate(hashes)}
        found = PHash(verbose=False).find_duplicates(
            encoding_map=encodings, max_distance_threshold=_RADIUS,
            num_dist_workers=0, search_method="brute_force_cython",
        )  # fmt: skip
        return sum(map(len, found.values())) // 2

    return _timed(num, join)


_CHILDREN: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "usual": _usual,
    "suyan": _suyan,
    "refresh": _refresh,
    "join_suyan": _join_suyan,
    "join_faiss": _join_faiss,
    "join_imagededup": _join_imagededup,
}

if __name__ == "__main__":
    main()
