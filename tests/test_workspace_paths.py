"""Only ``core/workspace.py`` and ``core/workspace_folders.py`` spell the paths of a workspace."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "core", "storage", "scraping", "preprocessing", "training", "evaluation", "serving", "flows",
    "cli",
)  # fmt: skip
FILES = {
    "analysis.sqlite", "best.json", "bucket.json", "card.html", "card.json", "card.md",
    "catalogue.sqlite", "champion.json", "dataset.json", "decision.json", "events.jsonl",
    "listing.parquet", "log.jsonl", "manifest.parquet", "measures.jsonl", "model.json",
    "prepare.json", "run.json", "scores.json", "state.pt", "summary.json", "config.json",
    "pictures.json",
}  # fmt: skip
FOLDERS = {
    "cache", "checkpoints", "crawls", "crops", "datasets", "evaluation", "features", "gallery",
    "models", "originals", "prefect", "recipes", "runs", "samples", "samples_ema", "truth",
}  # fmt: skip
SPELLERS = {
    "core/workspace.py",
    "core/workspace_folders.py",
    "core/files.py",  # claim_folder writes config.json into any folder
    "evaluation/features/inception.py",  # torch's cache has a folder "checkpoints"
}


def _spelled(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """File names as whole texts; folder names that are joined to a path or begin a key."""
    joined = {
        id(side)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        for side in (node.left, node.right)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            first, slash, _ = node.value.partition("/")
            if node.value in FILES or (first in FOLDERS and (slash or id(node) in joined)):
                yield node.lineno, node.value


def test_no_other_module_spells_a_path_of_a_workspace() -> None:
    bad = [
        f"{name}:{line} {text!r}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if (name := path.relative_to(ROOT).as_posix()) not in SPELLERS
        for line, text in _spelled(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not bad, f"{len(bad)} places:\n" + "\n".join(bad)
