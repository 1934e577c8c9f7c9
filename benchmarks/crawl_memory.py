"""Memory of a crawl over many hits: resident size after each part of the hits, as a curve.

nginx serves small JPEGs; each hit has an address of its own, so that nothing is a duplicate.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import crawl as crawl_benchmark
from picture_server import ram_folder, serve_pictures

from core.workspace import Workspace

_BAR = 50


def main() -> None:
    """Crawl, print the curve, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="6,000 hits instead of 100,000")
    num = 6_000 if arguments.parse_args().quick else 100_000
    folder = Path(tempfile.mkdtemp(prefix="suyan-bench-", dir=ram_folder()))
    try:
        with serve_pictures(num, 64, 40) as urls:
            points, seconds = _crawl(urls, folder / "out")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    most = max(mib for _, mib in points)
    print(f"\n{'hits':>8} {'MiB':>7}")
    for hits, mib in points:
        print(f"{hits:8} {mib:7.1f} {'#' * round(_BAR * mib / most)}")
    half = len(points) // 2
    early = statistics.median(mib for _, mib in points[1:half])
    late = statistics.median(mib for _, mib in points[half:])
    figures = {
        "hits": num,
        "early_mib": early,
        "late_mib": late,
        "growth_bytes_per_hit": (late - early) * 2**20 / (num / 2),
        "images_per_s": num / seconds,
    }
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


def _crawl(urls: list[str], out: Path) -> tuple[list[tuple[int, float]], float]:
    from scraping.crawl import crawl

    num = len(urls)
    crawl_benchmark.seed(urls, out)
    urls.clear()
    points: list[tuple[int, float]] = []
    shown = 0

    def watch(_stage: str, done: int, _total: int | None, _message: str) -> None:
        nonlocal shown
        if done >= shown:
            points.append((done, _resident_mib()))
            print(f"\r{done} of {num}", end="", file=sys.stderr, flush=True)
            shown += max(num // 25, 1)

    started = time.perf_counter()
    crawl(crawl_benchmark.configuration(num), Workspace(out), progress=watch)
    seconds = time.perf_counter() - started
    points.append((num, _resident_mib()))
    return points, seconds


def _resident_mib() -> float:
    """Resident size of this process and the one that downloads."""
    children = [
        child for task in Path("/proc/self/task").glob("*/children")
        for child in task.read_text().split()
    ]  # fmt: skip
    pages = 0
    for pid in ("self", *children):
        with contextlib.suppress(OSError):  # it has just ended
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main()
