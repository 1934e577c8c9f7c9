"""The making of the next version, from the review's page: one at a time, in a thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from core.errors import SuyanError
from core.progress import Progress
from core.workspace_folders import DatasetFolder

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class NextVersion:
    """A version that was made, or the same one again where no decision changed it."""

    dataset: DatasetFolder
    is_new: bool


MakeVersion = Callable[[DatasetFolder, Progress], NextVersion]
"""Prepares the version after the given one, with the decisions of now. Raises ``SuyanError``."""


@dataclass(frozen=True)
class MakingState:
    """How far the making is; ``version`` is set when it is done, ``error`` when it failed."""

    state: Literal["idle", "running", "done", "failed"] = "idle"
    stage: str = ""
    num_done: int = 0
    num_total: int | None = None
    version: str = ""
    is_new: bool = False
    error: str = ""


class VersionMaker:
    """Makes versions in a thread; ``on_made`` is called there with each new one."""

    def __init__(self, make: MakeVersion, on_made: Callable[[DatasetFolder], None]) -> None:
        self._make, self._on_made = make, on_made
        self._lock = threading.Lock()
        self._state = MakingState()

    @property
    def state(self) -> MakingState:
        """The state of the last making."""
        return self._state

    def start(self, dataset: DatasetFolder) -> bool:
        """Start to make the version after ``dataset``; returns whether none was being made."""
        with self._lock:
            if self._state.state == "running":
                return False
            self._state = MakingState("running")
        threading.Thread(
            target=self._run, args=(dataset,), name="next version", daemon=True
        ).start()
        return True

    def _run(self, dataset: DatasetFolder) -> None:
        try:
            successor = self._make(dataset, self._report)
            self._on_made(successor.dataset)
        except Exception as error:
            if not isinstance(error, SuyanError | ValueError | OSError):
                _LOG.exception("the next version could not be made")
            self._state = MakingState("failed", error=str(error))
            return
        self._state = MakingState(
            "done", version=successor.dataset.path.name, is_new=successor.is_new
        )

    def _report(self, stage: str, num_done: int, num_total: int | None, _message: str) -> None:
        self._state = replace(self._state, stage=stage, num_done=num_done, num_total=num_total)
