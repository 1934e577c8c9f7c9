"""prefect.yaml and automations.yaml agree with the code."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import DeploymentEventTrigger
from prefect.utilities.callables import parameter_schema

from flows import deployments, events, model, pipeline, recipes, refresh
from flows.installation import VERSION
from flows.server import notifications, resources

ROOT = Path(__file__).resolve().parents[2]
FLOWS: dict[str, Flow[Any, Any]] = {
    "flows.pipeline.pipeline": pipeline.pipeline,
    "flows.refresh.crawl": refresh.crawl,
    "flows.refresh.refresh_dataset": refresh.refresh_dataset,
    "flows.model.train": model.train,
    "flows.model.evaluate": model.evaluate,
}
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())[
    "deployments"
]
IDS = [f"{entry['entrypoint']}-{entry['name']}" for entry in DEPLOYMENTS]
each = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=IDS)


def test_prefect_yaml_is_what_the_recipes_say() -> None:
    text = deployments.FILE.read_text(encoding="utf-8")
    assert text == deployments.prefect_yaml(), "run: python -m flows.deployments"


def test_to_bring_up_services_nobody_imports_prefect() -> None:
    """Prefect reads its settings when it is imported; before that, suyan has to set them."""
    code = "import sys, flows.server.services; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_flow_is_deployed_for_every_recipe() -> None:
    deployed = {(entry["entrypoint"], entry["name"]) for entry in DEPLOYMENTS}
    assert deployed == {(flow, recipe) for flow in FLOWS for recipe in recipes.RECIPES}


@each
def test_the_parameters_are_the_recipes(deployment: dict[str, Any]) -> None:
    flow = FLOWS[deployment["entrypoint"]]
    form = typing.get_type_hints(flow.fn)["parameters"]
    parameters = form.model_validate(deployment["parameters"]["parameters"])
    recipe = recipes.RECIPES[deployment["name"]]()
    for name in type(parameters).model_fields:
        expected, actual = getattr(recipe, name, None), getattr(parameters, name)
        if "refresh" in deployment["entrypoint"] and name in {"crawl_a", "crawl_b"}:
            assert actual.refresh_after_h is not None or "refresh.crawl" in deployment["entrypoint"]
            actual = actual.model_copy(update={"refresh_after_h": expected.refresh_after_h})
        if expected is not None:
            assert actual == expected, name


@each
def test_a_person_can_read_what_it_is(deployment: dict[str, Any]) -> None:
    assert len(deployment["description"]) > 30
    assert {"suyan", deployment["name"]} <= set(deployment["tags"])
    assert "concurrency_limit" not in deployment  # it ends runs that wait for approval: limits.py
    assert FLOWS[deployment["entrypoint"]].version == VERSION
    assert FLOWS[deployment["entrypoint"]].description


@pytest.mark.parametrize("entrypoint", FLOWS)
def test_every_field_of_the_form_is_explained(entrypoint: str) -> None:
    schema = parameter_schema(FLOWS[entrypoint].fn).model_dump()
    forms = {"the form": schema, **schema["definitions"]}
    unexplained = [
        f"{name}.{field}"
        for name, form in forms.items()
        for field, about in form.get("properties", {}).items()
        if not about.get("description")
    ]
    assert not unexplained


def test_ranges_and_defaults_are_told_in_words() -> None:
    forms = parameter_schema(pipeline.pipeline.fn).model_dump()["definitions"]
    limits = {
        field: about["description"].rpartition(" [")[2]
        for form in forms.values()
        for field, about in form.get("properties", {}).items()
        if "[" in about["description"]
    }
    assert limits["num_blocks"] == "1 to 16; default 9]"
    assert limits["learning_rate"] == "more than 0, at most 0.1; default 0.0002]"
    assert limits["beta1"] == "at least 0, less than 1; default 0.5]"
    assert limits["phrases"] == "1 to 1000 entries]"
    assert limits["max_images_per_phrase"] == "at least 1]"  # in spite of None, its default
    bounded = {
        field
        for form in forms.values()
        for field, about in form.get("properties", {}).items()
        if any("inimum" in name for kind in (about, *about.get("anyOf", ())) for name in kind)
    }
    assert len(bounded) > 50
    assert bounded <= set(limits)


def test_refreshes_are_weekly_in_shanghai() -> None:
    for deployment in DEPLOYMENTS:
        scheduled = "refresh_dataset" in deployment["entrypoint"]
        assert ("schedules" in deployment) == scheduled
        if scheduled:
            (schedule,) = deployment["schedules"]
            assert schedule["timezone"] == "Asia/Shanghai"
            cron = CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
            assert cron.cron.split()[2:4] == ["*", "*"]
            assert cron.cron.split()[4].isdigit()


@each
def test_triggers_wait_for_events_that_are_emitted(deployment: dict[str, Any]) -> None:
    starts_alone = {"flows.model.train", "flows.model.evaluate"}
    assert ("triggers" in deployment) == (deployment["entrypoint"] in starts_alone)
    signature = inspect.signature(FLOWS[deployment["entrypoint"]].fn)
    for trigger in deployment.get("triggers", []):
        checked = DeploymentEventTrigger.model_validate(trigger)
        assert checked.expect <= set(events.NAMES)
        assert set(trigger["parameters"]) <= set(signature.parameters)
        assert trigger["match"]["prefect.resource.id"].endswith(f".{deployment['name']}")


def test_the_automation_waits_longer_than_three_heartbeats() -> None:
    (zombie,) = resources.declared()
    trigger = zombie.trigger.model_dump(mode="json")
    assert trigger["after"] == ["prefect.flow-run.heartbeat"]
    assert trigger["within"] >= 90
    assert zombie.actions[0].model_dump(mode="json")["state"] == "CRASHED"


def test_notifications_tell_of_events_that_are_emitted() -> None:
    from uuid import uuid4

    automations = notifications.automations(uuid4())
    expected = {name for automation in automations for name in automation.trigger.expect}
    ours = {name for name in expected if name.startswith("suyan.")}
    assert ours == {events.CRAWL_PARTIAL, events.MODEL_CHAMPION}
    assert "prefect.flow-run.Crashed" in expected
