"""Limits across all runs of a Prefect server: one crawl per search engine, one training per device,
one run per flow and recipe.

A slot of a limit is a lease that its holder renews; a killed holder loses it after a minute. The
deployments themselves have no concurrency limit, for two reasons: a run that pauses for approval
returns its slot, cannot renew it, and is ended by Prefect after four minutes; and Prefect ends a
run whose server cannot be reached for longer than the lease.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.states import Pending, Running

from core.language.messages import localised
from flows.states import set_state
from flows.ui.run_progress import run_logger, warn_on_error
from flows.ui.run_tags import HOLDS, WAITS, tagged
from scraping.config import CrawlConfig
from scraping.search.engines import engine_urls

_LEASE_S = 60.0  # the shortest that Prefect grants
_MAX_NAMES = 3  # of runs in a message


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Hold a slot of the limit ``name`` during the block; wait for one where all are occupied.

    A flow run that waits has the state "Waiting" and a tag that name the runs that hold the slots;
    its waiting does not count as running time. A new limit has one slot. An existing limit is used
    unchanged, since a person may have raised it in the Prefect UI. The holder of a slot goes on
    while the server cannot be reached.
    """
    limit = _ensure_limit(name)
    is_occupied = limit is not None and limit.active_slots >= limit.limit
    slot = concurrency(
        name, strict=True, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False
    )
    with contextlib.ExitStack() as held:
        if is_occupied:
            holders = _holders(name)
            text = localised(
                "waits for a slot of the limit {name!r}, held by {holders}",
                name=name,
                holders=holders,
            )
            run_logger().info(text)
            with tagged(f"{WAITS}{holders}"):
                with warn_on_error():
                    set_state(Pending(name="Waiting", message=text))
                held.enter_context(slot)
            with warn_on_error():
                set_state(Running())
        else:
            held.enter_context(slot)
        with tagged(f"{HOLDS}{name}"):  # by which _holders finds it
            yield


def _holders(name: str) -> str:
    """The running flow runs that hold slots of a limit, as text."""
    holding = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[f"{HOLDS}{name}"]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])),
    )
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=holding, limit=_MAX_NAMES)
    return ", ".join(f"the run {run.name!r}" for run in runs) or "another program"


def run_limit(flow: str, recipe: str) -> str:
    """The limit's name for the runs of a flow with a recipe, e.g. ``"run train makeup"``."""
    return _name(f"run {flow} {recipe}")


@contextlib.contextmanager
def one_search_at_a_time(config: CrawlConfig) -> Iterator[None]:
    """Hold a slot of the limit of each engine that the crawl asks, always in the same order."""
    urls = sorted(engine_urls(config)) if config.searches else []
    with contextlib.ExitStack() as slots:
        for url in urls:
            slots.enter_context(one_at_a_time(engine_limit(url)))
        yield


def engine_limit(engine_url: str) -> str:
    """The limit's name for a search engine, e.g. ``"crawl image.baidu.com"``."""
    address = urlsplit(engine_url)
    port = f" {address.port}" if address.port else ""
    return _name(f"crawl {address.hostname}{port}")


def device_limit(device: str) -> str:
    """The limit's name for a device of this machine; ``"auto"`` is the one that torch chooses."""
    if device == "auto":
        import torch  # imported late: takes seconds, and only training needs it

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return _name(f"train {socket.gethostname()} {device.removesuffix(':0').replace(':', ' ')}")


def _name(text: str) -> str:
    return re.sub(r"[^\w. -]", "-", text)


def _ensure_limit(name: str) -> GlobalConcurrencyLimitResponse | None:
    """The existing limit; ``None`` for one that was created just now."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with contextlib.suppress(ObjectAlreadyExists):  # another run was faster
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=1)
                )
            return None
