"""A workspace that an earlier version wrote keeps its names, its columns and its figures.

``golden/workspace.tar.xz`` was made from drawn people: crawl, prepare, train (ten steps), evaluate,
promote. An intended change of a name or a figure needs a higher stage version, and a line in
CHANGELOG.md about existing workspaces.
"""

import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow.parquet as pq
import pytest

from cli.main import app
from core.tables import Original, Picture, read_rows
from core.workspace import Workspace
from evaluation.config import EvaluateConfig, PromoteConfig
from evaluation.evaluate import evaluate
from evaluation.model_registry.model_versions import champion, find_champion
from evaluation.model_registry.promote import promote
from flows import events, latest
from flows.latest import run_name
from flows.recipes import RECIPES
from preprocessing import cache
from preprocessing import prepare as preparation
from preprocessing.config import PrepareConfig
from preprocessing.prepare import prepare
from scraping.config import CrawlConfig
from scraping.crawl import crawl, crawl_name
from serving.models import open_model
from serving.photo_paths import Input
from serving.translate import TranslateOptions, Translator, translate
from training.config import TrainConfig
from training.train import train

GOLDEN = Path(__file__).with_name("golden")
NAMES: dict[str, Any] = json.loads((GOLDEN / "names.json").read_text(encoding="utf-8"))
DATASET, RUN, MODEL = str(NAMES["dataset"]), str(NAMES["run"]), str(NAMES["model"])
LISTING = {
    "domain": "string", "phrase": "string", "url": "string", "served_by": "string",
    "page_url": "string", "title": "string", "sha256": "string", "path": "string",
    "num_bytes": "int64", "status": "string", "reason": "string", "fetched_at": "string",
}  # fmt: skip
MANIFEST = {
    "sha256": "string", "domain": "string", "side": "string", "split": "string", "file": "string",
    "status": "string", "reason": "string", "cluster": "string", "phash": "string",
    "face_phash": "string", "width": "int64", "height": "int64",
    "keypoints": "list<element: double>", "transform": "list<element: double>",
    "sharpness": "double", "phrase": "string", "url": "string", "original": "string",
    "page_url": "string", "phrases": "list<element: string>", "sources": "list<element: string>",
    "face": "int64", "box": "list<element: double>", "crop_box": "list<element: double>",
    "mirrored_phash": "string", "face_score": "double", "profile": "double", "outside": "double",
    "covered": "double", "unsafe": "double", "override": "string",
    "creator": "string", "license": "string", "license_url": "string", "attribution": "string",
    "side_score": "double", "part_of": "string", "part_box": "list<element: double>",
}  # fmt: skip
TRAIN = TrainConfig(
    num_blocks=1, ngf=4, ndf=4, d_layers=2, load_px=32, crop_px=32, num_epochs=1,
    num_epochs_decay=1, batch_size=8, device="cpu", seed=0, ema_decay=0.9, pool_size=2,
)  # fmt: skip
PREPARE = PrepareConfig(
    domain_a="makeup", domain_b="bare", crop_px=32, min_face_px=32, min_images=2, test_fraction=0.4
)
EVALUATE = EvaluateConfig(num_bootstrap=50, num_gallery=1, device="cpu", inception="cached")


def crawl_config(domain: str, phrase: str) -> CrawlConfig:
    return CrawlConfig(
        engine_url="http://127.0.0.1:8763", domain=domain, phrases=(phrase,), num_images=100,
        allow_private_hosts=True, search_interval_s=0, cool_down_s=0, requests_per_s_per_host=1000,
    )  # fmt: skip


CRAWLS = (crawl_config("makeup", "妆容"), crawl_config("bare", "素颜"))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The golden workspace, among the libraries of its making."""
    with tarfile.open(GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path / "workspace", filter="data")
    libraries = MappingProxyType(NAMES["libraries"])
    for module in (cache, preparation):
        monkeypatch.setattr(module, "libraries", lambda: libraries)
    return Workspace(tmp_path / "workspace")


def listings(workspace: Workspace) -> tuple[Path, Path]:
    first, second = (workspace.crawl(name).listing for name in NAMES["crawls"])
    return first, second


def columns(path: Path) -> dict[str, str]:
    schema = pq.read_schema(path)
    return {name: str(schema.field(name).type) for name in schema.names}


def assert_alike(found: Any, wanted: Any, where: str = "") -> None:
    """The same keys and texts; numbers may differ by what processors round."""
    if isinstance(wanted, Mapping):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            assert_alike(found[key], wanted[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_alike(one, other, f"{where}[{index}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=0.02, abs=0.002), where
    else:
        assert found == wanted, where


def test_work_is_named_as_ever() -> None:
    assert [crawl_name(config) for config in CRAWLS] == NAMES["crawls"]
    assert run_name(TRAIN, DATASET) == RUN
    for recipe, names in NAMES["recipes"].items():
        parameters = RECIPES[recipe]()
        crawls = [crawl_name(config) for config in (parameters.crawl_a, parameters.crawl_b)]
        assert [*crawls, run_name(parameters.train, "d")] == names


def test_a_finished_crawl_is_known(workspace: Workspace) -> None:
    for config, listing in zip(CRAWLS, listings(workspace), strict=True):
        before = read_rows(listing, Original)
        summary = crawl(config, workspace)  # its engine is not there: anything to do would fail
        assert (summary.num_ok, summary.num_added, summary.partial) == (57, 0, False)
        assert summary.phrases[0]["stopped_because"] == "exhausted"
        assert columns(summary.listing) == LISTING
        assert read_rows(summary.listing, Original) == before


@pytest.mark.slow
def test_a_dataset_version_is_known(workspace: Workspace) -> None:
    summary = prepare(PREPARE, *listings(workspace), workspace)
    assert (summary.version, summary.reused) == (DATASET, True)
    assert columns(summary.dataset / "manifest.parquet") == MANIFEST


@pytest.mark.slow
def test_the_same_originals_make_the_same_version(workspace: Workspace, tmp_path: Path) -> None:
    wanted = workspace.dataset(DATASET).path
    wanted = wanted.rename(tmp_path / "wanted")
    workspace.analyses.unlink()
    summary = prepare(PREPARE, *listings(workspace), workspace)
    assert (summary.version, summary.reused) == (DATASET, False)
    found, known = (
        [asdict(row) for row in read_rows(folder / "manifest.parquet", Picture)]
        for folder in (summary.dataset, wanted)  # later columns have their defaults
    )
    assert_alike(found, known)
    assert columns(summary.dataset / "manifest.parquet") == MANIFEST
    for folder in ("trainA", "trainB", "testA", "testB"):
        names = {path.name for path in (wanted / folder).iterdir()}
        assert {path.name for path in (summary.dataset / folder).iterdir()} == names
    now, then = (
        PrepareConfig.model_validate_json((folder / "config.json").read_bytes())
        for folder in (summary.dataset, wanted)  # later fields have their defaults
    )
    assert now == then


def test_a_finished_run_is_known(workspace: Workspace) -> None:
    summary = train(TRAIN, workspace.dataset(DATASET).path, workspace.run(RUN).path)
    assert (summary.steps, summary.resumed_from_step) == (10, 10)
    assert latest.dataset_folder(workspace, "makeup").name == DATASET
    assert latest.run_folder(workspace, "makeup").name == RUN


@pytest.mark.slow
def test_figures_are_known_and_the_model_has_its_name(workspace: Workspace) -> None:
    dataset, run = workspace.dataset(DATASET).path, workspace.run(RUN).path
    evaluation = evaluate(EVALUATE, dataset, run, workspace)
    assert evaluation.reused
    promotion = promote(run, evaluation.folder, workspace, "makeup", PromoteConfig())
    assert promotion.model.name == MODEL
    assert champion(workspace, "makeup").name == MODEL


@pytest.mark.slow
def test_the_same_checkpoint_has_the_same_figures(workspace: Workspace) -> None:
    dataset, run = workspace.dataset(DATASET).path, workspace.run(RUN).path
    path = run / "evaluation" / "step_00000010" / "scores.json"
    wanted = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    evaluation = evaluate(EVALUATE, dataset, run, workspace)
    assert not evaluation.reused
    scores = json.loads(path.read_text(encoding="utf-8"))
    for name, direction in wanted["directions"].items():
        # a later version may measure more; what it measured before keeps its key and its figure
        scores["directions"][name] = _of(scores["directions"][name], dict.fromkeys(direction))
    scores["train_config"] = _of(scores["train_config"], dict.fromkeys(wanted["train_config"]))
    assert_alike(_of(scores, dict.fromkeys(wanted)), wanted)


def test_the_champion_translates(workspace: Workspace, tmp_path: Path) -> None:
    assert (
        find_champion(workspace, "makeup") == workspace.recipe_models("makeup").version(MODEL).path
    )
    model = open_model(workspace, "makeup")
    assert model.directions == {"A2B": ("makeup", "bare"), "B2A": ("bare", "makeup")}
    photo = next(workspace.originals.glob("*/*.jpg"))
    translator = Translator(model, "A2B")
    outcomes = translate(
        [Input(photo, Path(photo.name))], tmp_path / "out", translator, TranslateOptions()
    )
    assert [outcome.reason for outcome in outcomes] == [""]
    assert outcomes[0].output is not None
    assert outcomes[0].output.is_file()


def test_rules_of_a_configuration_have_their_names_and_defaults() -> None:
    """Parameters that people saved, in files and in deployments, are read for ever."""
    parameters = RECIPES["makeup"]().model_dump(mode="json")
    assert _of(parameters, NAMES["parameters"]) == NAMES["parameters"]


def _of(found: Any, wanted: Any) -> Any:
    """The part of ``found`` with the keys of ``wanted``."""
    if isinstance(wanted, dict):
        return {key: _of(found[key], value) for key, value in wanted.items()}
    return found


def test_commands_and_their_options_have_their_names() -> None:
    options = commands()
    for name, wanted in NAMES["commands"].items():
        assert set(wanted) <= options[name], name


def commands() -> dict[str, set[str]]:
    """Each command of ``suyan`` with its arguments and options."""
    import typer

    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {
        name: {spelling for parameter in command.params for spelling in _spellings(parameter)}
        for name, command in group.commands.items()
    }


def _spellings(parameter: Any) -> list[str]:
    """The name of the parameter in ``--help``, which for an argument is its metavariable."""
    if parameter.param_type_name == "argument" and parameter.metavar:
        return [parameter.metavar]
    return list(parameter.opts)


def test_events_have_their_names() -> None:
    assert set(NAMES["events"]) <= set(events.NAMES)
