"""What an evaluation, its inputs and the store of models lack is mended as the message says."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from remedies import remedy

from core.files import load_json, write_json
from core.tables import Picture, read_rows, write_rows
from core.workspace import Workspace
from core.workspace_folders import DatasetFolder, EvaluationFolder, RunFolder
from evaluation.config import EvaluateConfig
from evaluation.data.held_out import load_held_out, load_pictures
from evaluation.evaluate import _check_dataset, evaluate
from evaluation.features.extractor import load_offline
from evaluation.features.inception import cache_path, find_weights, load_inception
from evaluation.folder_metrics import folder_features
from evaluation.metrics.pairs import load_pairs
from evaluation.metrics.true_counterparts import counterpart, load_truth
from evaluation.model_registry.model_versions import champion, crown, rollback
from evaluation.model_registry.promote import promote
from evaluation.scores import load_scores
from evaluation.weights_choice import available_kinds
from flows import latest
from preprocessing.config import PrepareConfig
from preprocessing.prepare import prepare
from serving.models import find_model, load_preparation, open_model


def _then(mend: Callable[[], object], act: Callable[[], object]) -> Callable[[], object]:
    return lambda: (mend(), act())


def _prepare_again(workspace: Workspace, dataset: DatasetFolder) -> Callable[[], object]:
    """Remove the version, and prepare again: the same originals give the same version."""
    stored = load_json(dataset.config)
    fields = {name: stored[name] for name in PrepareConfig.model_fields if name in stored}
    config = PrepareConfig.model_validate(fields)
    listings = [
        next(workspace.crawls.glob(f"{domain}-*/listing.parquet"))
        for domain in (config.domain_a, config.domain_b)
    ]

    def preparing() -> None:
        shutil.rmtree(dataset.path)
        assert prepare(config, *listings, workspace).dataset == dataset.path

    return preparing


@pytest.mark.slow
def test_a_dataset_that_lost_pictures_is_prepared_again(golden: Workspace) -> None:
    (version,) = (path.parent for path in golden.datasets.glob("*/manifest.parquet"))
    dataset, config = DatasetFolder(version), EvaluateConfig()
    again = _prepare_again(golden, dataset)

    def load() -> object:
        return load_held_out(config, dataset)

    file = next(row.file for row in read_rows(dataset.manifest, Picture) if row.split == "test")
    (version / file).unlink()
    remedy(" pictures of the manifest are missing, e.g. ", load, _then(again, load))
    (version / file).write_bytes(b"torn")
    remedy(
        " and prepare again",
        lambda: load_pictures(version, [file], 32),
        _then(again, lambda: load_pictures(version, [file], 32)),
    )
    remedy(
        "; needed the folder of a dataset version, which preparation makes",
        lambda: load_held_out(config, DatasetFolder(golden.folder)), load,
    )  # fmt: skip
    rows = read_rows(dataset.manifest, Picture)
    write_rows(dataset.manifest, Picture, [row for row in rows if row.split != "test"])
    remedy(
        " has no test pictures, so that nothing can be ",
        load, lambda: (write_rows(dataset.manifest, Picture, rows), load()),
    )  # fmt: skip


def test_a_run_is_evaluated_as_the_message_says(golden: Workspace, tmp_path: Path) -> None:
    run = RunFolder(next(golden.runs.iterdir()))
    dataset = golden.dataset(str(load_json(run.config)["dataset"])).path
    config = EvaluateConfig(inception="cached", device="cpu")
    remedy(
        ": found no checkpoint to evaluate; train first",
        lambda: evaluate(config, dataset, tmp_path, golden),
        lambda: available_kinds("auto", next(run.checkpoints.iterdir())),
    )
    remedy(
        "of the one may be training pictures of the other. Evaluate on ",
        lambda: _check_dataset(tmp_path / "other", run.path),
        lambda: _check_dataset(dataset, run.path),
    )
    (checkpoint,) = (path for path in run.checkpoints.iterdir() if path.is_dir())
    for path in checkpoint.glob("*_ema.safetensors"):  # as of a training with ema_decay 0
        path.unlink()
    remedy(
        ": found no averaged weights (it was trained with ema_decay 0); evaluate ",
        lambda: available_kinds("averaged", checkpoint), lambda: available_kinds("raw", checkpoint),
    )  # fmt: skip


def test_scores_and_models_are_stored_again(golden: Workspace, tmp_path: Path) -> None:
    run = next(golden.runs.iterdir())
    evaluation = EvaluationFolder(next((run / "evaluation").iterdir()))
    whole = evaluation.scores.read_bytes()

    def restored() -> None:  # as an evaluation writes it again
        evaluation.scores.write_bytes(whole)

    evaluation.scores.write_text("{}")
    remedy("the file and evaluate again", lambda: load_scores(evaluation.scores),
           _then(restored, lambda: load_scores(evaluation.scores)))  # fmt: skip
    evaluation.scores.unlink()
    remedy("); evaluate first", lambda: promote(run, evaluation.path, golden, "makeup"),
           _then(restored, lambda: promote(run, evaluation.path, golden, "makeup")))  # fmt: skip
    checkpoint = RunFolder(run).checkpoint(load_scores(evaluation.scores).checkpoint)
    weights = checkpoint.weights("G_B")
    weights.rename(tmp_path / "aside")
    remedy(
        " missing; evaluate a newer checkpoint",
        lambda: promote(run, evaluation.path, golden, "makeup"),
        lambda: ((tmp_path / "aside").rename(weights),
                 promote(run, evaluation.path, golden, "makeup")),
    )  # fmt: skip
    name = champion(golden, "makeup").name
    remedy("version: got ", lambda: crown(golden, "makeup", "step1"),
           lambda: crown(golden, "makeup", name))  # fmt: skip
    remedy(", needed letters, digits, '.', '_' and '-'", lambda: crown(golden, "a/b", name),
           lambda: crown(golden, "makeup", name))  # fmt: skip
    remedy(
        " has no champion; run the pipeline for ",
        lambda: champion(golden, "seasons"), lambda: champion(golden, "makeup"),
    )  # fmt: skip
    strengths = golden.recipe_models("makeup").version(name).strengths
    strengths.write_text("{")
    promote(run, evaluation.path, golden, "makeup")  # stores the model again
    open_model(golden, "makeup", name).generator("A2B")


@pytest.mark.remedy(" is not there: recipe ", " has no earlier champion to go back to; ")
def test_a_rollback_needs_an_earlier_champion(golden: Workspace) -> None:
    with pytest.raises(Exception, match="recipe seasons has no model"):
        rollback(golden, "seasons")
    first = champion(golden, "makeup")
    with pytest.raises(Exception, match=r"no earlier champion to go back to; nothing was changed"):
        rollback(golden, "makeup")
    second = first.with_name("step11-00000000")
    shutil.copytree(first, second)
    crown(golden, "makeup", second.name)
    assert rollback(golden, "makeup") == first


def test_a_model_is_named_as_the_message_says(golden: Workspace, tmp_path: Path) -> None:
    first = champion(golden, "makeup")
    shutil.copytree(first, first.with_name("step10-00000000"))
    remedy(" begins the names of ", lambda: find_model(golden, "makeup", "step10"),
           lambda: find_model(golden, "makeup", "step10-0"))  # fmt: skip
    remedy(" is no version of ", lambda: find_model(golden, "makeup", "none"),
           lambda: find_model(golden, "seasons", str(first)))  # fmt: skip
    model = open_model(golden, "makeup", first.name)
    remedy(", this model translates to ", lambda: model.direction("winter"),
           lambda: model.direction("bare"))  # fmt: skip
    whole = (first / "prepare.json").read_bytes()
    write_json(first / "prepare.json", {"domain_a": "makeup"})
    remedy(
        ": not a configuration of preparation: ",
        lambda: load_preparation(first),
        lambda: ((first / "prepare.json").write_bytes(whole), load_preparation(first)),
    )


def test_datasets_and_runs_are_named_as_the_message_says(golden: Workspace) -> None:
    (run,) = (path.name for path in golden.runs.iterdir())
    remedy(", needed the name of a folder in ", lambda: latest.run_folder(golden, "makeup", "a/b"),
           lambda: latest.run_folder(golden, "makeup", run))  # fmt: skip
    remedy(" is not there; ", lambda: latest.run_folder(golden, "makeup", "gone"),
           lambda: latest.run_folder(golden, "makeup", run))  # fmt: skip
    (dataset,) = (path.name for path in golden.datasets.glob("makeup-bare-*"))
    rejected = golden.dataset(f"rejected-{dataset}")
    rejected.path.mkdir()
    rejected.manifest.touch()
    remedy(" holds no pictures, needed a dataset: ",
           lambda: latest.dataset_folder(golden, "makeup", rejected.path.name),
           lambda: latest.dataset_folder(golden, "makeup", dataset))  # fmt: skip


def test_pairs_and_truths_are_written_as_the_message_says(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    for name in ("1.jpg", "2.jpg"):
        Image.new("RGB", (9, 9)).save(tmp_path / name)

    def load() -> object:
        return load_pairs(pairs)

    def write() -> None:
        pairs.write_text("a,b\n1.jpg,2.jpg\n")

    remedy("evaluate.pairs: cannot read ", load, _then(write, load))
    pairs.write_text("x,y\n1.jpg,2.jpg\n")
    remedy("picture of each domain that belong together", load, _then(write, load))
    pairs.write_text("a,b\n1.jpg\n")
    remedy("files a and b", load, _then(write, load))
    pairs.write_text("a,b\n1.jpg,3.jpg\n")
    remedy(" names the picture ", load, _then(write, load))


def test_a_truth_is_written_again(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, picture = tmp_path / "truth.parquet", tmp_path / "1.png"

    def write(name: str = "1.png") -> None:
        pq.write_table(pa.table({"sha256": ["0" * 64], "counterpart": [name]}), path)

    def load() -> object:
        return load_truth(tmp_path)

    remedy(" has no truth.parquet; give the folder that holds it",
           lambda: load_truth(tmp_path / "x"), _then(write, load))  # fmt: skip
    path.write_bytes(b"torn")
    remedy("; needed Parquet with the columns sha256 and ", load, _then(write, load))
    write("../1.png")
    remedy(", which is outside ", load, _then(write, load))

    def crop() -> object:
        return counterpart(picture, [1.0, 0, 0, 0, 1, 0], 8, 8)

    picture.write_bytes(b"torn")
    remedy("); write the truth again", crop,
           _then(lambda: Image.new("RGB", (9, 9)).save(picture), crop))  # fmt: skip


def test_folders_are_compared_once_they_hold_pictures(tmp_path: Path) -> None:
    network = load_offline()
    Image.new("RGB", (32, 32)).save(tmp_path / "1.png")
    remedy(
        " readable pictures, needed at least 2",
        lambda: folder_features(tmp_path, network),
        lambda: (Image.new("RGB", (32, 32), "red").save(tmp_path / "2.png"),
                 folder_features(tmp_path, network)),
    )  # fmt: skip


def test_inception_weights_are_named_or_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    remedy(
        ", or leave the option out",
        lambda: find_weights("cached", tmp_path / "none.pth"), lambda: find_weights("cached", None),
    )  # fmt: skip
    torn = cache_path()
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"torn")
    remedy(
        "); remove the ", lambda: load_inception(torn),
        lambda: (torn.unlink(), find_weights("cached", None)),
    )  # fmt: skip
