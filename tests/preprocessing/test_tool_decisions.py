"""What a person decided in Label Studio or FiftyOne comes back as overrides."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from preprocessing.exports.tool_decisions import read_tool_decisions
from preprocessing.selection.overrides import read_overrides

ROOT = Path(__file__).resolve().parents[2]
NAMES = [f"{number:016x}" * 4 for number in (0xA1, 0xB2, 0xC3, 0xD4)]
DECISIONS = {NAMES[0]: "drop", NAMES[1]: "keep", NAMES[2]: "move"}


def label_studio(decisions: dict[str, str]) -> list[dict[str, object]]:
    """Tasks as Label Studio exports them; the last picture is annotated and undecided."""
    return [
        {
            "id": number,
            "data": {"image": f"/data/local-files/?d=v-folders/train/a/{name[:16]}.png",
                     "sha256": name},
            "annotations": [
                {"was_cancelled": False, "result": [
                    {"from_name": "decision", "to_name": "image", "type": "choices",
                     "value": {"choices": [decisions[name]] if name in decisions else []}}
                ]}
            ],
        }
        for number, name in enumerate(NAMES)
    ]  # fmt: skip


def as_csv(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FILES = {
    "label-studio.json": json.dumps(label_studio(DECISIONS)),
    "label-studio-min.json": json.dumps(
        [{"image": "x.png", "sha256": name, "decision": DECISIONS.get(name, "")} for name in NAMES]
    ),
    "label-studio.csv": as_csv(
        [{"image": "x.png", "sha256": name, "decision": DECISIONS.get(name, ""), "annotator": "1"}
         for name in NAMES]
    ),
    "samples.json": json.dumps(
        {"samples": [
            {"filepath": f"/x/train/a/{name[:16]}.png", "sha256": name,
             "tags": ["seen", *filter(None, [DECISIONS.get(name)])]}
            for name in NAMES
        ]}
    ),
    "labels.csv": as_csv(
        [{"filepath": f"/x/{name[:16]}.png", "sha256": name,
          "tags": f"seen,{DECISIONS.get(name, '')}"} for name in NAMES]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_each_tools_export_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    assert read_tool_decisions(path) == DECISIONS


@pytest.mark.parametrize("name", FILES)
def test_decisions_become_overrides_once(tmp_path: Path, name: str) -> None:
    workspace, path = tmp_path / "workspace", tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    for digits in NAMES:
        original = workspace / "originals" / digits[:2] / f"{digits}.jpg"
        original.parent.mkdir(parents=True, exist_ok=True)
        original.write_bytes(b"x")
    command = ["import-decisions", str(path), "--workspace", str(workspace)]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "keep 1, drop 1, move 1 from the next version on" in done.output.replace("\n", "")
    file = workspace / "datasets" / "overrides-makeup-bare.csv"
    assert read_overrides(file, NAMES) == DECISIONS
    before = file.read_bytes()
    again = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "nothing new" in again.output
    assert "3 decisions stood there already" in again.output
    assert file.read_bytes() == before
    assert name in before.decode()


def test_a_file_name_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"filepath,tags\n/x/train/a/{NAMES[0][:16]}-1.png,drop\n")
    assert read_tool_decisions(path) == {NAMES[0][:16]: "drop"}


@pytest.mark.remedy(
    ": found no whole JSON (",
    ": found another JSON, needed the tasks of Label Studio or the samples.json of ",
    " decision for each picture; change it in the tool and export again",
    ": found no decision, needed a choice named 'decision', or tags, that say ",
    " name begins with 16 digits of it; export the dataset with --as folders",
)
@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.json", "[{", "found no whole JSON"),
        ("a.json", '{"version": 1}', "found another JSON"),
        ("a.json", '["x"]', "found another JSON"),
        ("a.json", json.dumps(label_studio({})), "found no decision"),
        ("a.csv", f"sha256,tags\n{NAMES[0]},drop\n{NAMES[0]},keep\n", "got keep and drop for"),
        ("a.csv", f"sha256,tags\n{NAMES[0]},drop keep\n", "got drop and keep for"),
        ("a.csv", "filepath,tags\n/x/holiday.png,drop\n", "got /x/holiday.png, needed a column"),
    ],
)
def test_another_file_is_refused_and_the_right_one_read(
    tmp_path: Path, name: str, content: str, problem: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(problem)):
        read_tool_decisions(path)
    path = tmp_path / "label-studio.json"
    path.write_text(FILES["label-studio.json"], encoding="utf-8")
    assert read_tool_decisions(path) == DECISIONS


@pytest.mark.parametrize("guide", ["datasets.md", "datasets.zh-CN.md"])
def test_the_guides_lines_make_tasks_that_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guide: str
) -> None:
    """The tasks for Label Studio are made by the lines in the guide, from an export."""
    text = (ROOT / "docs" / guide).read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?label-studio.*?)^```$", text, re.DOTALL | re.MULTILINE)
    folder = tmp_path / "exported-dataset" / "VERSION-folders" / "train"
    folder.mkdir(parents=True)
    row = {"file_name": f"makeup/{NAMES[0][:16]}.png", "sha256": NAMES[0], "label": "makeup"}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, guide, "exec"), {})
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["data"]["image"].endswith(f"VERSION-folders/train/makeup/{NAMES[0][:16]}.png")
    task["annotations"] = [{"result": [{"from_name": "decision", "value": {"choices": ["drop"]}}]}]
    (tmp_path / "decided.json").write_text(json.dumps([task]))
    assert read_tool_decisions(tmp_path / "decided.json") == {NAMES[0]: "drop"}
