"""Every stage in a locale that is not UTF-8, with Chinese names, as processes of their own.

The kind: a file is written in one encoding and read in another one, the locale's. The boundary: our
text is UTF-8, said wherever a file is opened; Python warns of each place that does not say it
(``PYTHONWARNDEFAULTENCODING``), and a warning fails the test.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from flows.forms.effective import with_preset
from flows.recipes import makeup, with_engine
from scraping.offline.corpus import portrait, portrait_corpus
from scraping.offline.server import OfflineEngine

ROOT = Path(__file__).resolve().parents[2]
OTHER_LOCALE = {
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONWARNDEFAULTENCODING": "1",  # a warning where a file is opened without an encoding
    "PYTHONPATH": str(ROOT),
    "COLUMNS": "200",
}
SMALL = {
    "crawl": {"suffixes": [], "num_images": 12, "search_interval_s": 0.01},
    "prepare": {"min_images": 2, "test_fraction": 0.4},
    "train": {"ngf": 4, "ndf": 4, "num_epochs_decay": 0, "device": "cpu", "num_threads": 1},
    "evaluate": {"num_bootstrap": 20, "inception": "never", "num_gallery": 1},
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_stage_works_in_a_locale_that_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "工作区"
    folder.mkdir()

    def suyan(*arguments: object) -> None:
        done = subprocess.run(
            [sys.executable, "-c", "from cli.main import main; main()", *map(str, arguments)],
            capture_output=True, check=False, cwd=folder,
            env={**os.environ, **OTHER_LOCALE},
        )  # fmt: skip
        text = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, text
        assert not re.findall(rf"{ROOT}/(?!\.venv/).*EncodingWarning.*", text)

    with OfflineEngine(portrait_corpus(num_good=16)) as engine:
        parameters = with_engine(makeup(), engine.url, allow_private_hosts=True)
        values = with_preset(parameters, "trial").model_dump(mode="json")
        for stage, changes in SMALL.items():
            for key in ("crawl_a", "crawl_b") if stage == "crawl" else (stage,):
                values[key] |= changes
        for side in ("crawl_a", "crawl_b"):
            values[side]["phrases"] = values[side]["phrases"][:1]
        (folder / "参数.json").write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        options = ("--params", "参数.json", "--workspace", "我的")
        suyan("crawl", *options)
        suyan("crawl", "--refresh", *options)
    suyan("status", "--workspace", "我的")
    suyan("prepare", *options)
    suyan("train", *options)
    suyan("evaluate", *options)
    (checkpoint,) = (folder / "我的").glob("runs/*/checkpoints/step_*")
    Image.fromarray(portrait("makeup", 3)).save(folder / "照片.jpg")
    suyan("translate", "照片.jpg", "--out", "结果", "--model", checkpoint.relative_to(folder))
    assert [path.name.startswith("照片") for path in (folder / "结果").iterdir()] == [True]
