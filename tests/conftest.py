"""Settings of every test: property tests may be slow, for these machines are."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suyan", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suyan")
