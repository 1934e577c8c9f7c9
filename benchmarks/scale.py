"""The growth of the cost of each stage with the number of pictures, by simulation.

Hits, catalogue, fingerprints and manifest are simulated, with the sizes and distributions of real
ones; the product's own code is timed on them. Each stage runs at several sizes, each in a process
of its own; the growth of its peak resident memory is recorded too. The exponent is the slope of
time, or of memory, over the upper decade on log-log paper: 1 is proportional, 2 is quadratic.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

_SIZES = (10_000, 100_000, 1_000_000)
_QUICK = (500, 5_000, 50_000)
_SHARE = {"publication": (0.1, 0.1), "decisions": (1, 0.2)}  # of these sizes: quicker
_LEAST_MB = 20.0  # constant cost of a stage, below which no slope can be measured
_LEAST_S = 0.05
_ENGINE = "https://engine.example"
_DUPLICATE_BITS = 10  # the default of a preparation
_PAGE = 60
Parts = Iterator[tuple[str, float]]  # what was measured, s
_BATCH = 256


def _filled(folder: Path, num: int):  # noqa: ANN202
    """A catalogue whose one crawl has seen ``num`` hits and fetched none of them."""
    from scraping.catalogue.entities import Cursor
    from scraping.catalogue.repository import Catalogue
    from scraping.search.engine import Hit

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
    """Fetch everything like a crawl, but without the network."""
    from scraping.catalogue.entities import Attempt, DownloadResult
    from scraping.catalogue.leases import Leases

    began, last = time.time(), 0
    leases = Leases(catalogue, "bare-1", 60)
    while tasks := catalogue.pending_tasks("bare-1", began, _BATCH, after=last):
        last = tasks[-1].hit
        taken = leases.acquire(tasks, began)
        catalogue.final_attempts(url for task in taken for _, url in task.candidates)
        urls = [task.candidates[0][1] for task in taken]
        digests = [_sha256(task.hit) for task in taken]
        catalogue.save_attempts(
            [Attempt(url, "h.example", began, 0.1, "ok", "", 90_000, sha, "jpg")
             for url, sha in zip(urls, digests, strict=True)]
        )  # fmt: skip
        catalogue.save_results(
            "bare-1",
            [DownloadResult(task.hit, task.phrase, "ok", "", url, "objURL", began, sha,
                     f"originals/{sha}.jpg", 90_000)
             for task, url, sha in zip(taken, urls, digests, strict=True)],
        )  # fmt: skip
        leases.release(taken)
        yield len(taken)
    assert catalogue.num_originals("bare-1") == num


def _catalogue(folder: Path, num: int) -> Parts:
    """A whole crawl without the network: pages of hits, downloads, the listing."""
    from core.tables import Original, write_rows
    from scraping.catalogue import queries

    clock = _Clock()
    catalogue = _filled(folder, num)
    yield "catalogue: pages", clock.lap()
    assert sum(_fetched(catalogue, num)) == num
    yield "catalogue: tasks", clock.lap()
    write_rows(folder / "listing.parquet", Original, queries.listing_rows(catalogue, "bare-1"))
    yield "catalogue: listing", clock.lap()
    size = (folder / "catalogue.sqlite").stat().st_size
    print(f"  {num:>9,} hits: {size / num:.0f} bytes each in the catalogue", file=sys.stderr)


def _hash_join(_folder: Path, num: int) -> Parts:
    """One of the joins that a preparation makes of pictures against windows of pictures, down to
    the pairs that are compared.
    """
    import crowd
    import numpy as np

    from preprocessing.dedup.candidates import near_pairs

    hashes = crowd.usual().hashes(num, np.random.default_rng(0))
    clock = _Clock()
    near_pairs(hashes, hashes, np.arange(num), _DUPLICATE_BITS)
    yield "hash join", clock.lap()


def _sha256(k: int) -> str:
    return f"{k * 0x9E3779B97F4A7C15 % 2**256:064x}"


def _originals(num: int):  # noqa: ANN202
    from core.tables import Original

    for k in range(num):
        sha = _sha256(k)
        address = f"http://host-{k % 997}.example/pictures/{k}.jpg"
        yield Original(
            domain="bare", phrase="素颜", url=address, served_by="objURL", page_url=address,
            title="标题" * 10, sha256=sha, path=f"originals/{sha}.jpg", num_bytes=90_000,
            status="ok", reason="", fetched_at=f"2026-01-01T00:00:00.{k:09}+00:00",
        )  # fmt: skip


def _listing(folder: Path, num: int) -> Parts:
    """Written by a crawl."""
    from core.tables import Original, write_rows

    path = folder / "listing.parquet"
    clock = _Clock()
    write_rows(path, Original, _originals(num))
    yield "listing: write", clock.lap()
    print(f"  {num:>9,} rows: {path.stat().st_size / num:.0f} bytes each", file=sys.stderr)


def _known(cache, num: int) -> None:  # noqa: ANN001
    """Analyses of pictures, of which three in ten are blurred, and one in fifty a copy."""
    import crowd
    import numpy as np
    from PIL import Image

    from core.tables import groups
    from preprocessing.analysis.analyse import Analysis
    from preprocessing.analysis.fingerprint import Fingerprint

    rng = np.random.default_rng(0)
    hashes = crowd.usual().hashes(num, rng)
    hashes[6::50] = hashes[5::50][: len(hashes[6::50])]
    drawn = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (112, 90, 3), np.uint8)).save(drawn, "JPEG", quality=50)

    def analysis(k: int) -> Analysis:
        own = int(hashes[k])
        turned = own ^ 0x5555555555555555, own ^ 0xAAAAAAAAAAAAAAAA
        whole = Fingerprint((own,) * 7, own ^ (2**64 - 1), turned)
        sharpness = 5.0 if k % 10 < 3 else 100.0
        return Analysis("", 400, 320, sharpness, None, whole, preview=drawn.getvalue())

    for batch in groups(range(num), 1000):
        cache.add_analyses((_sha256(k), analysis(k)) for k in batch)


def _decisions(folder: Path, num: int) -> Parts:
    """The work of a preparation without faces in its main process, with all analyses and
    comparisons cached.
    """
    import numpy as np

    from core.tables import Original, Picture, groups, write_rows
    from preprocessing.analysis.analyse import AnalysisConfig
    from preprocessing.cache import AnalysisCache
    from preprocessing.config import PrepareConfig
    from preprocessing.selection.attributes import Attributes
    from preprocessing.selection.manifest import ManifestStats, build_manifest
    from preprocessing.selection.originals import Listing, OriginalIndex
    from preprocessing.version.card import write_card
    from preprocessing.version.card_rows import load_card_rows

    def compare(_names, pairs):  # noqa: ANN001, ANN202
        near = np.minimum(pairs["inner"], pairs["outer"]) % 50 == 5
        return (near & (np.abs(pairs["inner"] - pairs["outer"]) == 1)).astype(np.float64)

    write_rows(folder / "listing.parquet", Original, _originals(num))
    config = PrepareConfig(domain_a="a", domain_b="b", faces=False)
    cache = AnalysisCache(Workspace(folder), AnalysisConfig.of(config))
    _known(cache, num)
    clock, stats = _Clock(), ManifestStats(config)
    index = OriginalIndex.build(Listing("A", folder / "listing.parquet"))
    yield "prepare: listing", clock.lap()
    attributes = Attributes(config, index, {})
    for batch in groups(index.names, 500):
        for name, analysis in cache.load_analyses(batch).items():
            attributes.add(name, analysis)
    manifest = build_manifest(config, index, attributes, cache.load_analyses, {}, compare)
    yield "prepare: decide", clock.lap()
    write_rows(folder / "manifest.parquet", Picture, stats.count(manifest.rows()))
    yield "prepare: manifest", clock.lap()
    counts = stats.counts(), stats.rejected()
    rows = load_card_rows(folder / "manifest.parquet", manifest)
    write_card(folder, folder / "datasets" / "a-b", config, rows, *counts, cache)
    yield "prepare: card", clock.lap()
    assert sum(counts[0].values()) > num // 2
    assert counts[1]["A"]["blurred"] + counts[1]["A"]["duplicate-of"] > num // 4


def _publication(folder: Path, num: int) -> Parts:
    """Crops of a dataset version, copied, synced and renamed by the code of a preparation."""
    from preprocessing.version.staging import StagedVersion

    crop = folder / "crop.png"
    crop.write_bytes(os.urandom(4096))  # small files: the number of calls matters, not the bytes
    clock = _Clock()
    with StagedVersion(folder) as version:
        for k in range(num):
            version.add(crop, f"trainA/{k:064x}.png")
        assert version.commit(folder / "version")
    yield "publication", clock.lap()


class _Clock:
    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last call."""
        before, self._last = self._last, time.perf_counter()
        return self._last - before


_STAGES: dict[str, Callable[[Path, int], Parts]] = {
    "catalogue": _catalogue,
    "hash join": _hash_join,
    "listing": _listing,
    "decisions": _decisions,
    "publication": _publication,
}


def _child(stage: str, num: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        list(_STAGES[stage](Path(folder), 10))  # imports
    before_mb = _peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        for part, seconds in _STAGES[stage](Path(folder), num):
            print(json.dumps([part, seconds, _peak_mb() - before_mb]), flush=True)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _measured(stage: str, num: int) -> dict[str, tuple[float, float]]:
    """For each part its seconds, and the growth of the process's peak memory at its end."""
    command = [sys.executable, __file__, "--child", stage, str(num)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {part: (seconds, mb) for part, seconds, mb in rows}


def _slope(sizes: Sequence[int], costs: list[float], least: float) -> float:
    low, high = (max(cost, least) for cost in costs[-2:])
    return math.log(high / low) / math.log(sizes[-1] / sizes[-2])


def main() -> None:
    """Measure all stages, print the table, end with the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the sizes")
    parser.add_argument("--stage", choices=_STAGES, help="this one alone")
    parser.add_argument("--sizes", type=int, nargs=3, help="numbers of pictures, for one stage")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child[0], int(options.child[1]))
        return
    steepest: dict[str, float] = {}
    print(f"{'part':<20}{'pictures':>10}{'seconds':>10}{'µs each':>10}{'MB':>8}  exponents")
    for stage in [options.stage] if options.stage else _STAGES:
        share = _SHARE.get(stage, (1, 1))[options.quick]
        usual = [round(num * share) for num in (_QUICK if options.quick else _SIZES)]
        sizes = options.sizes or usual
        measured = [_measured(stage, num) for num in sizes]
        for part in measured[0]:
            costs = [of_size[part] for of_size in measured]
            times = _slope(sizes, [seconds for seconds, _ in costs], _LEAST_S)
            memory = _slope(sizes, [mb for _, mb in costs], _LEAST_MB)
            for num, (seconds, mb) in zip(sizes, costs, strict=True):
                each = f"{1e6 * seconds / num:>10.1f}"
                print(f"{part:<20}{num:>10,}{seconds:>10.2f}{each}{mb:>8.0f}", end="")
                print(f"  time {times:.2f}, memory {memory:.2f}" if num == sizes[-1] else "")
            steepest[part] = max(times, memory)
        sys.stdout.flush()
    worst = max(steepest, key=lambda part: steepest[part])
    exponents = {part: round(value, 3) for part, value in steepest.items()}
    figures = {"max_exponent": exponents[worst], "steepest": worst, "exponents": exponents}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
