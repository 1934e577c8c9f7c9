"""The Kubernetes and Docker files, as far as they can be checked without a cluster."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    temporary_settings,
)

from flows.installation import PACKAGES
from flows.server.services import Services

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
POOLS = ("docker-pool.json", "kubernetes-pool.json")
_ASKED: dict[
    str, tuple[dict[str, Any], dict[str, Any]]
] = {  # allowed and forbidden values of a deployment
    "docker-pool.json": ({"mem_limit": "8g"}, {"volumes": "not a list"}),
    "kubernetes-pool.json": ({"gpus": "1"}, {"gpus": 1.5}),
}


def _template(name: str) -> Any:
    return json.loads((DEPLOY / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", POOLS)
def test_every_placeholder_of_a_pool_is_a_variable(name: str) -> None:
    template = _template(name)
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])


def test_manifests_refer_to_what_is_there() -> None:
    text = (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")
    manifests = {(m["kind"], m["metadata"]["name"]): m for m in yaml.safe_load_all(text)}
    job = _template("kubernetes-pool.json")["job_configuration"]["job_manifest"]["spec"]["template"]
    for name in ("prefect-server", "prefect-worker"):
        spec = manifests["Deployment", name]["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert manifests["Service", "prefect-server"]["spec"]["selector"] == {"app": "prefect-server"}
    binding = manifests["RoleBinding", "prefect-worker"]
    assert ("Role", binding["roleRef"]["name"]) in manifests
    mounts = {mount["name"] for mount in job["spec"]["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"] for volume in job["spec"]["volumes"]}
    [claim] = [
        v["persistentVolumeClaim"] for v in job["spec"]["volumes"] if "persistentVolumeClaim" in v
    ]
    assert ("PersistentVolumeClaim", claim["claimName"]) in manifests


def test_the_dask_cluster_fits_the_rest() -> None:
    def read(name: str) -> dict[tuple[str, str], Any]:
        text = (DEPLOY / name).read_text(encoding="utf-8")
        return {(m["kind"], m["metadata"]["name"]): m for m in yaml.safe_load_all(text)}

    rest, dask = read("kubernetes.yaml"), read("dask.yaml")
    server = rest["Deployment", "prefect-server"]["spec"]["template"]["spec"]["containers"][0]
    for name in ("dask-scheduler", "dask-worker"):
        spec = dask["Deployment", name]["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
        assert spec["template"]["spec"]["containers"][0]["image"] == server["image"]
    assert dask["Service", "dask-scheduler"]["spec"]["selector"] == {"app": "dask-scheduler"}
    worker = dask["Deployment", "dask-worker"]["spec"]["template"]["spec"]
    (claim,) = [volume["persistentVolumeClaim"]["claimName"] for volume in worker["volumes"]]
    assert ("PersistentVolumeClaim", claim) in rest
    environment = {each["name"]: each["value"] for each in worker["containers"][0]["env"]}
    assert (
        environment["DASK_DISTRIBUTED__WORKER__DAEMON"] == "False"
    )  # pictures need processes there
    job = json.dumps(_template("kubernetes-pool.json"))
    assert environment["PREFECT_API_URL"] in job
    assert worker["containers"][0]["volumeMounts"][0]["mountPath"] == "/workspace"


def test_the_image_has_what_the_code_needs() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = set(PACKAGES)
    included = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert packages <= included
    files = {project["project"]["readme"], *project["project"]["license-files"]}
    assert {name for name in files if Path(name).parts[0] not in packages} <= included
    for name in included:
        assert (ROOT / name).exists()


def test_the_image_has_a_compiler_and_every_extra_that_a_command_needs() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    installed = re.findall(r"--extra (\w+)", text)
    # tools; models and trackers that a person must choose
    not_needed = {"dev", "bench", "safety", "identity", "wandb", "mlflow", "swanlab"}
    assert set(installed) == set(project["optional-dependencies"]) - not_needed
    assert re.search(r"apt-get install .*\bg\+\+", text)
    # its user cannot write byte code: without it each process compiles PyTorch and Prefect again
    assert "uv pip install --system --no-cache --compile-bytecode" in text
    assert "python -m compileall -q ." in text


def test_a_change_of_code_keeps_the_layer_of_what_it_needs() -> None:
    """Several GB, which each deployment from GitHub would build and push again."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    needed, code = text.index("COPY pyproject.toml constraints.txt ./\n"), text.index("COPY . .\n")
    assert needed < text.index("--requirement pyproject.toml") < code
    assert "--no-deps --editable ." in text[code:]


@pytest.mark.slow
@pytest.mark.parametrize("name", POOLS)
def test_a_real_server_sends_a_training_to_the_queue_of_gpus(services: Services, name: str) -> None:
    prefect = {
        PREFECT_API_URL: services.server.api_url,
        PREFECT_HOME: services.server.home,
        PREFECT_API_AUTH_STRING: "tester:a-secret-of-the-test",
    }
    kind, variable = name.removesuffix("-pool.json"), _ASKED[name]
    with temporary_settings(updates=prefect), get_client(sync_client=True) as client:
        client.create_work_pool(
            WorkPoolCreate(name=kind, type=kind, base_job_template=_template(name))
        )
        try:
            for queue in ("cpu", "gpu"):
                client.create_work_queue(queue, work_pool_name=kind, concurrency_limit=1)
            flow = client.create_flow_from_name(f"a-training-on-{kind}")
            where = {"work_pool_name": kind, "work_queue_name": "gpu"}
            deployment = client.create_deployment(flow, "one", job_variables=variable[0], **where)
            run = client.create_flow_run_from_deployment(deployment)
            assert (run.work_pool_name, run.work_queue_name) == (kind, "gpu")
            with pytest.raises(PrefectHTTPStatusError, match="Validation failed for field"):
                client.create_deployment(flow, "two", job_variables=variable[1], **where)
            client.delete_flow(flow)
        finally:
            client.delete_work_pool(kind)
