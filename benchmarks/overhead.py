"""The cost of orchestration: the pipeline as a deployment run, and the same stages called directly.

Both begin with an empty workspace and nothing imported; they take turns. The deployment run is
timed from its request to its final state, so that the worker's polling, the start of its process
and every call of the server count. The server is up before, as it is for a weekly run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fault_stand import Stand

if TYPE_CHECKING:
    from scraping.offline.corpus import Corpus

_ENGINE_PORT = 8780
_IDLE_S, _QUICK_IDLE_S = 30.0, 3.0
_NUM_GOOD, _QUICK_NUM_GOOD = 80, 14  # pictures of each season
_NUM_EPOCHS, _QUICK_NUM_EPOCHS = 10, 1
_ALLOWED_SHARE = 0.03
_DIRECT = """
import json, sys
from pathlib import Path
from core.workspace import Workspace
from flows.parameters import PipelineParameters
from evaluation.evaluate import evaluate
from evaluation.model_registry.promote import promote
from preprocessing.prepare import prepare
from scraping.crawl import crawl
from training.train import train
parameters = PipelineParameters.model_validate(json.loads(sys.argv[1]))
home = Workspace(Path(sys.argv[2]))
listings = [crawl(config, home).listing for config in (parameters.crawl_a, parameters.crawl_b)]
prepared = prepare(parameters.prepare, *listings, home)
run = home.run("direct").path
train(parameters.train, prepared.dataset, run)
evaluation = evaluate(parameters.evaluate, prepared.dataset, run, home)
promote(run, evaluation.folder, home, parameters.recipe, parameters.promote)
"""


def main() -> None:
    """Time both, print a table, and end with one line of JSON."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="one short round")
    quick = arguments.parse_args().quick
    os.environ |= {"PREFECT_LOGGING_LEVEL": "ERROR", "DO_NOT_TRACK": "1"}
    os.environ.pop("PREFECT_API_URL", None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves nothing running
    folder = Path(tempfile.mkdtemp(prefix="suyan-overhead-"))
    stand = Stand(folder / "stand", port=4791)
    try:
        with ThreadPoolExecutor(1) as executor:  # the server takes its time to start
            corpus = executor.submit(_drawn, _QUICK_NUM_GOOD if quick else _NUM_GOOD)
            stand.up()
        figures = _measure(stand, folder, corpus.result(), quick=quick)
    finally:
        stand.down()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def _drawn(num_good: int) -> Corpus:
    """A corpus with all pictures drawn: otherwise the first run would wait for the drawing."""
    from scraping.offline.corpus import landscape_corpus

    corpus = landscape_corpus(num_good=num_good)
    for items in corpus.items.values():
        for item in items:
            _ = item.body
    return corpus


def _measure(stand: Stand, folder: Path, corpus: Corpus, *, quick: bool) -> dict[str, float]:
    from scraping.offline.server import OfflineEngine

    parameters = _parameters(_QUICK_NUM_EPOCHS if quick else _NUM_EPOCHS)
    direct, managed = [], []
    before = _database_bytes(stand)
    print(f"{'round':>5} {'direct':>9} {'Prefect':>9}", flush=True)
    with OfflineEngine(corpus, port=_ENGINE_PORT):
        for number in range(1 if quick else 3):
            if number % 2 == 0:  # they take turns, for the first one is at a disadvantage
                managed.append(_managed(stand, parameters, folder / f"managed{number}"))
            direct.append(_direct(parameters, folder / f"direct{number}"))
            if number % 2:
                managed.append(_managed(stand, parameters, folder / f"managed{number}"))
            print(f"{number + 1:5} {direct[-1]:8.1f}s {managed[-1]:8.1f}s", flush=True)
    grown = (_database_bytes(stand) - before) / len(managed)
    cpu, mib = _idle(stand, _QUICK_IDLE_S if quick else _IDLE_S)
    base = statistics.median(direct)
    overhead = statistics.median([b - a for a, b in zip(direct, managed, strict=True)])
    print(
        f"\nOrchestration adds {overhead:.1f} s to {base:.1f} s ({overhead / base:.1%}).\n"
        f"Idle, server and worker take {cpu:.1%} of a core and {mib:.0f} MiB; "
        f"a pipeline leaves {grown / 1e6:.1f} MB in the server's database."
    )
    return {
        "overhead_s": overhead,
        "overhead_share": overhead / base,
        "overhead_excess_s": max(0.0, overhead - _ALLOWED_SHARE * base),
        "direct_s": base,
        "idle_cpu_share": cpu,
        "idle_mib": mib,
        "database_mb_per_run": grown / 1e6,
    }


def _parameters(num_epochs: int) -> dict[str, Any]:
    from flows.recipes import seasons, with_engine

    url = f"http://127.0.0.1:{_ENGINE_PORT}"
    values = with_engine(seasons(), url, allow_private_hosts=True).model_dump(mode="json")
    for side in ("crawl_a", "crawl_b"):
        values[side] |= {
            "phrases": values[side]["phrases"][:2],
            "suffixes": [],
            "num_images": 500,
            "requests_per_s_per_host": 100.0,
            "search_interval_s": 0.05,
        }
    values["prepare"] |= {"crop_px": 64, "min_images": 8, "test_fraction": 0.3}
    values["evaluate"] |= {"num_bootstrap": 200, "inception": "never"}
    values["train"] |= {
        "load_px": 64,
        "crop_px": 64,
        "num_blocks": 2,
        "ngf": 16,
        "ndf": 16,
        "d_layers": 2,
        "batch_size": 4,
        "num_epochs": num_epochs,
        "num_epochs_decay": 0,
        "sample_every": 100,
        "checkpoint_every": 100,
        "compile": "off",  # the first run would compile for both
    }
    return values


def _direct(parameters: dict[str, Any], home: Path) -> float:
    home.mkdir()
    started = time.monotonic()
    command = [sys.executable, "-c", _DIRECT, json.dumps(parameters), str(home)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    return time.monotonic() - started


def _managed(stand: Stand, parameters: dict[str, Any], home: Path) -> float:
    started = time.monotonic()
    run = stand.start("pipeline/seasons", {"parameters": parameters, "workspace": str(home)})
    # asked ten times a second, the server and this process would take a third of a core
    state = stand.wait_for(run, timeout_s=600, every_s=1.0)
    assert state.is_completed(), state
    return time.monotonic() - started


def _database_bytes(stand: Stand) -> int:
    return sum(path.stat().st_size for path in (stand.home / "prefect").glob("prefect.db*"))


def _idle(stand: Stand, seconds: float) -> tuple[float, float]:
    """CPU (share of one core) and resident MiB of server and worker with nothing to do."""
    time.sleep(2)
    pids = [process for pid in (stand.server, stand.worker) for process in _descendants(pid)]
    before = {pid: _cpu_s(pid) for pid in pids}
    time.sleep(seconds)
    pids = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    used = sum(_cpu_s(pid) - before[pid] for pid in pids)
    return used / seconds, sum(_resident_mib(pid) for pid in pids)


def _descendants(pid: int) -> list[int]:
    from flows.server.processes import children

    return [pid, *(process for child in children(pid) for process in _descendants(child))]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
