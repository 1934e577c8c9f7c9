"""A run says by which parameters it works, however few it was started with."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

from core.workspace import Workspace
from flows.model import evaluate, train
from flows.server.services import Services, worker_environment
from flows.states import cancellable
from flows.ui.page_words import page_language, use_language
from training.standard_configs import demo

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def _of_run(client: SyncPrefectClient, kind: str, run: FlowRun) -> list[dict[str, Any]]:
    """The artifacts or log lines of a run; the server stores lines with a delay."""
    asked = {kind: {"flow_run_id": {"any_": [str(run.id)]}}}
    rows: list[dict[str, Any]] = []
    for _ in range(60):
        rows = client.request("POST", f"/{kind}/filter", json=asked).json()
        if kind == "artifacts" or any("effective parameters" in row["message"] for row in rows):
            break
        time.sleep(0.5)
    return rows


def test_a_run_logs_its_effective_parameters_and_has_a_page_of_them(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    """It has no dataset, and so ends after that."""
    state = train(
        parameters={"recipe": "makeup", "train": {"num_epochs": 3}},
        preset="small",
        workspace=str(tmp_path),
        return_state=True,
    )
    assert state.is_failed()
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    run = client.read_flow_run(run_id)
    text = "\n".join(row["message"] for row in _of_run(client, "logs", run))
    assert "given to this run: train.num_epochs 3 (recipe: 100)" in text
    assert "changed by the preset small: " in text
    assert 'train.generator "fine_unet" (recipe: "resnet")' in text
    assert '"num_epochs":3,' in text
    pages = {row["key"]: row for row in _of_run(client, "artifacts", run)}
    page = pages["parameters-train-makeup"]
    effective = json.loads(page["data"].split("```json")[1].split("```")[0])
    assert effective["train"] == demo().model_dump(mode="json") | {"num_epochs": 3}


def test_the_pages_of_a_run_and_of_its_tasks_have_the_language_of_its_report(
    client: SyncPrefectClient, tmp_path: Path
) -> None:
    """The run has no training, and so ends after its first page."""
    state = evaluate(
        parameters={"recipe": "makeup", "evaluate": {"language": "zh"}},
        workspace=str(tmp_path),
        return_state=True,
    )
    run_id = state.state_details.flow_run_id
    assert run_id is not None
    rows = _of_run(client, "artifacts", client.read_flow_run(run_id))
    (page,) = (row for row in rows if row["key"] == "parameters-evaluate-makeup")
    assert page["description"].startswith("实际采用的参数：配方 makeup，")
    assert "- **evaluate.language" in page["data"]
    assert "全部参数：" in page["data"]

    @task
    @cancellable
    def of_task() -> str:
        return page_language()

    @flow
    def of_flow() -> str:
        use_language("zh")
        return of_task()

    assert of_flow() == "zh"


def _start(
    services: Services, home: Path, workspace: Path, parameters: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    command = [
        *(sys.executable, "-m", "prefect", "--no-prompt", "deployment", "run", "train/makeup"),
        *("--param", f"parameters={json.dumps(parameters)}"),
        *("--param", f"workspace={workspace}", "--watch"),
    ]
    environment = worker_environment(services.server, Workspace(home))
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(900)
def test_a_part_given_to_a_deployment_is_merged_and_a_misspelt_name_has_its_remedy(
    services: Services, services_home: Path, client: SyncPrefectClient, tmp_path: Path
) -> None:
    _start(services, services_home, tmp_path, {"train": {"seed": 7}})
    _start(services, services_home, tmp_path, {"train": {"sed": 7}})
    deployment = client.read_deployment_by_name("train/makeup")
    runs = {json.dumps(run.parameters["parameters"]): run for run in client.read_flow_runs()
            if run.deployment_id == deployment.id}  # fmt: skip
    merged = runs['{"train": {"seed": 7}}']
    text = "\n".join(row["message"] for row in _of_run(client, "logs", merged))
    assert "given to this run: train.seed 7 (recipe: 0)" in text
    assert '{"recipe":"makeup","train":{"seed":7}}' in text
    refused = runs['{"train": {"sed": 7}}']
    assert refused.state is not None
    assert refused.state.is_failed()
    assert "train.sed: no parameter has this name; the nearest is train.seed" in str(
        refused.state.message
    )
