"""``suyan review`` with many pictures: loading, scrolling, and decisions a minute.

A version of ``--pictures`` originals is written without a preparation. Chromium (on the PATH, with
playwright) opens the page, scrolls through all of it at once and then steadily, and presses keys as
fast as the page answers, each after the former decision was shown, and so on disk. ``suyan curate``
decides about the same pictures, one for each call, as a person who copies digits does, without the
time to copy them.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from core.workspace import Workspace

sys.path.append(str(Path(__file__).parents[1] / "tests/support"))
from review_version import names_of, write_version

_NUM_FRAMES = 300
_SUYAN = (sys.executable, "-c", "import sys; from cli.main import main; main()")
_SCROLL = """async ([pixels, frames]) => {
  const scroller = document.getElementById("scroller"), gaps = [];
  let last = await new Promise(requestAnimationFrame);
  for (let k = 0; k < frames; k++) {
    scroller.scrollTop += pixels;
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - last);
    last = now;
  }
  return gaps;
}"""
_DECIDE = """async (num) => {
  const times = [], count = document.getElementById("pending");
  const frame = () => new Promise((done) => setTimeout(done, 0));
  for (let k = 0; k < num; k++) {
    const before = count.textContent, started = performance.now();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "d", bubbles: true }));
    while (count.textContent === before) await frame();
    times.push(performance.now() - started);
  }
  return times;
}"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--decisions", type=int, default=200)
    parser.add_argument("--curated", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="suyan-review-") as folder:
        workspace = Workspace(Path(folder))
        dataset = write_version(workspace, arguments.pictures)
        names = names_of(arguments.pictures)
        _measure_curate(workspace, names[: arguments.curated])
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        started = time.monotonic()
        command = (*_SUYAN, "review", dataset.path.name, "--workspace", folder, "--port", str(port))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            print(server.stdout.readline().strip())
            print(f"the server is up after {time.monotonic() - started:.1f} s")
            try:
                _measure_page(f"http://127.0.0.1:{port}/en/", arguments.decisions)
            finally:
                server.terminate()


def _measure_curate(workspace: Workspace, names: list[str]) -> None:
    times = []
    for name in names:
        started = time.monotonic()
        command = (*_SUYAN, "curate", "drop", name[:16], "--workspace", str(workspace))
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.monotonic() - started)
    seconds = statistics.median(times)
    print(f"suyan curate: {seconds:.2f} s a decision, {60 / seconds:.0f} a minute at most")


def _measure_page(url: str, num_decisions: int) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(180_000)
        for visit in ("first", "second"):
            started = time.monotonic()
            page.goto(url)
            page.wait_for_selector("body.ready .tile")
            ready = time.monotonic() - started
            page.wait_for_selector(".tile.loaded")
            pictures = time.monotonic() - started
            print(f"{visit} visit: page after {ready:.2f} s, first picture after {pictures:.2f} s")
        num_tiles = page.locator(".tile").count()
        print(f"tiles in the page: {num_tiles}")
        profile = page.context.new_cdp_session(page)
        profile.send("Performance.enable", {"timeDomain": "threadTicks"})
        for label, pixels in (("40 px", 40), ("a screen", 800)):
            before = _processor_ms(profile)
            gaps = page.evaluate(_SCROLL, [pixels, _NUM_FRAMES])
            cost = (_processor_ms(profile) - before) / _NUM_FRAMES
            print(
                f"scrolling {label} a frame: {cost:.1f} ms of processor for script, style and "
                f"layout; {statistics.median(gaps):.0f} ms between frames, 95 % below "
                f"{_high(gaps):.0f} ms"
            )
        page.keyboard.press("]")
        times = page.evaluate(_DECIDE, num_decisions)
        middle, slow = statistics.median(times), _high(times)
        print(
            f"decision: {middle:.0f} ms from key to disk and next picture, 95 % below {slow:.0f} "
            f"ms; {60_000 / statistics.mean(times):.0f} a minute at most"
        )
        browser.close()


def _processor_ms(profile: Any) -> float:
    """Processor time of the page's main thread so far; other load on the machine adds nothing."""
    metrics = {
        each["name"]: each["value"] for each in profile.send("Performance.getMetrics")["metrics"]
    }
    return 1000 * sum(metrics[f"{kind}Duration"] for kind in ("Script", "Layout", "RecalcStyle"))


def _high(values: list[Any]) -> float:
    return float(sorted(values)[int(0.95 * len(values))])


if __name__ == "__main__":
    main()
