"""The deployments of the Prefect server: every flow for every recipe, written to prefect.yaml.

``python -m flows.deployments`` writes prefect.yaml; run it after a change of a recipe or of this
module. This module does not import Prefect, so that ``suyan up`` can set its environment first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from core.files import atomic_file
from flows.forms.field_values import flatten
from flows.forms.form import CRAWL, EVALUATE, PIPELINE, REFRESH, TRAIN, Form
from flows.installation import ROOT
from flows.parameters import RefreshParameters
from flows.recipes import RECIPES, TITLES, Title

WORK_POOL = "local"
FILE = ROOT / "prefect.yaml"
_REFRESH_AFTER_H = 24  # a scheduled refresh searches again when the last one is older
_ACTIVE_SCHEDULES = ("makeup",)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_LONGEST_PLAIN_TEXT = 72  # characters
_HEADER = """\
# Written by `python -m flows.deployments` from flows/recipes.py and flows/deployments.py: change
# those, not this file. The command up deploys it; by hand: prefect deploy --all (see
# docs/weekly-running.md).
"""


@dataclass(frozen=True)
class _FlowDeployment:
    """The deployment of a flow, for any recipe. In ``description``, ``{recipe}``, ``{a}`` and
    ``{b}`` stand for the recipe and its domains.
    """

    flow: str  # its name in Prefect
    entrypoint: str
    form: Form[Any]
    description: str
    is_weekly: bool = False
    trigger: _Trigger | None = None


@dataclass(frozen=True)
class _Trigger:
    """The event that starts the deployment."""

    name: str
    resource: str
    event: str
    parameter: str  # of the flow; its value is the field ``payload`` of the event's payload
    payload: str
    constants: Mapping[str, Any] = field(default_factory=dict)  # other arguments of the flow


_FLOWS = (
    _FlowDeployment(
        "pipeline",
        "flows.pipeline.pipeline",
        PIPELINE,
        "{a} (A) ↔ {b} (B): crawl both domains, prepare the dataset, train, evaluate, promote.",
    ),
    _FlowDeployment(
        "crawl",
        "flows.refresh.crawl",
        CRAWL,
        "Search both domains, {a} (A) and {b} (B), and fetch the originals of the hits.",
    ),
    _FlowDeployment(
        "refresh-dataset",
        "flows.refresh.refresh_dataset",
        REFRESH,
        "{schedule}search both domains again, {a} (A) and {b} (B), fetch new originals and "
        "publish a new dataset version. If more than {retrain_above} of it changed, train/{recipe} "
        "starts.",
        is_weekly=True,
    ),
    _FlowDeployment(
        "train",
        "flows.model.train",
        TRAIN,
        "Train {a} ↔ {b} on the newest dataset version. Starts by itself when a refresh changed "
        "the dataset; at its end evaluate/{recipe} starts.",
        trigger=_Trigger(
            name="suyan: a changed {title} dataset starts training",
            resource="suyan.dataset.{recipe}",
            event="suyan.dataset.changed",
            parameter="dataset",
            payload="version",
            constants={"is_retraining": True},
        ),
    ),
    _FlowDeployment(
        "evaluate",
        "flows.model.evaluate",
        EVALUATE,
        "Measure the newest {a} ↔ {b} run on held-out pictures, write the report and decide on "
        "promotion. Starts by itself at the end of train/{recipe}.",
        trigger=_Trigger(
            name="suyan: a finished {title} training starts evaluation",
            resource="suyan.model.{recipe}",
            event="suyan.model.trained",
            parameter="run",
            payload="run",
        ),
    ),
)
FLOW_NAMES = tuple(deployment.flow for deployment in _FLOWS)


def build_deployments(recipe: str) -> list[dict[str, Any]]:
    """The entries of prefect.yaml for ``recipe``, one for each flow."""
    return [_build(deployment, recipe) for deployment in _FLOWS]


def _build(deployment: _FlowDeployment, recipe: str) -> dict[str, Any]:
    title = _title(recipe)
    is_active = recipe in _ACTIVE_SCHEDULES
    schedule = "Every week: " if is_active else "Weekly once its schedule is switched on: "
    names = {
        "recipe": recipe,
        "title": title.recipe,
        "a": title.domain_a,
        "b": title.domain_b,
        "schedule": schedule,
        "retrain_above": f"{RefreshParameters.model_fields['retrain_above'].default:.0%}",
    }
    entry: dict[str, Any] = {
        "name": recipe,
        "entrypoint": deployment.entrypoint,
        "description": _sentence(deployment.description.format_map(names)),
        "tags": ["suyan", recipe],
        "work_pool": {"name": WORK_POOL, "job_variables": {}},
    }
    if deployment.is_weekly:
        entry["schedules"] = [_weekly(recipe, is_active=is_active)]
    if deployment.trigger is not None:
        entry["triggers"] = [_trigger(deployment.trigger, names)]
    entry["parameters"] = {"parameters": _parameters(deployment, recipe)}
    return entry


def _title(recipe: str) -> Title:
    if recipe in TITLES:
        return TITLES[recipe]
    parameters = RECIPES[recipe]()
    return Title(recipe, parameters.crawl_a.domain, parameters.crawl_b.domain)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _weekly(recipe: str, *, is_active: bool) -> dict[str, Any]:
    """3 o'clock in Shanghai, the first recipe on Mondays, the second on Tuesdays, and so on."""
    weekday = list(RECIPES).index(recipe) % 7 + 1
    schedule = {"slug": "weekly", "cron": f"0 3 * * {weekday % 7}", "timezone": "Asia/Shanghai"}
    return schedule if is_active else {**schedule, "active": False}


def schedule_lines() -> list[str]:
    """A line for each active schedule: when it runs, what follows, and how to switch it off."""
    lines = []
    for recipe in _ACTIVE_SCHEDULES:
        parameters = RECIPES[recipe]()
        schedule = _weekly(recipe, is_active=True)
        weekday = _WEEKDAYS[int(schedule["cron"].split()[-1])]
        share = f"{RefreshParameters.model_fields['retrain_above'].default:.0%}"
        lines.append(
            f"refresh-dataset/{recipe}: {weekday}s at 3:00 ({schedule['timezone']}) it searches "
            f"{parameters.crawl_a.engine_url}. If more than {share} of the dataset changed, "
            f"train/{recipe} starts, unless it would take more than "
            f"{parameters.max_training_h:g} hours on this device (max_training_h). To switch it "
            "off: the switch Schedules on the deployment's page in the UI, or, for all schedules: "
            "prefect deployment schedule pause --all"
        )
    return lines


def _trigger(trigger: _Trigger, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": trigger.name.format_map(names),
        "type": "event",
        "enabled": True,
        "posture": "Reactive",
        "threshold": 1,
        "match": {"prefect.resource.id": trigger.resource.format_map(names)},
        "expect": [trigger.event],
        "parameters": {
            **trigger.constants,
            trigger.parameter: f"{{{{ event.payload.{trigger.payload} }}}}",
            "workspace": "{{ event.payload.workspace }}",
        },
    }


def _parameters(deployment: _FlowDeployment, recipe: str) -> dict[str, Any]:
    """The recipe's name and its answers to the questions of the flow's form, which shows them."""
    form = deployment.form
    fields = set(form.parameters.model_fields)
    values = flatten(RECIPES[recipe]().model_dump(mode="json", include=fields), form.parameters)
    answers = {name: question.answer(values) for name, question in form.questions.items()}
    if deployment.is_weekly:
        answers["refresh_after_h"] = _REFRESH_AFTER_H
    return {"recipe": recipe, **answers}


def prefect_yaml() -> str:
    """The text of prefect.yaml."""
    head = {
        "name": "suyan",
        "prefect-version": ">=3.8,<4",
        "pull": [
            {"prefect.deployments.steps.set_working_directory": {"directory": "{{ $PWD }}"}},
        ],
    }
    parts = [_HEADER + _yaml(head), "deployments:"]
    for recipe in RECIPES:
        title = _title(recipe)
        parts.append(f"# {recipe}: {title.domain_a} (A) ↔ {title.domain_b} (B)")
        parts += [_yaml([entry]) for entry in build_deployments(recipe)]
    return "\n".join(parts)


class _Dumper(yaml.SafeDumper):
    """Folds long texts, and writes no anchors, so that each deployment can be read alone."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _folded(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = ">" if len(text) > _LONGEST_PLAIN_TEXT else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _folded)


def _yaml(value: Any) -> str:
    return yaml.dump(
        value,
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=None,  # the innermost lists and mappings on one line
        sort_keys=False,
        width=96,
    )


def main() -> None:
    """Write prefect.yaml."""
    with atomic_file(FILE) as file:
        file.write(prefect_yaml().encode())


if __name__ == "__main__":
    main()
