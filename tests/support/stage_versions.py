"""The code that each stage version stands for, and a digest of that code.

``python tests/support/stage_versions.py`` records the digests of the code as it is, in
``tests/golden/stage_versions.json``.
"""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tests" / "golden" / "stage_versions.json"


@dataclass(frozen=True)
class StageVersion:
    """A version number that enters names of results, and the modules that these results depend
    on."""

    module: str  # which defines the number
    constant: str
    code: tuple[str, ...]  # modules, and folders with all their modules, relative to ROOT

    @property
    def name(self) -> str:
        return f"{self.module}:{self.constant}"

    @property
    def value(self) -> int:
        for node in ast.parse((ROOT / self.module).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == self.constant:
                return int(ast.literal_eval(node.value))
        raise AssertionError(f"{self.module} has no {self.constant}")

    def digests(self) -> dict[str, str]:
        """By module: a digest of its code without docstrings, comments and layout."""
        paths = [
            path
            for place in self.code
            for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
        ]
        return {
            path.relative_to(ROOT).as_posix(): code_digest(path.read_text(encoding="utf-8"))
            for path in sorted(set(paths))
        }


def code_digest(source: str) -> str:
    """A digest of Python code that docstrings, comments, layout and imports do not change."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
        if isinstance(node, ast.Module):
            node.body = [
                part for part in node.body if not isinstance(part, ast.Import | ast.ImportFrom)
            ]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


_READER = ("core/pictures.py", "core/image_formats.py")
VERSIONS = (
    StageVersion(
        "preprocessing/analysis/analyse.py",
        "ANALYSIS_VERSION",
        (
            *_READER,
            "preprocessing/analysis",
            "preprocessing/images/geometry.py",
            "preprocessing/images/side_features.py",
        ),
    ),
    StageVersion(
        "preprocessing/images/crop.py",
        "CROP_VERSION",
        (*_READER, "preprocessing/images"),
    ),
    StageVersion(
        "preprocessing/dedup/similarity.py",
        "SIMILARITY_VERSION",
        tuple(
            f"preprocessing/dedup/{name}.py"
            for name in ("colours", "overlay", "screening", "similarity")
        ),
    ),
    StageVersion(
        "preprocessing/prepare.py",
        "STAGE_VERSION",
        (
            *_READER,
            "preprocessing/analysis",
            "preprocessing/config.py",
            "preprocessing/dedup",
            "preprocessing/images",
            "preprocessing/prepare.py",
            "preprocessing/selection",
        ),
    ),
    StageVersion(
        "evaluation/evaluate.py",
        "STAGE_VERSION",
        (
            *_READER,
            "evaluation/champion_comparison.py",
            "evaluation/config.py",
            "evaluation/data",
            "evaluation/features",
            "evaluation/judges",
            "evaluation/measure.py",
            "evaluation/metrics",
            "evaluation/strength_choice.py",
            "evaluation/weights_choice.py",
        ),
    ),
)


def record() -> dict[str, dict[str, object]]:
    """The content of ``RECORD`` for the present code."""
    return {
        version.name: {"version": version.value, "code": version.digests()} for version in VERSIONS
    }


if __name__ == "__main__":
    RECORD.write_text(json.dumps(record(), indent=2) + "\n", encoding="utf-8")
