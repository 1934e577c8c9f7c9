"""The work pool and the automations that a Prefect server needs besides the deployments.

``python -m flows.server.resources`` creates missing ones and updates automations. (Prefect's own
``automation create``, called twice, creates each automation twice.) ``--remove RECIPE …`` removes
the deployments of recipes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.deployments import FLOW_NAMES, TAG, WORK_POOL


def declared() -> list[AutomationCore]:
    """The automations of automations.yaml."""
    file = Path(__file__).with_name("automations.yaml")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [AutomationCore.model_validate(entry) for entry in content["automations"]]


async def ensure_pool(client: PrefectClient, name: str = WORK_POOL) -> None:
    """Create the process work pool ``name``; an existing one is left unchanged."""
    template = ProcessWorker.get_default_base_job_template()
    with contextlib.suppress(ObjectAlreadyExists):
        await client.create_work_pool(
            WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template)
        )


async def ensure_automations(
    client: PrefectClient, automations: Sequence[AutomationCore]
) -> list[str]:
    """Create automations with new names and update those that differ; returns the names of both.

    An existing automation stays switched on or off, as a person left it.
    """
    changed = []
    for automation in automations:
        existing = await client.read_automations_by_name(automation.name)
        if not existing:
            await client.create_automation(automation)
        elif not _same(automation, existing[0]):
            update = automation.model_copy(update={"enabled": existing[0].enabled})
            await client.update_automation(existing[0].id, update)
        else:
            continue
        changed.append(automation.name)
    return changed


def _same(new: AutomationCore, old: Automation) -> bool:
    def content(automation: AutomationCore) -> dict[str, object]:
        values = automation.model_dump(mode="json", include=set(AutomationCore.model_fields))
        values.pop("enabled")
        values["trigger"].pop("id", None)
        return values

    return content(new) == content(old)


async def remove_deployments(client: PrefectClient, recipe: str) -> None:
    """Remove the deployments of a recipe with their schedules, scheduled runs and automations."""
    for flow in FLOW_NAMES:
        with contextlib.suppress(ObjectNotFound):
            deployment = await client.read_deployment_by_name(f"{flow}/{recipe}")
            if {TAG, recipe} <= set(deployment.tags):
                resource = f"prefect.deployment.{deployment.id}"
                await client.delete_resource_owned_automations(resource)
                await client.delete_deployment(deployment.id)


async def _main(arguments: Sequence[str]) -> None:
    async with get_client() as client:
        if arguments[:1] == ["--remove"]:
            for recipe in arguments[1:]:
                await remove_deployments(client, recipe)
            return
        await ensure_pool(client)
        await ensure_automations(client, declared())


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
