"""What a Prefect server must hold for Suyan besides deployments: the work pool, the automations.

``python -m flows.server.resources`` makes what is missing and brings automations up to date.
(Prefect's own ``automation create``, called twice, makes each one twice.)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.events.schemas.automations import Automation, AutomationCore
from prefect.exceptions import ObjectAlreadyExists
from prefect.workers.process import ProcessWorker

from flows.installation import ROOT

POOL = "local"


def declared() -> list[AutomationCore]:
    """The automations of automations.yaml."""
    content = yaml.safe_load((ROOT / "automations.yaml").read_text(encoding="utf-8"))
    return [AutomationCore.model_validate(entry) for entry in content["automations"]]


async def ensure_pool(client: PrefectClient, name: str = POOL) -> None:
    """Make the process work pool ``name``; one that is there stays as it is."""
    template = ProcessWorker.get_default_base_job_template()
    with contextlib.suppress(ObjectAlreadyExists):
        await client.create_work_pool(
            WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template)
        )


async def ensure_automations(
    client: PrefectClient, automations: Sequence[AutomationCore]
) -> list[str]:
    """Make each automation whose name is new, change those that differ; the names of both.

    Whether one is switched on is left as it is: someone may have switched it off.
    """
    changed = []
    for automation in automations:
        known = await client.read_automations_by_name(automation.name)
        if not known:
            await client.create_automation(automation)
        elif not _same(automation, known[0]):
            wanted = automation.model_copy(update={"enabled": known[0].enabled})
            await client.update_automation(known[0].id, wanted)
        else:
            continue
        changed.append(automation.name)
    return changed


def _same(wanted: AutomationCore, found: Automation) -> bool:
    def essence(automation: AutomationCore) -> dict[str, object]:
        values = automation.model_dump(mode="json", include=set(AutomationCore.model_fields))
        values.pop("enabled")
        values["trigger"].pop("id", None)
        return values

    return essence(wanted) == essence(found)


async def _main() -> None:
    async with get_client() as client:
        await ensure_pool(client)
        await ensure_automations(client, declared())


if __name__ == "__main__":
    asyncio.run(_main())
