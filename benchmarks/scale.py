"""How the cost of each stage grows with the number of pictures, by simulation.

Hits, catalogue, fingerprints and manifest are made up, with the sizes and distributions of real
ones; what is timed is the product's own code on them. Each stage runs at several sizes, each in a
process of its own; what its greatest resident memory grows by is noted too. The
exponent is the slope of time, or of memory, over the upper decade on log-log paper: 1 is
proportional, 2 is quadratic.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

_SIZES = {
    "catalogue: pages": (1_000, 10_000, 100_000),
    "catalogue: errands": (1_000, 10_000, 100_000),
    "catalogue: listing": (1_000, 10_000, 100_000),
    "hash join": (10_000, 100_000, 1_000_000),
    "manifest": (10_000, 100_000, 1_000_000),
    "publication": (1_000, 10_000, 100_000),
}
_QUICK = {name: tuple(size // 10 for size in sizes) for name, sizes in _SIZES.items()}
_LEAST_MB = 20.0  # what a stage may take however few pictures there are: below, no slope is seen
_LEAST_S = 0.05
_ENGINE = "https://engine.example"
_DUPLICATE_BITS = 10  # the default of a preparation
_PAGE = 60
_BATCH = 256


def _filled(folder: Path, num: int):  # noqa: ANN202
    """A catalogue whose one crawl has seen ``num`` hits and fetched none of them."""
    from scraping.baidu import Hit
    from scraping.catalogue import Catalogue
    from scraping.entries import Cursor

    catalogue = Catalogue(f"sqlite:///{folder / 'catalogue.sqlite'}")
    catalogue.begin_round("bare-1", "bare", num, time.time())
    for first in range(0, num, _PAGE):
        page = [
            Hit(
                f"{k:032x}",
                (("objURL", f"http://host-{k % 997}.example/pictures/{k}.jpg"),
                 ("thumbURL", f"http://thumbs.example/it/u={k}&fm=253.jpg")),
                f"http://host-{k % 997}.example/page/{k}", "标题" * 10, 800, 600,
            )
            for k in range(first, min(first + _PAGE, num))
        ]  # fmt: skip
        catalogue.save_page("bare-1", _ENGINE, Cursor("素颜", offset=first), page, time.time())
    return catalogue


def _fetched(catalogue, num: int) -> Iterator[int]:  # noqa: ANN001
    """Fetch everything, as a crawl does, but for the network."""
    from scraping.claims import Claims
    from scraping.entries import Attempt, Outcome

    began, last = time.time(), 0
    claims = Claims(catalogue, "bare-1", 60)
    while errands := catalogue.errands("bare-1", began, _BATCH, after=last):
        last = errands[-1].hit
        taken = claims.take(errands, began)
        catalogue.known(url for errand in taken for _, url in errand.candidates)
        urls = [errand.candidates[0][1] for errand in taken]
        digests = [f"{errand.hit * 0x9E3779B97F4A7C15 % 2**256:064x}" for errand in taken]
        catalogue.save_attempts(
            [Attempt(url, "h.example", began, 0.1, "ok", "", 90_000, sha, "jpg")
             for url, sha in zip(urls, digests, strict=True)]
        )  # fmt: skip
        catalogue.save_outcomes(
            "bare-1",
            [Outcome(errand.hit, errand.phrase, "ok", "", url, "objURL", began, sha,
                     f"originals/{sha}.jpg", 90_000)
             for errand, url, sha in zip(taken, urls, digests, strict=True)],
        )  # fmt: skip
        claims.release(taken)
        yield len(taken)
    assert catalogue.num_found("bare-1") == num


def _pages(folder: Path, num: int) -> float:
    started = time.perf_counter()
    _filled(folder, num)
    return time.perf_counter() - started


def _errands(folder: Path, num: int) -> float:
    catalogue = _filled(folder, num)
    started = time.perf_counter()
    assert sum(_fetched(catalogue, num)) == num
    return time.perf_counter() - started


def _listing(folder: Path, num: int) -> float:
    from scraping import ledger
    from scraping.records import Original, write_rows

    catalogue = _filled(folder, num)
    sum(_fetched(catalogue, num))
    started = time.perf_counter()
    write_rows(folder / "listing.parquet", Original, ledger.rows(catalogue, "bare-1"))
    return time.perf_counter() - started


def _hash_join(_folder: Path, num: int) -> float:
    import numpy as np

    from preprocessing.hamming import self_pairs

    # phash is balanced but not uniform: the low frequencies of photographs resemble one another
    rng = np.random.default_rng(0)
    bits = rng.random((num, 64)) < rng.beta(8, 8, 64)[None]
    hashes = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    del bits
    started = time.perf_counter()
    sum(len(i) for i, _ in self_pairs(hashes, _DUPLICATE_BITS))
    return time.perf_counter() - started


def _originals(num: int):  # noqa: ANN202
    from scraping.records import Original

    for k in range(num):
        sha = f"{k * 0x9E3779B97F4A7C15 % 2**256:064x}"
        address = f"http://host-{k % 997}.example/pictures/{k}.jpg"
        yield Original(
            domain="bare", phrase="素颜", url=address, served_by="objURL", page_url=address,
            title="标题" * 10, sha256=sha, path=f"originals/{sha}.jpg", num_bytes=90_000,
            status="ok", reason="", fetched_at="2026-01-01T00:00:00+00:00",
        )  # fmt: skip


def _manifest(folder: Path, num: int) -> float:
    """Written by a crawl, read by a preparation: what both sides of a listing cost."""
    from scraping.records import Original, read_rows, write_rows

    path = folder / "listing.parquet"
    started = time.perf_counter()
    write_rows(path, Original, _originals(num))
    assert len(read_rows(path, Original)) == num
    seconds = time.perf_counter() - started
    print(f"  {num:>9,} rows: {path.stat().st_size / num:.0f} bytes each", file=sys.stderr)
    return seconds


def _publication(folder: Path, num: int) -> float:
    """Crops of a dataset version, copied, synced and renamed as a preparation does."""
    import shutil

    from scraping.records import sync_folder

    crop = folder / "crop.png"
    crop.write_bytes(os.urandom(4096))  # the calls are what grows; bytes are bytes
    partial = folder / ".version.partial"
    (partial / "trainA").mkdir(parents=True)
    started = time.perf_counter()
    for k in range(num):
        shutil.copyfile(crop, partial / "trainA" / f"{k:064x}.png")
    for path in partial.rglob("*.png"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(partial / "trainA")
    partial.rename(folder / "version")
    return time.perf_counter() - started


_STAGES: dict[str, Callable[[Path, int], float]] = {
    "catalogue: pages": _pages,
    "catalogue: errands": _errands,
    "catalogue: listing": _listing,
    "hash join": _hash_join,
    "manifest": _manifest,
    "publication": _publication,
}


def _child(stage: str, num: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _STAGES[stage](Path(folder), 10)  # imports
    before_mb = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        seconds = _STAGES[stage](Path(folder), num)
    print(json.dumps({"seconds": seconds, "peak_mb": _peak_mb() - before_mb}))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _measured(stage: str, num: int) -> tuple[float, float]:
    command = [sys.executable, __file__, "--child", stage, str(num)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    return figures["seconds"], figures["peak_mb"]


def _slope(sizes: tuple[int, ...], costs: list[float], least: float) -> float:
    low, high = (max(cost, least) for cost in costs[-2:])
    return math.log(high / low) / math.log(sizes[-1] / sizes[-2])


def main() -> None:
    """Measure all stages, print the table, end with the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes")
    parser.add_argument("--stage", choices=_STAGES, help="this one alone")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child[0], int(options.child[1]))
        return
    steepest: dict[str, float] = {}
    print(f"{'stage':<20}{'pictures':>10}{'seconds':>10}{'µs each':>10}{'MB':>8}  exponents")
    for stage, sizes in (_QUICK if options.quick else _SIZES).items():
        if options.stage not in {None, stage}:
            continue
        measured = [_measured(stage, num) for num in sizes]
        times = _slope(sizes, [seconds for seconds, _ in measured], _LEAST_S)
        memory = _slope(sizes, [mb for _, mb in measured], _LEAST_MB)
        for num, (seconds, mb) in zip(sizes, measured, strict=True):
            each = f"{1e6 * seconds / num:>10.1f}"
            print(f"{stage:<20}{num:>10,}{seconds:>10.2f}{each}{mb:>8.0f}", end="")
            last = num == sizes[-1]
            print(f"  time {times:.2f}, memory {memory:.2f}" if last else "", flush=True)
        steepest[stage] = max(times, memory)
    worst = max(steepest, key=lambda stage: steepest[stage])
    exponents = {stage: round(value, 3) for stage, value in steepest.items()}
    figures = {"max_exponent": exponents[worst], "steepest": worst, "exponents": exponents}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
