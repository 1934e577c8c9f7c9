"""The rules of ARCHITECTURE.md: imports between packages, names of modules, sizes of folders."""

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import installation

ROOT = Path(__file__).resolve().parents[1]
# From the floor upwards: a package imports packages before it, never one after it.
FLOORS = (
    "core", "storage", "scraping", "preprocessing", "training", "evaluation", "serving", "flows",
    "cli",
)  # fmt: skip
STAGES = FLOORS[2:7]
# Of each stage, the modules of other stages that it may import.
SIDEWAYS = {
    "scraping": set[str](),
    "preprocessing": set[str](),
    "training": {
        "preprocessing.analysis.face_finder",
        "preprocessing.analysis.face_windows",
        "preprocessing.analysis.face_mesh",
        "preprocessing.analysis.face_regions",
        "preprocessing.images.colour_maps",
    },
    "evaluation": {
        "preprocessing.analysis.face_finder",
        "preprocessing.analysis.face_mesh",
        "preprocessing.analysis.face_network",
        "preprocessing.analysis.face_regions",
        "preprocessing.analysis.face_windows",
        "preprocessing.config",
        "preprocessing.images.colour_maps",
        "preprocessing.images.geometry",
        "preprocessing.selection.logistic_regression",
        "preprocessing.selection.reason_words",
        "training.config",
        "training.models.architecture",
        "training.models.factory",
        "training.data.tensors",
        "training.run.checkpoint",
        "training.run.run_log",
        "training.run.strengths",
        "training.tracking.tensorboard_summaries",  # its figures beside the training's
        "training.tracking.tracked_training",
    },
    "serving": {
        "evaluation.features.likeness",  # how far a photograph lies from the training pictures
        "evaluation.features.training_statistics",
        "evaluation.model_registry.hub_card",
        "evaluation.model_registry.model_card",
        "preprocessing.analysis.face_detector",
        "preprocessing.config",
        "preprocessing.images.geometry",
        "scraping.failure_reasons",
        "scraping.sources.archive_members",  # a batch's zip is read as hostile as a person's
        "scraping.sources.local_files",
        "preprocessing.sandbox",  # decodes originals for the thumbnails of the review
        "preprocessing.selection.overrides",  # the decisions that the review reads and writes
        "preprocessing.selection.reason_words",
        "preprocessing.selection.rejection_reasons",
        "training.config",
        "training.data.tensors",
        "training.models.architecture",
        "training.models.factory",
        "training.models.resnet",
        "training.pix2pix",
        "training.run.checkpoint",
        "training.run.starting_point",  # the model that a published one was trained from
    },
}
# Basenames that occur in several packages, where the folder tells them apart.
REPEATED = {"__init__", "config", "client", "server", "models", "originals"}
MOST_MODULES = 15


def _sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _modules(package: str) -> set[str]:
    """Dotted names of every module of ``package``, not of its folders."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in _sources(package)
        if path.stem != "__init__"
    }


@pytest.mark.parametrize("package", FLOORS)
def test_no_import_goes_up(package: str) -> None:
    above = {*FLOORS[FLOORS.index(package) + 1 :]}
    for path in _sources(package):
        tops = {name.split(".")[0] for name in _imported(path)}
        assert not tops & above, f"{path} imports {tops & above}"


@pytest.mark.parametrize("package", FLOORS[:-2])
def test_a_stage_imports_no_orchestration(package: str) -> None:
    for path in _sources(package):
        assert "prefect" not in {name.split(".")[0] for name in _imported(path)}, path


@pytest.mark.parametrize("stage", STAGES)
def test_sideways_imports_are_the_allowed_ones(stage: str) -> None:
    others = set().union(*(_modules(other) for other in STAGES if other != stage))
    found = {name for path in _sources(stage) for name in _imported(path) if name in others}
    assert found == SIDEWAYS[stage]


@pytest.mark.parametrize("package", FLOORS)
def test_a_folder_is_a_room_one_can_hold(package: str) -> None:
    folders = Counter(path.parent for path in _sources(package) if path.stem != "__init__")
    assert {folder: num for folder, num in folders.items() if num > MOST_MODULES} == {}


def test_a_basename_stands_once() -> None:
    paths = [path for package in FLOORS for path in _sources(package)]
    stems = Counter(path.stem for path in paths if path.parent.name != "cli")
    assert {stem for stem, num in stems.items() if num > 1} <= REPEATED
    packages = {path.parent.name for path in paths if path.stem == "__init__"}
    assert not packages & set(stems) - REPEATED, "a folder and a module share a name"


def test_no_flow_is_named_after_a_package() -> None:
    """Prefect may put ``flows/`` first on the module path."""
    taken = {*FLOORS, "dask", *sys.stdlib_module_names}
    children = {path.stem for path in (ROOT / "flows").iterdir()}
    assert not children & taken


def test_every_package_is_found_by_the_installer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    find = project["tool"]["setuptools"]["packages"]["find"]
    assert find == {"include": [f"{package}*" for package in FLOORS], "namespaces": False}
    folders = {path.parent for package in FLOORS for path in _sources(package)}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


def test_the_lists_of_packages_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert installation.PACKAGES == FLOORS
    assert set(project["tool"]["mypy"]["packages"]) == set(FLOORS)
    assert set(project["tool"]["ruff"]["lint"]["isort"]["known-first-party"]) == set(FLOORS)


def test_to_deploy_or_to_crawl_nobody_waits_for_torch() -> None:
    code = "import sys, flows.pipeline, flows.refresh, flows.model; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "albumentations", "cv2", "scipy"} & set(done.stdout.split())
