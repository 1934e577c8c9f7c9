"""The notebook for a lent GPU goes from two folders of pictures to a translated one.

The kind: its code cells, one after another, as a kernel runs them, at the least size on a CPU. What
it installs is installed already; the boundary is that without ``suyan`` it clones and installs,
which no test can do without a network.
"""

import ast
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from scraping.offline import landscapes

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "lent-gpu.ipynb"


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_notebook_has_plain_cells_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], len({cell["id"] for cell in notebook["cells"]})) == (
        4, len(notebook["cells"]),
    )  # fmt: skip
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
    for code in code_cells():
        ast.parse(code)  # no magics: a test runs what a kernel runs


@pytest.mark.slow
def test_the_cells_go_from_two_folders_to_a_translated_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("summer", "winter"):
        (tmp_path / name).mkdir()
        for seed in range(20):
            drawn = landscapes.draw(seed, winter=name == "winter", height=280, width=320)
            Image.fromarray(drawn).save(tmp_path / name / f"{seed}.png")
    suyan = tmp_path / "bin" / "suyan"
    suyan.parent.mkdir()
    suyan.write_text(f"#!{sys.executable}\nfrom cli.main import main\nmain()\n")
    suyan.chmod(0o755)
    monkeypatch.setenv("PATH", f"{suyan.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "SUYAN_HOME": "workspace", "SUYAN_PRESET": "trial",
        "SUYAN_FOLDER_A": "summer", "SUYAN_FOLDER_B": "winter",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    names = dict[str, Any]()
    for code in code_cells():
        exec(compile(code, str(NOTEBOOK), "exec"), names)  # the notebook is ours
    (translated,) = names["TRANSLATED"]
    with Image.open(translated) as picture:
        assert picture.size[0] > 0
    assert Path(names["RESULT"]["report"]).is_file()
