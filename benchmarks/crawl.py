"""Images a second of the crawler's fetch, against icrawler and img2dataset, alternating.

All three get the same JPEGs from the same nginx into memory. Suyan does everything that a crawl
does: robots.txt, checks of every address, hashing, sniffing, durable files, the catalogue, the
listing and its contact sheet. The peers are installed in .venv-bench at the first run. A run's wall
time is that of its whole process, for which a person waits, and its CPU time that of the process
with its children; "once running" leaves out starting Python and importing modules.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from core.workspace import Workspace

if TYPE_CHECKING:
    from scraping.config import CrawlConfig

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-bench"
_PHRASE = "benchmark"


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer pictures, one round")
    arguments.add_argument("--num", type=int, default=0, help="pictures; 0: as the mode has it")
    arguments.add_argument("--child", choices=_CHILDREN, help=argparse.SUPPRESS)
    arguments.add_argument("--urls", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        _CHILDREN[given.child](given.urls.read_text().split(), given.out)
        return
    from picture_server import serve_pictures  # not in the children, whose start is timed

    num = given.num or (2000 if given.quick else 8000)
    peers = _peers()
    results: dict[str, list[dict[str, float]]] = {name: [] for name in _CHILDREN}
    with serve_pictures(num, 600, 60) as urls:
        for turn in range(1 if given.quick else 3):
            for name in _CHILDREN:
                python = sys.executable if name == "suyan" else str(peers)
                results[name].append(_measure(name, python, urls))
                got = results[name][-1]
                print(
                    f"round {turn + 1}  {name:12} {got['images_per_s']:7.0f} images/s", flush=True
                )
    _tell(results, num)


def _measure(name: str, python: str, urls: list[str]) -> dict[str, float]:
    from picture_server import ram_folder

    folder = Path(tempfile.mkdtemp(prefix="suyan-bench-out-", dir=ram_folder()))
    try:
        (folder / "urls.txt").write_text("\n".join(urls))
        if name == "suyan":
            seed(urls, folder / "out")
        command = [python, __file__, "--child", name, "--urls", str(folder / "urls.txt")]
        command += ["--out", str(folder / "out")]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall_s = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        seconds, cpu_s = map(float, done.stdout.split()[-2:])
        num = sum(1 for path in (folder / "out").rglob("*.jpg") if path.name != "preview.jpg")
        if num < len(urls):
            raise SystemExit(f"{name} stored {num} of {len(urls)} pictures")
        return {
            "images_per_s": num / wall_s,
            "active_per_s": num / seconds,
            "cpu_ms_per_image": 1000 * cpu_s / num,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(results: dict[str, list[dict[str, float]]], num: int) -> None:
    def median(name: str, figure: str) -> float:
        return statistics.median(result[figure] for result in results[name])

    print(f"\n{num} JPEGs from nginx on loopback into memory, medians")
    print(f"{'':14}{'images/s':>10}{'CPU ms/image':>14}")
    for name in results:
        print(
            f"{name:14}{median(name, 'images_per_s'):10.0f}{median(name, 'cpu_ms_per_image'):14.2f}"
        )
    ours = median("suyan", "images_per_s")
    figures = {
        "ratio_icrawler": ours / median("icrawler", "images_per_s"),
        "ratio_img2dataset": ours / median("img2dataset", "images_per_s"),
        "cpu_ms_per_image": median("suyan", "cpu_ms_per_image"),
        "cpu_ms_per_image_icrawler": median("icrawler", "cpu_ms_per_image"),
        "cpu_ms_per_image_img2dataset": median("img2dataset", "cpu_ms_per_image"),
        "images_per_s": ours,
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _peers() -> Path:
    """The interpreter with the peers, installed where missing."""
    python = PEERS / "bin" / "python"
    if not (PEERS / ".ready").exists():
        print("installing the peers into .venv-bench …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        wanted = str(ROOT / "benchmarks" / "peers.txt")
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", wanted], check=True)
        (PEERS / ".ready").touch()
    return python


def _suyan(urls: list[str], out: Path) -> None:
    from scraping.crawl import crawl

    started = time.perf_counter()
    crawl(configuration(len(urls)), Workspace(out))
    _print_times(started)


def seed(urls: list[str], out: Path) -> None:
    """Store the hits of a search in the catalogue: the peers are given their addresses too."""
    from scraping.catalogue.database import catalogue_url
    from scraping.catalogue.entities import Cursor, Stop, StopReason
    from scraping.catalogue.repository import Catalogue
    from scraping.crawl import crawl_name
    from scraping.search.engine import Hit

    config = configuration(len(urls))
    out.mkdir()
    hits = [Hit(url, (("objURL", url),), "", "", 600, 600) for url in urls]
    name = crawl_name(config)
    with Catalogue(catalogue_url(Workspace(out))) as catalogue:
        catalogue.begin_round(name, config.domain, len(urls), time.time())
        for first in range(0, len(hits), 60):
            page = hits[first : first + 60]
            cursor = Cursor(_PHRASE, hits=first + len(page), stop=Stop(StopReason.EXHAUSTED))
            catalogue.save_page(name, config.engine_url, cursor, page, time.time())


def configuration(num: int) -> CrawlConfig:
    from scraping.config import CrawlConfig

    return CrawlConfig(
        domain="benchmark",
        phrases=(_PHRASE,),
        num_images=num,
        allow_private_hosts=True,
        requests_per_s_per_host=1_000_000,
        num_workers=32,
    )


def _icrawler(urls: list[str], out: Path) -> None:
    import logging

    from icrawler.builtin import UrlListCrawler

    names = out.parent / "urls.txt"
    started = time.perf_counter()
    crawler = UrlListCrawler(
        downloader_threads=16, storage={"root_dir": str(out)}, log_level=logging.ERROR
    )
    crawler.crawl(url_list=str(names), max_num=len(urls))
    _print_times(started)


def _img2dataset(urls: list[str], out: Path) -> None:
    from img2dataset import download

    names = out.parent / "urls.txt"
    started = time.perf_counter()
    download(
        url_list=str(names), output_folder=str(out), input_format="txt", output_format="files",
        processes_count=2, thread_count=16, disable_all_reencoding=True, timeout=10,
        number_sample_per_shard=max(len(urls) // 4, 1),
    )  # fmt: skip
    _print_times(started)


def _print_times(started: float) -> None:
    seconds = time.perf_counter() - started
    cpu_s = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        cpu_s += usage.ru_utime + usage.ru_stime
    print(seconds, cpu_s)


_CHILDREN = {"suyan": _suyan, "icrawler": _icrawler, "img2dataset": _img2dataset}

if __name__ == "__main__":
    main()
