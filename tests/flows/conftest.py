"""A client of the services that the tests of flows share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from connected_services import connected

from flows.ui.page_words import use_language

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

    from flows.server.services import Services


@pytest.fixture(autouse=True)
def _pages_in_english() -> None:
    """A flow that ran in this process leaves its language in the process's context."""
    use_language("en")


@pytest.fixture
def client(services: Services) -> Iterator[SyncPrefectClient]:
    """A client of the running server; this process has its settings meanwhile."""
    from prefect.client.orchestration import get_client  # slow to import

    with connected(services), get_client(sync_client=True) as client:
        yield client
