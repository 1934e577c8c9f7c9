"""``suyan publish``: what reaches the hub, what is asked first, and the way back."""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_fixture import hub
from hub_server import HubServer
from model_maker import ModelMaker
from PIL import Image
from remedies import remedy
from typer.testing import CliRunner, Result

from cli.hub import publish_command as publishing
from cli.main import app
from core.files import write_json
from core.tables import DRAWN_HOST, Picture, write_rows
from core.workspace import Workspace
from serving.models import open_model
from storage.hub.hub_address import parse_hub_address
from storage.hub.hub_publication import require_publishable

__all__ = ["hub"]
# huggingface_hub's own upload by LFS
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def publish(*words: str) -> Result:
    return CliRunner().invoke(app, ["publish", *words], catch_exceptions=False)


def write_dataset(workspace: Path, *, is_drawn: bool) -> str:
    folder = workspace / "datasets" / "makeup-bare-0123"
    rows = []
    for number, place in enumerate(("trainA", "trainB", "testA", "testB")):
        name = f"{number + 1:064x}"
        (folder / place).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(folder / place / f"{name[-16:]}.png")
        page = f"https://{DRAWN_HOST}/1" if is_drawn else "https://x.example/1"
        rows.append(
            Picture(name, {"A": "makeup", "B": "bare"}[place[-1]], place[-1], place[:-1],
                    f"{place}/{name[-16:]}.png", "ok", "", name, "", "", 9, 9, [], [], 1.0, "p",
                    "", "o", page_url=page)
        )  # fmt: skip
    write_rows(folder / "manifest.parquet", Picture, rows)
    write_json(folder / "config.json", {"crop_px": 8})
    return folder.name


def write_scores(folder: Path) -> None:
    figure = {"value": 0.0123, "low": 0.01, "high": 0.02}
    direction = {"from": "makeup", "to": "bare", "kid": figure, "kid_baseline": figure}
    features = {"name": "EfficientNet-Lite0, 1280 features", "comparable_with_published": False}
    scores = {"directions": {"A2B": direction}, "px": 64, "features": features}
    write_json(folder / "scores.json", scores)
    write_json(folder / "model.json", {"phrases": {"makeup": ["妆容"]}, "dataset": "makeup-v1"})


def test_a_model_is_published_privately_and_comes_back(
    hub: HubServer, make_model: ModelMaker, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    folder = make_model(residual=True)
    write_scores(folder)
    home = ["--workspace", str(folder.parents[2])]
    done = publish("champion", "hf://ann/makeup", "--yes", "--dataset", "ann/faces",
                   "--licence", "mit", "--json", *home)  # fmt: skip
    result = json.loads(done.stdout)
    repository = hub.repositories["models/ann/makeup"]
    assert repository.private
    assert result == {"address": f"hf://ann/makeup@{repository.commit}", "kind": "model"}
    assert set(repository.files) == {
        "G_A.safetensors", "G_B.safetensors", "config.json", "prepare.json", "scores.json",
        "model.json", "README.md", "example.jpg",
    }  # fmt: skip
    card = ModelCard(repository.files["README.md"].decode())
    assert card.data.license == "mit"
    assert card.data.datasets == ["ann/faces"]
    assert card.data.pipeline_tag == "image-to-image"
    (evaluated,) = [each for each in card.data.eval_results if each.metric_type == "kid"]
    assert evaluated.metric_value == 0.0123
    assert evaluated.metric_args["interval"] == [0.01, 0.02]
    assert evaluated.dataset_type == "ann/faces"
    assert "![makeup → bare, before and after](example.jpg)" in card.text
    assert "Do not use it to deceive" in card.text
    assert card.text.count("# makeup ⇄ bare") == 1
    with Image.open(io.BytesIO(repository.files["example.jpg"])) as picture:
        assert picture.width > 100
    model = open_model(Workspace(tmp_path), "makeup", result["address"])
    for name in ("G_A.safetensors", "config.json", "prepare.json"):
        assert (model.folder / name).read_bytes() == (folder / name).read_bytes()


def test_a_dataset_is_published_with_its_card(hub: HubServer, tmp_path: Path) -> None:
    version = write_dataset(tmp_path, is_drawn=True)
    home = ["--workspace", str(tmp_path)]
    assert "published" in publish(version, "hf://ann/faces", "--public", *home).output
    repository = hub.repositories["datasets/ann/faces"]
    assert not repository.private
    assert set(repository.files) == {
        "README.md", "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet",
    }  # fmt: skip
    shard = pq.read_table(io.BytesIO(repository.files["data/train-00000-of-00001.parquet"]))
    assert shard["label"].to_pylist() == [0, 1]
    repository.files["data/train-00001-of-00002.parquet"] = b"of a former version"
    repository.files["mine.txt"] = b"of a person"
    publish(version, "hf://ann/faces", *home)
    assert "data/train-00001-of-00002.parquet" not in repository.files
    assert repository.files["mine.txt"] == b"of a person"
    assert not repository.private, "the visibility of a repository stays"


def answering(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    questions: list[str] = []

    def confirm() -> Callable[[str], bool]:
        return lambda text: bool(questions.append(text)) or answer

    monkeypatch.setattr(publishing, "question", confirm)
    return questions


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_who_shows_people_is_asked_once(
    hub: HubServer, make_model: ModelMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:  # fmt: skip
    if kind == "model":
        folder = make_model()
        words, home = "champion", str(folder.parents[2])
    else:
        words, home = write_dataset(tmp_path, is_drawn=False), str(tmp_path)
    command = (words, "hf://ann/x", "--workspace", home)
    questions = answering(monkeypatch, answer=False)
    done = CliRunner().invoke(app, ["publish", *command])
    assert done.exit_code == 1
    assert "Nothing was published" in done.output
    assert questions == ["Publish it privately as hf://ann/x@main?"]
    assert hub.repositories == {}
    questions = answering(monkeypatch, answer=True)
    publish(*command)
    assert len(questions) == 1
    assert f"{kind}s/ann/x" in hub.repositories
    monkeypatch.setattr(publishing, "question", lambda: None)
    remedy(
        "publish: found no terminal to ask whether the people who are shown agree; answer with ",
        lambda: publish(*command), lambda: publish(*command, "--yes"),
    )  # fmt: skip


def test_what_the_hub_refuses_is_said(
    hub: HubServer, make_model: ModelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model()
    token = os.environ["HF_TOKEN"]

    def run(value: str) -> None:
        monkeypatch.setenv("HF_TOKEN", value)
        publish("champion", "hf://ann/makeup", "--yes", "--workspace", str(folder.parents[2]))

    remedy(" did not take the files: ", lambda: run("hf_another"), lambda: run(token))


def test_modelscope_takes_files_by_its_own_program() -> None:
    remedy(
        ", needed hf://USER/NAME, the only hub that publish knows; upload the files of",
        lambda: require_publishable(parse_hub_address("ms://ann/makeup")),
        lambda: require_publishable(parse_hub_address("hf://ann/makeup")),
    )


def test_the_package_is_named_where_it_is_missing(
    hub: HubServer, make_model: ModelMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_model()
    command = ("champion", "hf://ann/makeup", "--yes", "--workspace", str(folder.parents[2]))

    def without() -> None:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "huggingface_hub", None)
            publish(*command)

    remedy("huggingface_hub is not installed, needed for hf://…; run: ",
           without, lambda: publish(*command))  # fmt: skip


def test_a_mirror_is_an_option(hub: HubServer, make_model: ModelMaker,
                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    folder = make_model()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    publish("champion", "hf://ann/makeup", "--yes", "--endpoint", hub.url,
            "--workspace", str(folder.parents[2]))  # fmt: skip
    assert "models/ann/makeup" in hub.repositories
