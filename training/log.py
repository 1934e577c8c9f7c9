"""The training log: one JSON object a line, cut back to the checkpoint that a run resumes from."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from scraping.records import atomic_file, canonical_json


class TrainingLog:
    """Appends rows ``{step, epoch, learning_rate, seconds, <loss>: …}`` to ``log.jsonl``."""

    def __init__(self, path: Path, resumed_step: int) -> None:
        kept = [row for row in read_log(path) if row["step"] <= resumed_step]
        with atomic_file(path) as file:
            file.writelines(f"{canonical_json(row)}\n".encode() for row in kept)
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, row: dict[str, Any]) -> None:
        """Append one row; a reader sees it at once."""
        self._file.write(f"{canonical_json(row)}\n")
        self._file.flush()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a torn last line is left out. No file, no rows."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows
