"""The pipeline flow at its smallest size, as a deployment on a real Prefect server and worker."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from connected_services import connected
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort

from core.errors import MissingModelError, SuyanError
from core.workspace import Workspace
from flows import model
from flows.parameters import EvaluateParameters, PipelineParameters
from flows.pipeline import PipelineResult, _run_stages, pipeline
from flows.recipes import makeup, seasons, with_engine
from flows.server.services import Services, worker_environment
from flows.stage_results import Status
from flows.sync import fetch_dataset
from scraping.offline.corpus import landscape_corpus, portrait_corpus
from scraping.offline.server import OfflineEngine
from training.runtime.launcher import Torchrun, train_together

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def _prefect(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )


@pytest.fixture(scope="module")
def deployed(services: Services, services_home: Path) -> dict[str, str]:
    """Environment of commands that use the server, whose worker runs the deployments."""
    return worker_environment(services.server, Workspace(services_home))


def _smallest(parameters: PipelineParameters, url: str) -> PipelineParameters:
    small = with_engine(parameters, url, allow_private_hosts=True)
    values = small.model_dump(mode="json")
    for side in ("crawl_a", "crawl_b"):
        values[side] |= {
            "num_images": 30, "requests_per_s_per_host": 50, "search_interval_s": 0.05,
        }  # fmt: skip
    values["prepare"] |= {"crop_px": 64, "min_images": 8, "test_fraction": 0.3}
    values["train"] |= SMALL_TRAINING
    values["evaluate"] |= {"num_bootstrap": 50, "inception": "cached"}
    return PipelineParameters.model_validate(values)


STAGES = ("crawl", "prepare", "train", "evaluate", "promote")
SMALL_TRAINING = {
    "load_px": 64,
    "crop_px": 64,
    "num_blocks": 1,
    "ngf": 4,
    "ndf": 4,
    "d_layers": 2,
    "num_epochs": 1,
    "num_epochs_decay": 1,
}


def _run(
    environment: dict[str, str], deployment: str, parameters: PipelineParameters, workspace: Path
) -> subprocess.CompletedProcess[str]:
    values = {"parameters": parameters.model_dump(mode="json"), "workspace": str(workspace)}
    return _prefect(
        environment,
        "deployment",
        "run",
        f"pipeline/{deployment}",
        "--params",
        json.dumps(values),
        "--watch",
    )


@pytest.mark.slow
def test_faces_from_search_to_model(deployed: dict[str, str], tmp_path: Path) -> None:
    with OfflineEngine(portrait_corpus(num_good=40)) as engine:
        values = _smallest(makeup(), engine.url).model_dump(mode="json")
        values["train"] |= {"validate_every": 1, "num_validation": 4, "patience": 1}
        parameters = PipelineParameters.model_validate(values)
        done = _run(deployed, "makeup", parameters, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        again = _run(deployed, "makeup", parameters, tmp_path)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "Nothing new" in again.stdout + again.stderr
    (report,) = tmp_path.glob("runs/*/evaluation/*/report.html")
    assert "http://" not in report.read_text().replace("http://www.w3.org/", "").split("<body")[0]
    (manifest,) = tmp_path.glob("datasets/makeup-bare-*/manifest.parquet")
    assert manifest.stat().st_size > 0
    assert list((tmp_path / "models" / "makeup").rglob("G_A.safetensors"))
    (measures,) = tmp_path.glob("runs/*/measures.jsonl")  # by the KID of real features
    assert "validation_A2B" in measures.read_text()
    assert list(tmp_path.glob("runs/*/checkpoints/best.json"))


@pytest.mark.slow
def test_landscapes_need_no_faces_and_a_change_reruns_what_depends_on_it(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The flow in this process, on the same server; the outcomes of its stages are compared."""
    by: list[Torchrun] = []

    def together(*rest: Any, **more: Any) -> Any:
        by.append(rest[3])
        return train_together(*rest, **more)

    monkeypatch.setattr("flows.cluster.torchrun.train_together", together)
    with OfflineEngine(landscape_corpus(num_good=40)) as engine, connected(services):
        values = _smallest(seasons(), engine.url).model_dump(mode="json")
        values["train"]["batch_size"] = 8

        def run() -> dict[str, Status]:
            parameters = PipelineParameters.model_validate(values)
            return _statuses(pipeline(parameters=parameters, workspace=str(tmp_path)))

        first = dict.fromkeys(STAGES, Status.DONE) | {"promote": Status.NOT_PROMOTED}
        assert run() == first  # so small a model is stored, and no champion
        _a_run_can_be_understood_from_its_pages()
        assert run() == dict.fromkeys(STAGES, Status.NOTHING_NEW)
        values["evaluate"]["num_bootstrap"] = 60
        assert _new(run()) == {"evaluate"}  # the same model, in the same folder
        values["train"]["seed"] = 1
        values["torchrun"] = {"processes_per_node": 2}
        assert _new(run()) == {"train", "evaluate", "promote"}
        del values["torchrun"]
        values["prepare"]["test_fraction"] = 0.4
        assert _new(run()) == {"prepare", "train", "evaluate", "promote"}
        values["crawl_a"]["num_images"] = 31
        assert _new(run()) == set(STAGES)
    assert by == [Torchrun(processes_per_node=2)]
    assert list((tmp_path / "models" / "seasons").rglob("G_A.safetensors"))


@pytest.mark.slow
def test_another_machine_goes_on_with_what_is_in_the_bucket(
    services: Services, shared_home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines are two cache folders; they share only the workspace's address."""
    monkeypatch.setenv("SUYAN_CATALOGUE_URL", f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    with OfflineEngine(landscape_corpus(num_good=40)) as engine, connected(services):
        parameters = _smallest(seasons(), engine.url)

        def run() -> PipelineResult:
            return pipeline(parameters=parameters, workspace=shared_home)

        monkeypatch.setenv("SUYAN_CACHE_GB", "0")  # each stage fetches its inputs
        first = run()
        assert not first.dataset.exists()
        assert not list(first.dataset.parents[1].glob("originals/*/[!.]*"))
        monkeypatch.delenv("SUYAN_CACHE_GB")
        fetch_dataset(Workspace(first.dataset.parents[1]), first.dataset.name)
        downloads = engine.downloads.total()
        monkeypatch.setenv("SUYAN_CACHE", str(tmp_path / "machine-2"))
        share = model.evaluate(
            parameters=EvaluateParameters.model_validate(
                parameters.model_dump(include=set(EvaluateParameters.model_fields))
            ),
            workspace=shared_home,
        )
        assert share == first.verdict
        resumed = run()
        assert engine.downloads.total() == downloads
    assert resumed.dataset != first.dataset
    for name in ("manifest.parquet", "card.json"):
        assert (resumed.dataset / name).read_bytes() == (first.dataset / name).read_bytes()
    assert _statuses(resumed) == dict.fromkeys(STAGES, Status.NOTHING_NEW)
    assert resumed.scores == first.scores
    assert resumed.model.name == first.model.name
    environment = {"SUYAN_HOME": shared_home, "SUYAN_CACHE": str(tmp_path / "machine-3")}
    picture = next((first.dataset / "testA").iterdir())
    command = [sys.executable, "-c", "from cli.main import main; main()"]
    done = subprocess.run(
        [*command, "translate", str(picture), "--recipe", "seasons", "--model", first.model.name,
         "--out", str(tmp_path / "translated")],
        env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "translated").iterdir())


def _a_run_can_be_understood_from_its_pages() -> None:
    with get_client(sync_client=True) as client:
        ended = FlowRunFilter(state=FlowRunFilterState(
            type=FlowRunFilterStateType(any_=[StateType.COMPLETED])))  # fmt: skip
        (newest,) = client.read_flow_runs(
            flow_run_filter=ended, sort=FlowRunSort.END_TIME_DESC, limit=1
        )
        of_run = {"flow_runs": {"id": {"any_": [str(newest.id)]}}, "limit": 200}
        artifacts = client.request("POST", "/artifacts/filter", json=of_run).json()
        for _ in range(60):  # the server processes the events of tasks with a delay
            tasks = client.request("POST", "/task_runs/filter", json=of_run).json()
            if len(tasks) > len(STAGES):
                break
            time.sleep(0.5)
    assert {task["name"].split()[0] for task in tasks} == set(STAGES)
    assert len(tasks) == len(STAGES) + 1  # two domains, whatever the number of pictures
    text = {artifact["key"]: artifact for artifact in artifacts}
    pair = "summer-winter"
    assert sorted(text) == sorted(
        [f"{stage}-{pair}" for stage in ("dataset", "training", "evaluation", "progress")]
        + [f"{what}-{domain}" for what in ("crawl", "progress") for domain in pair.split("-")]
        + ["lineage-seasons", "parameters-pipeline-seasons", "stages-seasons"]
    )
    assert len(artifacts) == len(text)  # one page each, rewritten as the stage went on
    assert all(artifact["description"] for artifact in artifacts)
    for stage in ("crawl-summer", f"dataset-{pair}", f"training-{pair}", f"evaluation-{pair}"):
        assert "](data:image/jpeg;base64," in text[stage]["data"], stage
    assert "report.html" in text[f"evaluation-{pair}"]["data"]
    assert "| cycle_A |" in text[f"training-{pair}"]["data"]


def _statuses(result: PipelineResult) -> dict[str, Status]:
    """The status of each stage's first task."""
    return {stage: results[0].status for stage, results in result.stages.items()}


def _new(statuses: dict[str, Status]) -> set[str]:
    return {stage for stage, status in statuses.items() if status is not Status.NOTHING_NEW}


def test_a_wrong_parameter_is_refused_before_anything_starts(
    deployed: dict[str, str], tmp_path: Path
) -> None:
    values = json.loads(makeup().model_dump_json())
    values["train"]["num_blocks"] = -1
    text = json.dumps({"parameters": values, "workspace": str(tmp_path)})
    done = _prefect(deployed, "deployment", "run", "pipeline/makeup", "--params", text)
    assert done.returncode != 0
    assert "num_blocks" in done.stdout + done.stderr
    assert not list(tmp_path.iterdir())


def test_a_tracker_that_is_not_installed_is_refused_before_the_crawl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.tracking.tracker.importlib.util.find_spec", {}.get)
    parameters = makeup()
    train = parameters.train.model_copy(update={"track": ("swanlab",)})
    parameters = parameters.model_copy(update={"train": train})
    with pytest.raises(MissingModelError, match=r"got swanlab, .*\[swanlab\]"):
        _run_stages(parameters, Workspace(tmp_path), "local")
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_there_is_refused_before_the_crawl(tmp_path: Path) -> None:
    parameters = makeup()
    train = parameters.train.model_copy(update={"init_from": "champin"})
    parameters = parameters.model_copy(update={"train": train})
    with pytest.raises(SuyanError, match=r"init_from: got 'champin', .* did you mean champion\?"):
        _run_stages(parameters, Workspace(tmp_path), "local")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_too_few_images_end_the_run_and_keep_the_crawl(
    deployed: dict[str, str], tmp_path: Path
) -> None:
    with OfflineEngine(portrait_corpus(num_good=10)) as engine:
        values = _smallest(makeup(), engine.url).model_dump(mode="json")
        values["prepare"]["min_images"] = 500
        parameters = PipelineParameters.model_validate(values)
        done = _run(deployed, "makeup", parameters, tmp_path)
    assert done.returncode != 0
    assert "500" in done.stdout + done.stderr
    assert len(list(tmp_path.glob("crawls/*/listing.parquet"))) == 2
    assert list(tmp_path.glob("originals/*/*"))
