"""Which code each stage version stands for, and a digest of that code.

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
    """A number in the code that names results, and the modules that decide about them."""

    module: str  # where the number stands
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
        return {path.relative_to(ROOT).as_posix(): _digest(path) for path in sorted(set(paths))}


def _digest(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
        if isinstance(node, ast.Module):
            node.body = [part for part in node.body if not isinstance(part, ast.ImportFrom)]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


VERSIONS: tuple[StageVersion, ...] = ()


def record() -> dict[str, dict[str, object]]:
    """What ``RECORD`` holds for the code as it is."""
    return {
        version.name: {"version": version.value, "code": version.digests()} for version in VERSIONS
    }


if __name__ == "__main__":
    RECORD.write_text(json.dumps(record(), indent=2) + "\n", encoding="utf-8")
