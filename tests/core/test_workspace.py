"""The paths of a workspace are those of existing workspaces."""

from pathlib import Path

import pytest

from core.files import write_json
from core.workspace import Workspace
from core.workspace_folders import SPLITS, DatasetFolder, RunFolder

FOLDER = Path("w")
W = Workspace(FOLDER)
RUN, MODEL = W.run("r"), W.recipe_models("faces").version("v1")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (W.catalogue, "catalogue.sqlite"),
        (W.original("ab" * 32, "jpg"), f"originals/ab/{'ab' * 32}.jpg"),
        (W.crawl("c").listing, "crawls/c/listing.parquet"),
        (W.dataset("d").manifest, "datasets/d/manifest.parquet"),
        (W.dataset("d").changes, "datasets/d/changes.csv"),
        (W.dataset("d").contact_sheet("trainA"), "datasets/d/contact-trainA.jpg"),
        (W.overrides("a", "b"), "datasets/overrides-a-b.csv"),
        (W.analyses, "cache/analysis.sqlite"),
        (W.crops, "cache/crops"),
        (RUN.lock, "runs/.r.lock"),
        (RUN.log, "runs/r/log.jsonl"),
        (RUN.samples(500), "runs/r/samples/step_00000500.jpg"),
        (RUN.samples(500, averaged=True), "runs/r/samples_ema/step_00000500.jpg"),
        (RUN.checkpoint("step_00000500").weights("G_A"),
         "runs/r/checkpoints/step_00000500/G_A.safetensors"),
        (RUN.evaluation("step_00000500").scores, "runs/r/evaluation/step_00000500/scores.json"),
        (MODEL.lineage, "models/faces/v1/model.json"),
        (W.recipe_models("faces").champion, "models/faces/champion.json"),
        (W.pointer("faces", "dataset"), "recipes/faces/dataset.json"),
        (W.bucket_file, "bucket.json"),
    ],
)  # fmt: skip
def test_each_path_is_where_it_was(path: Path, place: str) -> None:
    assert path == FOLDER / place
    assert W.key(path) == place


def test_a_folder_of_a_persons_own_has_the_same_names() -> None:
    assert DatasetFolder(Path("mine")).manifest == Path("mine/manifest.parquet")
    assert [DatasetFolder(Path("mine")).split(name).name for name in SPLITS] == list(SPLITS)
    assert RunFolder(Path("mine")).lock == Path(".mine.lock")


def test_nothing_outside_the_workspace_has_a_key() -> None:
    with pytest.raises(ValueError, match="elsewhere"):
        W.key(Path("elsewhere/a"))


def test_the_bucket_is_read_from_its_file(tmp_path: Path) -> None:
    assert Workspace(tmp_path).bucket_address == ""
    write_json(Workspace(tmp_path).bucket_file, {"address": "s3://bucket/prefix"})
    assert Workspace(tmp_path).bucket_address == "s3://bucket/prefix"


@pytest.mark.parametrize("content", ["", "[]", "{}", "{"])
def test_a_file_that_names_no_bucket_is_said_to(tmp_path: Path, content: str) -> None:
    path = Workspace(tmp_path).bucket_file
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"bucket\.json.*remove this file"):
        _ = Workspace(tmp_path).bucket_address
