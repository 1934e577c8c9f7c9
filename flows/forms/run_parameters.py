"""The parameters of the present flow run: resolved, logged, and shown on a page of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from core.commands import register_recipe
from core.language.messages import language, localised
from flows.forms.effective import Effective, resolve
from flows.forms.field_values import Place, dotted
from flows.forms.form import Form, Overrides, Parameters
from flows.forms.questions import CRAWLS
from flows.presets import Preset
from flows.ui.markdown import Page, points
from flows.ui.page_words import count, say, use_language
from flows.ui.run_progress import run_logger

_LONGEST_VALUE = 120  # characters, in a line of the log


def run_parameters(form: Form[Parameters], overrides: Overrides, preset: Preset) -> Parameters:
    """The effective parameters of the present run; call it first in a flow.

    Raises ``ValueError`` as ``resolve`` does.
    """
    effective = resolve(form, overrides, stored=_stored(), preset=preset)
    _register_recipe(effective.parameters)
    _choose_language(effective.parameters)
    _log(effective)
    _write_page(effective)
    return effective.parameters


def _choose_language(parameters: Any) -> None:
    """Take the language of the run's report; of a run without one, that of errors and log lines."""
    evaluate = getattr(parameters, "evaluate", None)
    use_language(evaluate.language if evaluate else language())


def _register_recipe(parameters: Any) -> None:
    """Let commands in pages and states name the recipe of these domains."""
    if hasattr(parameters, CRAWLS[0]):
        domains = parameters.crawl_a.domain, parameters.crawl_b.domain
        register_recipe(parameters.recipe, *domains)


def _stored() -> dict[str, Any]:
    """The ``parameters`` of the run's deployment; empty for a run that has none, also for one
    inside the run of another flow's deployment.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or run.deployment_id is None:
        return {}
    with get_client(sync_client=True) as client:
        stored = client.read_deployment(run.deployment_id).parameters
    parameters: dict[str, Any] = stored.get("parameters") or {}
    return parameters


def _log(effective: Effective[Any]) -> None:
    log = run_logger()
    if effective.changes:
        log.info(
            localised("given to this run: %s"), "; ".join(_lines(effective, effective.changes))
        )
    if effective.preset_changes:
        log.info(
            localised("changed by the preset %s: %s"),
            effective.preset,
            "; ".join(_lines(effective, effective.preset_changes)),
        )
    log.info(
        localised("effective parameters, defaults left out: %s"),
        effective.parameters.model_dump_json(exclude_defaults=True),
    )


def _write_page(effective: Effective[Any]) -> None:
    recipe = effective.parameters.recipe
    sources = {
        say("given"): effective.changes,
        say("of_preset", preset=effective.preset): effective.preset_changes,
    }
    rows = [
        {say("changed"): line, "": source}
        for source, values in sources.items()
        for line in _lines(effective, values)
    ]
    text = effective.parameters.model_dump_json(indent=2)
    Page(f"parameters-{flow_run.get_flow_name()}-{recipe}").write(
        say(
            "parameters",
            recipe=recipe,
            preset=effective.preset,
            num_preset=count(len(effective.preset_changes), "value"),
            num_given=count(len(effective.changes), "value"),
        ),
        points(rows),
        f"{say('all_parameters')}\n\n```json\n{text}\n```",
    )


def _lines(effective: Effective[Any], values: Mapping[Place, Any]) -> list[str]:
    """A text for each value, with the recipe's, e.g. ``"train.seed 7 (recipe: 0)"``."""
    return [
        say(
            "given_value",
            setting=dotted(place),
            value=_text(value),
            recipe=_text(effective.recipe_values.get(place)),
        )
        for place, value in values.items()
    ]


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]} …"
