"""Images a second of `suyan add`: a folder against `cp -r`, a list against img2dataset and libcurl.

They alternate. `cp -r` copies the same folder on the same disk and leaves the bytes in memory; "cp
-r, sync" flushes them, as Suyan does with every original. Suyan also hashes, sniffs, and writes the
catalogue, the listing and its contact sheet. The list is fetched from a small server on loopback by
Suyan, by img2dataset with as many threads and without its re-encoding, and by the floor: libcurl
with as many transfers at once, which writes each file and does nothing else: no check of the
address, no robots.txt, no pace, no hash, no flush, no row. Times are of whole processes, for which
a person waits; processor time tells what a busy machine hides. With --quick most of it is the start
of each program. img2dataset needs other versions of our libraries: `--img2dataset PROGRAM` names
that of an environment of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import multiprocessing
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
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_NUM_TRANSFERS = 16  # at once, as CrawlConfig.num_workers
_Results = dict[str, list[tuple[float, float]]]  # images/s and CPU ms/image of each round
_SUYAN = "from cli.main import main; main()"


def main() -> None:
    """Measure, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer pictures, one round")
    arguments.add_argument("--num", type=int, default=0, help="pictures; 0: as the mode has it")
    arguments.add_argument("--only", choices=("folder", "list"), help="one half; default: both")
    arguments.add_argument("--img2dataset", metavar="PROGRAM", help="default: where importable")
    arguments.add_argument("--floor", nargs=2, help=argparse.SUPPRESS)  # list, folder
    given = arguments.parse_args()
    if given.floor:
        _fetch_plainly(Path(given.floor[0]).read_text().split(), Path(given.floor[1]))
        return
    num = given.num or (400 if given.quick else 10_000)
    num_listed = num * 4 // 5
    num_rounds = 1 if given.quick else 3
    peer = _img2dataset(given.img2dataset)
    home = Path(tempfile.mkdtemp(prefix="suyan-bench-add-"))
    results: _Results = {}
    try:
        pictures = _draw(home / "pictures", num)
        for number in range(num_rounds if given.only != "list" else 0):
            for name, work in _of_folder(home).items():
                _measure(results, number, name, num, work)
        with _Server(pictures[:num_listed]) as url:
            (home / "urls.txt").write_text(
                "\n".join(f"{url}/{index}.jpg" for index in range(num_listed))
            )
            _write_params(home / "params.json")
            for number in range(num_rounds if given.only != "folder" else 0):
                for name, work in _of_list(home, peer).items():
                    _measure(results, number, name, num_listed, work)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    _report(results, num, num_listed)


def _report(results: _Results, num: int, num_listed: int) -> None:
    medians = {name: statistics.median(rate for rate, _ in each) for name, each in results.items()}
    cpu_ms = {name: statistics.median(ms for _, ms in each) for name, each in results.items()}
    print(f"\n{num} JPEGs of a folder, {num_listed} of a list, medians")
    print(f"{'':24}{'images/s':>10}{'CPU ms/image':>14}")
    for name, rate in medians.items():
        print(f"{name:24}{rate:10.0f}{cpu_ms[name]:14.2f}")
    ratios = {
        "ratio_cp": ("suyan add folder", "cp -r"),
        "ratio_cp_sync": ("suyan add folder", "cp -r, sync"),
        "ratio_libcurl": ("suyan add list", "libcurl list"),
        "ratio_img2dataset": ("suyan add list", "img2dataset list"),
    }
    figures = {"num": float(num), "num_listed": float(num_listed)}
    for name, (ours, other) in ratios.items():
        if ours in medians and other in medians:
            figures[name] = medians[ours] / medians[other]
    for name, prefix in (("suyan add folder", ""), ("suyan add list", "list_")):
        if name in medians:
            figures[f"{prefix}images_per_s"] = medians[name]
            figures[f"{prefix}cpu_ms_per_image"] = cpu_ms[name]
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _img2dataset(program: str | None) -> list[str]:
    """The command of img2dataset; empty, with a word on the terminal, where it is not installed."""
    if program:
        return [program]
    if importlib.util.find_spec("img2dataset"):
        return [sys.executable, "-c", "from img2dataset import main; main()"]
    print("img2dataset is not installed here, and --img2dataset names no program: left out")
    return []


def _of_folder(home: Path) -> dict[str, Callable[[], None]]:
    source, copy, workspace = home / "pictures", home / "copy", home / "workspace"

    def plain() -> None:
        subprocess.run(["cp", "-r", str(source), str(copy)], check=True)

    def flushed() -> None:
        plain()
        subprocess.run(["sync", "-f", str(copy)], check=True)

    def add() -> None:
        _suyan("add", source, "--domain", "bare", "--workspace", workspace)

    def again() -> None:
        _suyan("add", source, "--domain", "bare", "--workspace", workspace)
        shutil.rmtree(workspace)

    def without(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            shutil.rmtree(copy, ignore_errors=True)
            work()

        return run

    return {
        "cp -r": without(plain),
        "cp -r, sync": without(flushed),
        "suyan add folder": without(add),
        "suyan add folder, again": without(again),
    }


def _of_list(home: Path, peer: list[str]) -> dict[str, Callable[[], None]]:
    addresses, copy, workspace = home / "urls.txt", home / "fetched", home / "workspace"

    def floor() -> None:
        shutil.rmtree(copy, ignore_errors=True)
        command = [sys.executable, __file__, "--floor", str(addresses), str(copy)]
        subprocess.run(command, check=True)
        _require(copy, len(addresses.read_text().split()))

    def add() -> None:
        shutil.rmtree(workspace, ignore_errors=True)
        _suyan(
            "add", addresses, "--domain", "bare", "--params", home / "params.json",
            "--allow-private-hosts", "--workspace", workspace,
        )  # fmt: skip
        _require(workspace / "originals", len(addresses.read_text().split()))

    def fetch_with_peer() -> None:
        shutil.rmtree(copy, ignore_errors=True)
        options = {
            "url_list": addresses, "output_folder": copy, "input_format": "txt",
            "output_format": "files", "processes_count": 1, "thread_count": _NUM_TRANSFERS,
            "disable_all_reencoding": True,
        }  # fmt: skip
        words = [f"--{name}={value}" for name, value in options.items()]
        environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}  # it would ask the internet
        subprocess.run([*peer, *words], check=True, capture_output=True, env=environment)
        _require(copy, len(addresses.read_text().split()))

    works = {"libcurl list": floor, "suyan add list": add}
    return works | ({"img2dataset list": fetch_with_peer} if peer else {})


def _require(folder: Path, num: int) -> None:
    stored = sum(1 for _ in folder.rglob("*.jpg"))
    if stored != num:
        raise SystemExit(f"{folder} has {stored} pictures, needed {num}")


def _measure(results: _Results, number: int, name: str, num: int, work: Callable[[], None]) -> None:
    subprocess.run(["sync"], check=True)  # what the one before left is not this one's to write
    started, cpu_s = time.perf_counter(), _cpu_of_children_s()
    work()
    rate = num / (time.perf_counter() - started)
    cpu_ms = 1000 * (_cpu_of_children_s() - cpu_s) / num
    results.setdefault(name, []).append((rate, cpu_ms))
    print(f"round {number + 1}  {name:24} {rate:8.0f} images/s {cpu_ms:6.2f} ms", flush=True)


def _cpu_of_children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _suyan(*words: object) -> None:
    command = [sys.executable, "-c", _SUYAN, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"suyan failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _write_params(path: Path) -> None:
    """The recipe makeup without a pace, which only this server allows."""
    from flows.recipes import makeup

    values = makeup().model_dump(mode="json")
    for crawl in ("crawl_a", "crawl_b"):
        values[crawl] |= {"requests_per_s_per_host": 1_000_000, "num_workers": _NUM_TRANSFERS}
    path.write_text(json.dumps(values))


def _draw(folder: Path, num: int) -> list[bytes]:
    """``num`` JPEGs of about 16 kB in folders of 500, each with other bytes; returns them."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (64, 64, 3), np.uint8)
    base = folder / "base.jpg"
    Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC).save(base, quality=90)
    plain = base.read_bytes()
    base.unlink()
    bodies = []
    for index in range(num):
        comment = f"picture {index}".encode()
        marker = b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment
        body = plain[:2] + marker + plain[2:]
        path = folder / str(index // 500) / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
        bodies.append(body)
    return bodies


class _Server:
    """Serves the bodies by number from memory, in a process of its own; a context manager."""

    def __init__(self, bodies: list[bytes]) -> None:
        self._port: Any = multiprocessing.Queue()
        self._process = multiprocessing.Process(target=_serve, args=(bodies, self._port))

    def __enter__(self) -> str:
        self._process.start()
        return f"http://127.0.0.1:{self._port.get(timeout=30)}"

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.join()


def _serve(bodies: list[bytes], port: Any) -> None:
    asyncio.run(_listen(bodies, port))


async def _listen(bodies: list[bytes], port: Any) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            stem = request.split(maxsplit=2)[1].strip(b"/").partition(b".")[0]
            body = bodies[int(stem)] if stem.isdigit() else b""
            status = b"200 OK" if body else b"404 Not Found"
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
            writer.write(head + body)
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port.put(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


def _fetch_plainly(addresses: list[str], folder: Path) -> None:
    """Fetch every address into a file, sixteen at a time, and do nothing else."""
    import io

    import pycurl

    folder.mkdir()
    multi, waiting = pycurl.CurlMulti(), list(enumerate(addresses))[::-1]
    free = [pycurl.Curl() for _ in range(_NUM_TRANSFERS)]
    open_bodies: dict[Any, tuple[int, io.BytesIO]] = {}
    while waiting or open_bodies:
        while waiting and free:
            handle, (index, address) = free.pop(), waiting.pop()
            open_bodies[handle] = index, io.BytesIO()
            handle.setopt(pycurl.URL, address)
            handle.setopt(pycurl.WRITEDATA, open_bodies[handle][1])
            multi.add_handle(handle)
        multi.perform()
        _, done, failed = multi.info_read()
        if failed:
            raise SystemExit(f"libcurl failed: {failed[0][2]}")
        for handle in done:
            index, body = open_bodies.pop(handle)
            (folder / f"{index}.jpg").write_bytes(body.getvalue())
            multi.remove_handle(handle)
            free.append(handle)
        if not done:
            multi.select(1.0)


if __name__ == "__main__":
    main()
