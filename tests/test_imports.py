"""The house rules of ARCHITECTURE.md: which package may import which."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("scraping", "preprocessing", "training", "evaluation", "serving", "storage")
# For each stage, the modules of other stages that it may import.
SIDEWAYS = {
    "scraping": {
        "storage.bucket",
        "storage.files",
        "storage.folders",
        "storage.originals",
        "storage.workspace",
    },
    "preprocessing": {"scraping.records"},
    "training": {"scraping.records"},
    "evaluation": {
        "scraping.records",
        "training.networks",
        "training.checkpoint",
        "preprocessing.align",
        "preprocessing.faces",
        "preprocessing.mesh",
    },
    "storage": {"scraping.records"},
    "serving": {
        "scraping.records",
        "training.config",
        "training.exchange",
        "training.networks",
        "training.checkpoint",
        "preprocessing.config",
        "preprocessing.decode",
        "preprocessing.faces",
        "preprocessing.align",
    },
}


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
    """Dotted names of every module of ``package``."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in _sources(package)
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_orchestration(stage: str) -> None:
    for path in _sources(stage):
        tops = {name.split(".")[0] for name in _imported(path)}
        assert not tops & {"flows", "prefect"}, path


@pytest.mark.parametrize("stage", STAGES)
def test_sideways_imports_are_the_allowed_ones(stage: str) -> None:
    others = set().union(*(_modules(other) for other in STAGES if other != stage)) - set(STAGES)
    for path in _sources(stage):
        found = {name for name in _imported(path) if name in others}
        assert found <= SIDEWAYS[stage], f"{path} imports {found - SIDEWAYS[stage]}"


def test_records_is_a_leaf() -> None:
    tops = {name.split(".")[0] for name in _imported(ROOT / "scraping" / "records.py")}
    assert not tops & {*STAGES, "flows", "prefect"}


def test_no_flow_file_is_named_after_a_package() -> None:
    taken = {*STAGES, *sys.stdlib_module_names}
    assert not {path.stem for path in _sources("flows")} & taken


def test_every_package_is_listed_for_the_installer() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for package in (*STAGES, "flows")
        for path in (ROOT / package).rglob("__init__.py")
    }
    assert set(listed) == found


def test_to_deploy_or_to_crawl_nobody_waits_for_torch() -> None:
    import subprocess

    code = "import sys, flows.pipeline, flows.refresh, flows.model; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "albumentations", "cv2", "scipy"} & set(done.stdout.split())
