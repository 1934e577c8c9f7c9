"""One crawl per search engine, one training per device, one run per flow and recipe, across all
runs of a Prefect server.

A slot is a lease that its holder renews: one that was killed loses it after a minute. Deployments
have no limit of Prefect's: a run that pauses for approval gives such a slot back, cannot renew it
any more, and is ended for that after four minutes; and so would be one whose server is away longer
than its lease.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from flows.ui.run_progress import run_logger

_LEASE_S = 60.0  # the least that Prefect grants


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Hold the only slot of the limit ``name``; a limit that nobody made yet is made.

    Someone may allow more in the Prefect UI: an existing limit is taken as it is. A server that
    cannot be reached for a while does not stop who holds a slot.
    """
    found = _ensure(name)
    if found is not None and found.active_slots >= found.limit:
        taken = f"{found.active_slots} of {found.limit}"
        run_logger().info("waiting for a slot of the limit %r: %s are taken", name, taken)
    with concurrency(
        name, strict=True, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False
    ):
        yield


def run_limit(flow: str, recipe: str) -> str:
    """The limit's name for the runs of a flow with a recipe, e.g. ``"run train makeup"``."""
    return _name(f"run {flow} {recipe}")


def engine_limit(engine_url: str) -> str:
    """The limit's name for a search engine, e.g. ``"crawl image.baidu.com"``."""
    address = urlsplit(engine_url)
    port = f" {address.port}" if address.port else ""
    return _name(f"crawl {address.hostname}{port}")


def device_limit(device: str) -> str:
    """The limit's name for a device of this machine; ``"auto"`` is the one that torch will take."""
    if device == "auto":
        import torch  # noqa: PLC0415 - seconds, and only training needs it

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return _name(f"train {socket.gethostname()} {device.removesuffix(':0').replace(':', ' ')}")


def _name(text: str) -> str:
    return re.sub(r"[^\w. -]", "-", text)


def _ensure(name: str) -> GlobalConcurrencyLimitResponse | None:
    """The limit as it is; None for one that was made just now."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            with contextlib.suppress(ObjectAlreadyExists):  # another run was faster
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=1)
                )
            return None
