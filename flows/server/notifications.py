"""Notifications of failed runs, partial crawls and new champions, by Prefect's automations.

The webhook's address is a secret, since it is all that is needed to post a message: it is read from
the environment and stored in a Prefect block, which is encrypted.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from rich.console import Console

from core.commands import suyan_command
from core.errors import SuyanError
from core.language.messages import localised
from core.workspace import Workspace
from flows.server.prefect_server import client_environment, running_server

Kind = Literal["webhook", "dingtalk", "feishu", "wecom", "slack"]
VARIABLE = "SUYAN_NOTIFY_URL"
BLOCK = "suyan-notify"
_TIMEOUT_S = 10  # for the webhook's answer
_TEXT = "{{subject}}\n{{body}}"
BODIES: Mapping[Kind, dict[str, Any]] = MappingProxyType(
    {
        "webhook": {"subject": "{{subject}}", "body": "{{body}}"},
        "dingtalk": {"msgtype": "text", "text": {"content": _TEXT}},
        "feishu": {"msg_type": "text", "content": {"text": _TEXT}},
        "wecom": {"msgtype": "text", "text": {"content": _TEXT}},
        "slack": {"text": _TEXT},
    }
)
_RUN_URL = "{{ flow_run|ui_url }}"


def set_up(workspace: Workspace, console: Console, *, kind: Kind, test: bool, off: bool) -> None:
    """Create the block and the automations on the workspace's server, or remove the automations.

    Raises ``SuyanError``, and changes nothing, when no server runs or the webhook refuses the test
    message; ``ValueError`` without an address.
    """
    if not os.environ.get("PREFECT_API_URL"):
        server = running_server(workspace)
        if server is None:
            raise SuyanError(
                localised(
                    "found no running Prefect server for {workspace}, needed one",
                    workspace=workspace,
                ),
                remedy=localised(
                    "Run '{command}' first", command=suyan_command("up", workspace=workspace)
                ),
            )
        os.environ.update(client_environment(server))
    url = os.environ.get(VARIABLE, "")
    if not off and not url.startswith(("http://", "https://")):
        raise ValueError(
            localised(
                "{variable}: got {found}, needed the webhook's address in the environment: "
                "read -rs {variable}; export {variable}",
                variable=VARIABLE,
                found=localised("an address without http") if url else localised("nothing"),
            )
        )
    console.print(asyncio.run(_off() if off else _on(url, kind, test=test)))


async def _on(url: str, kind: Kind, *, test: bool) -> str:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.client.orchestration import get_client
    from prefect.types import SecretDict

    from flows.server.resources import ensure_automations

    block = CustomWebhookNotificationBlock(
        name="Suyan",
        url="{{address}}",
        json_data=BODIES[kind],
        secrets=SecretDict({"address": url}),
    )
    if test:  # sent before saving: a wrong address must not replace one that works
        await _send_test(url, kind)
    document = await block.asave(BLOCK, overwrite=True)
    async with get_client() as client:
        await ensure_automations(client, automations(document))
    note = localised(" A test message was sent.") if test else ""
    return localised(
        "Failed runs, partial crawls and new champions are reported to your {kind}.{note}",
        kind=kind,
        note=note,
    )


async def _send_test(url: str, kind: Kind) -> None:
    """Send a message as the block does and, unlike the block, read the answer."""
    import httpx
    from prefect.utilities.templating import apply_values

    message = {"subject": "Suyan: a test", "body": "A notification of Suyan looks like this."}
    unchanged = localised("; nothing was changed")
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            answer = await client.post(url, json=apply_values(BODIES[kind], message))
    except httpx.HTTPError as error:  # its message may hold the secret address
        is_slow = isinstance(error, httpx.TimeoutException)
        cause = localised("no connection")
        if is_slow:
            cause = localised("no answer within {num} s", num=_TIMEOUT_S)
        raise SuyanError(
            localised(
                "the webhook cannot be reached: {cause}{unchanged}",
                cause=cause,
                unchanged=unchanged,
            )
        ) from None
    if answer.is_error:
        code = answer.status_code
        raise SuyanError(
            localised(
                "the webhook answered {code}: check {variable}{unchanged}",
                code=code,
                variable=VARIABLE,
                unchanged=unchanged,
            )
        )
    if refusal := _refusal(answer.content):
        raise SuyanError(
            localised(
                "the webhook refused the message: {refusal}{unchanged}",
                refusal=refusal,
                unchanged=unchanged,
            )
        )


def _refusal(answer: bytes) -> str:
    """The refusal in an answer of status 200, e.g. for a missing keyword or signature; "" for none.

    DingTalk and WeCom put it into ``errcode``, Feishu into ``code``.
    """
    try:
        content = json.loads(answer)
        code = content.get("errcode", content.get("code", 0))
    except (ValueError, AttributeError):
        return ""
    if code == 0:
        return ""
    return f"{content.get('errmsg', content.get('msg', ''))} ({code})"[:300]


async def _off() -> str:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        for automation in automations(UUID(int=0)):
            for existing in await client.read_automations_by_name(automation.name):
                await client.delete_automation(existing.id)
    return localised("No more notifications are sent.")


def automations(block: UUID) -> list[Any]:
    """The automations that send through ``block``, as Prefect's ``AutomationCore``."""
    from prefect.events.schemas.automations import AutomationCore

    from flows import events

    failed = ["prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"]
    rows = [
        (
            "suyan: tell of a failed run",
            "prefect.flow-run.*",
            failed,
            "Suyan: {{ flow.name }}/{{ flow_run.name }} {{ flow_run.state.name }}",
            f"{{{{ flow_run.state.message }}}}\n{_RUN_URL}",
        ),
        (
            "suyan: tell of a partial crawl",
            "suyan.crawl.*",
            [events.CRAWL_PARTIAL],
            "Suyan: a crawl is partial",
            "{{ event.payload.text }}",
        ),
        (
            "suyan: tell of a new champion",
            "suyan.model.*",
            [events.MODEL_CHAMPION],
            "Suyan: a new champion",
            "{{ event.payload.text }}",
        ),
    ]
    return [
        AutomationCore.model_validate(
            {
                "name": name,
                "description": "Made by the command notify, which removes it with --off.",
                "trigger": {
                    "type": "event",
                    "posture": "Reactive",
                    "match": {"prefect.resource.id": resource},
                    "expect": expected,
                    "threshold": 1,
                },
                "actions": [
                    {
                        "type": "send-notification",
                        "block_document_id": block,
                        "subject": subject,
                        "body": body,
                    }
                ],
            }
        )
        for name, resource, expected, subject, body in rows
    ]
