"""Settings of every test: property tests may be slow, for these machines are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "suyan", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suyan")

if TYPE_CHECKING:
    from tiny_evaluation import Measured


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A tiny run that was trained and evaluated once for all tests that look at it."""
    from tiny_evaluation import measure_tiny  # torch is slow to import

    return measure_tiny(tmp_path_factory.mktemp("workspace"))
