"""The report in a real browser: headless Chromium, as wide as a desktop and a phone, in two
languages."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_evaluation import Measured

from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, RunFolder
from evaluation.report.wording import LANGUAGES, words
from preprocessing.analysis.analyse import FILE_MISSING
from preprocessing.sandbox_worker import FailureReason
from preprocessing.selection.rejection_reasons import Reason

_CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))),
    None,
)
pytestmark = pytest.mark.skipif(
    _CHROMIUM is None, reason="no Chromium on this machine (on Debian: apt install chromium)"
)

# The report lies in a frame of the wanted width (a headless window cannot be as narrow as a phone);
# what is found in it becomes the page's only text.
_HARNESS = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe style="border:0;width:{width}px;height:900px" srcdoc="{report}"></iframe>
<script>
const problems = [];
const frame = document.querySelector("iframe");
frame.addEventListener("load", async () => {{
  const view = frame.contentWindow, page = frame.contentDocument;
  view.addEventListener("error", (event) => problems.push(String(event.message)));
  view.addEventListener("securitypolicyviolation", (event) => problems.push(event.blockedURI));
  const images = [...page.images].filter((image) => !image.closest("dialog"));
  images.forEach((image) => {{ image.loading = "eager"; }});
  await new Promise((resolve) => setTimeout(resolve, 500));
  const dialog = page.querySelector("dialog.zoom");
  const buttons = page.querySelectorAll("button.picture");
  buttons[0].click();
  const first = dialog.querySelector("img").src, opened = dialog.open;
  const hint = view.getComputedStyle(dialog.querySelector("small"));
  const [red, green, blue] = hint.color.match(/[0-9]+/g).map(Number);
  const hintBrightness = Number(hint.opacity) * (0.3 * red + 0.59 * green + 0.11 * blue);
  dialog.dispatchEvent(new view.KeyboardEvent("keydown", {{key: "ArrowRight"}}));
  const second = dialog.querySelector("img").src, caption = dialog.querySelector("p").textContent;
  dialog.querySelector("img").click();
  const flipped = dialog.querySelector("img").src, stays = dialog.open;
  dialog.dispatchEvent(new view.KeyboardEvent("keydown", {{key: " "}}));
  const flippedBack = dialog.querySelector("img").src;
  dialog.click();
  const small = [...page.querySelectorAll("main p, main td, main th, figcaption")].filter(
    (found) => found.offsetParent && parseFloat(view.getComputedStyle(found).fontSize) < 11);
  document.title = "done";
  document.body.textContent = "FOUND" + JSON.stringify({{
    problems, opened, closed: !dialog.open, zoomed: first === buttons[0].querySelector("img").src,
    next: second === buttons[1].querySelector("img").src, caption, stays, hintBrightness,
    flips: flipped === first && flippedBack === second && first !== second,
    other: page.querySelector(".other-language a").getAttribute("href"),
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    images: images.length, blank: images.filter((image) => !image.naturalWidth).length,
    small: small.length, plots: page.querySelectorAll(".lanes .dot").length,
    curves: page.querySelectorAll(".curves svg path").length,
    lang: page.documentElement.lang, text: page.querySelector(".verdict").textContent,
    sections: [...page.querySelectorAll("h2")].map((title) => title.textContent),
  }}) + "END";
}});
</script>"""


def _browse(tmp_path: Path, *arguments: str) -> str:
    done = subprocess.run(
        [
            str(_CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", *arguments,
        ],
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _look(tmp_path: Path, report: Path, width: int) -> dict[str, Any]:
    page = tmp_path / "harness.html"
    text = html.escape(report.read_text(encoding="utf-8"))
    page.write_text(_HARNESS.format(width=width, report=text), encoding="utf-8")
    arguments = ("--virtual-time-budget=20000", "--window-size=1280,900", "--dump-dom")
    dom = _browse(tmp_path, *arguments, page.as_uri())
    found = re.search(r"<body[^>]*>FOUND(.*)END</body>", dom, re.DOTALL)
    assert found, dom[:2000]
    seen: dict[str, Any] = json.loads(html.unescape(found.group(1)))
    return seen


@pytest.mark.parametrize(("language", "width"), [("en", 1280), ("zh", 390)])
def test_it_reads_well_and_zooms(
    measured: Measured, tmp_path: Path, language: str, width: int
) -> None:
    done = measured.again(language=language)
    seen = _look(tmp_path, done.report, width)
    assert seen["problems"] == []
    assert seen["overflow"] <= 0
    assert seen["images"] > 30
    assert seen["blank"] == 0
    assert seen["small"] == 0
    assert seen["plots"] > 40
    assert seen["curves"] > 0
    assert seen["opened"]
    assert seen["zoomed"]
    assert seen["next"]
    assert seen["stays"]
    assert seen["flips"]
    assert seen["hintBrightness"] > 150  # on a backdrop that is nearly black
    assert seen["closed"]
    route = {"en": "makeup → bare", "zh": "化妆 → 素颜"}[language]
    assert route in seen["caption"]
    assert seen["lang"] == {"en": "en", "zh": "zh-Hans"}[language]
    assert seen["text"] == done.verdict
    assert {"en": "Lineage", "zh": "血缘"}[language] in seen["sections"]


def test_both_languages_are_kept_and_link_to_each_other(measured: Measured, tmp_path: Path) -> None:
    for language, other in (("en", "zh"), ("zh", "en")):
        done = measured.again(language=language)
        pages = {path.name for path in done.folder.glob("report*.html")}
        assert pages == {"report.html", f"report.{other}.html"}
        seen = _look(tmp_path, done.folder / f"report.{other}.html", 1280)
        assert seen["other"] == "report.html"
        assert seen["lang"] == {"en": "en", "zh": "zh-Hans"}[other]


def test_every_reason_has_a_name_in_both_languages() -> None:
    reasons = {*Reason, *FailureReason, FILE_MISSING, "undecodable", "too-many-pixels"}
    reasons |= {"too-many-frames", "out-of-memory"}
    for language in LANGUAGES:
        missing = [each for each in reasons if f"reason_{each}" not in words(language)]
        assert not missing, language


def test_it_prints(measured: Measured, tmp_path: Path) -> None:
    done = measured.again()
    pdf = tmp_path / "report.pdf"
    _browse(tmp_path, f"--print-to-pdf={pdf}", "--no-pdf-header-footer", done.report.as_uri())
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert 2 <= pages <= 20


def test_a_hostile_phrase_stays_text(measured: Measured, tmp_path: Path) -> None:
    """A name with markup and scripts is shown as text."""
    hostile = """"'><img src=x onerror="document.title='owned'"><script>top.owned=1</script>"""
    scores = measured.again().scores
    directions = {
        name: replace(direction, source=hostile) for name, direction in scores.directions.items()
    }
    from evaluation.report.html_report import write_report

    folder = EvaluationFolder(tmp_path / "evaluation")
    shutil.copytree(measured.done.folder, folder.path)
    report = write_report(
        "en",
        replace(scores, directions=directions),
        DatasetFolder(measured.dataset),
        RunFolder(measured.run),
        Workspace(tmp_path),
        folder,
    )
    seen = _look(tmp_path, report, 800)
    assert seen["problems"] == []
    assert hostile.split(">", maxsplit=1)[0] in seen["caption"]
