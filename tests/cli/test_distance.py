"""``suyan distance`` between any two folders of pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import Suyan
from PIL import Image


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Twelve dark and twelve bright pictures, some in a subfolder."""
    rng = np.random.default_rng(0)
    for name, top in (("dark", 80), ("bright", 256)):
        (tmp_path / name / "more").mkdir(parents=True)
        for number in range(12):
            folder = tmp_path / name / ("more" if number % 2 else "")
            coarse = rng.integers(0, top, (8, 8, 3), np.uint8)
            Image.fromarray(coarse).resize((64, 48)).save(folder / f"{number}.png")
    return tmp_path / "dark", tmp_path / "bright"


def _result(output: str) -> Any:
    """The line of JSON; other lines are the error output's."""
    (line,) = [line for line in output.splitlines() if line.startswith("{")]
    return json.loads(line)


def test_distances_have_intervals_and_a_form_for_programs(
    suyan: Suyan, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    dark, bright = map(str, folders)
    place = ("--workspace", str(tmp_path / "none"), "--bootstrap", "50")
    status, output = suyan("distance", dark, bright, *place)
    assert status == 0, output
    assert "12 pictures and 12 pictures" in output
    assert not (tmp_path / "none").exists()
    status, output = suyan("distance", dark, bright, "--json", *place)
    found = _result(output)["offline"]
    assert status == 0
    for figure in (found["kid"], found["fid"]):
        assert figure["low"] < figure["value"] < figure["high"]
    _, output = suyan("distance", dark, dark, "--json", *place)
    same = _result(output)["offline"]
    assert same["fid"]["value"] == pytest.approx(0, abs=1e-3)
    assert same["kid"]["value"] < 0 < found["kid"]["value"]


def test_wrong_folders_are_named(suyan: Suyan, folders: tuple[Path, Path], tmp_path: Path) -> None:
    dark = str(folders[0])
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, message in (
        ("missing", "found nothing, needed a folder of pictures"),
        ("file", "found a file, needed a folder of pictures"),
        ("empty", "found 0 readable pictures, needed at least 2"),
    ):
        status, output = suyan("distance", dark, str(tmp_path / name))
        assert status == 2
        assert message in " ".join(output.split())
