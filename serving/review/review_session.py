"""A dataset version under review: what the page shows of it, and what people change."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.workspace import Workspace
from core.workspace_folders import DatasetFolder
from serving.review.decision_file import Change, DecisionFile, Decisions
from serving.review.next_version import MakeVersion, VersionMaker
from serving.review.review_sections import build_sections, version_json
from serving.review.version_pictures import VersionPictures, load_version

Number = Annotated[int, Field(ge=0)]


class DecisionRequest(BaseModel):
    """A decision about pictures, and the decisions that the person saw before."""

    model_config = ConfigDict(extra="forbid")

    version: str
    action: Literal["keep", "drop", "move", "different"]
    pictures: list[tuple[Number, Literal["", "keep", "drop", "move"]]] = Field(min_length=1)


class UndoRequest(BaseModel):
    """A change to take back."""

    model_config = ConfigDict(extra="forbid")

    change: str


class OutdatedError(Exception):
    """The page shows a version that is no longer the one under review."""


class Review:
    """A dataset version under review, until its successor is made and takes its place."""

    def __init__(self, workspace: Workspace, dataset: DatasetFolder, make: MakeVersion) -> None:
        self._lock = threading.Lock()
        names = self._take(load_version(dataset))
        config = self.version.config
        self.decisions = DecisionFile(workspace, (config.domain_a, config.domain_b), names)
        self.decisions.read()  # raises before the page opens
        self.maker = VersionMaker(make, self._open)

    def _take(self, version: VersionPictures) -> Sequence[str]:
        """Review this version; returns the sha256 of its pictures."""
        content = version_json(version, build_sections(version))
        text = json.dumps(content, separators=(",", ":")).encode()
        self._json = gzip.compress(text, compresslevel=4)
        self._numbers = {
            picture.row.sha256: number for number, picture in enumerate(version.pictures)
        }
        self.version = version
        return list(self._numbers)

    def _open(self, dataset: DatasetFolder) -> None:
        if dataset.path.name == self.version.name:
            return
        version = load_version(dataset)
        with self._lock:
            self.decisions.follow(self._take(version))

    def current(self, version: str) -> VersionPictures:
        """The version under review. Raises ``OutdatedError`` where ``version`` is another."""
        if version != self.version.name:
            raise OutdatedError
        return self.version

    def content(self) -> bytes:
        """The version as JSON, gzipped."""
        return self._json

    def state(self, revision: str) -> dict[str, Any]:
        """Version, decisions (unless they are those of ``revision``), and the making of the next
        version.
        """
        with self._lock:
            decisions = self.decisions.read()
            state: dict[str, Any] = {
                "version": self.version.name,
                "revision": decisions.revision,
                "making": asdict(self.maker.state),
            }
            if decisions.revision != revision:
                names = decisions.different.union(decisions.actions)
                state["decisions"] = self._by_number(decisions, names)
        return state

    def decide(self, request: DecisionRequest) -> dict[str, Any]:
        """Write a decision; what the page needs to show it."""
        with self._lock:
            pictures = self.current(request.version).pictures
            visible = {
                pictures[number].row.sha256: decision
                for number, decision in request.pictures
                if number < len(pictures)
            }
            return self._answer(self.decisions.decide(request.action, visible))

    def undo(self, change_id: str) -> dict[str, Any]:
        """Take a change back; what the page needs to show it. Raises ``KeyError``."""
        with self._lock:
            return self._answer(self.decisions.undo(change_id))

    def _answer(self, change: Change) -> dict[str, Any]:
        names = [name for name in (*change.names, *change.stale) if name in self._numbers]
        return {
            "change": change.id,
            "before": change.revision,
            "revision": change.decisions.revision,
            "decisions": self._by_number(change.decisions, names),
            "stale": [self._numbers[name] for name in change.stale if name in self._numbers],
        }

    def _by_number(self, decisions: Decisions, names: Iterable[str]) -> dict[int, Any]:
        """The decision about each of these pictures ("" for none), and whether it is different."""
        return {
            self._numbers[name]: [decisions.actions.get(name, ""), int(name in decisions.different)]
            for name in names
        }
