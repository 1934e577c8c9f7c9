"""Fixtures and settings of all tests; property tests have no time limit, as machines may be
slow."""

from __future__ import annotations

import io
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from model_maker import ModelMaker

from core import commands
from core.workspace import Workspace

if TYPE_CHECKING:
    from tiny_evaluation import Measured

    from flows.server.services import Services
    from scraping.catalogue.repository import Catalogue

if os.environ.get("PYTEST_XDIST_WORKER"):  # before torch is imported
    # otherwise the workers' threads wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

os.environ["SUYAN_LANG"] = "en"  # whatever the locale of the person who runs the tests

settings.register_profile(
    "suyan", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suyan")


_ON_PREFECT_SERVERS = ("tests/flows/", "tests/test_deploy.py")


_SLOW_FIXTURES = {"measured", "services"}  # a training with its evaluation; a server and a worker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For pytest-xdist: a group for each file, and one for all that start Prefect servers. The
    longest groups come first. With pytest 9.2, xdist 3.8 ignores the groups and spreads single
    tests; each process then has a server of its own, on the next free port.
    """
    for item in items:
        file = item.location[0]
        group = "prefect" if file.startswith(_ON_PREFECT_SERVERS) else file
        item.add_marker(pytest.mark.xdist_group(group))
        if _SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not item.location[0].startswith(_ON_PREFECT_SERVERS))


@pytest.fixture(autouse=True)
def _recipes_of_this_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printed commands know the recipes of their process: those of another test are not known."""
    monkeypatch.setattr(commands, "_domains", {**commands.RECIPE_DOMAINS})
    monkeypatch.setattr(commands, "_files", {})


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL that may be emptied: ``SUYAN_TEST_POSTGRES_URL``, or one of our own."""
    if url := os.environ.get("SUYAN_TEST_POSTGRES_URL"):
        yield url
        return
    from postgres import MissingError, postgres

    try:
        with postgres() as url:
            yield url
    except MissingError as error:
        pytest.skip(f"no PostgreSQL: {error}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database."""
    import sqlalchemy as sa

    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'c.sqlite'}"
    postgres_url: str = request.getfixturevalue("postgres_url")
    engine = sa.create_engine(postgres_url)
    found = sa.MetaData()
    with engine.begin() as connection:
        found.reflect(connection)
        found.drop_all(connection)
    engine.dispose()
    return postgres_url


@pytest.fixture
def catalogue(database: str) -> Iterator[Catalogue]:
    from scraping.catalogue.repository import Catalogue

    with Catalogue(database) as made:
        made.begin_round("bare-1", "bare", 100, time.time())
        yield made


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A server that speaks S3, one for all tests."""
    from object_storage import object_storage

    with object_storage() as url:
        yield url


@pytest.fixture
def shared_home(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty workspace in a bucket of its own, in the form of ``SUYAN_HOME``."""
    import boto3

    from storage.s3 import open_bucket

    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SUYAN_CACHE": str(tmp_path / "machine-1"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    name = f"suyan-{uuid.uuid4().hex[:12]}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    client.close()
    open_bucket.cache_clear()
    yield f"s3://{name}/of/us"
    open_bucket.cache_clear()


@pytest.fixture(scope="session")
def services_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("services")


@pytest.fixture(scope="session")
def services_log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="session")
def services(services_home: Path, services_log: io.StringIO) -> Iterator[Services]:
    """The services of ``suyan up``: server, work pool, deployments, automations and a worker."""
    from rich.console import Console

    from flows.server.services import services as running

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_WORKER_QUERY_SECONDS", "2")
        patch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS", "5")  # default: an hour
        patch.setenv("PREFECT_SERVER_API_AUTH_STRING", "tester:a-secret-of-the-test")
        patch.setenv("PREFECT_API_AUTH_STRING", "tester:a-secret-of-the-test")
        patch.delenv("PREFECT_API_URL", raising=False)
        with running(Workspace(services_home), Console(file=services_log)) as up:
            yield up


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A tiny run, trained and evaluated once for all tests that read it."""
    from tiny_evaluation import measure_tiny  # torch is slow to import

    return measure_tiny(tmp_path_factory.mktemp("workspace"))


def _write_model(
    workspace: Path, *, faces: bool = True, recipe: str = "makeup", **changes: Any
) -> Path:
    import torch

    from core.files import write_json
    from preprocessing.config import PrepareConfig
    from training.config import TrainConfig
    from training.models.factory import build_generator
    from training.run.checkpoint import save_weights

    folder = workspace / "models" / recipe / "step1-abc"
    folder.mkdir(parents=True)
    tiny = {"num_blocks": 1, "ngf": 4, "ndf": 4, "load_px": 64, "crop_px": 64}
    config = TrainConfig.model_validate(tiny | changes)
    torch.manual_seed(0)
    for name in ("G_A", "G_B"):
        save_weights(folder / f"{name}.safetensors", build_generator(config))
    write_json(folder / "config.json", config.model_dump(mode="json"))
    names = ("makeup", "bare") if faces else ("summer", "winter")
    prepare = PrepareConfig(domain_a=names[0], domain_b=names[1], crop_px=62, faces=faces)
    write_json(folder / "prepare.json", prepare.model_dump(mode="json"))
    write_json(folder.parent / "champion.json", {"model": folder.name})
    return folder


@pytest.fixture
def make_model(tmp_path: Path) -> ModelMaker:
    """A function that writes an untrained model as the champion of a recipe; returns its folder.

    Other keyword arguments change its ``TrainConfig``.
    """

    def make(**changes: Any) -> Path:
        return _write_model(tmp_path / "workspace", **changes)

    return make


@pytest.fixture(scope="module")
def module_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model like those of ``make_model``, one for all tests of a module."""
    return _write_model(tmp_path_factory.mktemp("workspace"))
