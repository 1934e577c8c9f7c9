"""The notebook for a lent GPU goes from two folders of pictures to a translated one.

The kind: its code cells, one after another, as a kernel runs them, at the least size on a CPU. What
it installs is installed already. Without ``suyan`` it clones and installs, which no test can do
without a network: there the commands that it would run are compared.
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


@pytest.mark.parametrize(("torch", "build"), [("auto", "--torch-backend auto"), ("", "")])
def test_without_suyan_it_clones_and_installs_for_the_driver_of_the_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: str, build: str
) -> None:
    """A platform's own Python may be older than 3.11, and its driver older than PyTorch's CUDA."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("SUYAN_REPOSITORY", "SUYAN_TORCH"):
        monkeypatch.delenv(name, raising=False)
    commands = list[str]()
    monkeypatch.setattr(
        "subprocess.run", lambda words, **_: commands.append(" ".join(map(str, words)))
    )
    settings, install, *_ = code_cells()
    names = dict[str, Any]()
    exec(settings, names)
    assert names["TORCH"] == "auto"
    with pytest.raises(SystemExit, match="Fill in REPOSITORY"):
        exec(install, names)
    names |= {"REPOSITORY": "https://git.example/suyan", "TORCH": torch}
    exec(install, names)
    clone, _, venv, packages, doctor = commands
    assert clone.startswith("git clone --depth 1 https://git.example/suyan")
    assert "venv --allow-existing --python >=3.11 suyan/.venv" in venv
    assert "--constraint suyan/constraints.txt" in packages
    assert build in packages
    assert ("--no-verify-hashes" in packages) == bool(torch)
    assert doctor.startswith(f"{tmp_path}/suyan/.venv/bin/suyan doctor")


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
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as kernels do
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
