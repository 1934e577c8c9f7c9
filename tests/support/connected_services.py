"""The settings of Prefect by which this process reaches the services of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.server.services import Services


@contextmanager
def connected(services: Services) -> Iterator[None]:
    """During the block, flows and clients of this process use the server of ``services``."""
    from prefect.settings import (  # slow to import
        PREFECT_API_AUTH_STRING,
        PREFECT_API_URL,
        PREFECT_HOME,
        temporary_settings,
    )

    settings = {
        PREFECT_API_URL: services.server.api_url,
        PREFECT_HOME: services.server.home,
        PREFECT_API_AUTH_STRING: "tester:a-secret-of-the-test",
    }
    with temporary_settings(updates=settings):
        yield
