"""prefect.yaml and automations.yaml agree with the code."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import DeploymentEventTrigger
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate
from prefect.utilities.schema_tools.validation import ValidationError

from core.workspace import Workspace
from flows import deployments, events, model, pipeline, recipes, refresh
from flows.forms import field_values
from flows.forms.effective import resolve
from flows.forms.form import CRAWL, EVALUATE, PIPELINE, REFRESH, TRAIN, Form
from flows.installation import VERSION
from flows.recipe_files import library as recipes_library
from flows.recipe_files.library import load_recipe
from flows.recipe_files.recipe import Recipe
from flows.server import notifications, resources
from training.config import TrainConfig

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
FORMS: dict[str, Form[Any]] = {
    "flows.pipeline.pipeline": PIPELINE,
    "flows.refresh.crawl": CRAWL,
    "flows.refresh.refresh_dataset": REFRESH,
    "flows.model.train": TRAIN,
    "flows.model.evaluate": EVALUATE,
}
IDS = [f"{entry['entrypoint']}-{entry['name']}" for entry in DEPLOYMENTS]
each = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=IDS)


def test_prefect_yaml_is_what_the_recipes_say() -> None:
    text = deployments.FILE.read_text(encoding="utf-8")
    assert text == deployments.prefect_yaml(), "run: python -m flows.deployments"


@each
def test_a_run_begins_in_the_folder_of_the_code_without_a_step_that_logs(
    deployment: dict[str, Any],
) -> None:
    assert yaml.safe_load((ROOT / "prefect.yaml").read_text())["pull"] == []
    assert deployment["work_pool"]["job_variables"] == {"working_dir": "{{ $PWD }}"}


def test_the_deployments_for_containers_are_the_same_in_an_image() -> None:
    text = deployments.CLOUD_FILE.read_text(encoding="utf-8")
    assert text == deployments.cloud_yaml(), "run: python -m flows.deployments"
    file = yaml.safe_load(text)
    assert [{**entry, "work_pool": 0} for entry in file["deployments"]] == [
        {**entry, "work_pool": 0} for entry in DEPLOYMENTS
    ]
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (pull,) = file["pull"][0].values()
    assert f"WORKDIR {pull['directory']}\n" in dockerfile
    for entry in file["deployments"]:
        # Of the step whose id is image. The pool has the environment: a deployment would show it.
        assert entry["work_pool"]["job_variables"] == {"image": "{{ image.image }}"}
    (built,) = file["build"][1].values()
    assert built["id"] == "image"
    assert (ROOT / built["dockerfile"]).is_file()


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
    form = FORMS[deployment["entrypoint"]]
    parameters = resolve(form, {}, stored=deployment["parameters"]["parameters"]).parameters
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


CATS = """\
from: seasons
titles: {recipe: cats}
schedule: {cron: 30 4 * * 5, active: true}
triggers: {evaluate: false}
retrain_above: 0.25
retrain_share: 0.5
max_training_h: 9
crawl: {search_interval_s: 2, filters: {licensed: true}}
crawl_a: {domain: kitten, phrases: [小猫], num_images: 100}
crawl_b: {domain: lion, phrases: [狮子], max_images_per_phrase: 7, prefixes: [大]}
prepare: {test_fraction: 0.15}
train: {ngf: 32, seed: 5, diff_augment: [color]}
evaluate: {num_bootstrap: 300}
promote: {automatic: false}
approval: required
"""


@pytest.fixture
def cats(tmp_path: Path) -> Recipe:
    """A recipe of a person's own that changes something in every form."""
    (tmp_path / "cats.yaml").write_text(CATS)
    return load_recipe(tmp_path / "cats.yaml", Workspace(tmp_path))


@pytest.mark.parametrize("entrypoint", FLOWS)
@pytest.mark.parametrize("is_alone", [True, False])
def test_a_deployment_of_ones_own_recipe_holds_all_of_it(
    cats: Recipe, tmp_path: Path, entrypoint: str, *, is_alone: bool
) -> None:
    """A worker has no file. The form shows what differs from the defaults in its descriptions."""
    if is_alone:  # without a base; the shipped recipes hold out more than the general default
        del (values := cats.parameters.model_dump(mode="json"))["prepare"]["test_fraction"]
        (tmp_path / "alone.json").write_text(json.dumps(values | {"recipe": "alone"}))
        cats = load_recipe(tmp_path / "alone.json", Workspace(tmp_path))
    (entry,) = (
        each for each in deployments.build_deployments(cats) if each["entrypoint"] == entrypoint
    )
    stored = entry["parameters"]["parameters"]
    validate(entry["parameters"], _schema(entrypoint), raise_on_error=True)
    parameters = resolve(FORMS[entrypoint], {}, stored=stored).parameters
    expected = cats.values_of(type(parameters))
    if entrypoint == "flows.refresh.refresh_dataset":
        expected |= {(crawl, "refresh_after_h"): 24 for crawl in ("crawl_a", "crawl_b")}
    found = field_values.flatten(parameters.model_dump(mode="json"), type(parameters))
    assert found == expected
    advanced = field_values.flatten(stored.get("advanced", {}).get("train", {}), TrainConfig)
    assert ("batch_size",) not in advanced
    if "prepare" in stored.get("advanced", {}):
        assert stored["advanced"]["prepare"]["test_fraction"] == 0.15


def test_schedule_and_triggers_are_those_of_the_file(
    cats: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {entry["entrypoint"]: entry for entry in deployments.build_deployments(cats)}
    refresh = entries["flows.refresh.refresh_dataset"]
    (schedule,) = refresh["schedules"]
    assert schedule == {"slug": "weekly", "cron": "30 4 * * 5", "timezone": "Asia/Shanghai"}
    assert refresh["description"].startswith("Every week: search both domains again, kitten (A)")
    assert "more than 25% of it" in refresh["description"]
    assert entries["flows.model.train"]["triggers"][0]["match"] == {
        "prefect.resource.id": "suyan.dataset.cats"
    }
    assert entries["flows.model.evaluate"]["triggers"] == []
    recipes = [cats, recipes_library.shipped_recipe("seasons")]
    (line,) = deployments.schedule_lines(recipes, "http://127.0.0.1:4200/api")
    assert line.startswith("refresh-dataset/cats: Fridays at 4:30 (Asia/Shanghai) it searches http")
    assert "more than 9 hours" in line
    monkeypatch.setenv("SUYAN_LANG", "zh")
    (line,) = deployments.schedule_lines(recipes, "http://127.0.0.1:4200/api")
    assert line.startswith("refresh-dataset/cats：每周五 4:30（Asia/Shanghai）搜索 http")
    assert re.search("[a-z]{3,} [a-z]{3,}", line.partition("PREFECT")[0]) is None
    text = deployments.prefect_yaml([cats])
    assert yaml.safe_load(text)["deployments"] == [*entries.values()]


def _schema(entrypoint: str) -> dict[str, Any]:
    schema: dict[str, Any] = parameter_schema(FLOWS[entrypoint].fn).model_dump()
    return schema


def _fields(form: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The fields of a form, and those of its sections."""
    for name, field in form.get("properties", {}).items():
        yield above + name, field
        yield from _fields(field, f"{above}{name}.")


@pytest.mark.parametrize("entrypoint", FLOWS)
def test_every_field_of_the_form_is_explained(entrypoint: str) -> None:
    assert not [name for name, field in _fields(_schema(entrypoint)) if not field["description"]]


def test_a_form_asks_a_few_questions_and_folds_all_else() -> None:
    """Folded is a section that may be nothing, and is nothing at first."""
    for entrypoint in FLOWS:
        form = _schema(entrypoint)["properties"]["parameters"]["properties"]
        assert len(form) <= 6, entrypoint
        *questions, advanced = form
        assert advanced == "advanced"
        assert {"phrases_a", "phrases_b"} <= {*questions} or "crawl" not in form[advanced]
        assert all("properties" not in form[name] for name in questions)
        for name, field in _fields({"properties": {advanced: form[advanced]}}):
            if "properties" in field and not name.endswith(".filters"):
                assert field["default"] is None, name
                assert field["anyOf"][0]["type"] == "null", name
                assert {*field["anyOf"][1]["properties"]} == {*field["properties"]}, name


@pytest.mark.parametrize("entrypoint", FLOWS)
def test_no_parameter_stands_twice_in_a_form(entrypoint: str) -> None:
    """Nor is one left out: the form can set all that a run depends on."""
    form = FORMS[entrypoint]
    schema = _schema(entrypoint)["properties"]["parameters"]
    names = [name.removeprefix("advanced.") for name, field in _fields(schema)
             if "properties" not in field]  # fmt: skip
    of_both = {("crawl_a", "num_images"), ("crawl_b", "num_images")}  # also one question
    places = [place for name in names if "." in name or name not in form.first_questions
              for place in _places(name)]  # fmt: skip
    places += [place for question in form.first_questions.values() for place in question.places]
    assert {place for place in places if places.count(place) > 1} <= of_both
    derived = {("prepare", "domain_a"), ("prepare", "domain_b")}
    assert {*places} == {*field_values.places(form.parameters)} - derived


def _places(name: str) -> list[tuple[str, ...]]:
    section, *rest = name.split(".")
    if section == "crawl":
        return [("crawl_a", *rest), ("crawl_b", *rest)]
    return [(section, *rest)]


@pytest.mark.parametrize("entrypoint", FLOWS)
def test_a_field_that_nobody_touches_sends_nothing(entrypoint: str) -> None:
    """The UI sends defaults, and ``false`` for every switch."""
    schema = _schema(entrypoint)["properties"]["parameters"]
    for name, field in _fields(schema):
        assert field.get("default") is None, name
        assert "boolean" not in [kind.get("type") for kind in (field, *field.get("anyOf", ()))]


@each
def test_the_server_accepts_what_the_form_shows_and_former_shapes(
    deployment: dict[str, Any],
) -> None:
    schema = _schema(deployment["entrypoint"])
    recipe = recipes.RECIPES[deployment["name"]]()
    fields = set(FORMS[deployment["entrypoint"]].parameters.model_fields)
    for former in (True, False):
        values = recipe.model_dump(mode="json", include=fields, exclude_unset=former)
        validate({"parameters": values}, schema, raise_on_error=True)
    validate(deployment["parameters"], schema, raise_on_error=True)
    validate({"parameters": {}}, schema, raise_on_error=True)


@pytest.mark.parametrize("path", ["train", "advanced.train"])
def test_the_server_names_the_field_of_a_wrong_value(path: str) -> None:
    parameters: dict[str, Any] = {"train": {"num_epochs": -3}}
    if path != "train":
        parameters = {"advanced": parameters}
    with pytest.raises(ValidationError, match=rf"parameters\.{path}\.num_epochs.*-3 is less than"):
        validate({"parameters": parameters}, _schema("flows.model.train"), raise_on_error=True)


def test_a_question_that_the_form_does_not_ask_may_be_answered() -> None:
    schema = _schema("flows.pipeline.pipeline")
    assert "seed" not in schema["properties"]["parameters"]["properties"]
    validate({"parameters": {"seed": 7}}, schema, raise_on_error=True)
    with pytest.raises(ValidationError, match=r"parameters\.seed.*-3 is less than"):
        validate({"parameters": {"seed": -3}}, schema, raise_on_error=True)
    assert FORMS["flows.pipeline.pipeline"].values({"seed": 7}) == {("train", "seed"): 7}


def test_ranges_and_defaults_are_told_in_words() -> None:
    fields = dict(_fields(_schema("flows.pipeline.pipeline")))
    limits = {
        name.rpartition(".")[2]: field["description"].rpartition(" [")[2]
        for name, field in fields.items()
        if "[" in field["description"]
    }
    assert limits["num_blocks"] == "1 to 16; default 9]"
    assert limits["learning_rate"] == "more than 0, at most 0.1; default 0.0002]"
    assert limits["beta1"] == "at least 0, less than 1; default 0.5]"
    assert limits["phrases_a"] == "at most 1000 entries]"
    assert limits["max_images_per_phrase"] == "at least 1]"  # in spite of None, its default
    assert limits["test_fraction"] == "more than 0, less than 0.9; default 0.4]"  # the recipes'
    assert limits["faces"] == "default makeup: true, seasons: false]"
    assert limits["promotion"] == "default automatic]"
    bounded = {
        name.rpartition(".")[2]
        for name, field in fields.items()
        if any("inimum" in key for kind in (field, *field.get("anyOf", ())) for key in kind)
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
