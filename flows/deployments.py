"""The deployments of the Prefect server: every flow for every recipe, written to prefect.yaml.

``python -m flows.deployments`` writes prefect.yaml and deploy/prefect-cloud.yaml, the same for an
image and a pool of Prefect Cloud or of another server; run it after a change of a recipe or of this
module. This module does not import Prefect, so that ``suyan up`` can set its environment first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from core.commands import prefect_command
from core.files import atomic_file
from core.language.messages import language, localised
from flows.forms.field_values import Values, defaults, nest
from flows.forms.form import CRAWL, EVALUATE, PIPELINE, REFRESH, TRAIN, Form
from flows.forms.form_schema import OF_ONE_CRAWL
from flows.forms.questions import CRAWLS, DERIVED, SHARED
from flows.installation import ROOT
from flows.recipe_files.library import SHIPPED_NAMES, shipped_recipe
from flows.recipe_files.recipe import Recipe, Schedule
from scraping.search.engines import engine_urls

WORK_POOL = "local"
TAG = "suyan"
"""The tag of every deployment of ours; the other one is the recipe."""
FILE = ROOT / "prefect.yaml"
CLOUD_FILE = ROOT / "deploy" / "prefect-cloud.yaml"
CLOUD_WORK_POOL = "suyan"
_SLUG = "weekly"  # the name of the schedule, whatever its times
_REFRESH_AFTER_H = 24  # a scheduled refresh searches again when the last one is older
_LONGEST_PLAIN_TEXT = 72  # characters
_HEADER = """\
# Written by `python -m flows.deployments` from flows/recipe_files and flows/deployments.py: change
# those, not this file. The command up deploys the same; by hand: prefect deploy --all (see
# docs/weekly-running.md).
"""


_CLOUD_HEADER = """\
# Written by `python -m flows.deployments`, like prefect.yaml: the same deployments for workers that
# start containers. It builds an image, pushes it, and runs use its code; docs/prefect.md says
# how to use it. It needs prefect-docker, SUYAN_IMAGE=REGISTRY/NAME, and the work pool "suyan" of
# type docker or kubernetes, whose template has workspace and secrets: no deployment does.
"""
_CODE_FOLDER = "/opt/suyan"  # in the image: deploy/Dockerfile
_LOCAL_FOLDER = "{{ $PWD }}"  # of the process of a run; read when Prefect deploys


@dataclass(frozen=True)
class _FlowDeployment:
    """The deployment of a flow, for any recipe. In ``description``, ``{recipe}``, ``{a}`` and
    ``{b}`` stand for the recipe and its domains.
    """

    flow: str  # its name in Prefect
    entrypoint: str
    form: Form[Any]
    description: str
    is_scheduled: bool = False
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
        is_scheduled=True,
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


def build_deployments(recipe: Recipe) -> list[dict[str, Any]]:
    """The entries of prefect.yaml for ``recipe``, one for each flow."""
    return [_build(deployment, recipe) for deployment in _FLOWS]


def _build(deployment: _FlowDeployment, recipe: Recipe) -> dict[str, Any]:
    titles = recipe.titles
    names = {
        "recipe": recipe.name,
        "title": titles.recipe,
        "a": titles.domain_a,
        "b": titles.domain_b,
        "schedule": _rhythm(recipe.settings.schedule),
        "retrain_above": f"{recipe.settings.retrain_above:.0%}",
    }
    entry: dict[str, Any] = {
        "name": recipe.name,
        "entrypoint": deployment.entrypoint,
        "description": _sentence(deployment.description.format_map(names)),
        "tags": [TAG, recipe.name],
        "work_pool": {"name": WORK_POOL, "job_variables": {"working_dir": _LOCAL_FOLDER}},
    }
    if deployment.is_scheduled:
        entry["schedules"] = [_schedule(recipe.settings.schedule)]
    if deployment.trigger is not None:
        is_enabled = getattr(recipe.settings.triggers, deployment.flow)
        entry["triggers"] = [_trigger(deployment.trigger, names)] if is_enabled else []
    entry["parameters"] = {"parameters": _parameters(deployment, recipe)}
    return entry


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _rhythm(schedule: Schedule) -> str:
    if schedule.active:
        return "Every week: " if schedule.weekday else "By its schedule: "
    return f"{'Weekly once' if schedule.weekday else 'Once'} its schedule is switched on: "


def _schedule(schedule: Schedule) -> dict[str, Any]:
    entry = {"slug": _SLUG, "cron": schedule.cron, "timezone": schedule.timezone}
    return entry if schedule.active else {**entry, "active": False}


def schedule_lines(recipes: Iterable[Recipe], api_url: str) -> list[str]:
    """A line for each active schedule: when it runs, what follows, and how to switch it off at the
    server of ``api_url``.
    """
    lines = []
    pause = prefect_command("deployment", "schedule", "pause", "--all", api_url=api_url)
    for recipe in recipes:
        schedule, parameters = recipe.settings.schedule, recipe.parameters
        if not schedule.active:
            continue
        crawls = (parameters.crawl_a, parameters.crawl_b)
        is_searching = any(crawl.phrases for crawl in crawls)
        engines = localised(" and ").join(engine_urls(parameters.crawl_a))
        read = (
            localised("searches {engines}", engines=engines)
            if is_searching
            else localised("reads its folders and lists")
        )
        follows = localised(
            "If more than {share:.0%} of the dataset changed, train/{recipe} starts, unless it "
            "would take more than {hours:g} hours on this device (max_training_h). ",
            share=recipe.settings.retrain_above,
            recipe=recipe.name,
            hours=parameters.max_training_h,
        )
        lines.append(
            localised(
                "refresh-dataset/{recipe}: {times} it {read}. {follows}To switch it off: the "
                "switch Schedules on the deployment's page in the UI, or, for all schedules: "
                "{pause}",
                recipe=recipe.name,
                times=_times(schedule),
                read=read,
                follows=follows if recipe.settings.triggers.train else "",
                pause=pause,
            )
        )
    return lines


def _times(schedule: Schedule) -> str:
    """The times of a schedule, in the person's language."""
    if language() == "en":
        return schedule.text
    minute, hour, *_, weekday = schedule.cron.split()
    weekly = (
        f"每周{'日一二三四五六'[int(weekday) % 7]} {hour}:{minute:0>2}" if schedule.weekday else ""
    )
    return f"{weekly or f'cron {schedule.cron}'}（{schedule.timezone}）"


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


def _parameters(deployment: _FlowDeployment, recipe: Recipe) -> dict[str, Any]:
    """The recipe's name and its answers to the questions of the flow's form, which shows them.

    A run finds a shipped recipe in its code. It is told all of another one, so that it needs no
    file: under ``advanced``, what differs from the defaults that the form shows.
    """
    form = deployment.form
    values = recipe.values_of(form.parameters)
    answers = {name: question.answer(values) for name, question in form.first_questions.items()}
    if deployment.is_scheduled:
        answers["refresh_after_h"] = answers["refresh_after_h"] or _REFRESH_AFTER_H
    if recipe.name in SHIPPED_NAMES:
        return {"recipe": recipe.name, **answers}
    answered = {
        place
        for name, question in form.first_questions.items()
        if answers[name] is not None
        for place in question.places
    }
    answers = {name: answer for name, answer in answers.items() if answer is not None}
    forms = [shipped_recipe(name).values_of(form.parameters) for name in SHIPPED_NAMES]
    forms.append(defaults(form.parameters))
    changes = {
        place: value
        for place, value in values.items()
        if place not in {*answered, ("recipe",), *DERIVED}
        and any(each.get(place, ...) != value for each in forms)
    }
    advanced = nest(_shared(changes))
    return {"recipe": recipe.name, **answers, **({"advanced": advanced} if advanced else {})}


def _shared(values: Values) -> Values:
    """``values`` with what is the same for both crawls once, where the form has it."""
    first, second = CRAWLS
    shared = {
        place[1:]: value
        for place, value in values.items()
        if place[0] == first
        and place[1] not in OF_ONE_CRAWL
        and values.get((second, *place[1:]), ...) == value
    }
    separate = {
        place: value
        for place, value in values.items()
        if place[0] not in CRAWLS or place[1:] not in shared
    }
    return {(SHARED, *place): value for place, value in shared.items()} | separate


def prefect_yaml(recipes: Iterable[Recipe] | None = None) -> str:
    """The text of prefect.yaml; with ``recipes``, of such a file for these instead."""
    head = {
        "name": "suyan",
        "prefect-version": ">=3.8,<4",
        "pull": [],  # a step that sets the folder would log four lines in each run
    }
    parts = [_HEADER + _yaml(head), "deployments:"]
    for recipe in map(shipped_recipe, SHIPPED_NAMES) if recipes is None else recipes:
        titles = recipe.titles
        parts.append(f"# {recipe.name}: {titles.domain_a} (A) ↔ {titles.domain_b} (B)")
        parts += [_yaml([entry]) for entry in build_deployments(recipe)]
    return "\n".join(parts)


def cloud_yaml() -> str:
    """The text of deploy/prefect-cloud.yaml: the shipped recipes, from an image of their own."""
    steps, docker = "prefect.deployments.steps", "prefect_docker.deployments.steps"
    image = {"image_name": "{{ $SUYAN_IMAGE }}", "tag": "{{ commit.stdout }}"}
    build = {
        "id": "image",
        "requires": "prefect-docker",
        **image,
        "dockerfile": "deploy/Dockerfile",
    }
    head = {
        "name": "suyan",
        "prefect-version": ">=3.8,<4",
        "build": [
            {f"{steps}.run_shell_script": {"id": "commit", "script": "git rev-parse --short HEAD"}},
            {f"{docker}.build_docker_image": build},
        ],
        "push": [{f"{docker}.push_docker_image": {"requires": "prefect-docker", **image}}],
        "pull": [{f"{steps}.set_working_directory": {"directory": _CODE_FOLDER}}],
    }
    pool = {
        "work_pool": {
            "name": CLOUD_WORK_POOL,
            "job_variables": {"image": "{{ image.image }}"},
        }
    }
    entries = [
        entry | pool for name in SHIPPED_NAMES for entry in build_deployments(shipped_recipe(name))
    ]
    return "\n".join(
        [_CLOUD_HEADER + _yaml(head, is_flat=False), "deployments:", *(_yaml([e]) for e in entries)]
    )


class _Dumper(yaml.SafeDumper):
    """Folds long texts, and writes no anchors, so that each deployment can be read alone."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _folded(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = ">" if len(text) > _LONGEST_PLAIN_TEXT else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _folded)


def _yaml(value: Any, *, is_flat: bool = True) -> str:
    return yaml.dump(
        value,
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=None if is_flat else False,  # flat: innermost parts on one line
        sort_keys=False,
        width=96,
    )


def main() -> None:
    """Write both files."""
    for path, text in ((FILE, prefect_yaml()), (CLOUD_FILE, cloud_yaml())):
        with atomic_file(path) as file:
            file.write(text.encode())


if __name__ == "__main__":
    main()
